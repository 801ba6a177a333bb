"""From a finding to an alarm: its row, and what other wings do about it, in one transaction."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from devices.alarms import ClearedCondition, RaisedAlarm
from devices.messages import Position
from devices.modes.rules import Effect, effect
from devices.registry.model import DeviceContext
from ingest import metrics, store
from ingest.detection.model import ElderWatch, Raise
from ingest.detection.service import suppressed
from kernel.db import Tx
from kernel.ids import new_id

React = Callable[[Tx, RaisedAlarm, datetime], Awaitable[None]]
Cleared = Callable[[Tx, ClearedCondition, datetime], Awaitable[None]]


TESTED = "device_test"
"""Said of an alarm that opened a test incident only: what lasts is told again after the test."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What an alarm came of: the device and the message that signalled it or let a rule find it.

    `identity` is given for what the device itself signalled: the alarm's exactly-once mark.
    `position` is the message's own fix; without one the device's last fix goes with the alarm.
    """

    device: DeviceContext
    watch: ElderWatch
    received_at: datetime
    device_time: datetime | None = None
    identity: uuid.UUID | None = None
    seq: int | None = None
    position: Position | None = None
    position_at: datetime | None = None
    test: bool = False
    replayed: bool = False


class Raiser:
    """Stores alarms and hands them to whoever reacts (bound in `app/wiring`)."""

    def __init__(self, react: React, cleared: Cleared) -> None:
        self._react = react
        self._cleared = cleared

    async def raise_alarm(
        self, tx: Tx, event: Raise, occasion: Occasion, *, by_device: bool, now: datetime
    ) -> str | None:
        """Store the alarm and react to it, unless this message has raised it before.

        A suppressed alarm is stored with the reason, which is returned, and nobody is called; nor
        is anybody for one of a device in test mode (`TESTED`).
        """
        what = effect(event.kind, occasion.device.modes, now)
        if what is Effect.TEST:
            occasion = replace(occasion, test=True)
        alarm = await self._alarm(tx, event, occasion, "device" if by_device else "rule")
        reason = suppressed(event.kind, occasion.device.modes, occasion.watch, now)
        identity = occasion.identity if by_device else None
        if not await store.insert_alarm(
            tx, alarm, identity=identity, seq=occasion.seq, suppressed=reason
        ):
            return None
        metrics.ALARMS.labels(event.kind.value, alarm.source, reason or "").inc()
        if reason is not None:
            return reason
        await self._react(tx, alarm, now)
        return TESTED if what is Effect.TEST else None

    async def clear(self, tx: Tx, condition: ClearedCondition, now: datetime) -> None:
        """Tell that a condition is over."""
        await self._cleared(tx, condition, now)

    async def _alarm(self, tx: Tx, event: Raise, occasion: Occasion, source: str) -> RaisedAlarm:
        device = occasion.device
        detail = dict(event.detail)
        if occasion.replayed:
            detail["replayed"] = True
        lat = lon = accuracy = position_at = None
        if occasion.position is not None:
            fix = occasion.position
            lat, lon, accuracy, position_at = fix.lat, fix.lon, fix.accuracy_m, occasion.position_at
        elif (last := await store.last_position(tx, device.no)) is not None:
            lat, lon = last.lat, last.lon
            accuracy, position_at = last.position_accuracy_m, last.position_at
        return RaisedAlarm(
            id=new_id(),
            kind=event.kind,
            severity=event.severity,
            source=source,
            device_no=device.no,
            device_id=device.id,
            elder_id=device.elder_id,
            division_code=device.division_code,
            received_at=occasion.received_at,
            device_time=occasion.device_time,
            test=occasion.test,
            lat=lat,
            lon=lon,
            position_at=position_at,
            position_accuracy_m=accuracy,
            detail=detail,
        )
