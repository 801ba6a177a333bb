"""The outbox, with the way down to devices, and the deadlines of incidents."""

import asyncio

from app import wiring
from app.health import serve_health
from app.processes import database_ready, open_database, stop_on_signals
from app.settings import Settings
from kernel.clock import utcnow
from kernel.jobs import every
from kernel.outbox import OutboxWorker

DEADLINE_SECONDS = 1.0


async def run(settings: Settings) -> None:
    """Work until a signal."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        carrier = wiring.carrier(settings, db)
        downlink = wiring.command_publisher(settings)
        outbox = OutboxWorker(db, wiring.outbox_handlers(settings, db, carrier, downlink))

        async def deadlines() -> None:
            await wiring.due_deadlines(settings, db, utcnow())

        ready, health = database_ready(db), settings.health
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(outbox.run(stop))
                group.create_task(every(stop, DEADLINE_SECONDS, deadlines))
                group.create_task(serve_health(health.host, health.port, ready, stop, db.refusal))
        finally:
            await downlink.close()
            await carrier.close()
