"""Charts at their seams: closed and open parts, partitions left out, deleted readings."""

import json
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry import jobs, rollup
from ingest.telemetry.chart import series
from ingest.telemetry.model import ReadingRow, TelemetrySettings, Window
from ingest.telemetry.rules import LEVELS, Lines, cascade, floor_to
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_tuples
from tests.ingest.telemetry.conftest import Home, Storage

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PLAIN = pytest.mark.parametrize("storage_mode", ["plain"], indirect=True)


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


@given(
    st.sampled_from(LEVELS),
    st.lists(st.integers(0, 4000), min_size=3, max_size=3),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=3),
)
def test_a_cascade_leaves_nothing_out_and_nothing_twice(
    level: object, quarters: list[int], spans: list[tuple[int, int]]
) -> None:
    start = floor_to(28 * DAY, datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    fine, middle, coarse = sorted(quarters, reverse=True)
    lines = Lines(
        start,
        start + fine * 15 * MINUTE,
        floor_to(HOUR, start + middle * 15 * MINUTE),
        floor_to(DAY, start + coarse * 15 * MINUTE),
        aggregates=False,
    )
    whole = [Window(n, start + min(s) * DAY, start + max(s) * DAY) for n, s in enumerate(spans)]
    pieces = [
        window
        for found in cascade(level, whole, lines).values()  # type: ignore[arg-type]
        for window in found
    ]
    for window in whole:
        mine = sorted((p for p in pieces if p.device_no == window.device_no), key=lambda p: p.start)
        if window.start == window.end:
            assert mine == []
            continue
        assert (mine[0].start, mine[-1].end) == (window.start, window.end)
        assert [p.start for p in mine[1:]] == [p.end for p in mine[:-1]]


@pytest.mark.parametrize("rolled", [0, 3, 30, 55, 75])
async def test_the_same_chart_however_far_the_rollup_is(
    storage: Storage, home: Home, now: datetime, rolled: int
) -> None:
    elder, device, chance = await home.elder(), await home.device(), random.Random(5)
    await home.bind(device, elder, now - DAY, now + 20 * HOUR)
    await home.bind(device, elder, now + 30 * HOUR + 17 * MINUTE)
    rows = [
        ReadingRow(now + n * 5 * MINUTE, device, 1, float(chance.randint(50, 120)))
        for n in range(3 * 288)
    ]
    await put(storage.db, *rows)
    await rollup.roll_up(storage.db, now + rolled * HOUR)
    mine = [row for row in rows if not now + 20 * HOUR <= row.time < now + 30 * HOUR + 17 * MINUTE]
    for points in (300, 80, 4):
        async with storage.db.connection() as conn:
            found = await series(conn, elder, 1, now, now + 3 * DAY, points)
        assert found.step is not None
        buckets: dict[datetime, list[float]] = {}
        for row in mine:
            buckets.setdefault(floor_to(found.step, row.time), []).append(row.value)
        assert [(p.time, p.low, p.high, p.n) for p in found.points] == [
            (at, min(values), max(values), len(values)) for at, values in buckets.items()
        ]


@PLAIN
async def test_a_chart_of_deleted_readings_is_made_of_what_is_left_of_them(
    storage: Storage, home: Home, now: datetime
) -> None:
    """Twenty readings in three months are shown singly, but not when half of them are gone."""
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - DAY)
    await put(storage.db, *(ReadingRow(now + n * 5 * DAY, device, 1, 60.0 + n) for n in range(20)))
    await jobs.keep_partitions(storage.db, now + 95 * DAY, TelemetrySettings())
    settings = TelemetrySettings(keep_readings=30 * DAY)
    end = now + 95 * DAY + HOUR
    await rollup.roll_up(storage.db, end)
    async with storage.db.connection() as conn:
        before = await series(conn, elder, 1, now, end, 400)
    await jobs.delete_old(storage.db, end, settings)
    async with storage.db.connection() as conn:
        after = await series(conn, elder, 1, now, end, 400)
    assert before.step is None
    assert len(before.points) == len(after.points) == 20
    assert after.step == 6 * HOUR
    assert [p.mean for p in after.points] == [60.0 + n for n in range(20)]


@PLAIN
async def test_the_planner_sees_only_the_days_of_the_chart(
    storage: Storage, home: Home, now: datetime
) -> None:
    """A year of partitions, a chart of a month: what matters is what is not looked at."""
    elder, device = await home.elder(), await home.device()
    await home.bind(device, elder, now - DAY)
    await put(storage.db, *(ReadingRow(now + n * HOUR, device, 1, 60.0) for n in range(24 * 60)))
    await jobs.keep_partitions(storage.db, now + 60 * DAY, TelemetrySettings())
    await rollup.roll_up(storage.db, now + 60 * DAY)
    async with storage.db.connection() as conn:
        await series(conn, elder, 1, now + 30 * DAY, now + 60 * DAY, 400)
        locked = await fetch_tuples(
            conn,
            "SELECT relation::regclass::text FROM pg_locks WHERE locktype = 'relation'"
            " AND relation::regclass::text ~ '^reading_(p|default)' ORDER BY 1",
        )
    # Two parts of an index and a table; the last closed quarter of an hour lies on one day.
    assert len({name[:17] for (name,) in locked}) <= 2, locked


def test_the_benchmark_measures_every_range(project: Path, tmp_path: Path) -> None:
    sizes = ["--readings", "20000", "--days", "3", "--charts", "3", "--mode", "plain"]
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench.chart", *sizes, "--output", str(tmp_path)],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    (file,) = tmp_path.glob("chart-*.json")
    (found,) = json.loads(file.read_text())["runs"]
    assert found["readings"] >= 20_000
    assert [each["range"] for each in found["charts"]] == ["24 hours", "30 days", "1 year"]
    assert all(each["p95_ms"] > 0 for each in found["charts"])
