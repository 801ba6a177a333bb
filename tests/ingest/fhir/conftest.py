"""A real web server with everything mounted, and readings of an elder to ask for."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.patient import Patient

from app.settings import Settings
from app.web import create_app
from devices.metrics import METRICS
from ingest.push import sources
from ingest.telemetry.model import ReadingRow
from ingest.telemetry.store import copy_readings
from kernel.auth.model import SYSTEM
from kernel.crypto import new_master_key
from kernel.db import Database, fetch_value
from kernel.ids import new_id
from kernel.live import LiveHub
from tests.hotline.serving import Site
from tests.hotline.world import World
from tests.serving import listener, start

# fhir.resources speaks R5 by default. Of what is served here R4B is the same as R4 (4.0.1).
MODELS = {
    "Bundle": Bundle,
    "CapabilityStatement": CapabilityStatement,
    "Device": Device,
    "Observation": Observation,
    "OperationOutcome": OperationOutcome,
    "Patient": Patient,
}
Json = dict[str, Any]


@pytest.fixture
async def site(db: Database, db_url: str, now: datetime) -> AsyncIterator[Site]:
    settings = Settings.model_validate(
        {
            "database": {"url": db_url},
            "master_key": new_master_key(),
            "web": {"secure_cookies": False, "public_url": "https://12349.example.cn"},
        }
    )
    hub = LiveHub(db)
    app = create_app(settings, db, hub)
    on, url = listener()
    server, task = start(app, on)
    running = Site(url, hub, server, task, World(db, settings.cipher(), now))
    yield running
    for client in running.clients:
        await client.aclose()
    await running.stop()


@dataclass
class System:
    """A system of a hospital with a token. Whatever it gets is held against the models of R4."""

    client: httpx.AsyncClient
    token: str

    async def get(self, path: str, expected: int = 200, /, **query: str) -> Json:
        answer = await self.client.get(
            path if path.startswith("/") else f"/fhir/{path}",
            params=query or None,
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
        )
        assert answer.status_code == expected, answer.text
        assert answer.headers["content-type"] == "application/fhir+json"
        return checked(answer.json())

    async def observations(self, patient: uuid.UUID, **query: str) -> list[Json]:
        return entries(await self.get("Observation", patient=str(patient), **query))


def checked(resource: Json) -> Json:
    """Hold a resource, and what is in it, against the model of its type; it must say the same."""
    MODELS[resource["resourceType"]].model_validate(resource)
    for entry in resource.get("entry", []):
        checked(entry["resource"])
    return resource


def entries(bundle: Json) -> list[Json]:
    assert bundle["type"] == "searchset"
    return [entry["resource"] for entry in bundle.get("entry", [])]


def link(bundle: Json, relation: str) -> str | None:
    """The path of a link, as the test's own server has it."""
    found = [each["url"] for each in bundle["link"] if each["relation"] == relation]
    return found[0].removeprefix("https://12349.example.cn") if found else None


class Ward:
    """Elders with devices and readings."""

    def __init__(self, site: Site) -> None:
        self.site, self.db, self.now = site, site.world.db, site.world.now

    async def system(self, division: str = "", codec: str = "fhir") -> System:
        async with self.db.transaction() as tx:
            made = await sources.add(
                tx, name=f"his-{new_id()}", codec=codec, division=division, actor=SYSTEM,
                now=self.now,
            )  # fmt: skip
        return System(self.site.client(), made.token)

    async def device(self, **columns: Any) -> int:
        row = {"id": f"W-{new_id()}", "profile": "sl-watch-1", "division_code": "150102003000",
               "created_at": self.now, "updated_at": self.now} | columns  # fmt: skip
        async with self.db.transaction() as tx:
            number: int = await fetch_value(
                tx,
                f"INSERT INTO device ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"  # type: ignore[arg-type]  # noqa: S608
                " RETURNING no",
                list(row.values()),
            )
        return number

    async def bind(
        self, device_no: int, elder: uuid.UUID, since: timedelta, until: timedelta | None = None
    ) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO device_binding (id, device_no, elder_id, bound_at, unbound_at)"
                " VALUES (%s, %s, %s, %s, %s)",
                (new_id(), device_no, elder, self.now + since,
                 None if until is None else self.now + until),
            )  # fmt: skip

    async def put(self, device_no: int, *said: tuple[float, ...], metric: str = "") -> None:
        """Readings of a metric as (minutes from now, value[, quality])."""
        number = METRICS[metric or "heart_rate"].id
        rows = [
            ReadingRow(
                self.now + timedelta(minutes=minute), device_no, number, value, *map(int, quality)
            )
            for minute, value, *quality in said
        ]
        async with self.db.transaction() as tx:
            await copy_readings(tx, rows)


@pytest.fixture
def ward(site: Site) -> Ward:
    return Ward(site)
