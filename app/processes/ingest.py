"""Messages from the broker and the TCP listener into the database."""

import asyncio

from ingest.run import IngestRunner

from app import wiring
from app.health import serve_health
from app.processes import open_database, stop_on_signals
from app.settings import Settings


async def run(settings: Settings) -> None:
    """Ingest until a signal; what is not committed stays with the broker."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        runner = IngestRunner(
            wiring.ingest_settings(settings), db, wiring.react_to_alarm, wiring.condition_cleared
        )
        health = settings.health
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run(stop))
            group.create_task(serve_health(health.host, health.port, runner.ready, stop))
