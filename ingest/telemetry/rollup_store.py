"""SQL of the rollup: closed buckets are computed once, and again where late readings came.

Every statement replaces whole buckets by what they are made of, so running one twice does no harm.

A bucket's `sketch` holds its readings by bins (migrations/0011_sketches.sql) and is merged upwards
without any loss. A quantile from it is the middle of the bin in which the reading of that rank lies
(nearest rank, as percentile_disc), kept between `low` and `high`: off by at most half a bin, that
is sqrt(value² + 100) / 800. For a heart rate of 72 that is 0.1, for 37 °C 0.05.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.telemetry.model import TelemetrySettings
from ingest.telemetry.rules import floor_to, utc_day
from kernel.db import Tx, execute, fetch_one, fetch_tuples, fetch_value

_JOB_LOCK = 0x51_1F_E4_22
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RollupState:
    """How far each level is (exclusive), and before when readings count as late.

    In the Community edition `done_…` stay where its continuous aggregates begin. `open_from` is
    None before the first run there, when nobody marks late readings yet.
    """

    open_from: datetime | None
    done_15m: datetime
    done_1h: datetime
    done_1d: datetime


def kept_from(
    state: RollupState, now: datetime, settings: TelemetrySettings, *, ours: bool
) -> tuple[datetime, datetime]:
    """Return from when quarters of an hour and hours are kept in the rollup tables.

    Where the rollup is `ours`, nothing goes before the next level was made of it; in the Community
    edition the levels there do not depend on each other.
    """
    quarters, hours = now - settings.keep_15m, now - settings.keep_1h
    return (min(quarters, state.done_1h), min(hours, state.done_1d)) if ours else (quarters, hours)


async def refreshed_line(tx: Tx, now: datetime, reach: timedelta) -> datetime:
    """Community edition: return before which moment no more readings are to come to `reading`.

    No refresh takes in what comes for days before; this moves long before it is so. Never past what
    is still to be computed again; by whole days of UTC, as chunks go.
    """
    line = floor_to(_DAY, now - reach) + 3 * _DAY
    late = await oldest_mark(tx)
    return utc_day(min(line, late or line))


Mark = tuple[int, datetime]
"""A device number and an hour in which readings of it came late."""


async def lock_job(tx: Tx) -> None:
    """Let one rollup step run at a time, in whatever process, until the transaction ends."""
    await execute(tx, "SELECT pg_advisory_xact_lock(%s)", (_JOB_LOCK,))


async def read_state(tx: Tx) -> RollupState:
    """Return how far the rollup is."""
    state = await fetch_one(
        tx,
        RollupState,
        """
        SELECT max(open_from) AS open_from,
               max(done_until) FILTER (WHERE level = '15m') AS done_15m,
               max(done_until) FILTER (WHERE level = '1h') AS done_1h,
               max(done_until) FILTER (WHERE level = '1d') AS done_1d
        FROM rollup_state WHERE level <> 'raw'
        """,
    )
    if state is None:
        raise LookupError("an aggregate without GROUP BY has always one row")
    return state


async def set_open_from(tx: Tx, moment: datetime) -> None:
    """From now on readings before `moment` are late. Writers must be kept out."""
    await execute(
        tx,
        "UPDATE rollup_state SET open_from = %s"
        " WHERE level = '15m' AND (open_from IS NULL OR open_from < %s)",
        (moment, moment),
    )


async def set_done(tx: Tx, level: str, until: datetime) -> None:
    """Note that a level is complete up to a moment."""
    await execute(tx, "UPDATE rollup_state SET done_until = %s WHERE level = %s", (until, level))


async def roll_15m(tx: Tx, start: datetime, end: datetime) -> int:
    """Compute the 15-minute buckets from `start` to before `end`; returns how many."""
    return await execute(
        tx,
        """
        INSERT INTO reading_rollup_15m AS b (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT device_no, metric, telemetry_bucket('15 minutes', time),
               min(value), max(value), sum(value), count(*),
               telemetry_sketch(array_agg(telemetry_bin(value)))
        FROM reading WHERE time >= %s AND time < %s AND quality & 10 = 0
        GROUP BY 1, 2, 3
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = excluded.low, high = excluded.high, total = excluded.total, n = excluded.n,
            sketch = excluded.sketch
        """,
        (start, end),
    )


async def roll_1h(tx: Tx, start: datetime, end: datetime) -> int:
    """Compute the hourly buckets from `start` to before `end`; returns how many."""
    return await execute(
        tx,
        """
        INSERT INTO reading_rollup_1h AS b (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT device_no, metric, telemetry_bucket('1 hour', bucket),
               min(low), max(high), sum(total), sum(n), telemetry_merge(telemetry_concat(sketch))
        FROM reading_rollup_15m WHERE bucket >= %s AND bucket < %s
        GROUP BY 1, 2, 3
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = excluded.low, high = excluded.high, total = excluded.total, n = excluded.n,
            sketch = excluded.sketch
        """,
        (start, end),
    )


async def roll_1d(tx: Tx, start: datetime, end: datetime) -> int:
    """Compute the daily buckets (days of China) from `start` to before `end`; returns how many."""
    return await execute(
        tx,
        """
        INSERT INTO reading_rollup_1d AS b (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT device_no, metric, telemetry_bucket('1 day', bucket),
               min(low), max(high), sum(total), sum(n), telemetry_merge(telemetry_concat(sketch))
        FROM reading_rollup_1h WHERE bucket >= %s AND bucket < %s
        GROUP BY 1, 2, 3
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = excluded.low, high = excluded.high, total = excluded.total, n = excluded.n,
            sketch = excluded.sketch
        """,
        (start, end),
    )


@dataclass(frozen=True, slots=True)
class SeenMarks:
    """Community edition: marks that were there at a moment, by where they lie in their table.

    From `first` to `last` is what a refresh still has to take in, both None when nothing is.
    """

    ids: list[str]
    first: datetime | None
    last: datetime | None


async def see_late_marks(tx: Tx, limit: int, horizon: datetime) -> SeenMarks:
    """Community edition: look at some marks, at most `limit`, and leave them there.

    Aggregates have nothing to take in before they begin, and are not refreshed before `horizon`.
    """
    seen = await fetch_one(
        tx,
        SeenMarks,
        """
        SELECT coalesce(array_agg(m.ctid::text), '{}') AS ids,
               min(m.hour) FILTER (WHERE m.hour >= line.at) AS first,
               max(m.hour) FILTER (WHERE m.hour >= line.at) AS last
        FROM (SELECT ctid, hour FROM reading_late LIMIT %s) AS m, (
            SELECT greatest(%s, done_until) AS at FROM rollup_state WHERE level = '15m') AS line
        """,
        (limit, horizon),
    )
    return seen or SeenMarks([], None, None)


async def take_late_marks(
    tx: Tx, limit: int, horizon: datetime | None, seen: SeenMarks | None = None
) -> tuple[list[Mark], int]:
    """Take marks away, at most `limit`; return those to do again, and how many there were.

    With `seen` only those: what another reading has left since then stays. The readings that they
    stand for are visible to the following statements. Marks before what was ever deleted (and
    before `horizon`) are dropped: a bucket of late readings alone would be wrong.
    """
    rows = await fetch_tuples(
        tx,
        """
        DELETE FROM reading_late
        WHERE ctid = ANY (coalesce(%s::tid[], ARRAY(SELECT ctid FROM reading_late LIMIT %s)))
        RETURNING device_no, hour, hour >= greatest(
            %s, (SELECT done_until FROM rollup_state WHERE level = 'raw'))
        """,
        (seen.ids if seen else None, limit, horizon),
    )
    return list({(row[0], row[1]) for row in rows if row[2]}), len(rows)


async def oldest_mark(tx: Tx) -> datetime | None:
    """Return the oldest hour that is still to be computed again, None when there is none."""
    hour: datetime | None = await fetch_value(
        tx,
        "SELECT min(hour) FROM reading_late"
        " WHERE hour >= (SELECT done_until FROM rollup_state WHERE level = 'raw')",
    )
    return hour


async def refresh(conn: Tx, level: str, first: datetime, last: datetime) -> None:
    """Community edition: bring an aggregate up to date from the hour `first` to the hour `last`.

    Only what it has computed for good: the rest is shown live, and would not be any more if
    something after it were computed. Not possible inside a transaction.
    """
    width = {"15m": "15 minutes", "1h": "1 hour", "1d": "1 day"}[level]
    spans = await fetch_tuples(
        conn,
        """
        WITH computed AS (
            SELECT _timescaledb_functions.to_timestamp(
                       _timescaledb_functions.cagg_watermark(h.id)) AS until
            FROM timescaledb_information.continuous_aggregates AS a
            JOIN _timescaledb_catalog.hypertable AS h
                 ON h.schema_name = a.materialization_hypertable_schema
                 AND h.table_name = a.materialization_hypertable_name
            WHERE a.view_name = 'reading_cagg_' || %(level)s)
        SELECT touched.first - %(width)s::interval, least(touched.last, computed.until)
        FROM computed, (
            SELECT telemetry_bucket(%(width)s::interval, %(first)s) AS first,
                   telemetry_bucket(%(width)s::interval, %(last)s + interval '59 minutes')
                       + %(width)s::interval AS last) AS touched
        WHERE touched.first < computed.until
        """,
        {"width": width, "level": level, "first": first, "last": last},
    )
    # One bucket more than was touched: of a single one it says that it is none.
    for start, end in spans:
        await conn.execute(
            "CALL refresh_continuous_aggregate(('reading_cagg_' || %s)::regclass, %s, %s)",
            (level, start, end),
        )


async def reroll_15m(tx: Tx, marks: Collection[Mark], done: datetime) -> int:
    """Compute the 15-minute buckets of marked hours again, before `done`; returns how many."""
    return await execute(
        tx,
        """
        INSERT INTO reading_rollup_15m AS b (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT m.device_no, r.*
        FROM unnest(%s::bigint[], %s::timestamptz[]) AS m (device_no, hour)
        CROSS JOIN LATERAL (
            SELECT metric, telemetry_bucket('15 minutes', time), min(value), max(value),
                   sum(value), count(*), telemetry_sketch(array_agg(telemetry_bin(value)))
            FROM reading
            WHERE device_no = m.device_no AND time >= m.hour
                  AND time < least(m.hour + interval '1 hour', %s) AND quality & 10 = 0
            GROUP BY 1, 2 OFFSET 0) AS r
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = excluded.low, high = excluded.high, total = excluded.total, n = excluded.n,
            sketch = excluded.sketch
        """,
        (*_columns(marks), done),
    )


async def reroll_1h(tx: Tx, marks: Collection[Mark], done: datetime) -> int:
    """Compute marked hours again, before `done`; returns how many buckets."""
    return await execute(
        tx,
        """
        INSERT INTO reading_rollup_1h AS b (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT m.device_no, r.metric, m.hour, r.low, r.high, r.total, r.n, r.sketch
        FROM unnest(%s::bigint[], %s::timestamptz[]) AS m (device_no, hour)
        CROSS JOIN LATERAL (
            SELECT metric, min(low) AS low, max(high) AS high, sum(total) AS total, sum(n) AS n,
                   telemetry_merge(telemetry_concat(sketch)) AS sketch
            FROM reading_rollup_15m
            WHERE device_no = m.device_no AND bucket >= m.hour
                  AND bucket < m.hour + interval '1 hour'
            GROUP BY 1 OFFSET 0) AS r
        WHERE m.hour < %s
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = excluded.low, high = excluded.high, total = excluded.total, n = excluded.n,
            sketch = excluded.sketch
        """,
        (*_columns(marks), done),
    )


async def reroll_1d(tx: Tx, marks: Collection[Mark], done: datetime) -> int:
    """Compute the days of marked hours again, before `done`; returns how many buckets."""
    return await execute(
        tx,
        """
        INSERT INTO reading_rollup_1d AS b (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT m.device_no, r.metric, m.day, r.low, r.high, r.total, r.n, r.sketch
        FROM (SELECT DISTINCT device_no, telemetry_bucket('1 day', hour) AS day
              FROM unnest(%s::bigint[], %s::timestamptz[]) AS u (device_no, hour)) AS m
        CROSS JOIN LATERAL (
            SELECT metric, min(low) AS low, max(high) AS high, sum(total) AS total, sum(n) AS n,
                   telemetry_merge(telemetry_concat(sketch)) AS sketch
            FROM reading_rollup_1h
            WHERE device_no = m.device_no AND bucket >= m.day
                  AND bucket < m.day + interval '24 hours'
            GROUP BY 1 OFFSET 0) AS r
        WHERE m.day < %s
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = excluded.low, high = excluded.high, total = excluded.total, n = excluded.n,
            sketch = excluded.sketch
        """,
        (*_columns(marks), done),
    )


def _columns(marks: Collection[Mark]) -> tuple[list[int], list[datetime]]:
    return [device_no for device_no, _ in marks], [hour for _, hour in marks]
