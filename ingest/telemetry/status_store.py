"""SQL of `silverline storage status`: what the readings take up and how far the rollups are."""

from dataclasses import dataclass
from datetime import datetime

from ingest.telemetry.model import StorageMode
from kernel.db import Tx, fetch_all, fetch_tuples, fetch_value


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
    """Late marks to work off, readings of deleted days, and those without a partition."""

    late_marks: int
    past: int
    in_default: int


async def table_sizes(tx: Tx, shape: StorageMode) -> list[TableSize]:
    """Return the tables of readings and rollups; rows are the planner's estimate.

    Chunks of a hypertable are its heirs like partitions are: one query for both. In the Community
    edition what is in the columnstore (`reading_compressed`) and the aggregates are tables as well.
    """
    roots = await fetch_tuples(
        tx,
        """
        SELECT relname, oid FROM pg_class
        WHERE relname = ANY (ARRAY['reading', 'reading_partitioned', 'reading_next',
            'reading_rollup_15m', 'reading_rollup_1h', 'reading_rollup_1d', 'latest_reading'])
              AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'reading'::regclass)
        """,
    )
    if shape is StorageMode.COMMUNITY:
        roots += await _tables_of_the_edition(tx)
    names, oids = zip(*roots, strict=True)
    return await fetch_all(
        tx,
        TableSize,
        """
        WITH RECURSIVE part (root, oid) AS (
            SELECT name, oid FROM unnest(%s::text[], %s::oid[]) AS r (name, oid)
            UNION
            SELECT part.root, i.inhrelid FROM pg_inherits i JOIN part ON part.oid = i.inhparent)
        SELECT root AS name, count(*) - 1 AS parts,
               sum(pg_total_relation_size(oid))::bigint AS bytes,
               sum(pg_indexes_size(oid))::bigint AS index_bytes,
               sum(CASE WHEN relkind = 'r' THEN greatest(reltuples, 0) ELSE 0 END)::bigint AS rows
        FROM part JOIN pg_class USING (oid)
        GROUP BY root ORDER BY bytes DESC, root
        """,
        (list(names), list(oids)),
    )


async def _tables_of_the_edition(tx: Tx) -> list[tuple[str, int]]:
    rows = await fetch_tuples(
        tx,
        """
        SELECT view_name::text, format('%%I.%%I', materialization_hypertable_schema,
                                       materialization_hypertable_name)::regclass::oid
        FROM timescaledb_information.continuous_aggregates WHERE view_name LIKE %s
        UNION ALL
        SELECT 'reading_compressed', format('%%I.%%I', c.schema_name, c.table_name)::regclass::oid
        FROM _timescaledb_catalog.hypertable AS h
        JOIN _timescaledb_catalog.hypertable AS c ON c.id = h.compressed_hypertable_id
        WHERE h.table_name = 'reading'
        UNION ALL
        -- These are no heirs of it.
        SELECT 'reading_compressed', to_regclass(format('%%I.%%I', c.schema_name, c.table_name))
        FROM _timescaledb_catalog.hypertable AS h
        JOIN _timescaledb_catalog.chunk AS c ON c.hypertable_id = h.compressed_hypertable_id
        WHERE h.table_name = 'reading'
              AND to_regclass(format('%%I.%%I', c.schema_name, c.table_name)) IS NOT NULL
        """,
        ("reading\\_cagg\\_%",),
    )
    return [(name, oid) for name, oid in rows]


async def newest_hour(tx: Tx, since: datetime) -> int:
    """Return how many readings there are since a moment."""
    number: int = await fetch_value(tx, "SELECT count(*) FROM reading WHERE time >= %s", (since,))
    return number


async def waiting(tx: Tx, shape: StorageMode) -> Waiting:
    """Return what the jobs still have to do."""
    late: int = await fetch_value(tx, "SELECT count(*) FROM reading_late")
    past: int = await fetch_value(tx, "SELECT count(*) FROM reading_past")
    in_default = 0
    if shape is StorageMode.PLAIN:
        in_default = await fetch_value(tx, "SELECT count(*) FROM reading_default")
    return Waiting(late, past, in_default)


async def policies(tx: Tx) -> list[tuple[str, str, bool]]:
    """Community edition: name, table and whether it runs, of each job of the database."""
    rows = await fetch_tuples(
        tx,
        "SELECT proc_name::text, hypertable_name::text, scheduled"
        " FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL ORDER BY 1, 2",
    )
    return [(name, table, runs) for name, table, runs in rows]
