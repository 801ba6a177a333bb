"""A roll-out all the way: job, broker, device, download over HTTP, progress, the new version."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.web import add_error_handlers
from dashboards.console.fleet.routes_firmware import router
from devices.firmware import service
from devices.firmware.model import RolloutState, UpdateRow, UpdateState
from devices.firmware.shelf import Shelf
from ingest.run import IngestRunner
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_value
from kernel.ids import new_id
from kernel.live import LiveHub
from kernel.web import WebContext
from tests.devices.commands.parts import Downlink, SimulatedDevices, entry
from tests.devices.commands.test_commands_end_to_end import online, pause
from tests.serving import serving

FILE = b"SLFW" + bytes(range(256)) * 600


@dataclass
class Depot:
    """Where devices fetch their files."""

    shelf: Shelf
    folder: Path
    url: str


@pytest.fixture
async def depot(db: Database, cipher: FieldCipher, tmp_path: Path) -> AsyncIterator[Depot]:
    app, folder = FastAPI(), tmp_path / "firmware"
    app.state.context = WebContext(
        db=db, cipher=cipher, hub=LiveHub(db), public_url="", secure_cookies=False
    )
    app.state.firmware = Shelf(folder)
    app.include_router(router)
    add_error_handlers(app)
    async with serving(app) as url:
        yield Depot(app.state.firmware, folder, url)


class Rollout:
    """A roll-out of a version to every watch, looked at as the job does."""

    def __init__(self, downlink: Downlink, depot: Depot) -> None:
        self._downlink, self._depot = downlink, depot
        self._id = new_id()

    async def start(self, version: str, content: bytes) -> None:
        stored = self._depot.shelf.put(io.BytesIO(content))
        actor, now = self._downlink.actor, utcnow()
        async with self._downlink.db.transaction() as tx:
            package = await service.add_package(
                tx, stored, profile="sl-watch-1", version=version, notes="", file_name="w.bin",
                actor=actor, now=now,
            )  # fmt: skip
            made = await service.start_rollout(
                tx, package.id, division="1501", steps="100", canaries=[], soak_minutes=0,
                failure_percent=100, actor=actor, now=now,
            )  # fmt: skip
        self._id = made.id

    async def look(self) -> None:
        async with self._downlink.db.transaction() as tx:
            await service.advance(tx, self._id, self._depot.url, utcnow())
        await self._downlink.worker.run_once()

    async def becomes(self, state: UpdateState) -> UpdateRow:
        for _ in range(2000):
            await self.look()
            async with self._downlink.db.connection() as conn:
                _, _, rows = await service.overview(conn, self._id, self._downlink.actor, "", 0, 10)
            if rows and rows[0].state is state:
                return rows[0]
            await pause()
        raise AssertionError(f"the update never was {state}")

    async def state(self) -> RolloutState:
        async with self._downlink.db.connection() as conn:
            return (await service.get_rollout(conn, self._id, self._downlink.actor)).state


async def test_a_watch_fetches_checks_restarts_and_reports_the_new_version(
    downlink: Downlink, ingest: IngestRunner, simulated: SimulatedDevices, depot: Depot
) -> None:
    watch = await downlink.device("W-0193")
    simulated.start(entry(watch))
    await online(downlink, watch)
    rollout = Rollout(downlink, depot)
    await rollout.start("1.5.0", FILE)
    done = await rollout.becomes(UpdateState.INSTALLED)
    assert (done.device_id, done.from_version, done.firmware) == ("W-0193", "1.4.2", "1.5.0")
    await rollout.look()
    assert await rollout.state() is RolloutState.COMPLETED
    # What lies on the shelf was exchanged: the device finds it out and stays as it is.
    bad = Rollout(downlink, depot)
    await bad.start("1.6.0", FILE + b"6")
    newest = max(depot.folder.iterdir(), key=lambda path: path.stat().st_size)
    newest.write_bytes(FILE + b"7")
    failed = await bad.becomes(UpdateState.FAILED)
    assert (failed.detail, failed.firmware) == ("checksum", "1.5.0")
    async with downlink.db.connection() as conn:
        used = await fetch_value(
            conn, "SELECT count(*) FROM firmware_update WHERE token_used_at IS NOT NULL"
        )
    # Both links are over: the device had closed the line before that was written.
    assert used == 2
