"""What the scheduler does for the fleet: sum up the hours, forget what no figure needs."""

from datetime import datetime, timedelta

from devices.fleet import rules, store
from kernel.db import Database
from kernel.jobs import Job

KEEP = timedelta(days=35)


async def sum_up(db: Database, now: datetime) -> None:
    """Sum up the last hours anew: a device that fell silent is dated back when it is noticed."""
    end = now.replace(minute=0, second=0, microsecond=0)
    async with db.transaction() as tx:
        await store.sum_up_hours(tx, end - _whole_hours(rules.settled_after()), end)


def _whole_hours(span: timedelta) -> timedelta:
    return timedelta(hours=-(-span // timedelta(hours=1)))


async def forget(db: Database, now: datetime) -> None:
    """Forget comings and goings of more than a month ago."""
    async with db.transaction() as tx:
        await store.forget(tx, now - KEEP)


JOBS = [
    Job("devices.sum_up_uptime", sum_up, every_seconds=3600),
    Job("devices.forget_presence", forget, every_seconds=86_400),
]
