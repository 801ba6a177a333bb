"""The fleet at a glance: counters, silent devices on the map, uptime, firmware, modes that end."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from dashboards.console.devices import words as device_words
from dashboards.console.fleet import words
from dashboards.console.fleet.frame import (
    ROOT,
    Context,
    Now,
    Technician,
    division_choices,
    division_in,
    show,
)
from dashboards.console.show import words_of
from devices.fleet import service as fleet
from devices.modes import service as modes
from devices.technical import store as technical_store

router = APIRouter()
_MODES_SHOWN = 8


@router.get(ROOT)
async def overview(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """The page."""
    division = division_in(request)
    async with ctx.db.connection() as conn:
        counts = await fleet.counters(conn, actor, division, now)
        versions = await fleet.versions(conn, actor, division, now)
        uptime = await fleet.division_uptime(conn, actor, division, now)
        ending = await modes.ending(conn, actor, now, _MODES_SHOWN)
        technical = await technical_store.counts(conn, actor.division, division)
        divisions = await division_choices(conn, actor)
    return show(
        request,
        "overview.html",
        now,
        division=division,
        divisions=divisions,
        counts=counts,
        tones=words.FLEET_TONE,
        in_list=words.IN_LIST,
        versions=versions,
        uptime=uptime,
        ending=ending,
        technical=technical,
    )


@router.get(f"{ROOT}/counts")
async def counts(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """The counters alone, without a frame; asked for every half minute."""
    division = division_in(request)
    async with ctx.db.connection() as conn:
        found = await fleet.counters(conn, actor, division, now)
        technical = await technical_store.counts(conn, actor.division, division)
    return show(
        request,
        "counts.html",
        now,
        division=division,
        counts=found,
        tones=words.FLEET_TONE,
        in_list=words.IN_LIST,
        technical=technical,
    )


@router.get(f"{ROOT}/silent.json")
async def silent(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """Where the silent devices are, for the map: [id, lat, lon, since (ISO), model] each.

    `silent` is how many there are with and without a place.
    """
    division = division_in(request)
    async with ctx.db.connection() as conn:
        spots = await fleet.silent_spots(conn, actor, division, now)
        # Only where nothing can be drawn must it be said why.
        silent = len(spots) or (await fleet.counters(conn, actor, division, now)).silent
    locale = words_of(request, now).locale
    titles = {spot.profile: device_words.model_title(spot.profile, locale) for spot in spots}
    return JSONResponse(
        {
            "spots": [
                [spot.id, spot.lat, spot.lon, spot.since.isoformat(), titles[spot.profile]]
                for spot in spots
            ],
            "complete": len(spots) < fleet.MOST_SPOTS,
            "silent": silent,
        },
        headers={"Cache-Control": "no-store"},
    )
