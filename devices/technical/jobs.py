"""What the scheduler does with technical alarms: bring back what was put aside until now."""

from datetime import datetime

from devices.technical import store
from kernel.db import Database
from kernel.jobs import Job


async def unshelve(db: Database, now: datetime) -> None:
    """Bring back what was put aside until now; somebody has to see it again."""
    async with db.transaction() as tx:
        await store.unshelve(tx, now)


JOBS = [Job("devices.unshelve_technical", unshelve, every_seconds=60)]
