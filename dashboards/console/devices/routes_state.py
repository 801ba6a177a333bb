"""What ends or interrupts a device's service: unbind, faulty, repair, retire, pause, test mode."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
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
from devices.registry import guard, service
from devices.registry.machine import REASONS, DeviceAction, next_state
from devices.registry.model import Device
from kernel.errors import Conflict, Invalid, NotFound

router = APIRouter()
CHANGE = ROOT + "/{device_id}/change/{action}"
PAUSE = ROOT + "/{device_id}/pause"


def _action(name: str) -> DeviceAction:
    """Return the action of an address. Raises NotFound for one that has no page here."""
    found = next((one for one in REASONS if one.value == name), None)
    if found is None:
        raise NotFound("There is no such action.", action=name)
    return found


@router.get(CHANGE)
async def change_form(
    request: Request, device_id: str, action: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Ask for the reason."""
    wanted = _action(action)
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
    try:
        next_state(device.state, wanted)
    except Conflict as error:
        return await too_late(request, ctx, now, device_id, error)
    return _form(request, now, device, wanted, {"version": str(device.version)})


@router.post(CHANGE)
async def change(
    request: Request, device_id: str, action: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Do it."""
    wanted = _action(action)
    values = await form_values(request)
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
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
        return await too_late(request, ctx, now, device_id, error)
    except Invalid as error:
        return _form(request, now, device, wanted, values, error.fields)
    return done(device_id, wanted.value)


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


@router.get(PAUSE)
async def pause_form(
    request: Request, device_id: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Ask for how long and why."""
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
    return _pause_form(request, now, device, {"until": "24", "version": str(device.version)})


@router.post(PAUSE)
async def pause(
    request: Request, device_id: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Take the device out of service for a while."""
    values = await form_values(request)
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
    hours = values.get("until", "")
    known = hours.isascii() and hours.isdigit() and int(hours[:4]) in words.PAUSES
    try:
        async with ctx.db.transaction() as tx:
            await service.pause(
                tx,
                device.no,
                # What is no choice of ours ends at once, which the registry refuses.
                until=now + timedelta(hours=int(hours) if known else 0),
                reason=values.get("reason", ""),
                test_mode=device.test_mode,
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device_id, error)
    except Invalid as error:
        return _pause_form(request, now, device, values, error.fields)
    return done(device_id, "paused")


def _pause_form(
    request: Request,
    now: datetime,
    device: Device,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    return show(
        request,
        "pause.html",
        now,
        status=422 if wrong else 200,
        device=device,
        pauses=[(str(hours), tr.gettext(text)) for hours, text in words.PAUSES.items()],
        values=values,
        errors=words.errors_of(wrong or {}, tr),
    )


@router.post(ROOT + "/{device_id}/resume")
async def resume(
    request: Request, device_id: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Put the device back into service before its time."""
    values = await form_values(request)
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
    try:
        async with ctx.db.transaction() as tx:
            await service.pause(
                tx,
                device.no,
                until=None,
                reason="",
                test_mode=device.test_mode,
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device_id, error)
    return done(device_id, "resumed")


@router.post(ROOT + "/{device_id}/test")
async def set_test_mode(
    request: Request, device_id: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Turn test mode on or off; a pause goes on as it is."""
    values = await form_values(request)
    turn_on = values.get("on") == "1"
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
    try:
        async with ctx.db.transaction() as tx:
            await service.pause(
                tx,
                device.no,
                until=device.paused_until if device.paused(now) else None,
                reason=device.paused_reason or "",
                test_mode=turn_on,
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device_id, error)
    return done(device_id, "test_on" if turn_on else "test_off")
