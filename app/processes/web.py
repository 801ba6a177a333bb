"""Pages, JSON and the live feed."""

import asyncio

import uvicorn

from app.health import serve, serve_health
from app.processes import database_ready, open_database, stop_on_signals
from app.settings import Settings
from app.web import create_app
from kernel.live import LiveHub


async def run(settings: Settings) -> None:
    """Serve until a signal. Raises OSError when the port is taken."""
    stop = stop_on_signals()
    async with open_database(settings) as db:
        hub = LiveHub(db)
        await hub.start()
        config = uvicorn.Config(
            create_app(settings, db, hub),
            host=settings.web.host,
            port=settings.web.port,
            log_config=None,
            # Addresses may hold what somebody searched for, or a responder's token.
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
            timeout_keep_alive=30,
        )

        async def end_feeds() -> None:
            # A stream would keep its connection, and so the server, until the grace period ends.
            await stop.wait()
            hub.close()

        ready, health = database_ready(db), settings.health
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(serve(config, stop))
                group.create_task(end_feeds())
                group.create_task(serve_health(health.host, health.port, ready, stop, db.refusal))
        finally:
            await hub.stop()
