"""Where platforms keep their devices is remembered from what they say, for commands to name."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

from devices.codecs import CODECS
from devices.commands import rules, service, store
from devices.registry import access
from devices.registry import service as registry
from kernel.auth.model import SYSTEM
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.feed import Feed
from tests.ingest.home import PLACE

EUI = "24e124710c140815"


def uplink(at: datetime) -> bytes:
    return json.dumps({"time": at.isoformat(), "object": {"battery": 87}}).encode()


async def test_a_sensor_that_moves_to_another_network_server_is_asked_there(
    db: Database, feed: Feed, now: datetime
) -> None:
    async with db.transaction() as tx:
        door = await registry.register(
            tx, device_id="D-0001", profile="ls-ws301", division_code=PLACE, address=EUI,
            actor=SYSTEM, now=now,
        )  # fmt: skip
        await access.add_alias(tx, door.no, "tts", "door-3", actor=SYSTEM, now=now)
        asked = await service.request(tx, door.no, "reboot", {}, SYSTEM, now)

    async def goes_to() -> str:
        async with db.connection() as conn:
            command = await store.outgoing(conn, asked.id, now)
        assert command is not None
        codec = rules.codec_of(command)
        assert codec is not None
        assert codec.encode is not None
        address = command.addresses(codec.name)[0]
        return codec.encode(rules.asked(command, address, now)).topic

    first = feed.mqtt(f"application/a-1/device/{EUI}/event/up", uplink(now), now)
    await feed.give(first)
    assert await goes_to() == f"application/a-1/device/{EUI}/command/down"
    again = now + timedelta(minutes=1)
    moved = feed.mqtt(f"application/a-2/device/{EUI}/event/up", uplink(again), again)
    await feed.give(moved)
    assert await goes_to() == f"application/a-2/device/{EUI}/command/down"
    # Nothing can be sent the way back of a push.
    later = now + timedelta(minutes=2)
    pushed = feed.mqtt(f"application/a-3/device/{EUI}/event/up", uplink(later), later)
    await feed.give(replace(pushed, transport="http"))
    assert await goes_to() == f"application/a-2/device/{EUI}/command/down"
    body = {"uplink_message": {"received_at": later.isoformat(), "f_port": 85}}
    topic = "v3/care@ttn/devices/door-3/up"
    await feed.give(feed.mqtt(topic, json.dumps(body).encode(), later))
    assert await goes_to() == "v3/care@ttn/devices/door-3/down/push"
    async with db.connection() as conn:
        routes = await fetch_tuples(conn, "SELECT device_no, codec, route FROM device_route")
    assert routes == [(door.no, "tts", "care@ttn")]


async def test_what_a_server_says_of_a_command_is_no_sign_of_life(
    db: Database, feed: Feed, now: datetime
) -> None:
    async with db.transaction() as tx:
        door = await registry.register(
            tx, device_id="D-0001", profile="ls-ws301", division_code=PLACE, address=EUI,
            actor=SYSTEM, now=now,
        )  # fmt: skip
        asked = await service.request(tx, door.no, "reboot", {}, SYSTEM, now)
    tree = f"application/a-1/device/{EUI}/event"
    said = {"queueItemId": str(asked.id), "acknowledged": False}
    for kind in ("txack", "ack"):
        await feed.give(feed.mqtt(f"{tree}/{kind}", json.dumps(said).encode(), now))
    async with db.connection() as conn:
        seen = await fetch_value(conn, "SELECT last_seen_at FROM device WHERE no = %s", (door.no,))
        ended = await service.get(conn, asked.id)
    assert seen is None
    assert (ended.state, ended.detail) == ("refused", "not_delivered.unconfirmed")
    assert CODECS["chirpstack"].keeps
