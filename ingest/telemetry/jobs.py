"""What the scheduler runs for the readings: rollup, partitions ahead, retention."""

from datetime import datetime, timedelta

import psycopg
import structlog

from ingest.telemetry import modes, move_store, rollup, rollup_store, schema_store
from ingest.telemetry.model import StorageMode, TelemetrySettings
from ingest.telemetry.rollup import Recompute
from ingest.telemetry.rules import utc_day
from kernel.db import Database
from kernel.jobs import Job

log = structlog.get_logger(__name__)
_REFRESHED_WITHIN = timedelta(days=2)
_DAY = timedelta(days=1)


def telemetry_jobs(
    settings: TelemetrySettings | None = None, recompute: Recompute | None = None
) -> list[Job]:
    """Return the jobs; they ask the database for its mode themselves.

    `recompute` is told of the hours of devices that got readings late.
    """
    chosen = settings or TelemetrySettings()

    async def roll_up(db: Database, now: datetime) -> None:
        await rollup.roll_up(db, now, chosen, recompute)

    async def maintain(db: Database, now: datetime) -> None:
        await keep_partitions(db, now, chosen)
        await delete_old(db, now, chosen)

    return [
        Job("telemetry.rollup", roll_up, chosen.rollup_every_seconds),
        Job("telemetry.maintenance", maintain, chosen.maintenance_every_seconds),
    ]


async def keep_partitions(db: Database, now: datetime, settings: TelemetrySettings) -> None:
    """Make partitions ahead of time and for late days; try again next time if that has to wait.

    That is ordinary while a long reader is at work: they are made a week ahead. It is worth a
    warning when it has gone on for so long that tomorrow has none.
    """
    try:
        await modes.keep_partitions(db, now, settings)
    except psycopg.errors.LockNotAvailable:
        async with db.connection() as conn:
            ahead = await schema_store.has_room_at(conn, now + _DAY)
        (log.info if ahead else log.warning)("telemetry.partitions_postponed")


async def delete_old(db: Database, now: datetime, settings: TelemetrySettings) -> None:
    """Delete readings and rollups that are older than they are kept; postponed like the above.

    Nothing goes before the next level was made of it, however far behind the rollup is.
    """
    try:
        async with db.transaction() as tx:
            await schema_store.no_time_limit(tx)
            await schema_store.exclude_writers(tx)
            shape = await schema_store.shape(tx)
            if shape is StorageMode.PLAIN and await move_store.under_way(tx):
                return
            made = await rollup_store.read_state(tx)
            ours = shape is not StorageMode.COMMUNITY
            if ours:
                late = await rollup_store.oldest_mark(tx)
                horizon = min(now - settings.keep_readings, made.done_15m)
                # By whole days, as partitions go: what is of a day is either all there or all gone.
                horizon = utc_day(min(horizon, late or horizon))
            else:
                reach = schema_store.refresh_reach(await schema_store.policy_keeps(tx, settings))
                horizon = await rollup_store.refreshed_line(tx, now, reach)
            await schema_store.drop_readings(tx, shape, horizon)
            kept = rollup_store.kept_from(made, now, settings, ours=ours)
            await schema_store.drop_rollups(tx, *kept)
    except psycopg.errors.LockNotAvailable:
        log.warning("telemetry.retention_postponed")
        return
    if shape is StorageMode.COMMUNITY:
        await _guard_policy(db, now)


async def _guard_policy(db: Database, now: datetime) -> None:
    """Community edition: the database deletes by itself, but not while its rollups stand still."""
    try:
        async with db.transaction() as tx:
            fresh = await schema_store.aggregates_refreshed(tx, now - _REFRESHED_WITHIN)
            await schema_store.let_policy_delete(tx, allowed=fresh)
    except psycopg.DatabaseError as error:
        log.error("telemetry.retention_policy_not_guarded", error=str(error))
        return
    if not fresh:
        log.warning("telemetry.retention_policy_paused")
