"""The modes of a device: start, renew, end. What each one holds back is said before it begins."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

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
from devices.modes import service as modes
from devices.modes.model import DeviceMode
from devices.registry.model import Device
from kernel.errors import Conflict, Invalid

router = APIRouter()
MODE = ROOT + "/{device_id}/mode"
_USUAL_HOURS = {DeviceMode.TEST: 1, DeviceMode.AWAY: 168, DeviceMode.MAINTENANCE: 24}


@router.get(MODE)
async def mode_form(request: Request, device: DeviceToChange, ctx: Context, now: Now) -> Response:
    """Ask which mode, for how long and why; a mode that runs is renewed with its reason."""
    wanted = modes.known_mode(request.query_params.get("mode", "")) or DeviceMode.MAINTENANCE
    async with ctx.db.connection() as conn:
        running = await modes.running(conn, device.no, now)
    reason = next((run.reason for run in running if run.mode is wanted), "")
    values = {
        "mode": wanted.value,
        "hours": str(_USUAL_HOURS[wanted]),
        "reason": reason,
        "version": str(device.version),
    }
    return _form(request, now, device, values)


@router.post(MODE)
async def start(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Start the mode, or move its end where it runs."""
    values = await form_values(request)
    wanted = modes.known_mode(values.get("mode", ""))
    if wanted is None:
        return _form(request, now, device, values, {"mode": "required"})
    hours = values.get("hours", "")
    known = hours.isascii() and hours.isdigit() and int(hours[:5]) in words.MODE_HOURS
    renews = device.modes.on(wanted, now)
    try:
        async with ctx.db.transaction() as tx:
            await modes.start(
                tx,
                device.no,
                wanted,
                # What is no choice of ours ends at once, which is refused.
                until=now + timedelta(hours=int(hours) if known else 0),
                reason=values.get("reason", ""),
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    except Invalid as error:
        return _form(request, now, device, values, error.fields)
    return done(device.id, "renewed" if renews else wanted.value)


@router.post(MODE + "/end")
async def end(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """End a mode before its time."""
    values = await form_values(request)
    wanted = modes.known_mode(values.get("mode", ""))
    if wanted is None:
        return done(device.id, "")
    try:
        async with ctx.db.transaction() as tx:
            await modes.end(tx, device.no, wanted, actor=actor, now=now, version=version_in(values))
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    return done(device.id, "mode_ended")


def _form(
    request: Request,
    now: datetime,
    device: Device,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    return show(
        request,
        "mode.html",
        now,
        status=422 if wrong else 200,
        device=device,
        modes=[(mode.value, words.label(words.MODE, mode.value, tr)) for mode in DeviceMode],
        effects=words.labels(words.MODE_EFFECT, tr),
        hours=[(str(hours), tr.gettext(text)) for hours, text in words.MODE_HOURS.items()],
        values=values,
        errors=words.errors_of(wrong or {}, tr),
    )
