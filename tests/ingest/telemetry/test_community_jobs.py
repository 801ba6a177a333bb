"""What the jobs of TimescaleDB's Community edition leave of readings, charts and rollups."""

import re
from datetime import datetime
from typing import Any

import pytest

from ingest.telemetry import jobs, modes, rollup, schema_store
from ingest.telemetry.chart import series
from ingest.telemetry.model import Quality, ReadingRow, StorageMode, TelemetrySettings
from kernel.db import Database, execute, fetch_tuples, fetch_value
from tests.ingest.telemetry.community import script
from tests.ingest.telemetry.conftest import Home
from tests.ingest.telemetry.policies import (
    COLUMNSTORE,
    DAY,
    HOUR,
    LEVELS,
    REFRESH,
    RETENTION,
    SETTINGS,
    days,
    fetch_now,
    in_tables,
    install,
    materialised,
    of_all,
    put,
    run,
)
from tests.ingest.telemetry.test_rollup import assert_views_right, expected, shown

pytestmark = pytest.mark.parametrize("storage_mode", ["community"], indirect=True)


@pytest.fixture
async def today(bare_db: Database) -> datetime:
    """The policies go by the database's clock."""
    return (await fetch_now(bare_db)).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
async def db(
    request: pytest.FixtureRequest, bare_db: Database, bare_url: str, today: datetime
) -> Database:
    """An installation of ten days ago, or of as many as the test says."""
    await install(bare_db, bare_url, today - getattr(request, "param", 10) * DAY, today)
    return bare_db


async def test_what_is_refreshed_is_what_the_readings_say(db: Database, today: datetime) -> None:
    await put(db, *days(today - 9 * DAY, 8))
    await assert_views_right(db)
    assert await run(db, REFRESH) == 3
    assert await materialised(db, "15m") == 2 * 8 * 96
    assert await materialised(db, "1d") >= 2 * 8
    await put(db, *days(today, 1)[:6])
    await assert_views_right(db)
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT count(*) = count(p50), min(p50) FILTER (WHERE n = 96) > 70, max(p95) <= 121"
            " FROM reading_quantile_1d",
        )
    assert rows == [(True, True, True)]


async def test_days_in_the_columnstore_are_read_and_take_late_readings(
    db: Database, today: datetime
) -> None:
    home = Home(db, today)
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, today - 40 * DAY)
    await put(
        db, *(row._replace(device_no=device) for row in days(today - 10 * DAY, 10, HOUR)[::2])
    )
    await run(db, REFRESH)
    before = await of_all(db)
    async with db.connection() as conn:
        chart = await series(conn, elder, 1, today - 10 * DAY, today, 100)
        raw = await series(conn, elder, 1, today - 6 * DAY, today - 5 * DAY, 500)
    sizes = await in_tables(db)
    assert min(sizes[f"reading_cagg_{level}"] for level in LEVELS) > 50_000
    assert await run(db, COLUMNSTORE) == 1
    packed_sizes = await in_tables(db)
    assert packed_sizes["reading"] < sizes["reading"]
    assert packed_sizes["reading_compressed"] > sizes["reading_compressed"] + 50_000
    async with db.connection() as conn:
        packed = await fetch_value(
            conn,
            "SELECT count(*) FROM timescaledb_information.chunks"
            " WHERE hypertable_name = 'reading' AND is_compressed",
        )
        assert packed >= 7
        assert await series(conn, elder, 1, today - 10 * DAY, today, 100) == chart
        assert await series(conn, elder, 1, today - 6 * DAY, today - 5 * DAY, 500) == raw
    assert await of_all(db) == before
    await put(db, ReadingRow(today - 6 * DAY, device, 1, 180.0, Quality.REPLAYED))
    await rollup.roll_up(db, today, SETTINGS)
    await run(db, REFRESH)
    await assert_views_right(db)
    await run(db, COLUMNSTORE)
    await assert_views_right(db)


@pytest.mark.parametrize("db", [20], indirect=True)
async def test_what_was_made_of_deleted_readings_stays(db: Database, today: datetime) -> None:
    """Nor does a refresh after the deletion empty the buckets."""
    await put(db, *days(today - 17 * DAY, 6, HOUR), *days(today - 3 * DAY, 3))
    await rollup.roll_up(db, today - 9 * DAY, SETTINGS)
    async with db.dedicated() as conn:
        # As it was refreshed when these days were young.
        for level in LEVELS:
            await conn.execute(
                f"CALL refresh_continuous_aggregate('reading_cagg_{level}', NULL, NULL)"
            )
    before = await of_all(db)
    assert await run(db, RETENTION) == 3
    async with db.connection() as conn:
        oldest = await fetch_value(conn, "SELECT min(time) FROM reading")
    assert oldest >= today - 15 * DAY
    await jobs.delete_old(db, today, SETTINGS)
    for _ in range(2):
        await run(db, REFRESH)
        assert await of_all(db) == before
    await put(db, ReadingRow(today - 16 * DAY, 1, 1, 10.0, Quality.REPLAYED))
    await rollup.roll_up(db, today, SETTINGS)
    for _ in range(2):
        await run(db, REFRESH)
    after = await of_all(db)
    for level in LEVELS:
        assert set(before[level]) < set(after[level])
        # A row of its own: the other's readings are gone, and with them what could join the two.
        assert [row[3:] for row in after[level] if row not in before[level]] == [(10, 10, 10, 1)]


async def test_an_installation_that_changes_over_keeps_its_history(
    bare_db: Database, bare_url: str, today: datetime
) -> None:
    """Years of closed days from before, the oldest readings deleted, and then the policies run."""
    await modes.ensure_storage(bare_db, StorageMode.PLAIN, today - 19 * DAY)
    await put(bare_db, *days(today - 19 * DAY, 19, HOUR))
    await jobs.keep_partitions(bare_db, today, SETTINGS)
    await rollup.roll_up(bare_db, today, SETTINGS)
    await assert_views_right(bare_db)
    before = await of_all(bare_db)
    await jobs.delete_old(bare_db, today, SETTINGS)
    await modes.enable_extension(bare_db)
    got = await modes.ensure_storage(bare_db, StorageMode.COMMUNITY, today, SETTINGS)
    assert got is StorageMode.COMMUNITY
    for procedure in (REFRESH, COLUMNSTORE, RETENTION, REFRESH):
        assert await run(bare_db, procedure) >= 1
        assert await of_all(bare_db) == before, procedure
    late_one = ReadingRow(today - 5 * DAY, 1, 1, 201.0, Quality.REPLAYED)
    await put(bare_db, late_one)
    await rollup.roll_up(bare_db, today, SETTINGS)
    await run(bare_db, REFRESH)
    for level, width in LEVELS.items():
        of_readings: dict[Any, Any] = {row[:3]: row for row in await expected(bare_db, width)}
        of_view: dict[Any, Any] = {row[:3]: row for row in await shown(bare_db, level)}
        assert 201.0 in [row[4] for row in of_view.values()]
        # Of the first day that is left some readings are deleted.
        first = min(key[2] for key in of_readings)
        whole = [key for key in of_readings if key[2] > first]
        assert [of_view[key] for key in whole] == [of_readings[key] for key in whole], level


async def test_the_database_does_not_delete_while_its_aggregates_stand_still(
    db: Database, today: datetime
) -> None:
    async with db.transaction() as tx:
        # They came when they were young.
        await tx.execute("UPDATE rollup_state SET done_until = '-infinity' WHERE level = 'raw'")
    await put(db, *days(today - 19 * DAY, 2))
    await jobs.delete_old(db, today, SETTINGS)
    # A restart does not let it go on.
    await modes.ensure_storage(db, StorageMode.COMMUNITY, today, SETTINGS)
    # Those of the aggregates go on: what they delete has its next level in any case.
    assert await run(db, RETENTION) == 2
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM reading") == 2 * 2 * 96
    await refreshed_by_schedule(db, 2)
    await jobs.delete_old(db, today, SETTINGS)
    assert await run(db, RETENTION) == 2
    await refreshed_by_schedule(db, 3)
    await modes.ensure_storage(db, StorageMode.COMMUNITY, today, SETTINGS)
    await jobs.delete_old(db, today, SETTINGS)
    assert await run(db, RETENTION) == 3
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM reading") == 0


async def refreshed_by_schedule(db: Database, number: int) -> None:
    """Only the database's scheduler, which does not run here, writes its statistics."""
    await run(db, REFRESH)
    async with db.transaction() as tx:
        await execute(
            tx,
            """
            INSERT INTO _timescaledb_internal.bgw_job_stat
                (job_id, last_start, last_finish, next_start, last_successful_finish,
                 last_run_success, total_runs, total_duration, total_duration_failures,
                 total_successes, total_failures, total_crashes, consecutive_failures,
                 consecutive_crashes)
            SELECT job_id, now(), now(), now(), now(), true, 1, '1 s', '0 s', 1, 0, 0, 0, 0
            FROM (SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %s
                  ORDER BY job_id LIMIT %s) AS j
            ON CONFLICT (job_id) DO UPDATE SET last_successful_finish = now()
            """,
            (REFRESH, number),
        )
        fresh = number == len(LEVELS)
        assert fresh is await schema_store.aggregates_refreshed(
            tx, await fetch_value(tx, "SELECT now()")
        )


async def test_changed_settings_change_the_policies(db: Database, today: datetime) -> None:
    shorter = TelemetrySettings(keep_readings=30 * DAY, compress_after=3 * DAY)
    await modes.ensure_storage(db, StorageMode.COMMUNITY, today, shorter)
    async with db.connection() as conn:
        found = await fetch_tuples(
            conn,
            "SELECT proc_name, config FROM timescaledb_information.jobs"
            " WHERE hypertable_name = 'reading' ORDER BY proc_name",
        )
    told: dict[str, dict[str, object]] = dict(found)
    assert told[RETENTION]["drop_after"] == "30 days"
    assert told[COLUMNSTORE]["compress_after"] == "3 days"
    assert len(found) == 2


async def test_aggregates_from_before_the_sketches_are_made_anew_with_their_history(
    db: Database, today: datetime
) -> None:
    """As an installation has them that is older than migration 0011, with its readings deleted."""
    async with db.transaction() as tx:
        await tx.execute("SELECT telemetry_define_views()")
        for level in ("1d", "1h", "15m"):
            await tx.execute(f"DROP MATERIALIZED VIEW reading_cagg_{level}")
        older = script("community.sql").split("-- reading_15m and the rest")[0]
        await tx.execute(without_sketches(older).encode())
        await tx.execute("UPDATE rollup_state SET done_until = telemetry_bucket('1 day', %s)"
                         " WHERE level <> 'raw'", (today - 20 * DAY,))  # fmt: skip
        assert await schema_store.aggregates_without_sketch(tx)
    await put(db, *days(today - 19 * DAY, 19, HOUR))
    want = {level: await expected(db, width) for level, width in LEVELS.items()}
    async with db.dedicated() as conn:
        for level in LEVELS:
            await conn.execute(
                f"CALL refresh_continuous_aggregate('reading_cagg_{level}', NULL, NULL)"
            )
        await conn.execute("SELECT drop_chunks('reading', older_than => interval '11 days')")
    got = await modes.ensure_storage(db, StorageMode.COMMUNITY, today, SETTINGS)
    assert got is StorageMode.COMMUNITY
    async with db.connection() as conn:
        assert not await schema_store.aggregates_without_sketch(conn)
    for _ in range(2):
        assert await of_all(db) == want
        await run(db, REFRESH)


def without_sketches(text: str) -> str:
    lines = [line for line in text.splitlines() if "sketch" not in line]
    return re.sub(r" AS n,$", " AS n", "\n".join(lines), flags=re.MULTILINE)
