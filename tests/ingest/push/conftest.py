"""A real web server with everything mounted, and sources that may push to it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from app.settings import Settings
from app.web import create_app
from kernel.crypto import new_master_key
from kernel.db import Database
from kernel.live import LiveHub
from tests.hotline.serving import Site
from tests.hotline.world import World
from tests.ingest.push.platforms import Platforms
from tests.serving import listener, start


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
    app = create_app(settings, db, hub)
    await hub.start()
    on, url = listener()
    server, task = start(app, on)
    running = Site(url, hub, server, task, World(db, settings.cipher(), now))
    async with asyncio.timeout(30):
        await hub.listening.wait()
    yield running
    for client in running.clients:
        await client.aclose()
    await running.stop()
    await hub.stop()


@pytest.fixture
def platforms(site: Site) -> Platforms:
    return Platforms(site)
