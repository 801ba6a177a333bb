"""From what an installation announces to a device whose states are read."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from devices.codecs.homeassistant.codec import ADOPTED, address, decode
from devices.codecs.homeassistant.config import Entity
from devices.discovery import rules, service
from devices.messages import Decoded, Frame
from devices.registry import store as addresses
from devices.registry.model import Address
from kernel.auth.model import Actor
from kernel.db import Database
from kernel.errors import Conflict, Invalid, NotFound
from tests.devices.registry.world import YUQUAN, add_device, add_person

GATEWAY = "HA-0001"
TREE = f"ha/{GATEWAY}"
SMOKE = {
    "device": {"identifiers": ["z2m_0x1"], "name": "Kitchen", "manufacturer": "HEIMAN",
               "model": "HS1SA"},
    "device_class": "smoke", "state_topic": "zigbee2mqtt/kitchen", "unique_id": "u1",
    "payload_on": True, "payload_off": False, "value_template": "{{ value_json.smoke }}",
}  # fmt: skip
BATTERY = {
    "device": SMOKE["device"], "device_class": "battery", "unit_of_measurement": "%",
    "state_topic": "zigbee2mqtt/kitchen", "value_template": "{{ value_json.battery }}",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_adopted() -> Iterator[None]:
    yield
    ADOPTED.replace(())


@pytest.fixture
async def actor(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        person = await add_person(tx, now)
        await add_device(tx, person, now, GATEWAY, profile="ha-installation")
    return person


async def announce(db: Database, now: datetime, topic: str, config: dict[str, Any] | None) -> None:
    payload = b"" if config is None else json.dumps(config).encode()
    decoded = decode(Frame(payload, f"{TREE}/homeassistant/{topic}/config"))
    async with db.transaction() as tx:
        await service.note(tx, decoded.proposals, now)


def state(payload: object) -> Decoded:
    return decode(Frame(json.dumps(payload).encode(), f"{TREE}/zigbee2mqtt/kitchen"))


async def adopt(db: Database, actor: Actor, now: datetime, device_id: str = "SMOKE-1") -> None:
    async with db.transaction() as tx:
        await service.adopt(
            tx, GATEWAY, "z2m_0x1", device_id=device_id, profile="ha-smoke", actor=actor, now=now
        )


async def opened(db: Database, actor: Actor, status: str = "open") -> list[str]:
    async with db.connection() as conn:
        page = await service.find(conn, actor, status, 1, 20)
    assert page.total == len(page.found)
    return [each.title for each in page.found]


async def test_a_found_device_is_adopted_and_then_read(
    db: Database, actor: Actor, now: datetime
) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    await announce(db, now, "sensor/0x1/battery", BATTERY)
    async with db.connection() as conn:
        found = await service.get(conn, GATEWAY, "z2m_0x1", actor)
    assert (found.title, found.profile, found.device_id) == ("Kitchen", "ha-smoke", None)
    assert {each.device_class for each in found.entities} == {"smoke", "battery"}
    assert state({"smoke": True}).messages == ()

    await adopt(db, actor, now)
    assert await service.refresh(db) == 2
    message = state({"smoke": True, "battery": 80}).messages[0]
    assert {r.metric: r.value for r in message.readings} == {"smoke": 1.0, "battery": 80.0}
    name = Address("homeassistant", message.device)
    async with db.connection() as conn:
        device = (await addresses.resolve(conn, [name]))[name]
    assert (device.id, device.gateway_id) == ("SMOKE-1", GATEWAY)
    assert await opened(db, actor) == []
    assert await opened(db, actor, "adopted") == ["Kitchen"]


async def test_an_announcement_taken_back_is_forgotten(
    db: Database, actor: Actor, now: datetime
) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    await announce(db, now, "binary_sensor/0x1/smoke", None)
    assert await opened(db, actor) == []


async def test_a_whole_device_is_taken_back_with_its_entities(
    db: Database, actor: Actor, now: datetime
) -> None:
    parts = {"s": {**SMOKE, "platform": "binary_sensor"}, "b": {**BATTERY, "platform": "sensor"}}
    config = {"device": SMOKE["device"], "components": parts}
    await announce(db, now, "device/0x1", config)
    assert await opened(db, actor) == ["Kitchen"]
    await announce(db, now, "device/0x1", None)
    assert await opened(db, actor) == []


async def test_what_is_ignored_is_out_of_sight_and_can_come_back(
    db: Database, actor: Actor, now: datetime
) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    async with db.transaction() as tx:
        await service.ignore(tx, GATEWAY, "z2m_0x1", ignored=True, actor=actor, now=now)
    assert await opened(db, actor) == []
    assert await opened(db, actor, "ignored") == ["Kitchen"]
    async with db.transaction() as tx:
        await service.ignore(tx, GATEWAY, "z2m_0x1", ignored=False, actor=actor, now=now)
    assert await opened(db, actor) == ["Kitchen"]


async def test_of_two_who_adopt_at_once_one_is_told(
    db: Database, actor: Actor, now: datetime
) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    results = await asyncio.gather(
        adopt(db, actor, now, "SMOKE-1"), adopt(db, actor, now, "SMOKE-2"), return_exceptions=True
    )
    lost = [each for each in results if each is not None]
    assert len(lost) == 1
    assert isinstance(lost[0], Conflict | Invalid)


async def test_only_an_installation_that_is_registered_announces(
    db: Database, actor: Actor, now: datetime
) -> None:
    decoded = decode(
        Frame(json.dumps(SMOKE).encode(), "ha/HA-9999/homeassistant/binary_sensor/x/config")
    )
    async with db.transaction() as tx:
        await add_device(tx, actor, now, "W-1", profile="setracker-4g")
        await service.note(tx, decoded.proposals, now)
    assert await opened(db, actor) == []


async def test_who_has_no_say_there_sees_nothing(db: Database, actor: Actor, now: datetime) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    async with db.transaction() as tx:
        other = await add_person(tx, now, division=YUQUAN, username="elsewhere")
    async with db.connection() as conn:
        assert (await service.find(conn, other, "open", 1, 20)).total == 0
        with pytest.raises(NotFound):
            await service.get(conn, GATEWAY, "z2m_0x1", other)


async def test_a_retired_device_is_read_no_longer(
    db: Database, actor: Actor, now: datetime
) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    await adopt(db, actor, now)
    assert await service.refresh(db) == 1
    async with db.connection() as conn:
        name = Address("homeassistant", address(GATEWAY, "z2m_0x1"))
        no = (await addresses.resolve(conn, [name]))[name].no
    async with db.transaction() as tx:
        await tx.execute("UPDATE device SET state = 'retired' WHERE no = %s", (no,))
    assert await service.refresh(db) == 0


async def test_a_process_hears_of_an_adoption_by_itself(
    db: Database, actor: Actor, now: datetime
) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    stop = asyncio.Event()
    following = asyncio.create_task(service.follow(db, stop))
    async with asyncio.timeout(20):
        await adopt(db, actor, now)
        while not state({"smoke": True}).messages:
            await asyncio.sleep(0.05)
    stop.set()
    await following


async def test_an_unknown_model_is_refused(db: Database, actor: Actor, now: datetime) -> None:
    await announce(db, now, "binary_sensor/0x1/smoke", SMOKE)
    with pytest.raises(Invalid) as caught:
        async with db.transaction() as tx:
            await service.adopt(
                tx, GATEWAY, "z2m_0x1", device_id="S", profile="z2m-smoke", actor=actor, now=now
            )
    assert caught.value.fields == {"profile": "unknown"}


@pytest.mark.parametrize(
    ("component", "device_class", "name", "unit", "profile"),
    [
        ("binary_sensor", "smoke", "", "", "ha-smoke"),
        ("binary_sensor", "moisture", "", "", "ha-leak"),
        ("binary_sensor", "door", "", "", "ha-door"),
        ("binary_sensor", "occupancy", "", "", "ha-motion"),
        ("event", "", "", "", "ha-button"),
        ("device_automation", "", "", "", "ha-button"),
        ("sensor", "", "Heart rate", "bpm", "ha-health"),
        ("sensor", "temperature", "", "°C", "ha-climate"),
    ],
)
def test_the_model_that_fits_is_proposed(
    component: str, device_class: str, name: str, unit: str, profile: str
) -> None:
    entity = Entity(component, "a", name=name, device_class=device_class, unit=unit)
    assert rules.profile_for([entity]) == profile
    assert profile in {each.code for each in service.models()}


def test_a_proposed_id_tells_where_it_comes_from() -> None:
    assert rules.id_for(GATEWAY, "0x1", "Kitchen smoke") == "HA-0001-Kitchen-smoke"
    assert rules.id_for(GATEWAY, "0x00158d", "厨房") == "HA-0001-0x00158d"
