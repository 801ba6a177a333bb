"""The tables in every mode at hand: partitions, hypertables, conversion, what is never refused."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ingest.telemetry import jobs, modes, rollup, schema_store
from ingest.telemetry.model import ReadingRow, StorageError, StorageMode, TelemetrySettings
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.telemetry.conftest import MODES, Storage

DAY = timedelta(days=1)
SETTINGS = TelemetrySettings()
OWN_JOBS = pytest.mark.parametrize("storage_mode", ["plain", "apache"], indirect=True)
APACHE = pytest.mark.parametrize("storage_mode", ["apache"], indirect=True)
TIMESCALE = pytest.mark.parametrize(
    "storage_mode", [mode for mode in MODES if mode != "plain"], indirect=True
)


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


async def stored(db: Database) -> list[tuple[object, ...]]:
    async with db.connection() as conn:
        return await fetch_tuples(
            conn, "SELECT time, device_no, metric, value, quality FROM reading ORDER BY time"
        )


async def places(db: Database) -> dict[str, int]:
    """Return in which partition or chunk how many readings lie."""
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn, "SELECT tableoid::regclass::text, count(*) FROM reading GROUP BY 1 ORDER BY 1"
        )
    return {row[0]: row[1] for row in rows}


async def test_the_probe_tells_what_the_database_can_do(
    bare_db: Database, storage_mode: StorageMode
) -> None:
    async with bare_db.connection() as conn:
        assert await modes.probe(conn) is StorageMode.PLAIN
    enabled = await modes.enable_extension(bare_db)
    assert enabled is (storage_mode is not StorageMode.PLAIN)
    assert not await modes.enable_extension(bare_db)
    async with bare_db.connection() as conn:
        assert await modes.probe(conn) is storage_mode


async def test_the_tables_have_the_shape_of_the_mode(storage: Storage, now: datetime) -> None:
    async with storage.db.connection() as conn:
        assert await schema_store.shape(conn) is storage.mode
    again = await modes.ensure_storage(storage.db, storage.mode, now)
    assert again is storage.mode


async def test_several_processes_may_ensure_at_once(
    bare_db: Database, storage_mode: StorageMode, now: datetime
) -> None:
    await modes.enable_extension(bare_db)
    got = await asyncio.gather(
        *(modes.ensure_storage(bare_db, storage_mode, now) for _ in range(4))
    )
    assert set(got) == {storage_mode}


async def test_no_reading_is_refused_for_its_time(storage: Storage, now: datetime) -> None:
    rows = [
        ReadingRow(when, 1, 1, 72.5)
        for when in (
            datetime(1970, 1, 1, tzinfo=UTC),
            now - 400 * DAY,
            now - 30 * DAY,
            now,
            now + 3 * DAY,
            datetime(2099, 12, 31, tzinfo=UTC),
        )
    ]
    await put(storage.db, *rows)
    async with storage.db.connection() as conn:
        # The Community edition has a line of deletion from the first day on.
        past = await fetch_tuples(
            conn, "SELECT time, device_no, metric, value, quality FROM reading_past ORDER BY time"
        )
    assert [*past, *await stored(storage.db)] == [tuple(row) for row in rows]
    assert len(past) == (2 if storage.mode is StorageMode.COMMUNITY else 0)


async def test_late_days_get_partitions_of_their_own(storage: Storage, now: datetime) -> None:
    late = [ReadingRow(now - n * DAY, 1, 1, float(n)) for n in (40, 20, 20, 10)]
    await put(storage.db, *late)
    await jobs.keep_partitions(storage.db, now, SETTINGS)
    found = await places(storage.db)
    assert sum(found.values()) == 4
    assert len(found) == 3
    if storage.mode is StorageMode.PLAIN:
        assert found["reading_p20260213"] == 2
        assert "reading_default" not in found


async def test_a_day_that_becomes_due_takes_its_readings_out_of_the_default(
    storage: Storage, now: datetime
) -> None:
    await put(storage.db, ReadingRow(now + 20 * DAY, 1, 1, 36.6))
    await jobs.keep_partitions(storage.db, now + 15 * DAY, SETTINGS)
    assert "reading_default" not in await places(storage.db)
    assert len(await stored(storage.db)) == 1


async def test_partitions_are_made_while_readings_pour_in(storage: Storage, now: datetime) -> None:
    """Days get their partitions while writers add to the same days: nothing is lost or refused."""
    days = [now - n * DAY for n in range(5, 25)]

    async def writer(device_no: int) -> None:
        for day in days:
            await put(storage.db, *(ReadingRow(day, device_no, m, 1.0) for m in range(1, 6)))

    async def maintenance() -> None:
        for _ in range(10):
            await jobs.keep_partitions(storage.db, now, SETTINGS)

    await asyncio.gather(writer(1), writer(2), writer(3), maintenance())
    assert sum((await places(storage.db)).values()) == 3 * 5 * len(days)


@TIMESCALE
async def test_a_plain_database_becomes_a_hypertable_with_its_readings(
    bare_db: Database, storage_mode: StorageMode, now: datetime
) -> None:
    await modes.ensure_storage(bare_db, StorageMode.PLAIN, now)
    rows = [ReadingRow(now - n * DAY, 1, 1, float(n)) for n in range(30, -1, -1)]
    await put(bare_db, *rows)
    await modes.enable_extension(bare_db)
    assert await modes.ensure_storage(bare_db, storage_mode, now) is storage_mode
    assert await stored(bare_db) == [tuple(row) for row in rows]
    await rollup.roll_up(bare_db, now)
    async with bare_db.connection() as conn:
        days = await fetch_value(conn, "SELECT count(*) FROM reading_1d")
        left = await fetch_value(conn, "SELECT to_regclass('reading_partitioned')")
    assert days == 31
    assert left is None


@TIMESCALE
async def test_tables_made_for_more_than_the_database_offers_are_refused(
    storage: Storage, now: datetime
) -> None:
    with pytest.raises(StorageError, match="only offers plain"):
        await modes.ensure_storage(storage.db, StorageMode.PLAIN, now)


@APACHE
async def test_failing_community_features_leave_a_working_storage(
    storage: Storage, now: datetime
) -> None:
    """The Apache edition refuses continuous aggregates: exactly what must not stop the service."""
    got = await modes.ensure_storage(storage.db, StorageMode.COMMUNITY, now)
    assert got is StorageMode.APACHE
    await put(storage.db, ReadingRow(now, 1, 1, 72.0))
    async with storage.db.connection() as conn:
        assert await fetch_value(conn, "SELECT n FROM reading_15m") == 1


@OWN_JOBS
async def test_retention_deletes_what_is_old_and_nothing_else(
    storage: Storage, now: datetime
) -> None:
    ages = [0, 1, 50, 89, 95, 400]
    await put(storage.db, *(ReadingRow(now - n * DAY, 1, 1, float(n)) for n in ages))
    await jobs.keep_partitions(storage.db, now, SETTINGS)
    await rollup.roll_up(storage.db, now)
    await jobs.delete_old(storage.db, now, SETTINGS)
    kept = [row[3] for row in await stored(storage.db)]
    assert kept == [89.0, 50.0, 1.0, 0.0]
    await jobs.delete_old(storage.db, now, SETTINGS)
    assert len(await stored(storage.db)) == 4
