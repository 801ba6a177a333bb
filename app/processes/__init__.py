"""Entry points of the processes: web, ingest, worker, scheduler, and the embedded broker.

Each opens its own pool, runs until SIGINT or SIGTERM and ends in order. They share nothing but the
database and the broker, so that any of them may be killed and started again. One module each, so
that a process loads only what it needs.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg

from app.settings import Settings
from kernel.db import Database, DatabaseSettings


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Yield the pool of this process; it does not wait for a server that is away."""
    db = await Database.open(
        DatabaseSettings(settings.database_url, max_size=settings.database.max_connections),
        wait=False,
    )
    try:
        yield db
    finally:
        await db.close()


def database_ready(db: Database) -> Callable[[], Awaitable[str | None]]:
    """Return a readiness check that asks the database."""

    async def ready() -> str | None:
        try:
            await db.ping()
        except (psycopg.Error, TimeoutError, OSError) as error:
            return f"the database does not answer ({type(error).__name__})"
        return None

    return ready
