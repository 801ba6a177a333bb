"""The Community edition's views, as far as they can be had without it.

Its continuous aggregates show, with materialized_only off, what their query would show: so plain
views of the same queries stand in for them here, on the laboratory's Apache edition. That the very
statements are ones that the extension knows is shown by test_community_statements.py. What policies
do is not tested anywhere but with SILVERLINE_TEST_COMMUNITY_URL.
"""

import random
from datetime import datetime, timedelta

import pytest

from ingest.telemetry import jobs, rollup, rollup_store, schema_store
from ingest.telemetry.chart import series
from ingest.telemetry.model import ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.rollup_store import Mark
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.telemetry.community import apache_words, script
from tests.ingest.telemetry.conftest import Home, Storage
from tests.ingest.telemetry.test_rollup import assert_views_right

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
pytestmark = pytest.mark.parametrize("storage_mode", ["apache"], indirect=True)


@pytest.fixture
async def stand_in(storage: Storage, now: datetime) -> Database:
    """A week of readings and rollups first, as an installation has that is upgraded."""
    await put(storage.db, *week(now))
    await rollup.roll_up(storage.db, now + 7 * DAY)
    async with storage.db.transaction() as tx:
        await tx.execute(apache_words(script("community.sql")).encode())
        assert await schema_store.shape(tx) is StorageMode.COMMUNITY
    return storage.db


def week(start: datetime) -> list[ReadingRow]:
    chance = random.Random(3)
    return [
        ReadingRow(start + n * 15 * MINUTE, device, 1, float(chance.randint(50, 120)))
        for n in range(7 * 96)
        for device in (1, 2)
    ]


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


async def test_the_views_show_what_they_showed(stand_in: Database, now: datetime) -> None:
    await assert_views_right(stand_in)
    await put(stand_in, *week(now + 7 * DAY))
    assert await rollup.roll_up(stand_in, now + 14 * DAY) == rollup.RollupResult()
    await assert_views_right(stand_in)
    async with stand_in.connection() as conn:
        rows = await fetch_tuples(
            conn, "SELECT count(*), count(p50), min(p50) > 70 FROM reading_quantile_1d"
        )
    assert rows == [(30, 30, True)]


async def test_closed_days_stay_with_the_rollup_tables(stand_in: Database, now: datetime) -> None:
    """A refresh does not reach the oldest readings: what is made of them must not be forgotten."""
    async with stand_in.connection() as conn:
        state = await rollup_store.read_state(conn)
        today = await fetch_value(conn, "SELECT telemetry_bucket('1 day', %s)", (now + 7 * DAY,))
    assert state.done_15m == state.done_1h == state.done_1d == today


async def test_late_readings_are_told_of_and_old_buckets_made_right(
    stand_in: Database, now: datetime
) -> None:
    told: list[Mark] = []

    async def recompute(tx: object, marks: object, at: datetime) -> None:
        told.extend(marks)  # type: ignore[call-overload]

    await put(stand_in, ReadingRow(now + DAY, 1, 1, 199.0), ReadingRow(now - DAY, 7, 1, 66.0))
    await rollup.roll_up(stand_in, now + 8 * DAY, None, recompute)
    assert sorted(told) == [
        (1, (now + DAY).replace(minute=0)), (7, (now - DAY).replace(minute=0))
    ]  # fmt: skip
    await assert_views_right(stand_in)


async def test_charts_are_made_of_the_views(stand_in: Database, now: datetime) -> None:
    home = Home(stand_in, now)
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - DAY)
    async with stand_in.connection() as conn:
        found = [
            await series(conn, elder, 1, now, now + 7 * DAY, points) for points in (500, 100, 10)
        ]
    assert [one.step for one in found] == [30 * MINUTE, 120 * MINUTE, DAY]
    assert [sum(p.n for p in one.points) for one in found] == [7 * 96] * 3


async def test_the_policy_is_looked_after_by_valid_statements(
    stand_in: Database, now: datetime
) -> None:
    """Without a job of the database there is nothing to pause, and nothing to fail."""
    await jobs.delete_old(stand_in, now + 8 * DAY, TelemetrySettings())
    async with stand_in.transaction() as tx:
        assert not await schema_store.aggregates_refreshed(tx, now)
        await schema_store.let_policy_delete(tx, allowed=False)


async def test_aggregates_from_before_the_sketches_are_made_anew_with_their_history(
    storage: Storage, now: datetime
) -> None:
    """Tables stand in for what was materialised; of three days the readings are deleted already."""
    db = storage.db
    await put(db, *week(now - 7 * DAY))
    await rollup.roll_up(db, now)
    async with db.transaction() as tx:
        for level, bucket in (("15m", "bucket"), ("1h", "hour"), ("1d", "day")):
            await tx.execute(
                f"CREATE TABLE reading_cagg_{level} AS SELECT device_no, metric,"  # type: ignore[arg-type]  # noqa: S608
                f" bucket AS {bucket}, low, high, total, n FROM reading_{level}"
            )
            await tx.execute(f"DELETE FROM reading_rollup_{level}")  # type: ignore[arg-type]  # noqa: S608
        await tx.execute(
            "UPDATE rollup_state SET done_until = telemetry_bucket('1 day', %s)", (now - 8 * DAY,)
        )
        await tx.execute("DELETE FROM reading WHERE time < %s", (now - 4 * DAY,))
        assert await schema_store.aggregates_without_sketch(tx)
        await tx.execute("SELECT set_config('silverline.refresh_reach', '88 days', true)")
        upgrade = script("community_upgrade.sql").replace("DROP MATERIALIZED VIEW", "DROP TABLE")
        await tx.execute(upgrade.encode())
        await tx.execute(apache_words(script("community.sql")).encode())
        assert not await schema_store.aggregates_without_sketch(tx)
        for level in ("15m", "1h", "1d"):
            rows = await fetch_tuples(
                tx,
                f"SELECT sum(n)::int, min(bucket) < %s FROM reading_{level}",  # type: ignore[arg-type]  # noqa: S608
                (now - 6 * DAY,),
            )
            assert rows == [(2 * 7 * 96, True)], level
