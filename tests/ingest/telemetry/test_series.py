"""What a chart of an elder shows, and the latest values, in every mode."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ingest.telemetry import rollup, store
from ingest.telemetry.chart import series as chart_points
from ingest.telemetry.latest import LatestBuffer
from ingest.telemetry.model import LatestReading, Quality, ReadingRow, Series
from ingest.telemetry.rules import floor_to
from kernel.db import Database, fetch_tuples
from tests.ingest.telemetry.conftest import Home, Storage

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HEART_RATE, SPO2 = 1, 2


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await store.copy_readings(tx, rows)
        await store.upsert_latest(tx, rows)


async def chart(
    db: Database, elder: UUID, start: datetime, end: datetime, max_points: int = 500
) -> Series:
    async with db.connection() as conn:
        return await chart_points(conn, elder, HEART_RATE, start, end, max_points)


def values(series: Series) -> list[float]:
    return [point.mean for point in series.points]


async def test_few_readings_are_shown_as_they_are(
    storage: Storage, home: Home, now: datetime
) -> None:
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - DAY)
    await put(
        storage.db,
        ReadingRow(now + 2 * MINUTE, device, HEART_RATE, 74.0),
        ReadingRow(now, device, HEART_RATE, 72.0),
        ReadingRow(now, device, SPO2, 97.0),
        ReadingRow(now + HOUR, device, HEART_RATE, 80.0),
        ReadingRow(now + MINUTE, device, HEART_RATE, 255.0, Quality.IMPLAUSIBLE),
    )
    got = await chart(storage.db, elder, now, now + HOUR)
    assert got.step is None
    assert [(p.time, p.low, p.high, p.n) for p in got.points] == [
        (now, 72.0, 72.0, 1),
        (now + 2 * MINUTE, 74.0, 74.0, 1),
    ]


async def test_a_month_of_few_readings_is_not_blurred(
    storage: Storage, home: Home, now: datetime
) -> None:
    """Blood pressure is taken twice a day: sixty points in a month, each one worth seeing."""
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - 60 * DAY)
    rows = [ReadingRow(now + n * 12 * HOUR, device, HEART_RATE, 70.0 + n) for n in range(60)]
    await put(storage.db, *rows)
    await rollup.roll_up(storage.db, now + 30 * DAY)
    got = await chart(storage.db, elder, now, now + 30 * DAY)
    assert got.step is None
    assert values(got) == [row.value for row in rows]


@pytest.mark.parametrize(
    ("span", "max_points", "step"),
    [
        (DAY, 300, 5 * MINUTE),
        (3 * DAY, 300, 15 * MINUTE),
        (3 * DAY, 80, HOUR),
        (3 * DAY, 5, DAY),
    ],
)
async def test_many_readings_become_buckets_from_whatever_level(
    storage: Storage, home: Home, now: datetime, span: timedelta, max_points: int, step: timedelta
) -> None:
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - DAY)
    rows = [
        ReadingRow(now + n * 2 * MINUTE, device, HEART_RATE, 60.0 + n % 45)
        for n in range(span // (2 * MINUTE))
    ]
    await put(storage.db, *rows)
    # Half of it is rolled up, the other half is still to be computed when it is read.
    await rollup.roll_up(storage.db, now + span / 2)
    got = await chart(storage.db, elder, now, now + span, max_points)
    buckets: dict[datetime, list[float]] = {}
    for row in rows:
        buckets.setdefault(floor_to(step, row.time), []).append(row.value)
    assert got.step == step
    assert [(p.time, p.low, p.high, p.n) for p in got.points] == [
        (start, min(found), max(found), len(found)) for start, found in buckets.items()
    ]
    assert values(got) == pytest.approx([sum(v) / len(v) for v in buckets.values()])


async def test_two_devices_of_an_elder_make_one_chart(
    storage: Storage, home: Home, now: datetime
) -> None:
    elder, band, oximeter = await home.elder(), await home.device(), await home.device()
    await home.bind(band, elder, now - DAY)
    await home.bind(oximeter, elder, now - DAY)
    await put(
        storage.db,
        *(ReadingRow(now + n * MINUTE, band, HEART_RATE, 70.0) for n in range(0, 60, 2)),
        *(ReadingRow(now + n * MINUTE, oximeter, HEART_RATE, 80.0) for n in range(1, 60, 2)),
    )
    single = await chart(storage.db, elder, now, now + HOUR)
    coarse = await chart(storage.db, elder, now, now + HOUR, max_points=4)
    assert values(single) == [70.0, 80.0] * 30
    assert sum(p.n for p in coarse.points) == 60
    assert {(p.low, p.high) for p in coarse.points} == {(70.0, 80.0)}


@pytest.mark.parametrize("max_points", [2000, 60, 20, 3])
async def test_a_device_that_changed_hands_shows_each_elder_their_own(
    storage: Storage, home: Home, now: datetime, max_points: int
) -> None:
    """The device moves in the middle of a bucket; nobody sees the other's heart rate."""
    first, second, device = await home.elder(), await home.elder(), await home.device()
    moved = now + 20 * HOUR + 7 * MINUTE
    await home.bind(device, first, now - DAY, moved)
    await home.bind(device, second, moved)
    await put(
        storage.db,
        *(
            ReadingRow(now + n * 2 * MINUTE, device, HEART_RATE, 60.0 if n < 604 else 100.0)
            for n in range(1400)
        ),
    )
    await rollup.roll_up(storage.db, now + 45 * HOUR)
    before = await chart(storage.db, first, now - DAY, now + 2 * DAY, max_points)
    after = await chart(storage.db, second, now - DAY, now + 2 * DAY, max_points)
    assert {(p.low, p.high) for p in before.points} == {(60.0, 60.0)}
    assert {(p.low, p.high) for p in after.points} == {(100.0, 100.0)}
    assert sum(p.n for p in before.points) == 604
    assert sum(p.n for p in after.points) == 796


async def test_an_elder_without_devices_has_an_empty_chart(
    storage: Storage, home: Home, now: datetime
) -> None:
    assert await chart(storage.db, await home.elder(), now, now + DAY) == Series(None, ())


async def test_the_view_of_an_elder_follows_the_bindings(
    storage: Storage, home: Home, now: datetime
) -> None:
    first, second, device = await home.elder(), await home.elder(), await home.device()
    await home.bind(device, first, now, now + HOUR)
    await home.bind(device, second, now + 2 * HOUR)
    await put(
        storage.db,
        *(ReadingRow(now + n * HOUR, device, HEART_RATE, float(n)) for n in range(-1, 4)),
    )
    async with storage.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT elder_id, value FROM elder_reading ORDER BY time")
    assert rows == [(first, 0.0), (second, 2.0), (second, 3.0)]


async def test_the_latest_value_is_the_newest_and_not_the_last_to_arrive(
    storage: Storage, home: Home, now: datetime
) -> None:
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - DAY)
    await put(storage.db, ReadingRow(now, device, HEART_RATE, 72.0))
    await put(
        storage.db,
        ReadingRow(now - HOUR, device, HEART_RATE, 99.0, Quality.REPLAYED),
        ReadingRow(now + MINUTE, device, HEART_RATE, 250.0, Quality.IMPLAUSIBLE),
        ReadingRow(now - HOUR, device, SPO2, 96.0),
        ReadingRow(now - 2 * HOUR, device, SPO2, 91.0),
    )
    async with storage.db.connection() as conn:
        got = await store.latest_for_devices(conn, [device])
    assert got == [
        LatestReading(HEART_RATE, now, 72.0, 0, device),
        LatestReading(SPO2, now - HOUR, 96.0, 0, device),
    ]


async def test_the_buffer_writes_each_latest_value_once(
    storage: Storage, home: Home, now: datetime
) -> None:
    device = await home.device()
    buffer = LatestBuffer()
    buffer.note(ReadingRow(now + n * MINUTE, device, HEART_RATE, float(n)) for n in range(100))
    buffer.note([ReadingRow(now + 5 * MINUTE, device, HEART_RATE, 1.0)])
    assert await buffer.flush(storage.db) == 1
    assert await buffer.flush(storage.db) == 0
    async with storage.db.connection() as conn:
        got = await store.latest_for_devices(conn, [device])
    assert [(r.time, r.value) for r in got] == [(now + 99 * MINUTE, 99.0)]


async def test_the_buffer_keeps_what_the_database_did_not_take(
    storage: Storage, now: datetime
) -> None:
    buffer = LatestBuffer()
    buffer.note([ReadingRow(now, 1, HEART_RATE, 72.0)])
    away = await Database.open(storage.url, min_size=0, max_size=1)
    await away.close()
    with pytest.raises(Exception, match="pool"):
        await buffer.flush(away)
    assert len(buffer) == 1
    assert await buffer.flush(storage.db) == 1


async def test_latest_values_are_made_right_after_a_crash(storage: Storage, now: datetime) -> None:
    async with storage.db.transaction() as tx:
        await store.copy_readings(
            tx, [ReadingRow(now - n * MINUTE, 1, HEART_RATE, float(n)) for n in range(30)]
        )
        await store.refresh_latest(tx, now - HOUR)
        got = await store.latest_for_devices(tx, [1])
    assert got == [LatestReading(HEART_RATE, now, 0.0, 0, 1)]


async def test_ten_thousand_readings_in_one_copy(storage: Storage, now: datetime) -> None:
    rows = [
        ReadingRow(now + n * timedelta(seconds=1), 1 + n % 500, 1 + n % 5, n / 7)
        for n in range(10_000)
    ]
    await put(storage.db, *rows)
    async with storage.db.connection() as conn:
        found = await fetch_tuples(
            conn, "SELECT time, device_no, metric, value, quality FROM reading ORDER BY time"
        )
    assert found == [tuple(row) for row in rows]
    assert found[0][0].astimezone(UTC) == now
