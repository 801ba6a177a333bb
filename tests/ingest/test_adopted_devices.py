"""An installation announces a smoke detector; once it is adopted, its smoke is an alarm."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from devices.codecs.homeassistant.codec import ADOPTED
from devices.discovery import service as discovery
from devices.registry import service as registry
from kernel.auth.model import SYSTEM
from kernel.db import Database, fetch_value
from tests.ingest.feed import Feed
from tests.ingest.home import PLACE, Home, Witness

TREE = "ha/HA-0001"
CONFIG = {
    "device": {"identifiers": ["z2m_0x1"], "name": "厨房烟感"},
    "device_class": "smoke", "state_topic": "zigbee2mqtt/kitchen",
    "payload_on": True, "payload_off": False, "value_template": "{{ value_json.smoke }}",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_adopted() -> Iterator[None]:
    yield
    ADOPTED.replace(())


async def test_an_adopted_smoke_detector_raises_an_alarm(
    db: Database, feed: Feed, witness: Witness, home: Home, now: datetime
) -> None:
    async with db.transaction() as tx:
        await registry.register(
            tx, device_id="HA-0001", profile="ha-installation", division_code=PLACE,
            actor=SYSTEM, now=now,
        )  # fmt: skip
    topic = f"{TREE}/homeassistant/binary_sensor/0x1/smoke/config"
    announcement = feed.mqtt(topic, json.dumps(CONFIG).encode(), now, retained=True)
    assert await feed.give(announcement) == 1
    smoke = json.dumps({"smoke": True}).encode()
    await feed.give(feed.mqtt(f"{TREE}/zigbee2mqtt/kitchen", smoke, now))
    assert witness.kinds == []

    async with db.transaction() as tx:
        await discovery.adopt(
            tx, "HA-0001", "z2m_0x1", device_id="SMOKE-1", profile="ha-smoke", actor=SYSTEM, now=now
        )
    await discovery.refresh(db)
    later = now + timedelta(minutes=1)
    await feed.give(feed.mqtt(f"{TREE}/zigbee2mqtt/kitchen", smoke, later))
    assert witness.kinds == ["smoke"]
    assert witness.raised[0].device_id == "SMOKE-1"
    async with db.connection() as conn:
        letters = await fetch_value(conn, "SELECT count(*) FROM dead_letter")
    assert letters == 0


async def test_an_installation_cannot_speak_for_a_device_of_another(
    db: Database, feed: Feed, witness: Witness, now: datetime
) -> None:
    async with db.transaction() as tx:
        for device_id in ("HA-0001", "HA-0002"):
            await registry.register(
                tx, device_id=device_id, profile="ha-installation", division_code=PLACE,
                actor=SYSTEM, now=now,
            )  # fmt: skip
    topic = f"{TREE}/homeassistant/binary_sensor/0x1/smoke/config"
    await feed.give(feed.mqtt(topic, json.dumps(CONFIG).encode(), now))
    async with db.transaction() as tx:
        await discovery.adopt(
            tx, "HA-0001", "z2m_0x1", device_id="SMOKE-1", profile="ha-smoke", actor=SYSTEM, now=now
        )
    await discovery.refresh(db)
    smoke = json.dumps({"smoke": True}).encode()
    await feed.give(feed.mqtt("ha/HA-0002/zigbee2mqtt/kitchen", smoke, now))
    assert witness.kinds == []
