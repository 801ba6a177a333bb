"""What ends a device's service: unbind, faulty, repair, retire."""

from collections.abc import Mapping
from datetime import datetime

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
from dashboards.ui.words import DEVICE_REASON
from devices.registry import service
from devices.registry.machine import REASONS, DeviceAction, next_state
from devices.registry.model import Device
from kernel.errors import Conflict, Invalid, NotFound

router = APIRouter()
CHANGE = ROOT + "/{device_id}/change/{action}"


def _action(name: str) -> DeviceAction:
    """Return the action of an address. Raises NotFound for one that has no page here."""
    found = next((one for one in REASONS if one.value == name), None)
    if found is None:
        raise NotFound("There is no such action.", action=name)
    return found


@router.get(CHANGE)
async def change_form(
    request: Request, device: DeviceToChange, action: str, ctx: Context, now: Now
) -> Response:
    """Ask for the reason."""
    wanted = _action(action)
    try:
        next_state(device.state, wanted)
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    return _form(request, now, device, wanted, {"version": str(device.version)})


@router.post(CHANGE)
async def change(
    request: Request, device: DeviceToChange, action: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Do it."""
    wanted = _action(action)
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            await service.change_state(
                tx,
                device.no,
                wanted,
                values.get("reason", ""),
                note=values.get("note", ""),
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    except Invalid as error:
        return _form(request, now, device, wanted, values, error.fields)
    return done(device.id, wanted.value)


def _form(
    request: Request,
    now: datetime,
    device: Device,
    action: DeviceAction,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    return show(
        request,
        "change.html",
        now,
        status=422 if wrong else 200,
        device=device,
        action=action.value,
        reasons=[(code, words.label(DEVICE_REASON, code, tr)) for code in REASONS[action]],
        values=values,
        errors=words.errors_of(wrong or {}, tr),
    )
