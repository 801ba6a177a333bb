"""SQL of readings whose day has been deleted already: they are added to the rollups and not kept.

A watch is found in a drawer after four months, and its year chart gets its days. The buckets cannot
be computed again, as what they were made of is gone. But lowest, highest, total, number and sketch
can all be added to; and as a reading of such a day goes to `reading_past` and never to `reading`,
and leaves it in the statement that adds it, it is added once.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from kernel.db import Tx, execute, fetch_one, fetch_value


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when readings wait to be added; None when none do."""

    first: datetime | None
    last: datetime | None


async def line(tx: Tx) -> datetime | None:
    """Return the moment before which readings have been deleted, None when none ever were.

    Never one after that from which on readings are fresh: who has only such need not ask. It stays
    where it is as long as the transaction lives that has called `store.enter`.
    """
    moment: datetime | None = await fetch_value(
        tx,
        "SELECT least(gone.done_until, fresh.open_from)"
        " FROM rollup_state AS gone, rollup_state AS fresh"
        " WHERE gone.level = 'raw' AND isfinite(gone.done_until) AND fresh.level = '15m'",
    )
    return moment


async def waiting(tx: Tx) -> Span:
    """Return the span of what waits."""
    found = await fetch_one(
        tx, Span, "SELECT min(time) AS first, max(time) AS last FROM reading_past"
    )
    return found or Span(None, None)


async def make_partitions(
    tx: Tx, span: Span, quarters_from: datetime, hours_from: datetime
) -> None:
    """Make the months of the rollup tables that are missing, but none that is to be dropped."""
    await execute(
        tx,
        """
        SELECT telemetry_make_partitions(
            parent, 'month', greatest(oldest, %(first)s), %(last)s + interval '1 hour')
        FROM (VALUES ('reading_rollup_15m', %(quarters)s::timestamptz),
                     ('reading_rollup_1h', %(hours)s)) AS p (parent, oldest)
        """,
        {
            "first": span.first, "last": span.last,
            "quarters": quarters_from, "hours": hours_from,
        },
    )  # fmt: skip


# A bucket from before the sketches has none; a sketch of some of its readings shows no quantiles.
_ADD: LiteralString = """
    WITH gone AS (
        DELETE FROM reading_past
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM reading_past LIMIT %(limit)s))
        RETURNING time, device_no, metric, value, quality
    ), quarter AS (
        SELECT device_no, metric, telemetry_bucket('15 minutes', time) AS bucket,
               min(value) AS low, max(value) AS high, sum(value) AS total, count(*) AS n,
               telemetry_sketch(array_agg(telemetry_bin(value))) AS sketch
        FROM gone WHERE quality & 10 = 0 GROUP BY 1, 2, 3
    ), hour AS (
        SELECT device_no, metric, telemetry_bucket('1 hour', bucket) AS bucket,
               min(low) AS low, max(high) AS high, sum(total) AS total, sum(n)::bigint AS n,
               telemetry_merge(telemetry_concat(sketch)) AS sketch
        FROM quarter GROUP BY 1, 2, 3
    ), day AS (
        SELECT device_no, metric, telemetry_bucket('1 day', bucket) AS bucket,
               min(low) AS low, max(high) AS high, sum(total) AS total, sum(n)::bigint AS n,
               telemetry_merge(telemetry_concat(sketch)) AS sketch
        FROM hour GROUP BY 1, 2, 3
    ), quarters AS (
        INSERT INTO reading_rollup_15m AS b
            (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT * FROM quarter WHERE bucket >= %(quarters)s
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = least(b.low, excluded.low), high = greatest(b.high, excluded.high),
            total = b.total + excluded.total, n = b.n + excluded.n,
            sketch = telemetry_merge(b.sketch || excluded.sketch)
    ), hours AS (
        INSERT INTO reading_rollup_1h AS b
            (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT * FROM hour WHERE bucket >= %(hours)s
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = least(b.low, excluded.low), high = greatest(b.high, excluded.high),
            total = b.total + excluded.total, n = b.n + excluded.n,
            sketch = telemetry_merge(b.sketch || excluded.sketch)
    ), days AS (
        INSERT INTO reading_rollup_1d AS b
            (device_no, metric, bucket, low, high, total, n, sketch)
        SELECT * FROM day
        ON CONFLICT (device_no, metric, bucket) DO UPDATE
        SET low = least(b.low, excluded.low), high = greatest(b.high, excluded.high),
            total = b.total + excluded.total, n = b.n + excluded.n,
            sketch = telemetry_merge(b.sketch || excluded.sketch)
    )
    SELECT count(*) FROM gone
"""


async def add(tx: Tx, limit: int, quarters_from: datetime, hours_from: datetime) -> int:
    """Add at most `limit` of what waits to its buckets; returns how many readings.

    Buckets of a finer level that is to be deleted are not made: `…_from` say from when it is kept.
    """
    taken: int = await fetch_value(
        tx, _ADD, {"limit": limit, "quarters": quarters_from, "hours": hours_from}
    )
    return taken
