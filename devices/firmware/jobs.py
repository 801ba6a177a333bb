"""What the scheduler does with roll-outs: look at each that runs, and ask the next devices."""

from datetime import datetime

from devices.firmware import service, store
from kernel.db import Database
from kernel.jobs import Job


def jobs(public_url: str) -> list[Job]:
    """Return the jobs of firmware; `public_url` is where devices reach us, without a slash."""

    async def advance(db: Database, now: datetime) -> None:
        async with db.connection() as conn:
            running = await store.running_ids(conn)
        for rollout_id in running:
            async with db.transaction() as tx:
                await service.advance(tx, rollout_id, public_url, now)

    return [Job("devices.advance_firmware", advance, every_seconds=15)]
