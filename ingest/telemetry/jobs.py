"""What the scheduler runs for the readings: rollup, partitions ahead, retention."""

from datetime import datetime

import psycopg
import structlog

from ingest.telemetry import modes, rollup, schema_store
from ingest.telemetry.model import StorageMode, TelemetrySettings
from kernel.db import Database
from kernel.jobs import Job

log = structlog.get_logger(__name__)


def telemetry_jobs(settings: TelemetrySettings | None = None) -> list[Job]:
    """Return the jobs; they ask the database for its mode themselves."""
    chosen = settings or TelemetrySettings()

    async def roll_up(db: Database, now: datetime) -> None:
        await rollup.roll_up(db, now, chosen)

    async def maintain(db: Database, now: datetime) -> None:
        await keep_partitions(db, now, chosen)
        await delete_old(db, now, chosen)

    return [
        Job("telemetry.rollup", roll_up, chosen.rollup_every_seconds),
        Job("telemetry.maintenance", maintain, chosen.maintenance_every_seconds),
    ]


async def keep_partitions(db: Database, now: datetime, settings: TelemetrySettings) -> None:
    """Make partitions ahead of time and for late days; try again next time if that has to wait."""
    try:
        await modes.keep_partitions(db, now, settings)
    except psycopg.errors.LockNotAvailable:
        log.warning("telemetry.partitions_postponed")


async def delete_old(db: Database, now: datetime, settings: TelemetrySettings) -> None:
    """Delete readings and rollups that are older than they are kept; postponed like the above."""
    try:
        async with db.transaction() as tx:
            await schema_store.no_time_limit(tx)
            await schema_store.exclude_writers(tx)
            shape = await schema_store.shape(tx)
            if shape is not StorageMode.COMMUNITY:
                await schema_store.drop_readings(tx, shape, now - settings.keep_readings)
            await schema_store.drop_rollups(tx, now - settings.keep_15m, now - settings.keep_1h)
    except psycopg.errors.LockNotAvailable:
        log.warning("telemetry.retention_postponed")
