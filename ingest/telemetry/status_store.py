"""SQL of `silverline storage status`: what the readings take up and how far the rollups are."""

from dataclasses import dataclass
from datetime import datetime

from ingest.telemetry.model import StorageMode
from kernel.db import Tx, fetch_all, fetch_one, fetch_tuples, fetch_value


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its partitions or chunks: how many, bytes in all and of indexes, rows about."""

    name: str
    parts: int
    bytes: int
    index_bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Late marks to work off, and readings that have no partition of their own."""

    late_marks: int
    in_default: int


async def table_sizes(tx: Tx) -> list[TableSize]:
    """Return the tables of readings and rollups; rows are the planner's estimate.

    Chunks of a hypertable are its heirs like partitions are: one query for both.
    """
    return await fetch_all(
        tx,
        TableSize,
        """
        WITH RECURSIVE part (root, oid) AS (
            SELECT c.relname, c.oid FROM pg_class c
            WHERE c.relname = ANY (ARRAY['reading', 'reading_partitioned', 'reading_next',
                'reading_rollup_15m', 'reading_rollup_1h', 'reading_rollup_1d', 'latest_reading'])
                  AND c.relnamespace = (SELECT relnamespace FROM pg_class
                                        WHERE oid = 'reading'::regclass)
            UNION ALL
            SELECT part.root, i.inhrelid FROM pg_inherits i JOIN part ON part.oid = i.inhparent)
        SELECT root AS name, count(*) - 1 AS parts,
               sum(pg_total_relation_size(oid))::bigint AS bytes,
               sum(pg_indexes_size(oid))::bigint AS index_bytes,
               sum(CASE WHEN relkind = 'r' THEN greatest(reltuples, 0) ELSE 0 END)::bigint AS rows
        FROM part JOIN pg_class USING (oid)
        GROUP BY root ORDER BY bytes DESC, root
        """,
    )


async def newest_hour(tx: Tx, since: datetime) -> int:
    """Return how many readings there are since a moment."""
    number: int = await fetch_value(tx, "SELECT count(*) FROM reading WHERE time >= %s", (since,))
    return number


async def waiting(tx: Tx, shape: StorageMode) -> Waiting:
    """Return what maintenance still has to do."""
    if shape is not StorageMode.PLAIN:
        late = await fetch_value(tx, "SELECT count(*) FROM reading_late")
        return Waiting(late, 0)
    found = await fetch_one(
        tx,
        Waiting,
        "SELECT (SELECT count(*) FROM reading_late) AS late_marks,"
        " (SELECT count(*) FROM reading_default) AS in_default",
    )
    return found or Waiting(0, 0)


async def policies(tx: Tx) -> list[tuple[str, str, bool]]:
    """Community edition: name, table and whether it runs, of each job of the database."""
    rows = await fetch_tuples(
        tx,
        "SELECT proc_name::text, hypertable_name::text, scheduled"
        " FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL ORDER BY 1, 2",
    )
    return [(name, table, runs) for name, table, runs in rows]
