"""SQL of the storage itself: what shape it has, its partitions, what TimescaleDB adds."""

from datetime import datetime, timedelta
from importlib import resources

from ingest.telemetry.model import StorageMode, TelemetrySettings
from kernel.db import Tx, execute, fetch_tuples, fetch_value

# Waiting for a lock keeps new readers and writers waiting behind us: rather fail and try later.
_LOCK_TIMEOUT = "3s"


async def exclude_writers(tx: Tx) -> None:
    """Keep readings from being copied until the end of the transaction.

    Raises psycopg.errors.LockNotAvailable when a writer or reader does not make room in time.
    """
    await execute(tx, "SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
    await execute(tx, "SELECT telemetry_exclude()")


async def no_time_limit(tx: Tx) -> None:
    """Lift the statement timeout of this transaction: maintenance may take long."""
    await execute(tx, "SET LOCAL statement_timeout = 0")


async def edition(tx: Tx) -> str | None:
    """Return the licence of the installed TimescaleDB extension, None when there is none."""
    installed = await fetch_value(
        tx, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"
    )
    if not installed:
        return None
    licence: str = await fetch_value(tx, "SELECT current_setting('timescaledb.license')")
    return licence


async def can_create_extension(tx: Tx) -> bool:
    """Return whether the server has TimescaleDB loaded, but this database does not have it yet."""
    answer: bool = await fetch_value(
        tx,
        """
        SELECT installed_version IS NULL
               AND current_setting('shared_preload_libraries') ~ '\\mtimescaledb\\M'
        FROM pg_available_extensions WHERE name = 'timescaledb'
        """,
    )
    return bool(answer)


async def create_extension(tx: Tx) -> None:
    """Install TimescaleDB in this database. Raises psycopg.errors.InsufficientPrivilege."""
    await execute(tx, "CREATE EXTENSION IF NOT EXISTS timescaledb")


async def shape(tx: Tx) -> StorageMode:
    """Return the mode that the tables are made for, whatever the server can do by now."""
    partitioned = await fetch_value(
        tx, "SELECT relkind = 'p' FROM pg_class WHERE oid = 'reading'::regclass"
    )
    if partitioned:
        return StorageMode.PLAIN
    aggregates = await fetch_value(tx, "SELECT to_regclass('reading_cagg_15m') IS NOT NULL")
    return StorageMode.COMMUNITY if aggregates else StorageMode.APACHE


async def run_script(tx: Tx, name: str) -> None:
    """Run a file of this folder's `sql/`."""
    text = (resources.files("ingest.telemetry") / "sql" / name).read_text("utf-8")
    await tx.execute(text.encode())


async def make_reading_partitions(tx: Tx, first: datetime, last: datetime) -> int:
    """Make the daily partitions from `first` to before `last`; returns how many were missing."""
    made: int = await fetch_value(
        tx, "SELECT telemetry_make_partitions('reading', 'day', %s, %s)", (first, last)
    )
    return made


async def days_in_default(tx: Tx, first: datetime, last: datetime) -> list[datetime]:
    """Return the days (UTC) from `first` to before `last` that lie in the default partition."""
    rows = await fetch_tuples(
        tx,
        """
        SELECT DISTINCT date_trunc('day', time, 'UTC') AS day FROM reading_default
        WHERE time >= %s AND time < %s ORDER BY day
        """,
        (first, last),
    )
    return [day for (day,) in rows]


async def make_rollup_partitions(tx: Tx, first: datetime, last: datetime) -> None:
    """Make the monthly partitions of the rollup tables from `first` to before `last`."""
    await execute(
        tx,
        """
        SELECT telemetry_make_partitions(parent, 'month', %s, %s)
        FROM unnest(ARRAY['reading_rollup_15m', 'reading_rollup_1h']) AS parent
        """,
        (first, last),
    )


async def drop_readings(tx: Tx, mode: StorageMode, horizon: datetime) -> None:
    """Delete readings before `horizon` by whole partitions or chunks, and note how far it went."""
    if mode is StorageMode.PLAIN:
        await execute(tx, "SELECT telemetry_drop_partitions('reading', 'day', %s)", (horizon,))
        await execute(tx, "DELETE FROM reading_default WHERE time < %s", (horizon,))
    elif mode is StorageMode.APACHE:
        await execute(
            tx, "SELECT drop_chunks('reading', older_than => %s::timestamptz)", (horizon,)
        )
    await execute(
        tx,
        "UPDATE rollup_state SET done_until = greatest(done_until, %s) WHERE level = 'raw'",
        (horizon,),
    )


async def drop_rollups(tx: Tx, horizon_15m: datetime, horizon_1h: datetime) -> None:
    """Delete the months of the rollup tables that lie before their horizons."""
    await execute(
        tx,
        """
        SELECT telemetry_drop_partitions('reading_rollup_15m', 'month', %s),
               telemetry_drop_partitions('reading_rollup_1h', 'month', %s)
        """,
        (horizon_15m, horizon_1h),
    )


async def add_policies(tx: Tx, settings: TelemetrySettings) -> None:
    """Community edition: refresh, columnstore and retention as background jobs of the database.

    A refresh never reaches back to readings that are deleted: it would empty their buckets.
    """
    reach = settings.keep_readings - timedelta(days=2)
    for view, every in (("15m", "5 minutes"), ("1h", "15 minutes"), ("1d", "1 hour")):
        await execute(
            tx,
            """
            SELECT add_continuous_aggregate_policy(
                ('reading_cagg_' || %(level)s)::regclass, start_offset => %(reach)s::interval,
                end_offset => INTERVAL '1 minute', schedule_interval => %(every)s::interval,
                if_not_exists => true)
            """,
            {"level": view, "reach": reach, "every": every},
        )
    await execute(
        tx,
        "CALL add_columnstore_policy('reading', after => %s::interval, if_not_exists => true)",
        (settings.compress_after,),
    )
    for table, kept in (
        ("reading", settings.keep_readings),
        ("reading_cagg_15m", settings.keep_15m),
        ("reading_cagg_1h", settings.keep_1h),
    ):
        await execute(
            tx,
            "SELECT add_retention_policy(%s::regclass, drop_after => %s::interval, "
            "if_not_exists => true)",
            (table, kept),
        )
