"""The page of found devices, with a technician in front of it."""

import json
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from dashboards.console.found.routes import router
from dashboards.ui.environment import Pages
from devices.codecs.homeassistant.codec import decode
from devices.discovery import service
from devices.messages import Frame
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.dashboards.devices.site import Clock, Site, Visitor, make_app
from tests.devices.registry.world import add_device

SMOKE = {
    "device": {"identifiers": ["z2m_0x1"], "name": "厨房烟感", "manufacturer": "HEIMAN",
               "model": "HS1SA"},
    "device_class": "smoke", "state_topic": "zigbee2mqtt/kitchen",
}  # fmt: skip
BUTTON = {"name": "床头 <b>按钮</b>", "state_topic": "esp/sos", "event_types": ["press"],
          "unique_id": "e1"}  # fmt: skip


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


@pytest.fixture
async def site(
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages
) -> AsyncIterator[Site]:
    clock = Clock(now)
    made = Site(make_app(db, cipher, clock, pages, router), db, clock)
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def technician(site: Site, now: datetime) -> Visitor:
    """A technician, and an installation that announced a smoke detector and a button."""
    visitor = await site.visitor("batu", Role.DEVICE_TECHNICIAN)
    await furnish(site, now, visitor)
    return visitor


async def furnish(site: Site, now: datetime, visitor: Visitor) -> None:
    async with site.db.transaction() as tx:
        await add_device(tx, visitor.actor, now, "HA-0001", profile="ha-installation")
        for topic, config in (("binary_sensor/0x1/smoke", SMOKE), ("event/sos", BUTTON)):
            frame = Frame(json.dumps(config).encode(), f"ha/HA-0001/homeassistant/{topic}/config")
            await service.note(tx, decode(frame).proposals, now)
