"""Quantiles of the rollups: within their error bound, however the readings came and were merged."""

import random
from datetime import datetime, timedelta

import pytest
from psycopg import sql

from ingest.telemetry import rollup
from ingest.telemetry.model import Quality, ReadingRow
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.telemetry.conftest import Storage

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LEVELS = {"15m": "15 minutes", "1h": "1 hour", "1d": "1 day"}


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


def bound(exact: float) -> float:
    """What ingest/telemetry/rollup_store.py promises; the factor is the curve within one bin."""
    return 1.002 * float(exact**2 + 100) ** 0.5 / 800


def people(start: datetime) -> list[ReadingRow]:
    """Two days of heart rate, temperature, steps and something that may be below zero."""
    chance = random.Random(7)
    return [
        ReadingRow(start + n * 3 * MINUTE, device, metric, value)
        for n in range(2 * 480)
        for device in (1, 2)
        for metric, value in (
            (1, float(chance.randint(48, 140))),
            (5, round(chance.gauss(36.6, 0.4), 1)),
            (9, float(n * chance.randint(1, 40))),
            (22, round(chance.uniform(-110, 5), 2)),
        )
    ]


async def compare(db: Database) -> int:
    """Hold every quantile of every level against the readings; returns how many were compared."""
    compared = 0
    for level, width in LEVELS.items():
        query = sql.SQL(
            """
            SELECT q.p5, q.p50, q.p95, e.at, q.low, q.high
            FROM {} q JOIN (
                SELECT device_no, metric, telemetry_bucket({}::interval, time) AS bucket,
                       percentile_disc(ARRAY[0.05, 0.5, 0.95]) WITHIN GROUP (ORDER BY value) AS at
                FROM reading WHERE quality & 10 = 0 GROUP BY 1, 2, 3) e
              USING (device_no, metric, bucket)
            """
        ).format(sql.Identifier(f"reading_quantile_{level}"), sql.Literal(width))
        async with db.connection() as conn:
            rows = await (await conn.execute(query)).fetchall()
        for *found, exact, low, high in rows:
            for got, wanted in zip(found, exact, strict=True):
                assert abs(got - wanted) <= bound(wanted), (level, got, wanted)
                assert low <= got <= high
        compared += len(rows)
    return compared


async def test_quantiles_keep_to_their_bound_at_every_level(
    storage: Storage, now: datetime
) -> None:
    await put(storage.db, *people(now))
    before = await compare(storage.db)
    await rollup.roll_up(storage.db, now + DAY)
    half = await compare(storage.db)
    await rollup.roll_up(storage.db, now + 3 * DAY)
    assert before == half == await compare(storage.db) > 1000


@pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)
async def test_sketches_merge_without_loss(storage: Storage, now: datetime) -> None:
    await put(storage.db, *people(now))
    await rollup.roll_up(storage.db, now + 3 * DAY)
    async with storage.db.connection() as conn:
        different = await fetch_value(
            conn,
            """
            SELECT count(*) FROM reading_sketch_1d s JOIN (
                SELECT device_no, metric, telemetry_bucket('1 day', time) AS bucket,
                       telemetry_sketch(array_agg(telemetry_bin(value))) AS sketch
                FROM reading GROUP BY 1, 2, 3) e USING (device_no, metric, bucket)
            WHERE s.sketch IS DISTINCT FROM e.sketch
            """,
        )
    assert different == 0


@pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)
async def test_minutes_have_quantiles_too(storage: Storage) -> None:
    async with storage.db.connection() as conn:
        at = await fetch_value(conn, "SELECT date_trunc('minute', now()) - interval '5 minutes'")
    seconds = (ReadingRow(at + timedelta(seconds=n), 1, 1, 60.0 + n) for n in range(60))
    await put(storage.db, *seconds, ReadingRow(at, 1, 1, 255.0, Quality.IMPLAUSIBLE))
    async with storage.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT n, p5, p50, p95 FROM reading_quantile_1m")
    assert rows == [(60, pytest.approx(62, abs=0.1), pytest.approx(89, abs=0.2),
                     pytest.approx(116, abs=0.2))]  # fmt: skip


@pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)
async def test_a_bucket_from_before_the_sketches_has_no_quantiles(
    storage: Storage, now: datetime
) -> None:
    """Nor has anything that is made of it: a part would look like the whole."""
    await put(storage.db, *people(now))
    await rollup.roll_up(storage.db, now + DAY)
    async with storage.db.transaction() as tx:
        await tx.execute("UPDATE reading_rollup_15m SET sketch = NULL WHERE bucket < %s", (now,))
        await tx.execute("UPDATE reading_rollup_1h SET sketch = NULL WHERE bucket < %s", (now,))
    async with storage.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT bucket < %s, bool_and(p50 IS NULL), bool_and(mean IS NOT NULL)"
            " FROM reading_quantile_1h GROUP BY 1 ORDER BY 1",
            (now,),
        )
    assert rows == [(False, False, True), (True, True, True)]


@pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)
async def test_values_that_must_not_exist_do_not_stop_the_rollup(
    storage: Storage, now: datetime
) -> None:
    await put(
        storage.db,
        ReadingRow(now, 1, 1, 1.7e308),
        ReadingRow(now, 1, 2, float("-inf")),
        ReadingRow(now, 1, 3, float("nan")),
        ReadingRow(now, 1, 4, 70.0),
    )
    await rollup.roll_up(storage.db, now + 2 * DAY)
    async with storage.db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(p50) FROM reading_quantile_1d") == 4
