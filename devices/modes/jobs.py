"""What the scheduler does with modes: close those that are over, call to mind those near it."""

from datetime import datetime

from devices.modes import rules, store
from devices.modes.model import ModeRun
from devices.modes.service import publish_change
from devices.registry import guard
from kernel.auth.model import SYSTEM
from kernel.db import Database
from kernel.jobs import Job
from kernel.live import publish


async def expire(db: Database, now: datetime) -> None:
    """Close the modes whose time is over. They have had no effect since the second they ended."""
    async with db.transaction() as tx:
        for run in await store.take_expired(tx, now):
            await guard.record(
                tx, SYSTEM, f"device.{run.mode}_expired", run.device_id, run.division_code, now
            )
            await publish_change(tx, run.device_id, run.division_code)


async def remind(db: Database, now: datetime) -> None:
    """Call to mind, once for each end, that a mode soon ends."""
    farthest = max(rules.remind_before(mode, rules.LONGEST[mode]) for mode in rules.LONGEST)
    async with db.transaction() as tx:
        near = [
            run for run in await store.near_their_end(tx, now + farthest, now) if _due(run, now)
        ]
        await store.note_reminded(tx, [run.id for run in near], now)
        for run in near:
            data = {"id": run.device_id, "mode": run.mode.value}
            await publish(tx, "device.mode_ending", division=run.division_code, data=data)


def _due(run: ModeRun, now: datetime) -> bool:
    return run.ends_at - now <= rules.remind_before(run.mode, run.ends_at - run.started_at)


JOBS = [
    Job("devices.expire_modes", expire, every_seconds=15),
    Job("devices.remind_modes", remind, every_seconds=60),
]
