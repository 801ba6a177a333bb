"""SQL of charts. Every table is asked only for what it has, in spans that the planner can see.

A chart could be made of the views alone, and in the Community edition it is. But what they add at
their open end makes the planner look at every partition, day by day: 20 to 40 ms before the first
row is read. So the closed part is taken from the rollup tables and the open end from finer ones,
each with its own `from` and `to` as values, by which the planner leaves the other partitions out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from ingest.telemetry.model import Binding, SeriesPoint, Window
from ingest.telemetry.rules import Lines
from kernel.db import Tx, fetch_all, fetch_one, fetch_value


async def lines(tx: Tx) -> Lines:
    """Return how far the rollups are."""
    found = await fetch_one(
        tx,
        Lines,
        """
        SELECT max(done_until) FILTER (WHERE level = 'raw') AS raw,
               max(done_until) FILTER (WHERE level = '15m') AS done_15m,
               max(done_until) FILTER (WHERE level = '1h') AS done_1h,
               max(done_until) FILTER (WHERE level = '1d') AS done_1d,
               to_regclass('reading_cagg_15m') IS NOT NULL AS aggregates
        FROM (SELECT level, CASE WHEN isfinite(done_until) THEN done_until
                                 ELSE '0001-01-01 00:00:00+00' END AS done_until
              FROM rollup_state) AS s
        """,
    )
    if found is None:
        raise LookupError("an aggregate without GROUP BY has always one row")
    return found


async def bindings(tx: Tx, elder_id: UUID, start: datetime, end: datetime) -> list[Binding]:
    """Return the devices that an elder had in a span, with when."""
    return await fetch_all(
        tx,
        Binding,
        """
        SELECT device_no, bound_at AS since, unbound_at AS until FROM device_binding
        WHERE elder_id = %s AND bound_at < %s AND (unbound_at IS NULL OR unbound_at > %s)
        """,
        (elder_id, end, start),
    )


# Every query takes its windows as arrays. OFFSET 0 keeps the inner query whole, so that each window
# is a range scan of its device.


def _arrays(prefix: str, wanted: Sequence[Window]) -> dict[str, object]:
    return {
        f"{prefix}_no": [w.device_no for w in wanted],
        f"{prefix}_lo": [w.start for w in wanted],
        f"{prefix}_hi": [w.end for w in wanted],
        f"{prefix}_from": min((w.start for w in wanted), default=None),
        f"{prefix}_to": max((w.end for w in wanted), default=None),
    }


async def single(tx: Tx, metric: int, wanted: Sequence[Window], limit: int) -> list[SeriesPoint]:
    """Return the readings themselves, in the order of time, at most `limit`."""
    return await fetch_all(
        tx,
        SeriesPoint,
        """
        SELECT r.time, r.value AS low, r.value AS high, r.value AS mean, 1 AS n
        FROM unnest(%(raw_no)s::bigint[], %(raw_lo)s::timestamptz[], %(raw_hi)s::timestamptz[])
             AS w (no, lo, hi)
        CROSS JOIN LATERAL (
            SELECT time, value FROM reading
            WHERE device_no = w.no AND metric = %(metric)s AND time >= w.lo AND time < w.hi
                  AND time >= %(raw_from)s AND time < %(raw_to)s AND quality & 10 = 0
            ORDER BY time LIMIT %(limit)s) AS r
        ORDER BY r.time LIMIT %(limit)s
        """,
        {"metric": metric, "limit": limit, **_arrays("raw", wanted)},
    )


async def count_closed_days(tx: Tx, metric: int, wanted: Sequence[Window]) -> int:
    """Return how many readings the closed days have that the windows touch.

    Never too few of them; what came since the last closed day is not counted.
    """
    count: int = await fetch_value(
        tx,
        """
        SELECT coalesce(sum(v.n), 0)::bigint
        FROM unnest(%(raw_no)s::bigint[], %(raw_lo)s::timestamptz[], %(raw_hi)s::timestamptz[])
             AS w (no, lo, hi)
        CROSS JOIN LATERAL (
            SELECT n FROM reading_rollup_1d
            WHERE device_no = w.no AND metric = %(metric)s
                  AND bucket > w.lo - interval '1 day' AND bucket < w.hi OFFSET 0) AS v
        """,
        {"metric": metric, **_arrays("raw", wanted)},
    )
    return count


async def count_closed_quarters(tx: Tx, metric: int, wanted: Sequence[Window]) -> int:
    """Return how many readings the closed quarters of an hour have that the windows touch."""
    count: int = await fetch_value(
        tx,
        """
        SELECT coalesce(sum(v.n), 0)::bigint
        FROM unnest(%(raw_no)s::bigint[], %(raw_lo)s::timestamptz[], %(raw_hi)s::timestamptz[])
             AS w (no, lo, hi)
        CROSS JOIN LATERAL (
            SELECT n FROM reading_rollup_15m
            WHERE device_no = w.no AND metric = %(metric)s
                  AND bucket > w.lo - interval '15 minutes' AND bucket < w.hi
                  AND bucket > %(raw_from)s - interval '15 minutes' AND bucket < %(raw_to)s
            OFFSET 0) AS v
        """,
        {"metric": metric, **_arrays("raw", wanted)},
    )
    return count


_RAW: LiteralString = """
    SELECT r.time, r.value AS low, r.value AS high, r.value AS total, 1::bigint AS n
    FROM unnest(%(raw_no)s::bigint[], %(raw_lo)s::timestamptz[], %(raw_hi)s::timestamptz[])
         AS w (no, lo, hi)
    CROSS JOIN LATERAL (
        SELECT time, value FROM reading
        WHERE device_no = w.no AND metric = %(metric)s AND time >= w.lo AND time < w.hi
              AND time >= %(raw_from)s AND time < %(raw_to)s AND quality & 10 = 0 OFFSET 0) AS r
"""
_BUCKETS: LiteralString = """
    SELECT b.bucket, b.low, b.high, b.total, b.n
    FROM unnest(%(x_no)s::bigint[], %(x_lo)s::timestamptz[], %(x_hi)s::timestamptz[])
         AS w (no, lo, hi)
    CROSS JOIN LATERAL (
        SELECT bucket, low, high, total, n FROM the_table
        WHERE device_no = w.no AND metric = %(metric)s AND bucket >= w.lo AND bucket < w.hi
              AND bucket >= %(x_from)s AND bucket < %(x_to)s OFFSET 0) AS b
"""
# Where a piece of a chart comes from; `ends` are the same readings as `raw`, elsewhere in time.
_SOURCES: dict[str, LiteralString] = {
    "1d": _BUCKETS.replace("the_table", "reading_rollup_1d").replace("%(x_", "%(1d_"),
    "1h": _BUCKETS.replace("the_table", "reading_rollup_1h").replace("%(x_", "%(1h_"),
    "15m": _BUCKETS.replace("the_table", "reading_rollup_15m").replace("%(x_", "%(15m_"),
    "view_1d": _BUCKETS.replace("the_table", "reading_1d").replace("%(x_", "%(view_1d_"),
    "view_1h": _BUCKETS.replace("the_table", "reading_1h").replace("%(x_", "%(view_1h_"),
    "view_15m": _BUCKETS.replace("the_table", "reading_15m").replace("%(x_", "%(view_15m_"),
    "raw": _RAW,
    "ends": _RAW.replace("%(raw_", "%(ends_"),
}


_HEAD: LiteralString = """
    SELECT telemetry_bucket(%(step)s, time) AS time, min(low) AS low, max(high) AS high,
           sum(total) / sum(n) AS mean, sum(n)::bigint AS n FROM (
"""
_FOOT: LiteralString = ") AS part (time, low, high, total, n) GROUP BY 1 ORDER BY 1"


async def buckets(
    tx: Tx, metric: int, pieces: Mapping[str, Sequence[Window]], step: timedelta
) -> list[SeriesPoint]:
    """Return buckets of `step` made of pieces from different tables (keys of _SOURCES)."""
    wanted = {name: found for name, found in pieces.items() if found}
    if not wanted:
        return []
    parts: list[LiteralString] = [_SOURCES[name] for name in wanted]
    union: LiteralString = " UNION ALL ".join(parts)
    parameters: dict[str, object] = {"metric": metric, "step": step}
    for name, found in wanted.items():
        parameters |= _arrays(name, found)
    return await fetch_all(
        tx,
        SeriesPoint,
        _HEAD + union + _FOOT,
        parameters,
    )
