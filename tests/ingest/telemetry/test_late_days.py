"""A day that comes late, and what is deleted: nothing goes before it is part of the next level."""

from collections.abc import Collection
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from ingest.telemetry import jobs, modes, rollup, schema_store
from ingest.telemetry.model import Quality, ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.rollup_store import Mark
from ingest.telemetry.store import copy_readings, latest_for_devices, upsert_latest
from kernel.db import Database, Tx, fetch_tuples, fetch_value
from tests.ingest.telemetry.conftest import Storage

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTINGS = TelemetrySettings()
OWN_JOBS = pytest.mark.parametrize("storage_mode", ["plain", "apache"], indirect=True)


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)
        await upsert_latest(tx, rows)


@pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)
@pytest.mark.parametrize(("ahead", "level"), [(0 * DAY, "info"), (15 * DAY, "warning")])
async def test_that_a_reader_is_in_the_way_is_worth_a_warning_only_when_tomorrow_has_no_room(
    storage: Storage,
    now: datetime,
    ahead: timedelta,
    level: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schema_store, "_LOCK_TIMEOUT", "100ms")
    await put(storage.db, ReadingRow(now - 40 * DAY, 1, 1, 36.6))
    async with storage.db.transaction() as reading:
        await reading.execute("LOCK TABLE reading IN ACCESS SHARE MODE")
        with capture_logs() as said:
            await jobs.keep_partitions(storage.db, now + ahead, SETTINGS)
    assert [(one["event"], one["log_level"]) for one in said] == [
        ("telemetry.partitions_postponed", level)
    ]


async def test_readings_of_the_past_that_come_at_once_find_room(
    storage: Storage, now: datetime
) -> None:
    await modes.make_room(storage.db, now - 6 * DAY, now)
    await put(storage.db, *(ReadingRow(now - n * DAY, 1, 1, float(n)) for n in range(6)))
    if storage.mode is StorageMode.PLAIN:
        assert await count(storage.db, "SELECT count(*) FROM reading_default") == 0
    assert await count(storage.db, "SELECT count(*) FROM reading") == 6


async def count(db: Database, query: str) -> int:
    async with db.connection() as conn:
        number: int = await fetch_value(conn, query)  # type: ignore[arg-type]
    return number


async def test_a_day_offline_lands_where_it_belongs(storage: Storage, now: datetime) -> None:
    """Two devices; one was away for a day and sends it all at once, two days later."""
    steady = [ReadingRow(now + n * 5 * MINUTE, 1, 1, 60.0 + n % 30) for n in range(4 * 288)]
    before = [ReadingRow(now - 10 * MINUTE, 2, 1, 50.0)]
    after = [ReadingRow(now + 3 * DAY, 2, 1, 75.0)]
    await put(storage.db, *steady, *before, *after)
    await rollup.roll_up(storage.db, now + 4 * DAY)
    told: list[Mark] = []

    async def recompute(tx: Tx, marks: Collection[Mark], at: datetime) -> None:
        assert at == now + 4 * DAY
        seen = await fetch_value(tx, "SELECT count(*) FROM reading WHERE device_no = 2")
        assert seen == 290
        told.extend(marks)

    lost_day = [
        ReadingRow(now + n * 5 * MINUTE, 2, 1, 80.0 + n % 7, Quality.REPLAYED) for n in range(288)
    ]
    await put(storage.db, *lost_day)
    await rollup.roll_up(storage.db, now + 4 * DAY, SETTINGS, recompute)

    first = now.replace(minute=0)
    assert sorted(told) == [(2, first + n * HOUR) for n in range(24)]
    async with storage.db.connection() as conn:
        for width, level in (("15 minutes", "15m"), ("1 hour", "1h"), ("1 day", "1d")):
            different = await fetch_tuples(
                conn,
                f"""
                SELECT device_no, bucket, low, high, n FROM reading_{level}
                EXCEPT
                SELECT device_no, telemetry_bucket('{width}', time), min(value), max(value),
                       count(*) FROM reading GROUP BY 1, 2
                """,  # type: ignore[arg-type]  # noqa: S608 - words of this test
            )
            assert different == [], level
        quantiles = await fetch_tuples(
            conn, "SELECT p50 FROM reading_quantile_1d WHERE device_no = 2 AND n > 100"
        )
        latest = await latest_for_devices(conn, [2])
    assert all(80 <= p50 <= 86 for (p50,) in quantiles)
    assert [(one.time, one.value) for one in latest] == [(now + 3 * DAY, 75.0)]


@pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)
async def test_who_fails_to_recompute_is_told_again(storage: Storage, now: datetime) -> None:
    await rollup.roll_up(storage.db, now + DAY)
    await put(storage.db, ReadingRow(now, 1, 1, 70.0))
    told: list[Mark] = []

    async def fails(tx: Tx, marks: Collection[Mark], at: datetime) -> None:
        raise RuntimeError("not today")

    async def listens(tx: Tx, marks: Collection[Mark], at: datetime) -> None:
        told.extend(marks)

    with pytest.raises(RuntimeError):
        await rollup.roll_up(storage.db, now + DAY, SETTINGS, fails)
    await rollup.roll_up(storage.db, now + DAY, SETTINGS, listens)
    assert told == [(1, now.replace(minute=0))]


@OWN_JOBS
async def test_readings_stay_until_they_are_rolled_up(storage: Storage, now: datetime) -> None:
    """The rollup stood still for months: retention waits for it."""
    later = now + 200 * DAY
    await put(storage.db, *(ReadingRow(now + n * DAY, 1, 1, 70.0) for n in range(5)))
    await jobs.keep_partitions(storage.db, now + 5 * DAY, SETTINGS)
    await jobs.delete_old(storage.db, later, SETTINGS)
    assert await count(storage.db, "SELECT count(*) FROM reading") == 5
    await rollup.roll_up(storage.db, later)
    await jobs.delete_old(storage.db, later, SETTINGS)
    assert await count(storage.db, "SELECT count(*) FROM reading") == 0
    assert await count(storage.db, "SELECT sum(n)::int FROM reading_1d") == 5


@OWN_JOBS
async def test_readings_that_came_late_stay_until_their_hour_was_computed_again(
    storage: Storage, now: datetime
) -> None:
    later = now + 60 * DAY
    await rollup.roll_up(storage.db, later)
    await put(storage.db, ReadingRow(now + DAY, 1, 1, 70.0))
    await jobs.keep_partitions(storage.db, later, SETTINGS)
    await jobs.delete_old(storage.db, now + 200 * DAY, SETTINGS)
    assert await count(storage.db, "SELECT count(*) FROM reading") == 1
    await rollup.roll_up(storage.db, later)
    await jobs.delete_old(storage.db, now + 200 * DAY, SETTINGS)
    assert await count(storage.db, "SELECT count(*) FROM reading") == 0
    assert await count(storage.db, "SELECT sum(n)::int FROM reading_1h") == 1


@pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)
async def test_finer_rollups_go_and_coarser_ones_stay(storage: Storage, now: datetime) -> None:
    settings = TelemetrySettings(keep_readings=7 * DAY, keep_15m=30 * DAY, keep_1h=90 * DAY)
    await put(storage.db, *(ReadingRow(now + n * DAY, 1, 1, 70.0) for n in range(5)))
    later = now + 150 * DAY
    await rollup.roll_up(storage.db, later, settings)
    await jobs.delete_old(storage.db, later, settings)
    kept = [
        await count(storage.db, f"SELECT count(*) FROM reading_rollup_{level}")  # noqa: S608
        for level in ("15m", "1h", "1d")
    ]
    assert kept == [0, 0, 5]
