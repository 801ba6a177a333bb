"""Whose record it is comes before what stands in the form: a stranger learns nothing from a 422."""

import base64
import re
import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import httpx
import pytest
from fastapi import FastAPI

from app.settings import Settings
from app.web import create_app
from care.elders.model import Secret
from kernel.auth import service, store, web
from kernel.auth.model import Role, Session
from kernel.auth.web import SAFE_METHODS, route_rules
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.ids import new_id
from kernel.live import LiveHub
from kernel.tokens import token_hash
from tests.hotline.world import World
from tests.serving import serving

# Forms as no page of ours sends them.
NONSENSE: tuple[dict[str, str], ...] = (
    {},
    {"version": "\u0663\u0000", "name": "\u0000", "division": "nowhere", "birth_date": "31.2.1900",
     "purpose": "none", "resolution": "none", "reason": "x" * 5000, "text": "", "rearrange": "up.x",
     "phone": "call me", "position": "-1", "on_duty": "perhaps", "responder_id": "nobody",
     "to": "nobody", "mode": "none", "hours": "1e9", "elder_id": "\u0000", "key": "?"},
)  # fmt: skip
# What a path names besides a record; the rest of the names are ids.
NAMED = {"secret": Secret.PHONES.value, "number": "0"}
ACTIONS = {"devices": "retire", "alarms": "acknowledge", "rollouts": "pause"}
# Firmware is of the maker's, for whoever has such devices.
SHARED = {"package_id"}
# Of the fixture `cipher`.
KEY = base64.b64encode(bytes(range(32))).decode()
IDS = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with every role, in a city of their own."""

    client: httpx.AsyncClient
    csrf: str

    async def statuses(self, path: str) -> list[int]:
        return [
            (await self.client.post(path, data=form | {"_csrf": self.csrf})).status_code
            for form in NONSENSE
        ]


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


@pytest.fixture
def app(db_url: str, db: Database) -> FastAPI:
    settings = Settings.model_validate(
        {"database": {"url": db_url}, "master_key": KEY, "demo": True}
    )
    return create_app(settings, db, LiveHub(db))


@pytest.fixture
async def caller(app: FastAPI, db: Database, cipher: FieldCipher) -> AsyncIterator[Caller]:
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    at = utcnow()
    actor = await World(db, cipher, at).user("赵敏", *Role, division="1502", username="zhaomin")
    session = Session(
        actor=actor, token_hash=token_hash(token), csrf_token=csrf,
        must_change_password=False, created_at=at, last_seen_at=at,
        expires_at=at + service.ABSOLUTE_LIMIT,
    )  # fmt: skip
    assert actor.user_id
    async with db.transaction() as tx:
        await store.insert_session(tx, actor.user_id, session, "127.0.0.1", "test")
    async with serving(app) as url, httpx.AsyncClient(
        base_url=url, cookies={web.COOKIE: token}, timeout=30,
        headers={"Accept": "text/html"}, trust_env=False,
    ) as client:  # fmt: skip
        yield Caller(client, csrf)


def about_one(app: FastAPI, *, seen: bool = False) -> list[str]:
    """The paths that change one record (or with `seen` those that only show it)."""
    roots = ("/console/", "/api/") if seen else ("/console/",)
    return sorted(
        rule.path
        for rule in route_rules(app)
        if rule.path.startswith(roots)
        and (rule.methods <= SAFE_METHODS) is seen
        and set(IDS.findall(rule.path)) - NAMED.keys() - {"action"}
    )


def filled(path: str, ids: dict[str, str]) -> str:
    kind = next((action for kind, action in ACTIONS.items() if f"/{kind}/" in path), "")
    if "/devices/import/" in path:
        ids = ids | {"import_id": ids.get("device_import_id", "")}
    known = NAMED | ids | {"action": kind}
    return IDS.sub(lambda found: known.get(found[1]) or str(uuid.uuid4()), path)


async def test_an_unknown_record_is_not_found_whatever_the_form_says(
    app: FastAPI, caller: Caller
) -> None:
    paths = about_one(app)
    assert len(paths) > 40
    found = {path: await caller.statuses(filled(path, {})) for path in paths}
    assert {path: got for path, got in found.items() if got != [404] * len(NONSENSE)} == {}


async def test_somebody_elses_record_is_as_unknown_as_one_that_is_not_there(
    app: FastAPI, caller: Caller, db: Database, cipher: FieldCipher, now: datetime
) -> None:
    ids = await foreign_records(World(db, cipher, now))
    paths = [path for path in about_one(app) if set(IDS.findall(path)) & ids.keys()]
    named = {name for path in paths for name in IDS.findall(path)}
    assert named >= ids.keys() - {"device_import_id"}
    found = {path: await caller.statuses(filled(path, ids)) for path in paths}
    assert {path: got for path, got in found.items() if got != [404] * len(NONSENSE)} == {}


async def test_nobody_sees_somebody_elses_record(
    app: FastAPI, caller: Caller, db: Database, cipher: FieldCipher, now: datetime
) -> None:
    ids = await foreign_records(World(db, cipher, now))
    paths = [
        path
        for path in about_one(app, seen=True)
        if set(IDS.findall(path)) & ids.keys() and not set(IDS.findall(path)) & SHARED
    ]
    assert len(paths) > 25
    found = {}
    for path in paths:
        answer = await caller.client.get(filled(path, ids))
        found[path] = answer.status_code
    assert {path: got for path, got in found.items() if got != 404} == {}


async def foreign_records(world: World) -> dict[str, str]:
    """One record of each kind in another city."""
    person = await world.user("王芳")
    elder = await world.elder()
    device_no = await world.device(elder)
    incident = await world.opened(elder)
    responder = await world.responder()
    phone_id, letter_id, import_id = new_id(), new_id(), new_id()
    alarm_id, package_id, rollout_id, batch_id, sheet_id = (new_id() for _ in range(5))
    async with world.db.transaction() as tx:
        cursor = await tx.execute("SELECT id FROM device WHERE no = %s", (device_no,))
        device = await cursor.fetchone()
        assert device
        box = world.cipher.encrypt("phone", "13900001111")
        await tx.execute(
            "INSERT INTO duty_phone (id, division, position, name, phone_enc, phone_index)"
            " VALUES (%s, '1501', 1, '值班', %s, %s)",
            (phone_id, box, world.cipher.blind_index("phone", "13900001111")),
        )
        await tx.execute(
            "INSERT INTO dead_letter (id, received_at, last_at, fingerprint, transport, address,"
            " payload, payload_size, reason, detail)"
            " VALUES (%s, %s, %s, gen_random_uuid(), 'mqtt', %s, '', 0, 'truncated', '')",
            (letter_id, world.now, world.now, device[0]),
        )
        await tx.execute(
            "INSERT INTO elder_import (id, created_at, created_by, filename, report_enc,"
            " rows_total, rows_wrong, state) VALUES (%s, %s, %s, 'a.xlsx', '', 0, 0, 'previewed')",
            (import_id, world.now, person.user_id),
        )
        await tx.execute(
            "INSERT INTO technical_alarm (id, device_no, kind, raised_at, last_at)"
            " VALUES (%s, %s, 'low_battery', %s, %s)",
            (alarm_id, device_no, world.now, world.now),
        )
        await tx.execute(
            "INSERT INTO firmware_package (id, profile, version, sha256, size, file_name, notes,"
            " uploaded_at) VALUES (%s, 'sl-watch-1', '1.5.0', decode(%s, 'hex'), 1, '', '', %s)",
            (package_id, "ab" * 32, world.now),
        )
        await tx.execute(
            "INSERT INTO firmware_rollout (id, package_id, division, canaries, steps, step,"
            " step_since, soak_minutes, failure_percent, created_at)"
            " VALUES (%s, %s, '1501', '{}', '{100}', 0, %s, 0, 20, %s)",
            (rollout_id, package_id, world.now, world.now),
        )
        await tx.execute(
            "INSERT INTO provisioning_key (id, batch, profile, division_code, key_hash, most,"
            " expires_at, created_at)"
            " VALUES (%s, 'B', 'sl-watch-1', '150102000000', %s, 5, %s, %s)",
            (batch_id, bytes(32), world.later(3600), world.now),
        )
        await tx.execute(
            "INSERT INTO device_import (id, created_at, created_by, filename, rows, report,"
            " rows_total, rows_wrong, state)"
            " VALUES (%s, %s, %s, 'a.xlsx', '[]', '{}', 0, 0, 'previewed')",
            (sheet_id, world.now, person.user_id),
        )
    return {
        "alarm_id": str(alarm_id),
        "rollout_id": str(rollout_id),
        "batch_id": str(batch_id),
        "device_import_id": str(sheet_id),
        "user_id": str(person.user_id),
        "elder_id": str(elder.id),
        "device_id": str(device[0]),
        "incident_id": str(incident.id),
        "responder_id": str(responder),
        "phone_id": str(phone_id),
        "letter_id": str(letter_id),
        "import_id": str(import_id),
    }
