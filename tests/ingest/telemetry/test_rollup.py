"""Rollups: in order, late, raced by writers, and always equal to what the readings say."""

import asyncio
import random
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from psycopg import sql

from ingest.telemetry import jobs, rollup, schema_store
from ingest.telemetry.model import Quality, ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.telemetry.conftest import Storage

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OWN_ROLLUP = pytest.mark.parametrize("storage_mode", ["plain", "apache"], indirect=True)


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


async def shown(db: Database, level: str) -> list[tuple[object, ...]]:
    async with db.connection() as conn:
        query = sql.SQL(
            "SELECT device_no, metric, bucket, low, high, round(mean::numeric, 6), n"
            " FROM {} ORDER BY 1, 2, 3"
        )
        cursor = await conn.execute(query.format(sql.Identifier(f"reading_{level}")))
        return await cursor.fetchall()


async def expected(db: Database, width: str) -> list[tuple[object, ...]]:
    """What a view must show, computed from all readings without any rollup."""
    async with db.connection() as conn:
        return await fetch_tuples(
            conn,
            """
            SELECT device_no, metric, telemetry_bucket(%s::interval, time), min(value), max(value),
                   round((sum(value) / count(*))::numeric, 6), count(*)
            FROM reading WHERE quality & 10 = 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            """,
            (width,),
        )


async def assert_views_right(db: Database) -> None:
    for level, width in (("15m", "15 minutes"), ("1h", "1 hour"), ("1d", "1 day")):
        assert await shown(db, level) == await expected(db, width), level


async def closed(db: Database, level: str) -> int:
    async with db.connection() as conn:
        query = sql.SQL("SELECT FROM {}").format(sql.Identifier(f"reading_rollup_{level}"))
        return (await conn.execute(query)).rowcount


def day_of_readings(start: datetime, devices: int = 2) -> list[ReadingRow]:
    return [
        ReadingRow(start + n * 7 * MINUTE, device, metric, 60 + (n * 37 + metric) % 40)
        for n in range(200)
        for device in range(1, devices + 1)
        for metric in (1, 2)
    ]


async def test_views_show_readings_before_any_rollup(storage: Storage, now: datetime) -> None:
    await put(storage.db, *day_of_readings(now))
    await assert_views_right(storage.db)
    if storage.mode is not StorageMode.COMMUNITY:
        assert await closed(storage.db, "15m") == 0


@OWN_ROLLUP
async def test_buckets_are_closed_in_order_and_once(storage: Storage, now: datetime) -> None:
    await put(storage.db, *day_of_readings(now))
    first = await rollup.roll_up(storage.db, now + 10 * HOUR)
    await assert_views_right(storage.db)
    again = await rollup.roll_up(storage.db, now + 10 * HOUR)
    rest = await rollup.roll_up(storage.db, now + 40 * HOUR)
    await assert_views_right(storage.db)
    assert first.buckets > 0
    assert again == rollup.RollupResult()
    assert rest.buckets > first.buckets
    assert await closed(storage.db, "1d") > 0


async def test_a_run_long_after_the_last_one_catches_up(storage: Storage, now: datetime) -> None:
    await put(storage.db, *day_of_readings(now))
    await rollup.roll_up(storage.db, now + 70 * DAY)
    await put(storage.db, ReadingRow(now + 71 * DAY, 1, 1, 71.0))
    await rollup.roll_up(storage.db, now + 75 * DAY)
    await assert_views_right(storage.db)


async def test_late_readings_open_their_buckets_again(storage: Storage, now: datetime) -> None:
    await put(storage.db, *day_of_readings(now))
    await rollup.roll_up(storage.db, now + 3 * DAY)
    await put(
        storage.db,
        ReadingRow(now + 5 * HOUR, 1, 1, 180.0, Quality.REPLAYED),
        ReadingRow(now + 5 * HOUR, 77, 3, 121.0, Quality.REPLAYED),
        ReadingRow(now - 20 * DAY, 1, 1, 44.0, Quality.REPLAYED),
    )
    result = await rollup.roll_up(storage.db, now + 3 * DAY)
    await assert_views_right(storage.db)
    if storage.mode is not StorageMode.COMMUNITY:
        assert result.late_hours == 3
        assert await rollup.roll_up(storage.db, now + 3 * DAY) == rollup.RollupResult()


async def test_fresh_readings_leave_no_marks(storage: Storage, now: datetime) -> None:
    await put(storage.db, *day_of_readings(now))
    async with storage.db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM reading_late") == 0


@OWN_ROLLUP
async def test_a_late_reading_beside_deleted_ones_is_added_to_their_bucket(
    storage: Storage, now: datetime
) -> None:
    await put(storage.db, *(ReadingRow(now + n * MINUTE, 1, 1, 70.0) for n in range(50)))
    await rollup.roll_up(storage.db, now + 2 * DAY)
    later = now + 100 * DAY
    await rollup.roll_up(storage.db, later)
    await jobs.delete_old(storage.db, later, TelemetrySettings())
    await put(storage.db, ReadingRow(now + MINUTE, 1, 1, 10.0))
    await rollup.roll_up(storage.db, later)
    hour = now.replace(minute=0)
    assert await shown(storage.db, "1h") == [(1, 1, hour, 10.0, 70.0, Decimal("68.823529"), 51)]


async def test_the_minutes_of_the_last_two_days_can_be_read(storage: Storage) -> None:
    async with storage.db.connection() as conn:
        at = await fetch_value(conn, "SELECT date_trunc('minute', now()) - interval '5 minutes'")
    await put(
        storage.db,
        ReadingRow(at, 1, 1, 70.0),
        ReadingRow(at + timedelta(seconds=50), 1, 1, 76.0),
        ReadingRow(at + MINUTE, 1, 1, 90.0),
        ReadingRow(at - 3 * DAY, 1, 1, 60.0),
    )
    rows = [(1, 1, at, 70.0, 76.0, 73, 2), (1, 1, at + MINUTE, 90.0, 90.0, 90, 1)]
    assert await shown(storage.db, "1m") == rows


async def test_tests_and_implausible_values_stay_out(storage: Storage, now: datetime) -> None:
    await put(
        storage.db,
        ReadingRow(now, 1, 1, 72.0),
        ReadingRow(now, 1, 1, 255.0, Quality.IMPLAUSIBLE),
        ReadingRow(now, 1, 1, 1.0, Quality.TEST | Quality.REPLAYED),
    )
    await rollup.roll_up(storage.db, now + DAY)
    rows = await shown(storage.db, "1h")
    assert [(row[3], row[4], row[6]) for row in rows] == [(72.0, 72.0, 1)]


@OWN_ROLLUP
async def test_the_line_waits_for_a_writer_that_is_under_way(
    storage: Storage, now: datetime
) -> None:
    """A batch that began before the line moved and commits after it must not fall between."""
    copied, finish = asyncio.Event(), asyncio.Event()

    async def slow_writer() -> None:
        async with storage.db.transaction() as tx:
            await copy_readings(tx, [ReadingRow(now + MINUTE, 1, 1, 99.0)])
            copied.set()
            await finish.wait()

    writer = asyncio.create_task(slow_writer())
    await copied.wait()
    run = asyncio.create_task(rollup.roll_up(storage.db, now + 5 * HOUR))
    async with storage.db.connection() as conn:
        while not await fetch_value(
            conn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            await conn.commit()
    finish.set()
    await asyncio.gather(writer, run)
    assert await closed(storage.db, "15m") == 1
    await assert_views_right(storage.db)


@OWN_ROLLUP
async def test_a_writer_that_does_not_end_only_postpones_the_rollup(
    storage: Storage, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with storage.db.transaction() as tx:
        await copy_readings(tx, [ReadingRow(now + MINUTE, 1, 1, 99.0)])
        with monkeypatch.context() as patch:
            patch.setattr(schema_store, "_LOCK_TIMEOUT", "100ms")
            assert await rollup.roll_up(storage.db, now + 5 * HOUR) == rollup.RollupResult()
    await rollup.roll_up(storage.db, now + 5 * HOUR)
    assert await closed(storage.db, "15m") == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_the_order_the_views_are_right(
    storage: Storage, now: datetime, seed: int
) -> None:
    """Writers in parallel, fresh and late readings mixed, rollups in between at moving times."""
    chance = random.Random(seed)

    async def writer(device: int) -> None:
        for _ in range(12):
            at = now + chance.random() * 60 * HOUR - chance.choice([0, 0, 0, 30]) * DAY
            await put(
                storage.db,
                *(
                    ReadingRow(
                        at + n * MINUTE,
                        chance.choice([device, 9]),
                        chance.randint(1, 2),
                        chance.randint(50, 120),
                        chance.choice([0, 0, 0, 1, 2, 8]),
                    )
                    for n in range(chance.randint(1, 30))
                ),
            )

    async def roller() -> None:
        for hour in range(0, 60, 10):
            await rollup.roll_up(storage.db, now + hour * HOUR)

    await asyncio.gather(writer(1), writer(2), writer(3), roller(), roller())
    await assert_views_right_after_marks(storage.db, now + 60 * HOUR)


async def assert_views_right_after_marks(db: Database, at: datetime) -> None:
    await rollup.roll_up(db, at)
    await assert_views_right(db)
