"""Taking a device in, and correcting what was said of it then."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from care.roster import store as roster_store
from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    DeviceToChange,
    Now,
    Writer,
    done,
    form_values,
    show,
    too_late,
    version_in,
)
from dashboards.console.show import words_of
from dashboards.ui.i18n import N_
from devices.profiles import PROFILES
from devices.registry import finding, service
from devices.registry.model import Device
from kernel import divisions
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

router = APIRouter()
USUAL_MODEL = "sl-watch-1"
Choices = list[tuple[str, str]]


@router.get(f"{ROOT}/new")
async def new_form(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """The empty form, or what a dead letter of an unknown device says of it."""
    query = request.query_params
    codec = query.get("codec", "")
    usual = next((one.code for one in PROFILES.values() if one.codec == codec), USUAL_MODEL)
    values = {
        "profile": query.get("profile", usual),
        "device_id": query.get("device_id", ""),
        "gateway_id": query.get("gateway_id", ""),
        "address": query.get("address", ""),
    }
    return await _form(request, ctx, actor, now, values)


@router.post(ROOT)
async def register(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Take the device into stock; the next page asks for its credential."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            device = await service.register(
                tx,
                device_id=values.get("device_id", ""),
                profile=values.get("profile", ""),
                division_code=values.get("division_code", ""),
                serial=values.get("serial", ""),
                gateway_id=values.get("gateway_id", ""),
                address=values.get("address", ""),
                actor=actor,
                now=now,
            )
    except Invalid as error:
        return await _form(request, ctx, actor, now, values, error.fields)
    return done(device.id, "registered")


async def _form(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        places = await place_choices(conn, actor, values.get("division_code", ""))
        gateways = await finding.gateways(conn, actor)
    return show(
        request,
        "new.html",
        now,
        status=422 if wrong else 200,
        values=values,
        errors=words.errors_of(wrong or {}, tr),
        models=words.model_choices(tr.locale),
        places=places,
        gateways=_gateway_choices(gateways, tr.gettext(NO_GATEWAY)),
    )


NO_GATEWAY = N_("没有，自己连接")


def _gateway_choices(gateways: list[Device], nothing: str) -> Choices:
    choices = [
        (one.id, " · ".join(filter(None, (one.id, one.elder_name, one.room)))) for one in gateways
    ]
    return [("", nothing), *choices]


async def place_choices(tx: Tx, actor: Actor, chosen: str = "") -> Choices:
    """Return the divisions that a stock may lie in: the person's own and those where elders live.

    Where nobody lives yet, the divisions directly below the own one; `chosen` is always there.
    """
    own = divisions.pad(actor.division) if actor.division else ""
    below = [one.code for one in await roster_store.divisions_in_use(tx, actor.division)]
    if not below:
        below = [one.code for one in await divisions.children(tx, own)]
    codes = dict.fromkeys(filter(None, (own, *sorted(below), chosen)))
    codes = {code: None for code in codes if divisions.is_code(code) and actor.covers(code)}
    names = await divisions.path_names(tx, list(codes))
    return [(code, names[code] or code) for code in codes]


@router.get(ROOT + "/{device_id}/details")
async def details_form(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """What was registered, to correct it."""
    values = {
        "serial": device.serial or "",
        "gateway_id": device.gateway_id or "",
        "division_code": device.division_code,
        "version": str(device.version),
    }
    return await _details(request, ctx, actor, now, device, values)


@router.post(ROOT + "/{device_id}/details")
async def correct(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Correct it."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            await service.correct(
                tx,
                device.no,
                serial=values.get("serial", ""),
                gateway_id=values.get("gateway_id", ""),
                division_code=values.get("division_code", ""),
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    except Invalid as error:
        return await _details(request, ctx, actor, now, device, values, error.fields)
    return done(device.id, "corrected")


async def _details(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    device: Device,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        places = await place_choices(conn, actor, device.division_code)
        gateways = [one for one in await finding.gateways(conn, actor) if one.id != device.id]
        place = await divisions.path_name(conn, device.division_code)
    return show(
        request,
        "details.html",
        now,
        status=422 if wrong else 200,
        device=device,
        values=values,
        errors=words.errors_of(wrong or {}, tr),
        place=place,
        places=places,
        gateways=_gateway_choices(gateways, tr.gettext(NO_GATEWAY)),
    )
