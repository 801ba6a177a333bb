"""Use cases of modes: put a device into one until a moment, renew it, end it; all audited."""

from datetime import datetime

from devices.modes import rules, store
from devices.modes.model import DeviceMode, ModeRun
from devices.registry import guard
from devices.registry.model import Device, DeviceState
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, Invalid
from kernel.ids import new_id
from kernel.live import publish

LONGEST_REASON = 200


async def start(
    tx: Tx,
    device_no: int,
    mode: DeviceMode,
    *,
    until: datetime,
    reason: str,
    actor: Actor,
    now: datetime,
    version: int | None = None,
) -> Device:
    """Put a device into a mode until a moment; where it is in it already, its end is moved.

    Raises NotFound, Invalid (until: range; reason: required, too_long) and Conflict: a retired
    device, or one that was changed in between.
    """
    device = await guard.mine(tx, device_no, actor, version)
    if device.state is DeviceState.RETIRED:
        raise Conflict("A retired device is out of service for good.", state=device.state.value)
    reason = reason.strip()
    fields: dict[str, str] = {}
    if not now < until <= now + rules.LONGEST[mode]:
        fields["until"] = "range"
    if not reason:
        fields["reason"] = "required"
    elif len(reason) > LONGEST_REASON:
        fields["reason"] = "too_long"
    if fields:
        raise Invalid("A mode has a reason and an end.", fields)
    guard.done(device, await store.set_until(tx, device, mode, until, now))
    run = await store.run_of(tx, device_no, mode)
    if run is not None and run.ends_at <= now:
        # Over, and not yet noted by the job.
        await store.end_running(tx, device_no, [mode], run.ends_at, None)
        await store.set_until(tx, await guard.get(tx, device_no), mode, until, now)
        run = None
    if run is None:
        fresh = _run(device, mode, reason, until, now)
        await store.open_run(tx, fresh, actor.user_id)
    else:
        await store.renew(tx, run.id, until, reason)
    action = f"device.{mode}_started" if run is None else f"device.{mode}_renewed"
    await _tell(tx, actor, action, device, now, until)
    return await guard.get(tx, device_no)


def _run(device: Device, mode: DeviceMode, reason: str, until: datetime, now: datetime) -> ModeRun:
    return ModeRun(
        id=new_id(),
        device_no=device.no,
        device_id=device.id,
        division_code=device.division_code,
        mode=mode,
        reason=reason,
        started_at=now,
        started_by=None,
        ends_at=until,
        renewed=0,
        reminded_at=None,
        ended_at=None,
        ended_by=None,
    )


async def end(
    tx: Tx,
    device_no: int,
    mode: DeviceMode,
    *,
    actor: Actor,
    now: datetime,
    version: int | None = None,
) -> Device:
    """End a mode before its time. Raises NotFound, and Conflict where it does not run any more."""
    device = await guard.mine(tx, device_no, actor, version)
    if not device.modes.on(mode, now):
        raise guard.changed(device)
    guard.done(device, await store.set_until(tx, device, mode, now, now))
    await store.end_running(tx, device_no, [mode], now, actor.user_id)
    await _tell(tx, actor, f"device.{mode}_ended", device, now, None)
    return await guard.get(tx, device_no)


async def running(tx: Tx, device_no: int, now: datetime) -> list[ModeRun]:
    """Return the modes that a device is in, with by whom and why."""
    return [run for run in await store.running(tx, device_no) if run.ends_at > now]


async def ending(tx: Tx, actor: Actor, now: datetime, limit: int = 50) -> list[ModeRun]:
    """Return the modes that run in the actor's division, those that end soonest first."""
    return await store.ending(tx, actor.division, now, limit)


async def _tell(
    tx: Tx, actor: Actor, action: str, device: Device, now: datetime, until: datetime | None
) -> None:
    # The reason may speak of a person; the log, which is kept for ever, does without it.
    detail = {"until": until.isoformat()} if until else {}
    await guard.record(tx, actor, action, device.id, device.division_code, now, **detail)
    await publish_change(tx, device.id, device.division_code)


async def publish_change(tx: Tx, device_id: str, division: str) -> None:
    """Tell the pages that show the device."""
    await publish(tx, "device.changed", division=division, data={"id": device_id})


def known_mode(name: str) -> DeviceMode | None:
    """Return the mode of a name, None where there is none."""
    return DeviceMode(name) if name in set(DeviceMode) else None
