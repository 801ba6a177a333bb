"""What the scheduler does with self-tests: tell technicians of those that are overdue."""

from datetime import datetime

from devices.alarms import AlarmKind
from devices.selftests import store
from devices.technical import service as technical
from kernel.db import Database
from kernel.jobs import Job

_MOST_AT_ONCE = 1_000


async def remind(db: Database, now: datetime) -> None:
    """Raise a technical alarm for each device whose test is overdue, once until it is made."""
    async with db.transaction() as tx:
        for each in await store.newly_overdue(tx, now, _MOST_AT_ONCE):
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
