"""Entry points of the processes: web, ingest, worker, scheduler, and the embedded broker.

Each opens its own pool, runs until SIGINT or SIGTERM and ends in order. They share nothing but the
database and the broker, so that any of them may be killed and started again.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import structlog
import uvicorn

from app import wiring
from app.embedded.broker import BrokerSettings, EmbeddedBroker
from app.health import serve, serve_health
from app.settings import Settings
from app.web import create_app
from ingest.run import IngestRunner
from kernel.clock import utcnow
from kernel.db import Database, DatabaseSettings
from kernel.jobs import Scheduler, every
from kernel.live import LiveHub
from kernel.outbox import OutboxWorker

log = structlog.get_logger(__name__)


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


async def run_web(settings: Settings) -> None:
    """Serve pages, JSON and the live feed."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        hub = LiveHub(db)
        await hub.start()
        app = create_app(settings, db, hub)
        config = uvicorn.Config(
            app,
            host=settings.web.host,
            port=settings.web.port,
            log_config=None,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            timeout_keep_alive=30,
        )
        try:
            await serve(config, stop)
        finally:
            await hub.stop()


async def run_ingest(settings: Settings) -> None:
    """Take messages from the broker and the TCP listener into the database."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        runner = IngestRunner(
            wiring.ingest_settings(settings), db, wiring.react_to_alarm, wiring.condition_cleared
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.run(stop))
            group.create_task(
                serve_health(settings.health.host, settings.health.port, runner.ready, stop)
            )


async def run_worker(settings: Settings) -> None:
    """Work off the outbox and the deadlines of incidents."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        carrier = wiring.carrier(settings, db)
        worker = OutboxWorker(db, wiring.outbox_handlers(settings, db, carrier))

        async def deadlines() -> None:
            await wiring.due_deadlines(settings, db, utcnow())

        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(stop))
            group.create_task(every(stop, 1.0, deadlines))
            group.create_task(
                serve_health(settings.health.host, settings.health.port, database_ready(db), stop)
            )


async def run_scheduler(settings: Settings) -> None:
    """Lead the schedule when nobody else does, and run what is due."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        scheduler = Scheduler(db, await wiring.jobs(settings, db))
        async with asyncio.TaskGroup() as group:
            group.create_task(scheduler.run(stop))
            group.create_task(
                serve_health(settings.health.host, settings.health.port, database_ready(db), stop)
            )


async def run_broker(settings: Settings) -> None:
    """Run the embedded broker."""
    stop = stop_on_signals()
    broker = EmbeddedBroker(
        BrokerSettings(
            settings.mqtt.bind,
            settings.mqtt.port,
            settings.mqtt.username,
            settings.mqtt.password.get_secret_value(),
        ),
        settings.database_url,
    )
    await broker.start()
    log.info("broker.listens", host=settings.mqtt.bind, port=settings.mqtt.port)
    await stop.wait()
    await broker.stop()
