"""Use cases of self-tests: a test press counts, and which devices are still to be tried out."""

from datetime import datetime, timedelta

from devices.alarms import ALARM_CLASSES, AlarmKind, RaisedAlarm
from devices.selftests import store
from devices.selftests.model import DueFilters, DueTest
from devices.technical import service as technical
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.ids import new_id

SOON = timedelta(days=7)
"""So long before it is due a test stands on the technicians' list."""


async def passed(tx: Tx, alarm: RaisedAlarm, now: datetime) -> None:
    """Count an alarm that a device sent as a test: in test mode, or with the flag of its protocol.

    It shows that button, radio, network and server are all there. What is no test is left alone.
    """
    proves = alarm.test and alarm.source == "device" and not ALARM_CLASSES[alarm.kind].technical
    if not proves or alarm.device_no is None:
        return
    await store.note(tx, new_id(), alarm.device_no, now, alarm.kind.value, alarm.id)
    await technical.clear_for(tx, alarm.device_no, AlarmKind.SELF_TEST_OVERDUE, now)


async def due(tx: Tx, actor: Actor, filters: DueFilters) -> list[DueTest]:
    """Return the devices of the actor's division whose test is due, the longest overdue first."""
    return await store.due(tx, filters, actor.division)


async def count(tx: Tx, actor: Actor, filters: DueFilters) -> int:
    """Return how many tests are due in the actor's division."""
    return await store.count_due(tx, filters, actor.division)
