"""Use cases of the registry: take in, bind, unbind, mark, retire. Every one is in the audit log.

What a person saw is named by `version`: who comes too late gets a Conflict and changes nothing.
Problems with what was entered are codes (`Invalid.fields`: field → code), which pages put in words.
"""

import re
import uuid
from datetime import datetime

from devices.certificates import service as certificates
from devices.credentials import service as credentials
from devices.modes import store as modes
from devices.modes.model import DeviceMode
from devices.profiles import PROFILES, DeviceType
from devices.registry import access, guard, history_store, inventory
from devices.registry.machine import ENDS_BINDING, DeviceAction, check_reason, next_state
from devices.registry.model import Device, DeviceState
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import new_id

# The console's pages are named by the device's id; these are its pages for other things.
RESERVED_IDS = frozenset({"new", "labels", "claim", "import", "batches", "fleet"})
LONGEST_ROOM = 40
LONGEST_SERIAL = 64
LONGEST_NOTE = 200
_PAST = {
    DeviceAction.BIND: "device.bound",
    DeviceAction.UNBIND: "device.unbound",
    DeviceAction.MARK_FAULTY: "device.marked_faulty",
    DeviceAction.REPAIR: "device.repaired",
    DeviceAction.RETIRE: "device.retired",
}


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
    address: str | None = None,
) -> Device:
    """Take a device into stock, with the name that it has in its protocol where that is not its id.

    Raises Invalid with a code by field: device_id (form, taken), profile (unknown), division_code
    (outside), gateway_id (unknown), serial and address (too_long; address also taken).
    """
    address = (address or "").strip()
    fields = _wrong_details(division_code, serial or "", actor)
    fields |= await _wrong_names(tx, device_id, profile, address)
    gateway = await _gateway(tx, gateway_id, actor, fields)
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
    codec = access.naming_codec(profile, gateway.profile if gateway else None)
    if address and not await history_store.add_alias(tx, codec, address, no):
        raise Invalid("Another device has this address.", {"address": "taken"})
    await guard.record(
        tx, actor, "device.registered", device_id, division_code, now, profile=profile
    )
    return await guard.get(tx, no)


async def correct(
    tx: Tx,
    device_no: int,
    *,
    serial: str,
    gateway_id: str,
    division_code: str,
    version: int,
    actor: Actor,
    now: datetime,
) -> Device:
    """Change what was registered. The place of a bound device is its elder's and stays.

    Raises Invalid as `register` does, also where a device would be its own gateway (gateway_id:
    itself), and Conflict.
    """
    device = await guard.mine(tx, device_no, actor, version)
    place = device.division_code if device.elder_id else division_code
    fields = _wrong_details(place, serial, actor)
    gateway = await _gateway(tx, gateway_id, actor, fields)
    if gateway is not None and gateway.no == device.no:
        fields["gateway_id"] = "itself"
    if fields:
        raise Invalid("The device cannot be as it is described.", fields)
    guard.done(
        device,
        await inventory.set_details(
            tx,
            device,
            serial=serial or None,
            gateway_no=gateway.no if gateway else None,
            division_code=place,
            now=now,
        ),
    )
    await guard.record(tx, actor, "device.corrected", device.id, place, now, gateway=gateway_id)
    return await guard.get(tx, device.no)


async def bind(
    tx: Tx,
    device_no: int,
    elder_id: uuid.UUID,
    room: str,
    *,
    actor: Actor,
    now: datetime,
    version: int | None = None,
) -> Device:
    """Give the device to an elder and a room; an older binding ends.

    Raises NotFound for a device or elder outside of the actor's division, Invalid for too long a
    room, Conflict when the device is not in a state to be bound or was changed in between.
    """
    device = await guard.mine(tx, device_no, actor, version)
    division = await inventory.elder_division(tx, elder_id)
    if division is None or not actor.covers(division):
        raise NotFound("There is no such elder.", elder_id=str(elder_id))
    room = room.strip()
    if len(room) > LONGEST_ROOM:
        raise Invalid("The room's name is too long.", {"room": "too_long"})
    state = next_state(device.state, DeviceAction.BIND)
    if device.elder_id != elder_id:
        # Another elder is not away because the last one was.
        await modes.end_running(tx, device.no, [DeviceMode.AWAY], now, actor.user_id)
    if device.elder_id is not None:
        why = "moved_room" if device.elder_id == elder_id else "rebound"
        await history_store.close_binding(tx, device.no, now, actor.user_id, why, "")
    await _move(tx, device, state, now, elder_id=elder_id, room=room, division=division)
    await history_store.open_binding(tx, new_id(), device.no, elder_id, room, now, actor.user_id)
    await guard.record(
        tx, actor, _PAST[DeviceAction.BIND], device.id, division, now,
        elder_id=str(elder_id), room=room,
    )  # fmt: skip
    return await guard.get(tx, device.no)


async def change_state(
    tx: Tx,
    device_no: int,
    action: DeviceAction,
    reason: str,
    *,
    actor: Actor,
    now: datetime,
    note: str = "",
    version: int | None = None,
) -> Device:
    """Unbind, mark as faulty, repair or retire. Retiring ends the credential too.

    `reason` is a code of `machine.REASONS`. Raises Invalid without one, and Conflict when the table
    of `machine.py` has no such step, or somebody was faster.
    """
    device = await guard.mine(tx, device_no, actor, version)
    if action is DeviceAction.BIND:
        raise Invalid("Binding needs an elder.", {"elder_id": "required"})
    state = next_state(device.state, action)
    note = note.strip()
    check_reason(action, reason, note)
    if len(note) > LONGEST_NOTE:
        raise Invalid("The note is too long.", {"note": "too_long"})
    if action in ENDS_BINDING:
        # What lies in stock or is broken waits for nobody to come.
        await history_store.clear_technical_alarms(tx, device.no, now)
        await history_store.close_binding(tx, device.no, now, actor.user_id, reason, note)
    await _move(tx, device, state, now, reason=reason, note=note, division=device.division_code)
    if action is DeviceAction.RETIRE:
        await modes.end_running(tx, device.no, list(DeviceMode), now, actor.user_id)
        await credentials.revoke(tx, device.no, now=now)
        await certificates.revoke_all(tx, device, actor, now)
    # The note may speak of a person; the log, which is kept for ever, gets the code alone.
    await guard.record(
        tx, actor, _PAST[action], device.id, device.division_code, now, reason=reason
    )
    return await guard.get(tx, device.no)


async def _gateway(
    tx: Tx, gateway_id: str | None, actor: Actor, fields: dict[str, str]
) -> Device | None:
    if not gateway_id:
        return None
    gateway = await inventory.by_id(tx, gateway_id)
    model = PROFILES.get(gateway.profile) if gateway else None
    usable = (
        gateway is not None
        and actor.covers(gateway.division_code)
        and gateway.state is not DeviceState.RETIRED
        and model is not None
        and model.type is DeviceType.GATEWAY
    )
    if not usable:
        fields["gateway_id"] = "unknown"
    return gateway


async def _wrong_names(tx: Tx, device_id: str, profile: str, address: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    if not guard.DEVICE_ID.fullmatch(device_id) or device_id in RESERVED_IDS:
        fields["device_id"] = "form"
    elif await inventory.by_id(tx, device_id) is not None:
        fields["device_id"] = "taken"
    model = PROFILES.get(profile)
    if model is None:
        fields["profile"] = "unknown"
    elif address:
        fields |= access.wrong_alias(model.codec, address)
    return fields


def _wrong_details(division_code: str, serial: str, actor: Actor) -> dict[str, str]:
    fields: dict[str, str] = {}
    if not re.fullmatch(r"\d{12}", division_code) or not actor.covers(division_code):
        fields["division_code"] = "outside"
    if len(serial) > LONGEST_SERIAL:
        fields["serial"] = "too_long"
    return fields


async def _move(
    tx: Tx,
    device: Device,
    state: DeviceState,
    now: datetime,
    *,
    division: str,
    elder_id: uuid.UUID | None = None,
    room: str = "",
    reason: str = "",
    note: str = "",
) -> None:
    # The device lies where it was last: unbound, it is in the stock of its elder's place.
    moved = await inventory.set_state(
        tx, device, state, elder_id=elder_id, room=room, division_code=division, reason=reason,
        note=note, now=now,
    )  # fmt: skip
    guard.done(device, moved)
