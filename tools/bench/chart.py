"""How long an elder's chart takes from a table of very many readings.

    python -m tools.bench.chart [--readings 100000000] [--mode plain|apache] [--days 365]

Makes readings of a year, one a minute of each elder's five metrics, inside of the server; closes
the rollups with the statements of the rollup job; then asks for the chart of one metric over 24
hours, 30 days and a year, as the elder's page does, of every elder in turn. 100 million readings
take about 11 GB with their index. The whole call is measured: asking, planning, reading, points.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg

from ingest.telemetry import rollup, rollup_store, status_store
from ingest.telemetry.chart import series
from ingest.telemetry.model import StorageMode
from ingest.telemetry.rules import floor_to
from ingest.telemetry.schema_store import make_reading_partitions, make_rollup_partitions
from kernel.clock import utcnow
from kernel.db import Database, Tx, fetch_tuples, fetch_value
from tools.bench.database import BenchDatabase, bench_database, bench_server

_METRICS = (1, 2, 3, 4, 5)
_DAY = timedelta(days=1)
_RANGES = {"24 hours": _DAY, "30 days": 30 * _DAY, "1 year": 365 * _DAY}
_MOST_POINTS = 400
_LIMIT_MS = 50.0
_HANDS = 2
_COLUMNS = (
    ("buckets", 17),
    ("points", 8),
    ("charts", 8),
    ("p50 ms", 9),
    ("p95 ms", 9),
    ("max ms", 9),
)
_NO_SYNC = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB"}
"""What is measured is reading; the table only has to be there soon."""


@dataclass(frozen=True, slots=True)
class World:
    """How many elders, each with a reading a minute of every metric, for how many days."""

    elders: int
    days: int

    @property
    def readings(self) -> int:
        """Rows of the table."""
        return self.elders * len(_METRICS) * 1440 * self.days


def world(readings: int, days: int) -> World:
    """Return the smallest world with at least so many readings."""
    each = len(_METRICS) * 1440 * days
    return World(max(1, -(-readings // each)), days)


async def build(bench: BenchDatabase, size: World, now: datetime) -> None:
    """Fill the tables: people, readings day by day, the index, the rollups."""
    db = bench.db
    end = floor_to(_DAY, now)
    days = [end - n * _DAY for n in range(size.days, -1, -1)]
    await _timed("people and partitions", _prepare(db, bench.mode, size, days))
    await _timed(f"{size.readings:,} readings", _by_hands(db, days, _fill(now)))
    await _timed("index", _index(db))
    await _timed("rollups", _by_hands(db, days[:-1], _roll))
    async with db.transaction() as tx:
        for level in ("15m", "1h", "1d"):
            await rollup_store.set_done(tx, level, end)
        await rollup_store.set_open_from(tx, end)
    await _timed("rollup job", rollup.roll_up(db, now))
    await _timed("statistics", _analyse(db))


async def _prepare(db: Database, mode: StorageMode, size: World, days: list[datetime]) -> None:
    async with db.transaction() as tx:
        if mode is StorageMode.PLAIN:
            await make_reading_partitions(tx, days[0] - _DAY, days[-1] + _DAY)
        await make_rollup_partitions(tx, days[0], days[-1] + _DAY)
        await tx.execute(
            "INSERT INTO elder (id, name, sex, division_code, created_at, updated_at)"
            " SELECT gen_random_uuid(), '老人' || n, 'female', '150102001001', %(at)s, %(at)s"
            " FROM generate_series(1, %(n)s) AS n",
            {"n": size.elders, "at": days[0]},
        )
        await tx.execute(
            "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
            " SELECT 'CHART-' || n, 'sl-watch-1', '150102001001', %(at)s, %(at)s"
            " FROM generate_series(1, %(n)s) AS n",
            {"n": size.elders, "at": days[0]},
        )
        await tx.execute(
            "INSERT INTO device_binding (id, device_no, elder_id, bound_at)"
            " SELECT gen_random_uuid(), d.no, e.id, %s"
            " FROM (SELECT no, row_number() OVER (ORDER BY no) FROM device) d"
            " JOIN (SELECT id, row_number() OVER (ORDER BY id) FROM elder) e USING (row_number)",
            (days[0] - _DAY,),
        )
        # Back after the readings: sorted at once it takes a tenth of the time.
        await tx.execute("DROP INDEX reading_series")


def _fill(now: datetime) -> Callable[[Tx, datetime], Awaitable[None]]:
    async def fill(tx: Tx, day: datetime) -> None:
        """A day of everybody, in the order in which it would have come."""
        await tx.execute(
            """
            INSERT INTO reading (time, device_no, metric, value)
            SELECT at + d.no * interval '7 milliseconds', d.no, m.metric,
                   m.base + m.width * (random() + sin(extract(epoch FROM at) / 13750.987))
            FROM generate_series(%(day)s, least(%(day)s + interval '1 day', %(now)s)
                                 - interval '1 second', interval '1 minute') AS at
            CROSS JOIN (SELECT no FROM device ORDER BY no) AS d
            CROSS JOIN unnest(ARRAY[1, 2, 3, 4, 5]::smallint[], ARRAY[70, 96, 125, 78, 36.5],
                              ARRAY[9, 1, 12, 7, 0.3]) AS m (metric, base, width)
            """,
            {"day": day, "now": now},
        )

    return fill


async def _roll(tx: Tx, day: datetime) -> None:
    """The statements of the rollup job, for one day of China."""
    await tx.execute("SET LOCAL work_mem = '256MB'")
    await rollup_store.roll_15m(tx, day, day + _DAY)
    await rollup_store.roll_1h(tx, day, day + _DAY)
    await rollup_store.roll_1d(tx, day, day + _DAY)


async def _by_hands(
    db: Database, days: list[datetime], step: Callable[[Tx, datetime], Awaitable[None]]
) -> None:
    """Do a step for every day, two days at a time."""
    waiting = iter(days)

    async def hand() -> None:
        for day in waiting:
            async with db.transaction() as tx:
                await tx.execute("SET LOCAL synchronous_commit = off")
                await tx.execute("SET LOCAL statement_timeout = 0")
                await step(tx, day)

    await asyncio.gather(*(hand() for _ in range(_HANDS)))


async def _index(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL statement_timeout = 0")
        await tx.execute("SET LOCAL maintenance_work_mem = '512MB'")
        await tx.execute("CREATE INDEX reading_series ON reading (device_no, metric, time DESC)")


async def _analyse(db: Database) -> None:
    async with db.dedicated() as conn:
        await conn.execute(
            "ANALYZE reading, reading_rollup_15m, reading_rollup_1h, reading_rollup_1d"
        )


async def _timed(what: str, step: Awaitable[object]) -> None:
    began = time.monotonic()
    await step
    print(f"  {what}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of the charts of one range, and what they were made of."""

    span: str
    step: str
    points: int
    times: list[float]

    @property
    def p95(self) -> float:
        """Of the sorted times."""
        return sorted(self.times)[int(0.95 * (len(self.times) - 1))]

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.times)

    def row(self) -> str:
        """Return a line of the table."""
        return (
            f"{self.span:10}{self.step:>17}{self.points:>8}{len(self.times):>8}"
            f"{self.p50:>9.1f}{self.p95:>9.1f}{max(self.times):>9.1f}"
        )

    def record(self) -> dict[str, object]:
        """Return what goes into the file."""
        return {
            "range": self.span,
            "step": self.step,
            "points": self.points,
            "p50_ms": round(self.p50, 2),
            "p95_ms": round(self.p95, 2),
            "max_ms": round(max(self.times), 2),
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One mode: the table that was there, and the figures."""

    readings: int
    partitions: int
    bytes: int
    environment: dict[str, str]
    charts: list[Figures]

    def table(self, size: World) -> str:
        """Return it for people."""
        where = ", ".join(f"{name} {value}" for name, value in self.environment.items())
        heads = "".join(f"{word:>{width}}" for word, width in _COLUMNS)
        head = (
            f"{self.readings:,} readings of {size.elders} elders in {size.days} days,"
            f" {self.partitions} partitions, {self.bytes / 1e9:.1f} GB; {where}"
        )
        return "\n".join([head, f"{'range':10}{heads}", *(each.row() for each in self.charts)])

    def record(self) -> dict[str, object]:
        """Return what goes into the file."""
        return {
            "readings": self.readings,
            "partitions": self.partitions,
            "bytes": self.bytes,
            "environment": self.environment,
            "charts": [each.record() for each in self.charts],
        }


async def measure(db: Database, now: datetime, charts: int) -> list[Figures]:
    """Ask for charts of every range; the first of each range is counted as well."""
    async with db.connection() as conn:
        elders = [row[0] for row in await fetch_tuples(conn, "SELECT id FROM elder ORDER BY id")]
    return [await _range(db, name, span, elders, now, charts) for name, span in _RANGES.items()]


async def _range(
    db: Database, name: str, span: timedelta, elders: list[UUID], now: datetime, charts: int
) -> Figures:
    times: list[float] = []
    for n in range(charts):
        elder, metric = elders[n % len(elders)], _METRICS[n % len(_METRICS)]
        began = time.perf_counter()
        async with db.connection() as conn:
            found = await series(conn, elder, metric, now - span, now, _MOST_POINTS)
        times.append((time.perf_counter() - began) * 1000)
    step = "single readings" if found.step is None else str(found.step)
    return Figures(name, step, len(found.points), times)


async def run(url: str, mode: StorageMode, size: World, charts: int) -> Run:
    """Build, measure, and return what came out."""
    now = utcnow()
    async with bench_database(url, mode, now) as bench:
        await build(bench, size, now)
        found = await measure(bench.db, now, charts)
        async with bench.db.connection() as conn:
            (table,) = [
                t for t in await status_store.table_sizes(conn, mode) if t.name == "reading"
            ]
            number = await fetch_value(conn, "SELECT count(*) FROM reading")
        return Run(number, table.parts, table.bytes, await bench.facts(), found)


def main() -> int:
    """Run from the command line; exit code 1 when a chart is too slow."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--mode", choices=["plain", "apache"], action="append")
    parser.add_argument("--readings", type=int, default=100_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--charts", type=int, default=100, help="of each range")
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    size = world(options.readings, options.days)
    runs: list[Run] = []
    for name in options.mode or ["plain", "apache"]:
        mode = StorageMode(name)
        print(f"{name}: {size.readings:,} readings", file=sys.stderr, flush=True)
        try:
            with bench_server(mode, _NO_SYNC) as url:
                runs.append(asyncio.run(run(url, mode, size, options.charts)))
        except (psycopg.Error, subprocess.CalledProcessError) as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            return 1
        print(runs[-1].table(size), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / f"chart-{utcnow():%Y%m%dT%H%M%S}.json"
    file.write_text(json.dumps({"runs": [each.record() for each in runs]}, indent=2), "utf-8")
    print(file)
    slow = [each for one in runs for each in one.charts if each.p95 >= _LIMIT_MS]
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
