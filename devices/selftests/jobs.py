"""What the scheduler does with self-tests: tell technicians of those that are overdue."""

from datetime import datetime

from devices.alarms import AlarmKind
from devices.selftests import store
from devices.technical import service as technical
from kernel.db import Database
from kernel.jobs import Job

_FEWEST = 10
_HOURS = 30 * 24
"""An old fleet that was never tested becomes tasks over a month, the longest overdue first."""


async def remind(db: Database, now: datetime) -> None:
    """Raise a technical alarm for devices whose test is overdue, once until it is made.

    So many at a time as technicians can do: the list of what is due has all of them.
    """
    async with db.transaction() as tx:
        most = max(_FEWEST, await store.count_watched(tx) // _HOURS)
        for each in await store.newly_overdue(tx, now, most):
            detail = {"days": max(0, (now - each.due_at).days)}
            await technical.raise_for(
                tx,
                each.device_no,
                AlarmKind.SELF_TEST_OVERDUE,
                each.division_code,
                now,
                dict(detail),
            )


JOBS = [Job("devices.remind_self_tests", remind, every_seconds=3600)]
