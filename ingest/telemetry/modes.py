"""Storage modes: what this database can do, and tables to match (ADR 0003).

TimescaleDB is progressive enhancement: without it, or when a step of it fails, everything works on
ordinary tables.
"""

from datetime import datetime, timedelta

import psycopg
import structlog

from ingest.telemetry import move_store, rollup_store, schema_store
from ingest.telemetry.model import StorageError, StorageMode, TelemetrySettings
from ingest.telemetry.rules import ceil_to
from kernel.db import Database, Tx

log = structlog.get_logger(__name__)
# Partitions are made from a little before now, so that what is only hours late finds its own.
_BEHIND = timedelta(days=2)
_DAY = timedelta(days=1)
_ROLLUP_AHEAD = timedelta(days=40)
# Each waits for three seconds at most; in between, writers and readers get their turn.
_ATTEMPTS = 5
# A second or two of writers kept out. More than that is moved while they write: adoption.py.
_AT_ONCE = 500_000


async def probe(conn: Tx) -> StorageMode:
    """Return what the database can do, by its extensions and TimescaleDB's licence setting."""
    licence = await schema_store.edition(conn)
    if licence is None:
        return StorageMode.PLAIN
    return StorageMode.COMMUNITY if licence == "timescale" else StorageMode.APACHE


async def enable_extension(db: Database) -> bool:
    """Install TimescaleDB in this database if the server has it loaded; return whether it was done.

    Without the right to do so it stays as it is: the plain mode needs nothing.
    """
    try:
        async with db.transaction() as tx:
            if not await schema_store.can_create_extension(tx):
                return False
            await schema_store.create_extension(tx)
    except psycopg.errors.InsufficientPrivilege:
        log.warning("telemetry.extension_not_permitted")
        return False
    return True


async def ensure_storage(
    db: Database, mode: StorageMode, now: datetime, settings: TelemetrySettings | None = None
) -> StorageMode:
    """Make the tables fit the mode and return the mode that is in force.

    Safe to repeat and to run by several processes at once. A plain table with few readings becomes
    a hypertable at once; one with many stays plain until adoption.adopt has moved them. Raises
    StorageError when the tables are made for more than `mode` can do, and
    psycopg.errors.LockNotAvailable when readers or writers do not make room within a quarter of a
    minute.
    """
    chosen = settings or TelemetrySettings()
    for attempt in range(1, _ATTEMPTS):
        try:
            return await _ensure_once(db, mode, now, chosen)
        except psycopg.errors.LockNotAvailable:
            log.warning("telemetry.storage_busy", attempt=attempt)
    return await _ensure_once(db, mode, now, chosen)


async def _ensure_once(
    db: Database, mode: StorageMode, now: datetime, settings: TelemetrySettings
) -> StorageMode:
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        await schema_store.exclude_writers(tx)
        shape = await schema_store.shape(tx)
        _refuse_downgrade(shape, mode)
        if shape is StorageMode.PLAIN and mode is not StorageMode.PLAIN:
            shape = await _convert_small(tx)
        await _make_partitions(tx, shape, now, settings)
    await _adopt_late_days(db, shape, now, settings)
    if mode is StorageMode.COMMUNITY and shape is not StorageMode.PLAIN:
        return await _ensure_community(db, shape, now, settings)
    return shape


async def _convert_small(tx: Tx) -> StorageMode:
    """Turn the plain table into a hypertable if that is quickly done; return its shape."""
    if await move_store.under_way(tx) or await schema_store.more_readings_than(tx, _AT_ONCE):
        log.warning(
            "telemetry.not_converted", remedy="run `silverline storage adopt-timescale` once"
        )
        return StorageMode.PLAIN
    log.info("telemetry.converting_to_hypertable")
    await schema_store.run_script(tx, "hypertable.sql")
    return StorageMode.APACHE


async def keep_partitions(db: Database, now: datetime, settings: TelemetrySettings) -> None:
    """Make partitions ahead of time, and for late days; not while readings are being moved.

    Raises psycopg.errors.LockNotAvailable as `ensure_storage` does.
    """
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        await schema_store.exclude_writers(tx)
        shape = await schema_store.shape(tx)
        await _make_partitions(tx, shape, now, settings)
    await _adopt_late_days(db, shape, now, settings)


async def make_room(db: Database, first: datetime, last: datetime) -> None:
    """Make the days from `first` to before `last`, for readings of the past that come at once.

    Without it they would lie in the default partition until `keep_partitions` moves them.
    """
    async with db.transaction() as tx:
        await schema_store.exclude_writers(tx)
        plain = await schema_store.shape(tx) is StorageMode.PLAIN
        if plain and not await move_store.under_way(tx):
            await schema_store.make_reading_partitions(tx, first, last)


async def _make_partitions(
    tx: Tx, shape: StorageMode, now: datetime, settings: TelemetrySettings
) -> None:
    # While readings are moved to a hypertable no partition may come that the move has not seen.
    if shape is StorageMode.PLAIN and not await move_store.under_way(tx):
        last = now + settings.partitions_ahead
        await schema_store.make_reading_partitions(tx, now - _BEHIND, last)
    await schema_store.make_rollup_partitions(tx, now - _BEHIND, now + _ROLLUP_AHEAD)


async def _adopt_late_days(
    db: Database, shape: StorageMode, now: datetime, settings: TelemetrySettings
) -> None:
    """Give days that lie in the default partition their own; writers wait for one day at a time."""
    if shape is not StorageMode.PLAIN:
        return
    async with db.transaction() as tx:
        first, last = now - settings.keep_readings, now + settings.partitions_ahead
        days = await schema_store.days_in_default(tx, first, last)
    for day in days:
        async with db.transaction() as tx:
            await schema_store.no_time_limit(tx)
            await schema_store.exclude_writers(tx)
            if await move_store.under_way(tx):
                return
            await schema_store.make_reading_partitions(tx, day, day + timedelta(days=1))


async def _ensure_community(
    db: Database, shape: StorageMode, now: datetime, settings: TelemetrySettings
) -> StorageMode:
    try:
        async with db.transaction() as tx:
            await schema_store.exclude_writers(tx)
            # Another process may have been here since.
            shape = await schema_store.shape(tx)
            if shape is not StorageMode.COMMUNITY:
                await schema_store.run_script(tx, "community.sql")
                await schema_store.run_script(tx, "columnstore.sql")
            elif await schema_store.aggregates_without_sketch(tx):
                await schema_store.remake_aggregates(tx, settings)
            await _keep_what_is_deleted(tx, now, settings)
            await schema_store.set_policies(tx, settings)
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.DatabaseError as error:
        # Nothing is lost: what is there works as in the Apache edition, only with our own jobs.
        log.error("telemetry.community_features_failed", error=str(error))
        return shape
    return StorageMode.COMMUNITY


async def _keep_what_is_deleted(tx: Tx, now: datetime, settings: TelemetrySettings) -> None:
    """Move the line of deletion, and close days that a refresh would empty from now on.

    The first before any reading comes: in a new installation, or after a long pause, it is where no
    refresh reaches. The second when readings are to be kept for longer than they were.
    """
    kept = await schema_store.policy_keeps(tx, settings)
    line = await rollup_store.refreshed_line(tx, now, schema_store.refresh_reach(kept))
    await schema_store.drop_readings(tx, StorageMode.COMMUNITY, line)
    if kept < settings.keep_readings:
        await schema_store.close_days(tx, ceil_to(_DAY, line))


def _refuse_downgrade(shape: StorageMode, mode: StorageMode) -> None:
    order = list(StorageMode)
    if order.index(shape) > order.index(mode):
        raise StorageError(
            f"the tables are made for storage mode {shape}, but the database only offers {mode}",
            shape=shape,
            mode=mode,
        )
