"""A device that repeats a setting which nobody here asked for has not answered our command."""

import base64
import json
from datetime import datetime

import pytest

from devices.commands import service, store
from devices.commands.model import CommandState
from devices.registry import service as registry
from kernel.auth.model import SYSTEM
from kernel.db import Database
from tests.ingest.feed import Feed
from tests.ingest.home import PLACE

EUI = "24e124710c140815"


def lorawan(model: str, payload: str) -> tuple[str, dict[str, object]]:
    """An uplink in the words of ChirpStack."""
    data = base64.b64encode(bytes.fromhex(payload)).decode()
    info = {"devEui": EUI, "deviceProfileName": f"Milesight {model}"}
    return f"application/a-1/device/{EUI}/event/up", {"deviceInfo": info, "data": data}


@pytest.mark.parametrize(
    ("profile", "stray", "answer"),
    [
        ("ls-ws301", lorawan("WS301", "ff03b004"), lorawan("WS301", "ff035802")),
        ("ls-ws301", lorawan("WS301", "fe035902"), lorawan("WS301", "fe035802")),
        ("ls-vs373", lorawan("VS373", "ff8e000b00"), lorawan("VS373", "ff8e000a00")),
        (
            "tasmota-sensor",
            ("stat/D-0001/RESULT", {"TelePeriod": 300}),
            ("stat/D-0001/RESULT", {"TelePeriod": 600}),
        ),
    ],
)
async def test_only_the_interval_that_was_asked_for_is_an_answer(
    db: Database,
    feed: Feed,
    now: datetime,
    profile: str,
    stray: tuple[str, dict[str, object]],
    answer: tuple[str, dict[str, object]],
) -> None:
    address = EUI if profile.startswith("ls-") else "D-0001"
    async with db.transaction() as tx:
        device = await registry.register(
            tx, device_id="D-0001", profile=profile, division_code=PLACE, address=address,
            actor=SYSTEM, now=now,
        )  # fmt: skip
        asked = await service.request(tx, device.no, "set_interval", {"seconds": 600}, SYSTEM, now)
        await store.tried(tx, asked.id, now)
        await store.left(tx, asked.id, now)
    for (topic, body), state in ((stray, CommandState.SENT), (answer, CommandState.ACKNOWLEDGED)):
        await feed.give(feed.mqtt(topic, json.dumps(body).encode(), now))
        async with db.connection() as conn:
            assert (await service.get(conn, asked.id)).state is state


async def test_what_the_servers_own_decoder_says_is_in_units_of_its_own(
    db: Database, feed: Feed, now: datetime
) -> None:
    async with db.transaction() as tx:
        device = await registry.register(
            tx, device_id="D-0001", profile="ls-vs373", division_code=PLACE, address=EUI,
            actor=SYSTEM, now=now,
        )  # fmt: skip
        asked = await service.request(tx, device.no, "set_interval", {"seconds": 600}, SYSTEM, now)
        await store.tried(tx, asked.id, now)
        await store.left(tx, asked.id, now)
    topic, body = lorawan("VS373", "")
    body = {"deviceInfo": body["deviceInfo"], "object": {"report_interval": 10}}
    await feed.give(feed.mqtt(topic, json.dumps(body).encode(), now))
    async with db.connection() as conn:
        assert (await service.get(conn, asked.id)).state is CommandState.ACKNOWLEDGED
