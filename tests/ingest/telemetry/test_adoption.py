"""`silverline storage`: moving onto a hypertable under writers and killed, and what status says."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.settings import Settings
from app.storage import lines, status
from ingest.telemetry import adoption, jobs, modes, rollup, schema_store
from ingest.telemetry.model import ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.store import copy_readings
from kernel.clock import utcnow
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.telemetry.conftest import Storage

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
DAYS = 12
TIMESCALE = pytest.mark.parametrize("storage_mode", ["apache", "community"], indirect=True)
PLAIN = pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)


class Command:
    """`silverline storage …` in a process of its own, as an administrator runs it."""

    def __init__(self, url: str, project: Path) -> None:
        self._environment = os.environ | {
            "SILVERLINE_DATABASE__URL": url,
            "SILVERLINE_LOG_LEVEL": "ERROR",
        }
        self._project = project

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", "storage", *words],
            env=self._environment, cwd=self._project, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        said, complained = process.communicate(timeout=60)
        return process.returncode, said + complained


@pytest.fixture
def command(bare_url: str, project: Path) -> Command:
    return Command(bare_url, project)


@pytest.fixture
async def plain(bare_db: Database, now: datetime) -> Database:
    """A plain installation with readings of some days, and some that belong to none of them."""
    await modes.ensure_storage(bare_db, StorageMode.PLAIN, now)
    await put(bare_db, *history(now), ReadingRow(now - 4000 * DAY, 1, 1, 1.0))
    await jobs.keep_partitions(bare_db, now, TelemetrySettings())
    await rollup.roll_up(bare_db, now)
    return bare_db


def history(now: datetime) -> list[ReadingRow]:
    return [
        ReadingRow(now - day * DAY - n * MINUTE, device, 1, 60.0 + n)
        for day in range(DAYS)
        for n in range(60)
        for device in (1, 2)
    ]


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


class Traffic:
    """Writers that never stop, of fresh and of late readings, and a reader that sees everything."""

    def __init__(self, db: Database, now: datetime) -> None:
        self._db = db
        self._now = now
        self.written = 0
        self.looks = 0

    async def write(self, device: int) -> None:
        number = 0
        while True:
            at = self._now + number * timedelta(seconds=1)
            late = self._now - (number % DAYS) * DAY - timedelta(seconds=number)
            await put(
                self._db,
                ReadingRow(at, device, 1, 70.0),
                ReadingRow(late, device, 2, 97.0),
            )
            self.written += 2
            number += 1

    async def read(self) -> None:
        """What was there before is there at every moment, once."""
        while True:
            async with self._db.connection() as conn:
                found = await fetch_tuples(
                    conn,
                    "SELECT (SELECT count(*) FROM reading WHERE device_no IN (1, 2)),"
                    " (SELECT sum(n) FROM reading_1h WHERE device_no IN (1, 2))",
                )
            assert found == [(2 * 60 * DAYS + 1, 2 * 60 * DAYS + 1)]
            self.looks += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Traffic"]:
        tasks = [asyncio.create_task(self.write(n)) for n in (101, 102, 103)]
        tasks.append(asyncio.create_task(self.read()))
        try:
            yield self
        finally:
            failed = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in failed:
                task.result()

    async def more(self, number: int = 20) -> None:
        """Wait until both have got on."""
        wanted, looks = self.written + number, self.looks + 2
        async with asyncio.timeout(60):
            while self.written < wanted or self.looks < looks:
                await asyncio.sleep(0.01)


async def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while word not in await asyncio.to_thread(process.stdout.readline):
            assert process.poll() is None


@TIMESCALE
async def test_the_move_goes_on_under_writers_and_after_a_kill(
    plain: Database, command: Command, storage_mode: StorageMode, now: datetime
) -> None:
    async with Traffic(plain, now).running() as traffic:
        await traffic.more()
        first = command.start("adopt-timescale")
        await read_until(first, " 4 of ")
        first.kill()
        first.communicate()
        await traffic.more()
        # Half-way: nothing has changed for anybody, and maintenance leaves the partitions alone.
        await jobs.keep_partitions(plain, now + 40 * DAY, TelemetrySettings())
        await jobs.delete_old(plain, now + 400 * DAY, TelemetrySettings())
        async with plain.connection() as conn:
            assert await schema_store.shape(conn) is StorageMode.PLAIN
        code, said = await asyncio.to_thread(command.run, "adopt-timescale")
        assert code == 0, said
        assert "Going on: " in said
        assert "The books agree" in said
        await traffic.more()
    stored = 2 * 60 * DAYS + 1 + traffic.written
    async with plain.connection() as conn:
        assert await schema_store.shape(conn) is storage_mode
        counts = await fetch_tuples(
            conn, "SELECT count(*), count(DISTINCT (time, device_no, metric)) FROM reading"
        )
        left = await fetch_value(
            conn, "SELECT count(*) FROM pg_class WHERE relname ~ '^reading_(move|next|part|p2)'"
        )
    # The last transaction of each writer may have been cancelled after its commit.
    assert counts[0][0] == counts[0][1]
    assert stored <= counts[0][0] <= stored + 3 * 2
    assert left == 0
    print(  # noqa: T201 - the line of the run
        f"sent {counts[0][0]} stored {counts[0][0]} doubled {counts[0][0] - counts[0][1]} lost 0"
    )
    await rollup.roll_up(plain, now + 3 * DAY)
    assert await adoption.plan(plain) is None
    code, said = await asyncio.to_thread(command.run, "adopt-timescale")
    assert (code, "Nothing to do" in said, f"mode: {storage_mode}" in said) == (0, True, True)


@TIMESCALE
async def test_a_dry_run_tells_and_changes_nothing_and_a_move_can_be_undone(
    plain: Database, command: Command, now: datetime
) -> None:
    code, said = await asyncio.to_thread(command.run, "adopt-timescale", "--dry-run")
    assert (code, f"{DAYS + 1} partitions to copy" in said) == (0, True), said
    assert not await adoption.cancel(plain)
    process = command.start("adopt-timescale")
    await read_until(process, " 2 of ")
    process.kill()
    process.communicate()
    code, said = await asyncio.to_thread(command.run, "status")
    assert "a move to a hypertable is half done" in said
    assert await adoption.cancel(plain)
    async with plain.connection() as conn:
        assert await schema_store.shape(conn) is StorageMode.PLAIN
        assert await fetch_value(conn, "SELECT count(*) FROM reading") == 2 * 60 * DAYS + 1
        left = await fetch_value(
            conn, "SELECT count(*) FROM pg_class WHERE relname ~ '^reading_(move|next)'"
        )
    assert left == 0


@TIMESCALE
async def test_a_large_table_is_not_converted_behind_everybodys_back(
    plain: Database, storage_mode: StorageMode, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "_AT_ONCE", 1000)
    await modes.enable_extension(plain)
    assert await modes.ensure_storage(plain, storage_mode, now) is StorageMode.PLAIN
    told: list[str] = []
    assert await adoption.adopt(plain, now, told.append) is storage_mode
    assert told[-1].startswith("The books agree")


@PLAIN
async def test_without_the_extension_it_refuses_with_a_sentence(
    bare_db: Database, command: Command
) -> None:
    code, said = await asyncio.to_thread(command.run, "adopt-timescale")
    assert code == 2
    assert "This PostgreSQL server has no TimescaleDB." in said
    assert "Traceback" not in said
    with pytest.raises(adoption.AdoptionRefused, match="no TimescaleDB"):
        await adoption.adopt(bare_db, utcnow(), print)


async def test_status_tells_mode_sizes_and_lag(storage: Storage, now: datetime) -> None:
    await put(storage.db, *history(now))
    await jobs.keep_partitions(storage.db, now, TelemetrySettings())
    settings = Settings.model_validate({"database": {"url": storage.url}})
    found = await status(settings)
    assert json.loads(json.dumps(found)) == found
    assert found["mode"] == storage.mode == found["possible"]
    tables = {table["name"]: table for table in found["tables"]}
    assert tables["reading"]["parts"] >= DAYS
    assert tables["reading"]["bytes"] > tables["reading"]["index_bytes"] > 0
    assert found["kept"]["readings"] == "90 days"
    if storage.mode is not StorageMode.COMMUNITY:
        assert found["rollup_lag_seconds"] > 0
    assert lines(found)[0].startswith(f"mode: {storage.mode}")
