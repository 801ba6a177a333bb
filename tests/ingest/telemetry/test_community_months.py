"""Months go by in the Community edition: every level shows each reading once, in the end.

The server's clock is set ahead, so that the policies see the days that the jobs see. Nothing runs
them by itself here: a test calls a policy's job where its schedule would.
"""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import psycopg
import pytest

from ingest.telemetry import jobs, modes, rollup
from ingest.telemetry.model import LEFT_OUT, ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.rules import floor_to
from ingest.telemetry.store import copy_readings
from kernel.db import Database, execute, fetch_tuples, fetch_value
from tests.ingest.telemetry.policies import COLUMNSTORE, REFRESH, RETENTION, run

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTINGS = TelemetrySettings(keep_readings=14 * DAY, compress_after=2 * DAY)
WIDTHS = {"15m": 15 * MINUTE, "1h": HOUR, "1d": DAY}
Bucket = tuple[float, float, int, int]
pytestmark = pytest.mark.parametrize("storage_mode", ["community"], indirect=True)


class Months:
    """An installation of the Community edition whose days the test lets go by."""

    def __init__(self, db: Database, url: str, start: datetime) -> None:
        self.db = db
        self.start = self.now = start
        self.settings = SETTINGS
        self.said: list[ReadingRow] = []
        self._url = url

    async def wait(self, span: timedelta) -> None:
        """Let time go by, for the database as well."""
        self.now += span
        await set_clock(self._url, self.now - self.start)

    async def migrate(self, settings: TelemetrySettings = SETTINGS) -> None:
        """As `silverline migrate` does it, perhaps with other settings."""
        self.settings = settings
        got = await modes.ensure_storage(self.db, StorageMode.COMMUNITY, self.now, settings)
        assert got is StorageMode.COMMUNITY

    async def put(self, *rows: ReadingRow) -> None:
        self.said.extend(rows)
        async with self.db.transaction() as tx:
            await copy_readings(tx, rows)

    async def roll_up(self) -> None:
        await rollup.roll_up(self.db, self.now, self.settings)

    async def maintain(self) -> None:
        await jobs.keep_partitions(self.db, self.now, self.settings)
        await jobs.delete_old(self.db, self.now, self.settings)

    async def refresh(self) -> None:
        """Only the database's scheduler, which does not run here, writes statistics."""
        await run(self.db, REFRESH)
        async with self.db.transaction() as tx:
            await execute(
                tx,
                """
                INSERT INTO _timescaledb_internal.bgw_job_stat
                    (job_id, last_start, last_finish, next_start, last_successful_finish,
                     last_run_success, total_runs, total_duration, total_duration_failures,
                     total_successes, total_failures, total_crashes, consecutive_failures,
                     consecutive_crashes)
                SELECT job_id, now(), now(), now(), now(), true, 1, '1 s', '0 s', 1, 0, 0, 0, 0
                FROM timescaledb_information.jobs WHERE proc_name = %s
                ON CONFLICT (job_id) DO UPDATE
                SET last_finish = now(), last_successful_finish = now()
                """,
                (REFRESH,),
            )

    async def retention(self) -> None:
        await run(self.db, RETENTION)

    async def columnstore(self) -> None:
        await run(self.db, COLUMNSTORE)

    async def a_day(self) -> None:
        """What the jobs and policies do in a day, as few times as it takes."""
        await self.wait(DAY)
        # Twice: a policy leaves a rest for its next run, some minutes later.
        for job in (self.roll_up, self.refresh, self.refresh, self.maintain, self.retention):
            await job()

    async def assert_each_is_shown_once(self) -> None:
        for level, width in WIDTHS.items():
            shown = await self._shown(level)
            expected = buckets(self.said, width)
            assert {key: shown.get(key) for key in expected} == expected, level
            assert shown.keys() == expected.keys(), level

    async def _shown(self, level: str) -> dict[tuple[int, datetime], Bucket]:
        """A bucket may be two rows: what was added after the others had been deleted."""
        async with self.db.connection() as conn:
            rows = await fetch_tuples(
                conn,
                "SELECT device_no, bucket, min(low), max(high), sum(total)::int, sum(n)::int"  # noqa: S608
                f" FROM reading_{level} GROUP BY 1, 2",
            )
        return {(row[0], row[1]): row[2:] for row in rows}


def buckets(rows: list[ReadingRow], width: timedelta) -> dict[tuple[int, datetime], Bucket]:
    """What the readings say, without the database."""
    values: dict[tuple[int, datetime], list[float]] = {}
    for row in rows:
        if not row.quality & LEFT_OUT:
            values.setdefault((row.device_no, floor_to(width, row.time)), []).append(row.value)
    return {key: (min(each), max(each), int(sum(each)), len(each)) for key, each in values.items()}


async def set_clock(url: str, ahead: timedelta) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute(f"SET lab.clock_ahead = {int(ahead.total_seconds())}".encode())


@pytest.fixture
async def months(bare_db: Database, bare_url: str) -> AsyncIterator[Months]:
    """Installed now; the clock is the real one again in the end."""
    async with bare_db.connection() as conn:
        start: datetime = await fetch_value(conn, "SELECT now()")
    await set_clock(bare_url, HOUR)
    async with bare_db.connection() as conn:
        if await fetch_value(conn, "SELECT now()") < start + HOUR:
            pytest.skip("the clock of this server cannot be set")
    await set_clock(bare_url, timedelta())
    await modes.enable_extension(bare_db)
    made = Months(bare_db, bare_url, start)
    await made.migrate()
    yield made
    await set_clock(bare_url, timedelta())


def some(chance: random.Random, now: datetime, number: int) -> list[ReadingRow]:
    """Readings of a day, of the time that readings are kept, and of months, in any order."""
    return [
        ReadingRow(
            now - chance.random() * chance.choice([1, 1, 14, 17, 120]) * DAY,
            chance.randint(1, 3),
            1,
            float(chance.randint(50, 120)),
            chance.choice([0, 0, 0, 1, 2, 8]),
        )
        for _ in range(number)
    ]


@pytest.mark.parametrize("seed", [1])
async def test_whatever_comes_and_whatever_runs_each_reading_is_shown_once(
    months: Months, seed: int
) -> None:
    """Readings of up to 120 days ago, between the runs of every job, in any order."""
    chance = random.Random(seed)
    for _ in range(9):
        await months.put(*some(chance, months.now, chance.randint(5, 25)))
        policies = [months.refresh, months.retention, months.columnstore]
        # Ours run many times a day; for more than a day without them there is no room.
        ran = [months.roll_up, months.maintain, *chance.sample(policies, chance.randint(1, 3))]
        for job in chance.sample(ran, len(ran)):
            await job()
            await months.put(*some(chance, months.now, 2))
        await months.wait(chance.random() * 20 * HOUR)
    for _ in range(5):
        await months.a_day()
    async with months.db.connection() as conn:
        oldest = await fetch_value(conn, "SELECT min(time) FROM reading")
    assert months.now - 15 * DAY <= oldest < months.now - 10 * DAY
    await months.assert_each_is_shown_once()


async def test_days_of_deleted_readings_stay_when_readings_are_to_be_kept_for_longer(
    months: Months,
) -> None:
    """First only the processes know of it, then the policies do."""
    longer = TelemetrySettings(keep_readings=60 * DAY, compress_after=2 * DAY)
    for day in range(23):
        if day == 17:
            months.settings = longer
        await months.put(ReadingRow(months.now - HOUR, 1, 1, 70.0))
        await months.a_day()
    for age in (13, 16, 18):
        await months.put(ReadingRow(months.now - age * DAY, 1, 1, 98.0))
    await months.roll_up()
    await months.refresh()
    await months.migrate(longer)
    await months.put(ReadingRow(months.now - 18 * DAY, 1, 1, 99.0))
    for _ in range(3):
        await months.a_day()
    await months.assert_each_is_shown_once()


async def test_days_between_stay_when_readings_are_to_be_kept_less_long(months: Months) -> None:
    for _ in range(14):
        await months.put(ReadingRow(months.now - HOUR, 1, 1, 70.0))
        await months.a_day()
    await months.migrate(TelemetrySettings(keep_readings=7 * DAY, compress_after=2 * DAY))
    for age in range(14):
        await months.put(ReadingRow(months.now - age * DAY, 1, 1, 99.0))
    await months.retention()
    await months.roll_up()
    for _ in range(3):
        await months.a_day()
    await months.assert_each_is_shown_once()


async def test_a_new_installation_shows_what_it_gets_of_long_ago(months: Months) -> None:
    """Before the first maintenance, which is up to an hour later."""
    await months.put(*(ReadingRow(months.now - age * DAY, 1, 1, 70.0) for age in (8, 13, 20, 100)))
    await months.roll_up()
    for _ in range(3):
        await months.a_day()
    await months.assert_each_is_shown_once()


async def test_what_comes_after_a_long_pause_of_everything_is_shown(months: Months) -> None:
    """The line of deletion is where it was, and readings come before it is moved."""
    for _ in range(3):
        await months.a_day()
    await months.wait(9 * DAY)
    await months.migrate()
    await months.put(*(ReadingRow(months.now - age * DAY, 1, 1, 70.0) for age in range(24)))
    await months.roll_up()
    for _ in range(3):
        await months.a_day()
    await months.assert_each_is_shown_once()
