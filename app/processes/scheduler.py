"""Scheduled jobs: several processes may run, one leads."""

import asyncio

from app import wiring
from app.health import serve_health
from app.processes import database_ready, open_database, stop_on_signals
from app.settings import Settings
from kernel.jobs import Scheduler


async def run(settings: Settings) -> None:
    """Lead when nobody else does, and run what is due, until a signal."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        scheduler = Scheduler(db, await wiring.jobs(settings, db))
        ready, health = database_ready(db), settings.health
        async with asyncio.TaskGroup() as group:
            group.create_task(scheduler.run(stop))
            group.create_task(serve_health(health.host, health.port, ready, stop, db.refusal))
