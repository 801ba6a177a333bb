"""Minutes of a device, of any day of which there are readings, and at whose cost."""

import re
from datetime import datetime, timedelta

import pytest

from ingest.telemetry.model import Quality, ReadingRow
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_tuples
from tests.ingest.telemetry.conftest import Storage

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
PLAIN = pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


async def minutes(
    db: Database, device: int, since: datetime, until: datetime
) -> list[tuple[object, ...]]:
    async with db.connection() as conn:
        return await fetch_tuples(
            conn,
            "SELECT bucket, low, high, mean, total, n, p50"
            " FROM reading_minutes(%s, 1, %s, %s) ORDER BY bucket",
            (device, since, until),
        )


async def test_the_minutes_of_any_day_are_those_of_its_readings(
    storage: Storage, now: datetime
) -> None:
    at = now.replace(second=0) - 30 * DAY
    for device in (1, 2):
        every = (ReadingRow(at + n * 20 * SECOND, device, 1, 60.0 + n) for n in range(9))
        await put(storage.db, *every)
    await put(
        storage.db,
        ReadingRow(at, 1, 2, 98.0),
        ReadingRow(at + MINUTE, 1, 1, 255.0, Quality.IMPLAUSIBLE),
        ReadingRow(now, 1, 1, 72.0),
    )
    found = await minutes(storage.db, 1, at, at + 3 * MINUTE)
    near = {"abs": 0.2}
    assert found == [
        (at, 60.0, 62.0, 61.0, 183.0, 3, pytest.approx(61, **near)),
        (at + MINUTE, 63.0, 65.0, 64.0, 192.0, 3, pytest.approx(64, **near)),
        (at + 2 * MINUTE, 66.0, 68.0, 67.0, 201.0, 3, pytest.approx(67, **near)),
    ]
    assert await minutes(storage.db, 1, at - DAY, now + DAY) == [
        *found, (now.replace(second=0), 72.0, 72.0, 72.0, 72.0, 1, pytest.approx(72, **near))
    ]  # fmt: skip


@PLAIN
async def test_a_minute_is_whole_or_not_there(storage: Storage, now: datetime) -> None:
    at = now.replace(second=0)
    await put(storage.db, *(ReadingRow(at + n * 20 * SECOND, 1, 1, 60.0) for n in range(9)))
    found = await minutes(storage.db, 1, at + MINUTE + 30 * SECOND, at + 2 * MINUTE + SECOND)
    assert [(bucket, n) for bucket, *_, n, _ in found] == [(at + MINUTE, 3)]


@PLAIN
async def test_only_the_days_and_the_device_asked_for_are_looked_at(
    storage: Storage, now: datetime
) -> None:
    """By the plan: a partition for each day, and its index by device, metric and time."""
    query = "EXPLAIN (COSTS false) SELECT bucket, n FROM reading_minutes(7, 1, %s, %s)"
    async with storage.db.connection() as conn:
        rows = await fetch_tuples(conn, query, (now, now + MINUTE))
    plan = "\n".join(row[0] for row in rows)
    assert plan.count(" Scan ") == 1
    assert re.search(rf"Index Scan using reading_p{now:%Y%m%d}_device_no_metric_time_idx", plan)
    assert re.search(
        r"Index Cond: \(\(device_no = .* AND \(metric = .* AND .*time. >= .*time. < ", plan
    )
    # Quantiles that nobody asks for are not computed.
    assert "telemetry_sketch" not in plan
