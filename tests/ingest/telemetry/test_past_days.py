"""A watch is found in a drawer after months: its days are shown, though readings are deleted."""

import asyncio
import random
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ingest.telemetry import jobs, rollup, rollup_store
from ingest.telemetry.chart import series
from ingest.telemetry.model import (
    Quality,
    ReadingColumns,
    ReadingRow,
    StorageMode,
    TelemetrySettings,
)
from ingest.telemetry.store import append_columns, copy_readings, enter
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.telemetry.community import apache_words, script
from tests.ingest.telemetry.conftest import Home, Storage

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTINGS = TelemetrySettings()
OWN_JOBS = pytest.mark.parametrize("storage_mode", ["plain", "apache"], indirect=True)
COMMUNITY = pytest.mark.parametrize("storage_mode", ["apache", "community"], indirect=True)
WIDTHS = (("15m", "15 minutes"), ("1h", "1 hour"), ("1d", "1 day"))


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


async def count(db: Database, query: str) -> int:
    async with db.connection() as conn:
        number: int = await fetch_value(conn, query)  # type: ignore[arg-type]
    return number


def worn(device: int, start: datetime, days: int) -> list[ReadingRow]:
    chance = random.Random(device)
    return [
        ReadingRow(start + n * 6 * MINUTE, device, 1, float(chance.randint(50, 120)))
        for n in range(days * 240)
    ]


def parts(rows: list[ReadingRow], size: int) -> list[list[ReadingRow]]:
    return [rows[n : n + size] for n in range(0, len(rows), size)]


async def months_go_by(db: Database, until: datetime) -> None:
    await rollup.roll_up(db, until)
    await jobs.keep_partitions(db, until, SETTINGS)
    await jobs.delete_old(db, until, SETTINGS)


async def assert_all_shown(db: Database, rows: list[ReadingRow], *levels: str) -> None:
    """The views show of each bucket what all these readings say, whatever is left of them."""
    async with db.transaction() as tx:
        await tx.execute("CREATE TEMPORARY TABLE said (LIKE reading) ON COMMIT DROP")
        await tx.execute(
            "INSERT INTO said SELECT * FROM unnest(%s::timestamptz[], %s::bigint[],"
            " %s::smallint[], %s::double precision[], %s::smallint[])",
            [list(column) for column in zip(*rows, strict=True)],
        )
        for level, width in WIDTHS:
            if level not in levels:
                continue
            shown, expected = (
                "SELECT device_no, metric, bucket, low, high, sum(total)::int, sum(n)::int"  # noqa: S608
                f" FROM reading_{level} WHERE low > 0 GROUP BY 1, 2, 3, 4, 5",
                f"SELECT device_no, metric, telemetry_bucket('{width}', time), min(value),"  # noqa: S608
                " max(value), sum(value)::int, count(*)::int FROM said GROUP BY 1, 2, 3",
            )
            for one, other in ((shown, expected), (expected, shown)):
                missing = await fetch_tuples(tx, f"({one}) EXCEPT ({other})")  # type: ignore[arg-type]
                assert missing == [], level


@OWN_JOBS
async def test_days_from_a_drawer_are_added_to_what_is_left_of_them(
    storage: Storage, now: datetime
) -> None:
    db = storage.db
    # Watch 2 sends every second reading of a day at once, and the rest with ten more days later.
    first, drawer = worn(2, now, 1)[::2], worn(2, now, 1)[1::2] + worn(2, now + DAY, 10)
    others = worn(1, now, 12)
    await put(db, *first, *others)
    later = now + 120 * DAY
    await months_go_by(db, later)
    assert await count(db, "SELECT count(*) FROM reading") == 0

    for part in parts(drawer, 500):
        await put(db, *part)
        await rollup.roll_up(db, later)
    assert await rollup.roll_up(db, later) == rollup.RollupResult()
    await months_go_by(db, later)
    await assert_all_shown(db, first + drawer + others, "15m", "1h", "1d")
    assert await count(db, "SELECT count(*) FROM reading_past") == 0
    assert await count(db, "SELECT count(*) FROM reading") == 0
    async with db.connection() as conn:
        quantiles = await fetch_tuples(
            conn, "SELECT n, p50 BETWEEN 70 AND 100 FROM reading_quantile_1d WHERE device_no = 2"
        )
    assert len(quantiles) == 12
    assert all(right for n, right in quantiles if n > 100)


@OWN_JOBS
async def test_the_year_chart_of_the_elder_shows_them(
    storage: Storage, home: Home, now: datetime
) -> None:
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - DAY)
    later = now + 200 * DAY
    await months_go_by(storage.db, later)
    await put(storage.db, *worn(device, now, 20))
    await rollup.roll_up(storage.db, later)
    async with storage.db.connection() as conn:
        year = await series(conn, elder, 1, later - 365 * DAY, later, 400)
    assert year.step == DAY
    assert sum(point.n for point in year.points) == 20 * 240
    assert len(year.points) == 21
    # Quarters of an hour of that time are not kept any more: none are made.
    assert await count(storage.db, "SELECT count(*) FROM reading_rollup_15m") == 0
    assert await count(storage.db, "SELECT count(*) FROM reading_rollup_1h") > 0


@OWN_JOBS
async def test_columns_go_the_same_ways_and_what_does_not_count_is_dropped(
    storage: Storage, now: datetime
) -> None:
    later = now + 120 * DAY
    await months_go_by(storage.db, later)
    rows = [
        ReadingRow(now, 3, 1, 70.0),
        ReadingRow(now + MINUTE, 3, 1, 300.0, int(Quality.IMPLAUSIBLE)),
        ReadingRow(now + 2 * MINUTE, 3, 1, 74.0, int(Quality.REPLAYED)),
        ReadingRow(later - DAY, 3, 1, 80.0),
        ReadingRow(later, 3, 1, 81.0),
    ]
    columns = ReadingColumns(
        np.array([int(row.time.timestamp() * 1_000_000) for row in rows], dtype=np.int64),
        *(np.array([row[n] for row in rows]) for n in range(1, 5)),
    )
    async with storage.db.transaction() as tx:
        await append_columns(tx, columns, await enter(tx))
    assert await count(storage.db, "SELECT count(*) FROM reading") == 2
    found = await rollup.roll_up(storage.db, later)
    assert (found.past_readings, found.late_hours) == (3, 1)
    await assert_all_shown(storage.db, [rows[0], rows[2], *rows[3:]], "15m", "1h", "1d")


@OWN_JOBS
async def test_the_day_at_the_line_is_made_of_both_sides(storage: Storage, now: datetime) -> None:
    """A day of China has hours before and after midnight UTC: some added, some computed again."""
    whole = worn(4, now, 3)
    await put(storage.db, *whole[::3])
    line = (now + 2 * DAY).replace(hour=0, minute=0)
    later = line + SETTINGS.keep_readings
    await months_go_by(storage.db, later)
    assert 0 < await count(storage.db, "SELECT count(*) FROM reading") < len(whole) / 3
    for n in (1, 2):
        await put(storage.db, *whole[n::3])
        found = await rollup.roll_up(storage.db, later)
        assert found.past_readings
        assert found.late_hours
    await assert_all_shown(storage.db, whole, "15m", "1h", "1d")


@OWN_JOBS
async def test_nothing_is_lost_or_doubled_while_the_line_moves(
    storage: Storage, now: datetime
) -> None:
    """Writers of old readings, the rollup and the retention at once."""
    rows = worn(5, now, 4)
    later = now + 91 * DAY

    async def write() -> None:
        for part in parts(rows, 24):
            await put(storage.db, *part)

    async def maintain() -> None:
        for n in range(5):
            await months_go_by(storage.db, later + n * DAY)

    await rollup.roll_up(storage.db, later)
    await asyncio.gather(write(), maintain())
    await months_go_by(storage.db, later + 10 * DAY)
    assert await count(storage.db, "SELECT count(*) FROM reading") == 0
    await assert_all_shown(storage.db, rows, "15m", "1h", "1d")


async def become_community(storage: Storage) -> None:
    """In the Apache edition plain views stand in for the aggregates."""
    if storage.mode is StorageMode.APACHE:
        async with storage.db.transaction() as tx:
            await tx.execute(apache_words(script("community.sql")).encode())


@COMMUNITY
async def test_in_the_community_mode_they_are_beside_the_aggregates(
    storage: Storage, now: datetime, project: Path
) -> None:
    """What the policy deletes is deleted by hand."""
    db = storage.db
    steady = worn(1, now, 3)
    await put(db, *steady)
    await rollup.roll_up(db, now + 3 * DAY)
    await become_community(storage)
    async with db.connection() as conn:
        state = await rollup_store.read_state(conn)
    # What our own job had closed beyond the line is not shown twice.
    await assert_all_shown(db, steady, "15m", "1h", "1d")
    migration = (project / "migrations/0022_past_readings.sql").read_text("utf-8")
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO reading_rollup_1d SELECT * FROM reading_sketch_1d WHERE bucket >= %s",
            (state.done_1d,),
        )
        await tx.execute(migration[migration.index("DO $$") :].encode())
    await assert_all_shown(db, steady, "15m", "1h", "1d")

    closed, open_day = worn(6, now, 1), worn(6, state.done_1d + DAY, 1)
    later = now + 120 * DAY
    await months_go_by(db, later)
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM reading")
    await put(db, *closed, *open_day)
    assert await count(db, "SELECT count(*) FROM reading") == 0
    found = await rollup.roll_up(db, later)
    assert found.past_readings == len(closed) + len(open_day)
    kept = [row for row in steady if row.time < state.done_1d]
    await assert_all_shown(db, kept + closed + open_day, "15m", "1h", "1d")
    await jobs.delete_old(db, later, SETTINGS)
    await assert_all_shown(db, kept + closed + open_day, "1h", "1d")


@COMMUNITY
async def test_the_line_of_the_community_mode_lies_where_a_refresh_still_reaches(
    storage: Storage, now: datetime
) -> None:
    await become_community(storage)
    await jobs.delete_old(storage.db, now, SETTINGS)
    line = await count(storage.db, "SELECT done_until FROM rollup_state WHERE level = 'raw'")
    assert now - 88 * DAY + DAY < line <= now - 84 * DAY
