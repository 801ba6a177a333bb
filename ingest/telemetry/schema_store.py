"""SQL of the storage itself: what shape it has, its partitions, what TimescaleDB adds."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources

from ingest.telemetry.model import StorageMode, TelemetrySettings
from kernel.db import Tx, execute, fetch_one, fetch_tuples, fetch_value

# Waiting for a lock keeps new readers and writers waiting behind us: rather fail and try later.
_LOCK_TIMEOUT = "3s"


async def exclude_writers(tx: Tx) -> None:
    """Keep readings from being copied until the end of the transaction.

    Raises psycopg.errors.LockNotAvailable when a writer or reader does not make room in time.
    """
    await limit_lock_wait(tx)
    await execute(tx, "SELECT telemetry_exclude()")


async def limit_lock_wait(tx: Tx) -> None:
    """Wait three seconds at most for each lock of this transaction."""
    await execute(tx, "SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))


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


@dataclass(frozen=True, slots=True)
class Extension:
    """What the server says of TimescaleDB: versions (None: not there), and whether it is loaded."""

    available: str | None
    installed: str | None
    loaded: bool


async def extension(tx: Tx) -> Extension:
    """Return what is there of TimescaleDB: on the server, in this database, in its processes."""
    found = await fetch_one(
        tx,
        Extension,
        """
        SELECT max(default_version) AS available, max(installed_version) AS installed,
               current_setting('shared_preload_libraries') ~ '\\mtimescaledb\\M' AS loaded
        FROM pg_available_extensions WHERE name = 'timescaledb'
        """,
    )
    return found or Extension(None, None, loaded=False)


async def can_create_extension(tx: Tx) -> bool:
    """Return whether the server has TimescaleDB loaded, but this database does not have it yet."""
    found = await extension(tx)
    return found.available is not None and found.installed is None and found.loaded


async def more_readings_than(tx: Tx, number: int) -> bool:
    """Return whether there are more readings than a number; counts no further."""
    answer: bool = await fetch_value(
        tx,
        "SELECT count(*) > %(n)s FROM (SELECT FROM reading LIMIT %(n)s::bigint + 1) AS r",
        {"n": number},
    )
    return answer


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


async def has_room_at(tx: Tx, moment: datetime) -> bool:
    """Return whether readings of a moment have a partition of their own, or need none of ours."""
    answer: bool = await fetch_value(
        tx,
        """
        SELECT relkind <> 'p' OR to_regclass('reading_p' || to_char(%s AT TIME ZONE 'UTC',
                                                                    'YYYYMMDD')) IS NOT NULL
        FROM pg_class WHERE oid = 'reading'::regclass
        """,
        (moment,),
    )
    return answer


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
    """Delete readings before `horizon` by whole partitions or chunks, and note how far it went.

    In the Community edition its own policy deletes; here it is only noted.
    """
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


def refresh_reach(keep_readings: timedelta) -> timedelta:
    """How far back a refresh goes: never to readings that are deleted, whose buckets it empties."""
    return keep_readings - timedelta(days=2)


async def remake_aggregates(tx: Tx, settings: TelemetrySettings) -> None:
    """Community edition: make continuous aggregates of an older form anew; their history stays."""
    await no_time_limit(tx)
    await execute(
        tx,
        "SELECT set_config('silverline.refresh_reach', %s::interval::text, true)",
        (refresh_reach(settings.keep_readings),),
    )
    await run_script(tx, "community_upgrade.sql")
    await run_script(tx, "community.sql")


async def policy_keeps(tx: Tx, settings: TelemetrySettings) -> timedelta:
    """Community edition: for how long readings are kept for certain.

    Its policy goes by the settings of the last `silverline migrate`, and they may be others by now.
    """
    kept: timedelta = await fetch_value(
        tx,
        "SELECT least(%s, min((config ->> 'drop_after')::interval))"
        " FROM timescaledb_information.jobs"
        " WHERE proc_name = 'policy_retention' AND hypertable_name = 'reading'",
        (settings.keep_readings,),
    )
    return kept


async def close_days(tx: Tx, until: datetime) -> None:
    """Community edition: the rollup tables take over what lies before a midnight in China."""
    await no_time_limit(tx)
    await execute(
        tx, "SELECT set_config('silverline.close_until', %s::timestamptz::text, true)", (until,)
    )
    await run_script(tx, "community_close.sql")


_REFRESHES = (
    ("15m", timedelta(minutes=5)),
    ("1h", timedelta(minutes=15)),
    ("1d", timedelta(hours=1)),
)


async def set_policies(tx: Tx, settings: TelemetrySettings) -> None:
    """Community edition: refresh, columnstore and retention as background jobs of the database.

    Those of other settings are replaced. Of the same ones they stay, and with them what is known of
    their last runs; a retention that was stopped stays so in any case.
    """
    if await _policies_fit(tx, settings):
        return
    stopped = await fetch_value(
        tx,
        "SELECT count(*) > 0 FROM timescaledb_information.jobs WHERE NOT scheduled"
        " AND proc_name = 'policy_retention' AND hypertable_name = 'reading'",
    )
    reach = refresh_reach(settings.keep_readings)
    for level, every in _REFRESHES:
        await _set_refresh(tx, level, reach, every)
    await execute(tx, "CALL remove_columnstore_policy('reading', if_exists => true)")
    await execute(
        tx,
        "CALL add_columnstore_policy('reading', after => %s::interval)",
        (settings.compress_after,),
    )
    for table, kept in (
        ("reading", settings.keep_readings),
        ("reading_cagg_15m", settings.keep_15m),
        ("reading_cagg_1h", settings.keep_1h),
    ):
        await execute(
            tx, "SELECT remove_retention_policy(%s::regclass, if_exists => true)", (table,)
        )
        await execute(
            tx,
            "SELECT add_retention_policy(%s::regclass, drop_after => %s::interval)",
            (table, kept),
        )
    if stopped:
        await let_policy_delete(tx, allowed=False)


async def _set_refresh(tx: Tx, level: str, reach: timedelta, every: timedelta) -> None:
    await execute(
        tx,
        "SELECT remove_continuous_aggregate_policy("
        "('reading_cagg_' || %s)::regclass, if_exists => true)",
        (level,),
    )
    await execute(
        tx,
        """
        SELECT add_continuous_aggregate_policy(
            ('reading_cagg_' || %(level)s)::regclass, start_offset => %(reach)s::interval,
            end_offset => INTERVAL '1 minute', schedule_interval => %(every)s::interval)
        """,
        {"level": level, "reach": reach, "every": every},
    )


async def _policies_fit(tx: Tx, settings: TelemetrySettings) -> bool:
    reach = refresh_reach(settings.keep_readings)
    wanted: list[tuple[object, ...]] = [("refresh", reach, every) for _, every in _REFRESHES]
    wanted.append(("columnstore", settings.compress_after, None))
    kept = (settings.keep_readings, settings.keep_15m, settings.keep_1h)
    wanted += [("retention", span, None) for span in kept]
    found = await fetch_tuples(
        tx,
        """
        SELECT 'refresh', (config ->> 'start_offset')::interval, schedule_interval
        FROM timescaledb_information.jobs
        WHERE proc_name = 'policy_refresh_continuous_aggregate'
        UNION ALL
        SELECT 'columnstore', (config ->> 'compress_after')::interval, NULL
        FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'
        UNION ALL
        SELECT 'retention', (config ->> 'drop_after')::interval, NULL
        FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'
        """,
    )
    return sorted(found, key=str) == sorted(wanted, key=str)


async def aggregates_without_sketch(tx: Tx) -> bool:
    """Community edition: whether the continuous aggregates are from before migration 0011."""
    answer: bool = await fetch_value(
        tx,
        "SELECT NOT EXISTS (SELECT FROM pg_attribute"
        " WHERE attrelid = to_regclass('reading_cagg_15m') AND attname = 'sketch')",
    )
    return answer


async def aggregates_refreshed(tx: Tx, since: datetime) -> bool:
    """Community edition: whether every continuous aggregate was refreshed since a moment."""
    answer: bool = await fetch_value(
        tx,
        """
        SELECT coalesce(bool_and(coalesce(s.last_successful_finish >= %s, false)), false)
        FROM timescaledb_information.jobs j
        LEFT JOIN timescaledb_information.job_stats s USING (job_id)
        WHERE j.proc_name = 'policy_refresh_continuous_aggregate'
        """,
        (since,),
    )
    return answer


async def let_policy_delete(tx: Tx, *, allowed: bool) -> None:
    """Community edition: let the retention policy of the readings run, or stop it."""
    await execute(
        tx,
        """
        SELECT alter_job(job_id, scheduled => %(allowed)s)
        FROM timescaledb_information.jobs
        WHERE proc_name = 'policy_retention' AND hypertable_name = 'reading'
              AND scheduled <> %(allowed)s
        """,
        {"allowed": allowed},
    )
