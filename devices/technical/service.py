"""Use cases of technical alarms: what devices do to them, and what technicians do with them.

They never become incidents (app/wiring.py says which alarm goes where) and never ring: an operator
who looks after elders does not see them, except on the page of the elder whose help they cut off.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from devices.alarms import ALARM_CLASSES, AlarmKind, ClearedCondition, RaisedAlarm
from devices.profiles import PROFILES, Capability
from devices.registry.model import Device, DeviceState
from devices.technical import store
from devices.technical.machine import TechnicalAction, next_state
from devices.technical.model import TechnicalAlarm, TechnicalFilters
from kernel import audit
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import new_id
from kernel.live import publish

LONGEST_SHELF = timedelta(days=30)
LONGEST_NOTE = 200
TECHNICAL_KINDS = tuple(kind for kind in AlarmKind if ALARM_CLASSES[kind].technical)


async def raised(tx: Tx, alarm: RaisedAlarm, now: datetime) -> None:
    """Open a technical alarm or count it once more. A test of it, and one of no device, is none."""
    if alarm.device_no is None or alarm.test:
        return
    await raise_for(tx, alarm.device_no, alarm.kind, alarm.division_code, now, dict(alarm.detail))


async def raise_for(
    tx: Tx,
    device_no: int,
    kind: AlarmKind,
    division_code: str,
    now: datetime,
    detail: dict[str, str | float | int | bool] | None = None,
) -> bool:
    """Raise an alarm of a device; return whether it is a new one."""
    facts = detail or {}
    if await store.raise_again(tx, device_no, kind.value, facts, now):
        return False
    if not await store.insert(tx, new_id(), device_no, kind.value, facts, now):
        await store.raise_again(tx, device_no, kind.value, facts, now)
        return False
    await _publish(tx, division_code, kind.value)
    return True


async def cleared(tx: Tx, condition: ClearedCondition, now: datetime) -> None:
    """Clear the alarm of a condition that is over. The moment counts, not the device's clock."""
    if condition.device_no is not None:
        await clear_for(tx, condition.device_no, condition.kind, now)


async def clear_for(tx: Tx, device_no: int, kind: AlarmKind, now: datetime) -> bool:
    """Clear a device's open alarm of a kind; return whether there was one."""
    if not await store.clear_condition(tx, device_no, kind.value, now):
        return False
    await _publish(tx, await store.device_place(tx, device_no) or "", kind.value)
    return True


async def act(
    tx: Tx,
    alarm_id: uuid.UUID,
    action: TechnicalAction,
    *,
    version: int,
    actor: Actor,
    now: datetime,
    until: datetime | None = None,
    note: str = "",
) -> TechnicalAlarm:
    """Acknowledge, put aside until a moment, take back, or clear by hand.

    Raises NotFound, Conflict (somebody was faster, or the table has no such step) and Invalid
    (until: range; note: required, too_long): putting aside and clearing by hand say why.
    """
    alarm = await store.get(tx, alarm_id)
    if alarm is None or not actor.covers(alarm.division_code):
        raise NotFound("There is no such technical alarm.", alarm=str(alarm_id))
    if alarm.version != version:
        raise _late(alarm)
    state = next_state(alarm.state, action)
    note = note.strip()
    _check(action, until, note, now)
    wanted = until if action is TechnicalAction.SHELVE else None
    if not await store.move(tx, alarm, state, by=actor.user_id, now=now, until=wanted, note=note):
        raise _late(alarm)
    await audit.record(
        tx,
        actor=actor,
        action=f"technical_alarm.{action}",
        subject_type="technical_alarm",
        subject_id=alarm.device_id,
        division=alarm.division_code,
        detail={"kind": alarm.kind, "until": wanted.isoformat() if wanted else ""},
        now=now,
    )
    await _publish(tx, alarm.division_code, alarm.kind)
    return alarm


def _check(action: TechnicalAction, until: datetime | None, note: str, now: datetime) -> None:
    fields: dict[str, str] = {}
    if action is TechnicalAction.SHELVE and (
        until is None or not now < until <= now + LONGEST_SHELF
    ):
        fields["until"] = "range"
    if action in (TechnicalAction.SHELVE, TechnicalAction.CLEAR) and not note:
        fields["note"] = "required"
    if len(note) > LONGEST_NOTE:
        fields["note"] = "too_long"
    if fields:
        raise Invalid("Putting aside and clearing by hand say until when and why.", fields)


def _late(alarm: TechnicalAlarm) -> Conflict:
    return Conflict(
        "Somebody else has changed this technical alarm.",
        device_id=alarm.device_id,
        state=alarm.state.value,
        version=alarm.version,
    )


async def listed(tx: Tx, actor: Actor, filters: TechnicalFilters) -> list[TechnicalAlarm]:
    """Return a part of the list for the actor's division."""
    return await store.page(tx, filters, actor.division)


@dataclass(frozen=True, slots=True)
class ElderHelp:
    """What an operator must know of an elder's devices: what is wrong, and whether help is cut off.

    `cut_off`: there are devices with a button to call for help, and none of them can be heard.
    """

    alarms: tuple[TechnicalAlarm, ...]
    cut_off: bool


async def elder_help(tx: Tx, elder_id: uuid.UUID, devices: Iterable[Device]) -> ElderHelp:
    """Return what is wrong with the devices of an elder (`devices`: all that are bound to them)."""
    buttons = [one for one in devices if one.state is DeviceState.BOUND and _calls_help(one)]
    cut_off = bool(buttons) and all(one.online is False for one in buttons)
    return ElderHelp(tuple(await store.of_elder(tx, elder_id)), cut_off)


def _calls_help(device: Device) -> bool:
    model = PROFILES.get(device.profile)
    return model is not None and Capability.SOS in model.capabilities


async def _publish(tx: Tx, division: str, kind: str) -> None:
    await publish(tx, "device.technical", division=division, data={"kind": kind})
