"""Late readings in the Community edition: refreshed before anybody is told, and nothing hidden."""

from collections.abc import Collection
from datetime import datetime

import psycopg
import pytest

from ingest.telemetry import rollup, rollup_store
from ingest.telemetry.model import Quality, ReadingRow
from ingest.telemetry.rollup_store import Mark
from kernel.db import Database, Tx, fetch_value
from tests.ingest.telemetry.policies import (
    DAY,
    MINUTE,
    REFRESH,
    SETTINGS,
    days,
    fetch_now,
    install,
    put,
    run,
)
from tests.ingest.telemetry.test_rollup import assert_views_right

pytestmark = pytest.mark.parametrize("storage_mode", ["community"], indirect=True)


@pytest.fixture
async def today(bare_db: Database) -> datetime:
    """The policies go by the database's clock."""
    return (await fetch_now(bare_db)).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
async def db(bare_db: Database, bare_url: str, today: datetime) -> Database:
    """An installation of ten days ago."""
    await install(bare_db, bare_url, today - 10 * DAY, today)
    return bare_db


def late(today: datetime) -> list[ReadingRow]:
    return [
        ReadingRow(today - 7 * DAY, 1, 1, 199.0, Quality.REPLAYED),
        ReadingRow(today - 9 * DAY - MINUTE, 7, 1, 66.0, Quality.REPLAYED),
        ReadingRow(today - 8 * DAY, 7, 1, 55.0, Quality.REPLAYED),
    ]


async def test_late_readings_are_in_their_buckets_when_others_are_told_of_them(
    db: Database, today: datetime
) -> None:
    await put(db, *days(today - 9 * DAY, 9))
    await rollup.roll_up(db, today, SETTINGS)
    await run(db, REFRESH)
    await put(db, *late(today))
    told: list[Mark] = []
    seen: list[object] = []

    async def recompute(tx: Tx, marks: Collection[Mark], at: datetime) -> None:
        told.extend(marks)
        seen.append(await fetch_value(tx, "SELECT max(high) FROM reading_1h WHERE device_no = 1"))

    await rollup.roll_up(db, today + MINUTE, SETTINGS, recompute)
    assert seen == [199.0]
    hours = [(row.device_no, row.time.replace(minute=0)) for row in late(today)]
    assert sorted(told) == sorted(hours)
    await assert_views_right(db)
    await run(db, REFRESH)
    await assert_views_right(db)


async def test_a_refresh_that_meets_a_policys_is_made_up_for_by_the_next_run(
    db: Database, today: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer versions refuse it, as if a lock were not to be had; nobody is told too early."""
    told: list[Mark] = []

    async def recompute(tx: Tx, marks: Collection[Mark], at: datetime) -> None:
        told.extend(marks)

    async def refused(*_: object) -> None:
        raise psycopg.errors.LockNotAvailable("due to a concurrent refresh")

    await rollup.roll_up(db, today, SETTINGS)
    await put(db, *late(today))
    with monkeypatch.context() as patch:
        patch.setattr(rollup_store, "refresh", refused)
        await rollup.roll_up(db, today, SETTINGS, recompute)
    assert told == []
    await rollup.roll_up(db, today, SETTINGS, recompute)
    assert len(told) == 3


async def test_what_comes_during_a_refresh_is_told_after_the_next_one(
    db: Database, today: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(db, *days(today - 9 * DAY, 9))
    await rollup.roll_up(db, today, SETTINGS)
    await run(db, REFRESH)
    refresh = rollup_store.refresh
    between = ReadingRow(today - 5 * DAY, 1, 1, 222.0, Quality.REPLAYED)
    seen: list[tuple[int, object]] = []

    async def interrupted(conn: Tx, level: str, first: datetime, last: datetime) -> None:
        await refresh(conn, level, first, last)
        if level == "15m":
            await put(db, between)

    async def recompute(tx: Tx, marks: Collection[Mark], at: datetime) -> None:
        high = await fetch_value(tx, "SELECT max(high) FROM reading_1h WHERE device_no = 1")
        seen.append((len(marks), high))

    await put(db, *late(today))
    with monkeypatch.context() as patch:
        patch.setattr(rollup_store, "refresh", interrupted)
        await rollup.roll_up(db, today, SETTINGS, recompute)
    await rollup.roll_up(db, today, SETTINGS, recompute)
    assert seen == [(3, 199.0), (1, 222.0)]


@pytest.mark.parametrize("days_ago", [0, 1, 2])
async def test_late_readings_of_one_day_are_in_its_bucket(
    db: Database, today: datetime, days_ago: int
) -> None:
    await put(db, *days(today - 9 * DAY, 9))
    await rollup.roll_up(db, today, SETTINGS)
    await run(db, REFRESH)
    async with db.connection() as conn:
        day = await fetch_value(
            conn, "SELECT telemetry_bucket('1 day', %s)", (today - days_ago * DAY,)
        )
    await put(db, ReadingRow(day + MINUTE, 1, 1, 199.0))
    await rollup.roll_up(db, today, SETTINGS)
    await assert_views_right(db)


async def test_late_readings_of_an_installation_that_was_never_refreshed_hide_nothing(
    db: Database, today: datetime
) -> None:
    await put(db, *days(today - 9 * DAY, 9))
    await rollup.roll_up(db, today, SETTINGS)
    await put(db, ReadingRow(today - DAY, 1, 1, 199.0))
    await rollup.roll_up(db, today, SETTINGS)
    await assert_views_right(db)


async def test_late_readings_of_today_do_not_hide_what_comes_after_them(
    db: Database, today: datetime
) -> None:
    """The day is not closed: what comes later in it is shown as well."""
    await put(db, *days(today - 9 * DAY, 8))
    await run(db, REFRESH)
    await rollup.roll_up(db, today, SETTINGS)
    await put(db, ReadingRow(today - 40 * MINUTE, 1, 1, 130.0))
    await rollup.roll_up(db, today, SETTINGS)
    await put(db, ReadingRow(today - 2 * MINUTE, 1, 1, 131.0), ReadingRow(today, 1, 1, 132.0))
    await rollup.roll_up(db, today + 20 * MINUTE, SETTINGS)
    await assert_views_right(db)


async def test_late_readings_are_refreshed_by_the_policies_as_well(
    db: Database, today: datetime
) -> None:
    await put(db, *days(today - 9 * DAY, 9))
    await run(db, REFRESH)
    await put(db, *late(today)[:2])
    # In batches, of which a rest is left for the next run.
    for _ in range(2):
        await run(db, REFRESH)
    await assert_views_right(db)
