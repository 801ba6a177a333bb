"""A real web server with everything mounted, and sources that may push to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import uvicorn

from app.settings import Settings
from app.web import create_app
from kernel.crypto import new_master_key
from kernel.db import Database
from kernel.live import LiveHub
from tests.hotline.serving import Server, Site
from tests.hotline.world import World
from tests.ingest.push.platforms import Platforms


@pytest.fixture
async def site(db: Database, db_url: str, now: datetime) -> AsyncIterator[Site]:
    settings = Settings.model_validate(
        {
            "database": {"url": db_url},
            "master_key": new_master_key(),
            "web": {"secure_cookies": False},
        }
    )
    hub = LiveHub(db)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = create_app(settings, db, hub)
    config = uvicorn.Config(
        app, port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=5
    )
    server = Server(config)
    await hub.start()
    task = asyncio.create_task(server.serve())
    running = Site(f"http://127.0.0.1:{port}", hub, server, task, World(db, settings.cipher(), now))
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
        await hub.listening.wait()
    yield running
    for client in running.clients:
        await client.aclose()
    await running.stop()
    await hub.stop()


@pytest.fixture
def platforms(site: Site) -> Platforms:
    return Platforms(site)
