"""Use cases of the registry: take in, bind, unbind, mark, retire. Every one is in the audit log."""

import re
import uuid
from datetime import datetime, timedelta

from devices.credentials import service as credentials
from devices.profiles import PROFILES
from devices.registry import inventory
from devices.registry.machine import ENDS_BINDING, DeviceAction, next_state
from devices.registry.model import Device, DeviceState
from kernel import audit
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import new_id

DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LONGEST_PAUSE = timedelta(days=30)


async def register(
    tx: Tx,
    *,
    device_id: str,
    profile: str,
    division_code: str,
    actor: Actor,
    now: datetime,
    serial: str | None = None,
    gateway_id: str | None = None,
) -> Device:
    """Take a device into stock. Raises Invalid by field, Conflict when the id is taken."""
    fields: dict[str, str] = {}
    if not DEVICE_ID.fullmatch(device_id):
        fields["device_id"] = "编号由字母、数字、- 和 _ 组成，最长 64 个字符"
    if profile not in PROFILES:
        fields["profile"] = "没有这种型号"
    if not re.fullmatch(r"\d{12}", division_code) or not actor.covers(division_code):
        fields["division_code"] = "请选择您管辖范围内的行政区划"
    gateway = await inventory.by_id(tx, gateway_id) if gateway_id else None
    if gateway_id and gateway is None:
        fields["gateway_id"] = "没有这个网关"
    if fields:
        raise Invalid("The device cannot be registered as it is described.", fields)
    no = await inventory.insert(
        tx,
        device_id=device_id,
        profile=profile,
        division_code=division_code,
        serial=serial or None,
        gateway_no=gateway.no if gateway else None,
        now=now,
    )
    if no is None:
        raise Conflict(f"There is a device {device_id} already.", device_id=device_id)
    await _audit(tx, actor, "device.registered", device_id, division_code, now, profile=profile)
    return await _get(tx, no)


async def bind(
    tx: Tx, device_no: int, elder_id: uuid.UUID, room: str, *, actor: Actor, now: datetime
) -> Device:
    """Give the device to an elder and a room; an older binding ends.

    Raises NotFound for a device or elder outside of the actor's division, Conflict when the device
    is not in a state to be bound or was changed in between.
    """
    device = await _mine(tx, device_no, actor)
    division = await inventory.elder_division(tx, elder_id)
    if division is None or not actor.covers(division):
        raise NotFound("There is no such elder.", elder_id=str(elder_id))
    state = next_state(device.state, DeviceAction.BIND)
    await inventory.close_binding(tx, device.no, now, actor.user_id, "rebound")
    await _move(tx, device, state, elder_id, room, now)
    await inventory.open_binding(tx, new_id(), device.no, elder_id, room, now, actor.user_id)
    await _audit(
        tx, actor, "device.bound", device.id, division, now, elder_id=str(elder_id), room=room
    )
    return await _get(tx, device.no)


async def change_state(
    tx: Tx, device_no: int, action: DeviceAction, reason: str, *, actor: Actor, now: datetime
) -> Device:
    """Unbind, mark as faulty, repair or retire. Retiring ends the credential too.

    Raises Conflict when the table of `machine.py` has no such step, or somebody was faster.
    """
    device = await _mine(tx, device_no, actor)
    if action is DeviceAction.BIND:
        raise Invalid("Binding needs an elder.", {"elder_id": "请选择老人"})
    state = next_state(device.state, action)
    if action in ENDS_BINDING:
        await inventory.close_binding(tx, device.no, now, actor.user_id, reason)
    await _move(tx, device, state, None, "", now)
    if action is DeviceAction.RETIRE:
        await credentials.revoke(tx, device.no, now=now)
    await _audit(tx, actor, f"device.{action}", device.id, device.division_code, now, reason=reason)
    return await _get(tx, device.no)


async def pause(
    tx: Tx,
    device_no: int,
    *,
    until: datetime | None,
    reason: str,
    test_mode: bool,
    actor: Actor,
    now: datetime,
) -> Device:
    """Take out of service until a moment (at most 30 days), or put into test mode, or end both."""
    device = await _mine(tx, device_no, actor)
    if until is not None and not now < until <= now + LONGEST_PAUSE:
        raise Invalid("A pause ends within 30 days.", {"until": "停用须在 30 天内结束"})
    await inventory.set_pause(tx, device.no, until, reason or None, test_mode, now)
    await _audit(
        tx,
        actor,
        "device.paused",
        device.id,
        device.division_code,
        now,
        until=until.isoformat() if until else "",
        test_mode=test_mode,
    )
    return await _get(tx, device.no)


async def add_alias(tx: Tx, device_no: int, codec: str, address: str) -> None:
    """Let the device be known by another name in a protocol. Raises Conflict when it is taken."""
    if not await inventory.add_alias(tx, codec, address, device_no):
        raise Conflict(f"The address {address} belongs to another device.", address=address)


async def find(tx: Tx, device_id: str, actor: Actor) -> Device:
    """Return a device of the actor's division. Raises NotFound."""
    device = await inventory.by_id(tx, device_id)
    if device is None or not actor.covers(device.division_code):
        raise NotFound("There is no such device.", device_id=device_id)
    return device


async def _mine(tx: Tx, device_no: int, actor: Actor) -> Device:
    device = await inventory.by_no(tx, device_no)
    if device is None or not actor.covers(device.division_code):
        raise NotFound("There is no such device.", device_no=device_no)
    return device


async def _get(tx: Tx, no: int) -> Device:
    device = await inventory.by_no(tx, no)
    if device is None:
        raise NotFound("There is no such device.", device_no=no)
    return device


async def _move(
    tx: Tx, device: Device, state: DeviceState, elder_id: uuid.UUID | None, room: str, now: datetime
) -> None:
    moved = await inventory.set_state(tx, device, state, elder_id, room, now)
    if not moved:
        raise Conflict(f"Device {device.id} was changed by somebody else.", device_id=device.id)


async def _audit(
    tx: Tx,
    actor: Actor,
    action: str,
    device_id: str,
    division: str,
    now: datetime,
    **detail: object,
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="device",
        subject_id=device_id,
        division=division,
        detail=detail,
        now=now,
    )
