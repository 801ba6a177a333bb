"""A site with a dispatch, and a phone."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext

from hotline.incidents.model import Incident
from kernel.auth.model import Actor
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.hotline.serving import Site, serving
from tests.hotline.world import Person, World


@pytest.fixture
def now() -> datetime:
    """The real time: the server's requests happen now."""
    return utcnow()


@pytest.fixture
async def world(db: Database, cipher: FieldCipher, now: datetime) -> World:
    return World(db, cipher, now)


@pytest.fixture
async def site(world: World, built_assets: None) -> AsyncIterator[Site]:
    async with serving(world) as running:
        yield running


@dataclass
class Task:
    """A dispatch with everything around it."""

    world: World
    operator: Actor
    elder: Person
    incident: Incident
    dispatch_id: uuid.UUID
    path: str
    phone: httpx.AsyncClient

    async def status(self) -> str:
        async with self.world.db.connection() as conn:
            row = await (
                await conn.execute("SELECT status FROM dispatch WHERE id = %s", (self.dispatch_id,))
            ).fetchone()
        assert row
        return str(row[0])

    async def kinds(self) -> list[str]:
        return await self.world.kinds(self.incident.id)


@pytest.fixture
async def task(site: Site, world: World) -> Task:
    """李秀英 has fallen, 斯琴 is sent."""
    operator = await world.user("王芳")
    elder = await world.elder("李秀英")
    incident = await world.claimed(operator, elder)
    incident, dispatch_id, token = await world.sent(incident, await world.responder(), operator)
    phone = site.client(Accept="text/html")
    return Task(world, operator, elder, incident, dispatch_id, f"/r/{token}", phone)


@pytest.fixture
async def handset(chromium: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    """A phone of 390×844 that may say where it is."""
    context = await chromium.new_context(
        base_url=site.url,
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
        locale="zh-CN",
        geolocation={"latitude": 40.8123, "longitude": 111.6543, "accuracy": 15},
        permissions=["geolocation"],
    )
    context.set_default_timeout(30_000)
    yield context
    await context.close()
