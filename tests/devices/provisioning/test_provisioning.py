"""Devices that register themselves: bounded by their batch, once, and only with its key."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from devices.attempts.model import ENROL_BY_ADDRESS
from devices.credentials import service as credentials
from devices.provisioning import api, service
from devices.registry import inventory
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples, fetch_value
from kernel.errors import Conflict, Invalid, NotFound
from kernel.live import LiveHub
from kernel.web import WebContext, get_now
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device, add_person

YEAR = timedelta(days=366)
ROOT = Path(__file__).parents[3]
SCHEMAS, FIRMWARE_SIM = ROOT / "docs" / "schema", ROOT / "firmware-sim"


class Gate:
    """The route on an application of its own, with a clock."""

    def __init__(self, db: Database, cipher: FieldCipher, now: datetime) -> None:
        app = FastAPI()
        app.state.context = WebContext(
            db=db, cipher=cipher, hub=LiveHub(db), public_url="", secure_cookies=False
        )
        app.include_router(api.router)
        self.now, self.app = now, app
        app.dependency_overrides[get_now] = lambda: self.now
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://console")

    async def ask(
        self, key: str, batch: str = "W2026", hardware: str = "866123456789012"
    ) -> httpx.Response:
        return await self.client.post(
            "/provision",
            json={"batch": batch, "hardware": hardware, "firmware": "1.0"},
            headers={"Authorization": f"Bearer {key}"},
        )


@pytest.fixture
async def gate(db: Database, cipher: FieldCipher, now: datetime) -> AsyncIterator[Gate]:
    made = Gate(db, cipher, now)
    yield made
    await made.client.aclose()


@pytest.fixture
async def actor(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        return await add_person(tx, now)


async def batch(
    db: Database, actor: Actor, now: datetime, most: int = 3, **more: object
) -> service.NewBatch:
    values = {"batch": "W2026", "profile": "sl-watch-1", "division_code": XINCHENG, "lasts": YEAR}
    async with db.transaction() as tx:
        return await service.create(
            tx,
            most=most,
            actor=actor,
            now=now,
            **(values | more),  # type: ignore[arg-type]
        )


async def test_a_device_gets_an_id_and_a_secret_that_open_the_door(
    gate: Gate, db: Database, actor: Actor, now: datetime
) -> None:
    made = await batch(db, actor, now)
    answer = await gate.ask(made.key)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["device_id"] == body["username"] == "W2026-00001"
    async with db.connection() as conn:
        grant = await credentials.authenticate(conn, "W2026-00001", body["password"])
        device = await inventory.by_id(conn, "W2026-00001")
        actions = await fetch_tuples(conn, "SELECT action, actor_name FROM audit_log ORDER BY seq")
        kept = await fetch_tuples(conn, "SELECT p::text FROM provisioning_key p")
    assert grant is not None
    assert device is not None
    assert (device.state, device.profile, device.division_code, device.serial) == (
        "stock", "sl-watch-1", XINCHENG, "866123456789012",
    )  # fmt: skip
    assert [action for action, _ in actions] == [
        "batch.created", "device.registered", "device.self_provisioned",
    ]  # fmt: skip
    assert made.key not in str(kept)


async def test_asking_again_gives_the_same_device_until_it_was_heard(
    gate: Gate, db: Database, actor: Actor, now: datetime
) -> None:
    made = await batch(db, actor, now)
    first = (await gate.ask(made.key)).json()
    second = await gate.ask(made.key)
    assert (second.status_code, second.json()["device_id"]) == (200, first["device_id"])
    async with db.connection() as conn:
        assert not await credentials.authenticate(conn, "W2026-00001", first["password"])
        assert await credentials.authenticate(conn, "W2026-00001", second.json()["password"])
        assert await fetch_value(conn, "SELECT used FROM provisioning_key") == 1
    gate.now = now + service.ASK_AGAIN
    assert (await gate.ask(made.key)).status_code == 409
    gate.now = now
    async with db.transaction() as tx:
        await tx.execute("UPDATE device SET last_seen_at = %s", (now,))
    assert (await gate.ask(made.key)).status_code == 409


async def test_a_batch_has_so_many_places_also_when_all_come_at_once(
    gate: Gate, db: Database, actor: Actor, now: datetime
) -> None:
    made = await batch(db, actor, now, most=3)
    async with db.transaction() as tx:
        await add_device(tx, actor, now, "W2026-00002")
    answers = await asyncio.gather(*(gate.ask(made.key, hardware=f"MAC-{n}") for n in range(6)))
    assert sorted(one.status_code for one in answers) == [201, 201, 201, 409, 409, 409]
    ids = {one.json()["device_id"] for one in answers if one.status_code == 201}
    assert len(ids) == 3
    assert "W2026-00002" not in ids


async def test_a_whole_batch_is_switched_on_behind_one_address(
    gate: Gate, db: Database, actor: Actor, now: datetime
) -> None:
    """More at the same moment than may guess wrongly: none of them has guessed."""
    many = ENROL_BY_ADDRESS.most + 10
    made = await batch(db, actor, now, most=many)
    answers = await asyncio.gather(*(gate.ask(made.key, hardware=f"MAC-{n}") for n in range(many)))
    assert {one.status_code for one in answers} == {201}


async def test_who_has_no_right_key_is_told_nothing_and_soon_not_even_that(
    gate: Gate, db: Database, actor: Actor, now: datetime
) -> None:
    made = await batch(db, actor, now)
    other = await batch(db, actor, now, batch="P2026")
    for key, name in (("", "W2026"), (other.key, "W2026"), (made.key, "W9999"), (made.key, "%")):
        refused = await gate.ask(key, name)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert "Bearer" in refused.headers["www-authenticate"]
    for _ in range(ENROL_BY_ADDRESS.most - 4):
        assert (await gate.ask("slp_guess")).status_code == 401
    late = await gate.ask(made.key)
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) > 0
    gate.now = now + ENROL_BY_ADDRESS.window + timedelta(seconds=1)
    assert (await gate.ask(made.key)).status_code == 201


async def test_an_ended_batch_takes_nobody_and_its_devices_stay(
    gate: Gate, db: Database, actor: Actor, now: datetime
) -> None:
    made = await batch(db, actor, now)
    body = (await gate.ask(made.key)).json()
    gate.now = now + YEAR
    assert (await gate.ask(made.key, hardware="MAC-2")).status_code == 403
    gate.now = now
    async with db.transaction() as tx:
        await service.revoke(tx, made.batch.id, actor=actor, now=now)
    assert (await gate.ask(made.key, hardware="MAC-2")).status_code == 403
    async with db.transaction() as tx:
        assert await credentials.authenticate(tx, body["device_id"], body["password"])
    with pytest.raises(Conflict):
        async with db.transaction() as tx:
            await service.revoke(tx, made.batch.id, actor=actor, now=now)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"batch":"W2026"}', b'{"batch":1,"hardware":"abcd"}', b"x" * 5000]
)
async def test_what_is_no_request_is_refused(gate: Gate, body: bytes) -> None:
    answer = await gate.client.post("/provision", content=body)
    assert answer.status_code == 422


async def test_hardware_is_a_plain_name(
    gate: Gate, db: Database, actor: Actor, now: datetime
) -> None:
    made = await batch(db, actor, now)
    for hardware in ("abc", "a b c d", "x" * 65, "' OR 1=1", "设备编号一"):
        assert (await gate.ask(made.key, hardware=hardware)).status_code == 422
    assert (await gate.ask(made.key, hardware="A4:C1:38:00:11:22")).status_code == 201


async def test_a_batch_is_made_within_ones_own_division_and_for_models_that_log_in(
    db: Database, actor: Actor, now: datetime
) -> None:
    for more, fields in (
        ({"batch": "a b"}, {"batch": "form"}),
        ({"profile": "setracker-4g"}, {"profile": "no_secret"}),
        ({"profile": "nothing"}, {"profile": "unknown"}),
        ({"division_code": "110101000000"}, {"division_code": "outside"}),
        ({"most": 0}, {"most": "range"}),
        ({"lasts": timedelta(days=400)}, {"lasts": "range"}),
    ):
        with pytest.raises(Invalid) as refused:
            await batch(db, actor, now, **more)  # type: ignore[arg-type]
        assert refused.value.fields == fields
    made = await batch(db, actor, now)
    with pytest.raises(Invalid) as refused:
        await batch(db, actor, now, batch="w2026")
    assert refused.value.fields == {"batch": "taken"}
    async with db.transaction() as tx:
        stranger = await add_person(tx, now, username="surna", division=YUQUAN[:6])
        assert await service.batches(tx, stranger) == []
        with pytest.raises(NotFound):
            await service.revoke(tx, made.batch.id, actor=stranger, now=now)
        with pytest.raises(NotFound):
            await service.revoke(tx, uuid.uuid4(), actor=actor, now=now)


def validator(name: str) -> Draft202012Validator:
    schemas = {path.stem: json.loads(path.read_text("utf-8")) for path in SCHEMAS.glob("*.json")}
    registry = Registry().with_resources(
        (f"{stem}.json", Resource.from_contents(schema)) for stem, schema in schemas.items()
    )
    return Draft202012Validator(schemas[name], registry=registry)


async def test_simulated_devices_register_as_the_schemas_say_and_keep_what_they_got(
    gate: Gate, db: Database, actor: Actor, now: datetime, tmp_path: Path
) -> None:
    made = await batch(db, actor, now, most=3)
    asked = {"batch": "W2026", "hardware": "A4:C1:38:00:11:22"}
    validator("provision").validate(asked)
    validator("provisioned").validate((await gate.ask(made.key, **asked)).json())
    kept = tmp_path / "devices.json"
    server = uvicorn.Server(uvicorn.Config(gate.app, port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    command = [
        sys.executable, str(FIRMWARE_SIM), "--scenario", "quiet", "--devices", "2", "--quiet",
        "--provision", f"http://127.0.0.1:{port}", "--batch", "W2026",
        "--credentials", str(kept), "--seconds", "0.1", "--settle", "0.1",
        "--broker", "127.0.0.1:9",
    ]  # fmt: skip
    environment = os.environ | {"FIRMWARE_SIM_BATCH_KEY": made.key}
    for _ in range(2):
        # Nobody is there to publish to: it is about what the devices have in hand.
        await asyncio.to_thread(subprocess.run, command, env=environment, timeout=60, check=False)
    server.should_exit = True
    await task
    entries = json.loads(kept.read_text("utf-8"))
    assert sorted(one["device_id"] for one in entries) == ["W2026-00002", "W2026-00003"]
    async with db.connection() as conn:
        for one in entries:
            assert await credentials.authenticate(conn, one["username"], one["password"])
        assert await fetch_value(conn, "SELECT used FROM provisioning_key") == 3
