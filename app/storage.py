"""What `silverline storage` does: say how readings are stored, move them onto TimescaleDB."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from app.settings import Settings, SettingsError
from ingest.telemetry import adoption
from ingest.telemetry.model import TelemetrySettings
from ingest.telemetry.status import StorageStatus, kept, storage_status
from kernel.clock import utcnow
from kernel.db import Database

_UNITS = ("B", "kB", "MB", "GB", "TB")


def telemetry_settings(settings: Settings) -> TelemetrySettings:
    """Return for how long readings are kept. Raises SettingsError."""
    kept = settings.storage
    try:
        return TelemetrySettings(
            keep_readings=timedelta(days=kept.keep_readings_days),
            keep_15m=timedelta(days=kept.keep_15m_days),
            keep_1h=timedelta(days=kept.keep_1h_days),
            compress_after=timedelta(days=kept.compress_after_days),
        )
    except ValueError as error:
        raise SettingsError(f"SILVERLINE_STORAGE__…: {error}") from error


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    db = await Database.open(settings.database_url, max_size=3)
    try:
        yield db
    finally:
        await db.close()


async def status(settings: Settings) -> dict[str, Any]:
    """Return how readings are stored, as plain values."""
    async with _database(settings) as db:
        found = await storage_status(db, utcnow())
    return _plain(found) | {"kept": kept(telemetry_settings(settings), found.mode)}


def _plain(found: StorageStatus) -> dict[str, Any]:
    return {
        "mode": found.mode.value,
        "possible": found.possible.value,
        "timescaledb": found.extension,
        "tables": [asdict(table) for table in found.tables],
        "rolled_up_until": {
            "15m": found.rollup.done_15m.isoformat(),
            "1h": found.rollup.done_1h.isoformat(),
            "1d": found.rollup.done_1d.isoformat(),
        },
        "rollup_lag_seconds": None if found.lag is None else round(found.lag.total_seconds()),
        "late_hours_waiting": found.waiting.late_marks,
        "readings_of_deleted_days_waiting": found.waiting.past,
        "readings_without_partition": found.waiting.in_default,
        "readings_in_the_last_hour": found.last_hour,
        "moving": found.moving,
        "policies": [
            {"job": name, "table": table, "runs": runs} for name, table, runs in found.policies
        ],
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Return the status as lines for a person."""
    extension = f", TimescaleDB {found['timescaledb']}" if found["timescaledb"] else ""
    said = [f"mode: {found['mode']}{extension}"]
    if found["moving"]:
        said.append("a move to a hypertable is half done: run `silverline storage adopt-timescale`")
    elif found["mode"] != found["possible"]:
        said.append(f"this database could do more: {found['possible']}")
    said.append(f"{'':22}{'parts':>6}{'size':>11}{'indexes':>11}{'rows, about':>16}")
    said += [
        f"{table['name']:22}{table['parts']:>6}{size(table['bytes']):>11}"
        f"{size(table['index_bytes']):>11}{table['rows']:>16,}"
        for table in found["tables"]
    ]
    said += [f"kept, {level}: {words}" for level, words in found["kept"].items()]
    lag = found["rollup_lag_seconds"]
    said.append(
        "rollup: by the database"
        if lag is None
        else f"rollup: closed until {timedelta(seconds=lag)} ago"
    )
    said.append(f"late hours to compute again: {found['late_hours_waiting']:,}")
    said.append(f"readings of deleted days to add: {found['readings_of_deleted_days_waiting']:,}")
    said.append(
        f"readings without a partition of their own: {found['readings_without_partition']:,}"
    )
    said.append(f"readings in the last hour: {found['readings_in_the_last_hour']:,}")
    said += [
        f"policy {each['job']} on {each['table']}: {'runs' if each['runs'] else 'PAUSED'}"
        for each in found["policies"]
    ]
    return said


def size(number: int) -> str:
    """Return bytes as people read them."""
    value = float(number)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


async def plan_adoption(settings: Settings) -> list[str]:
    """Return what a move would do. Raises AdoptionRefused with a sentence."""
    async with _database(settings) as db:
        plan = await adoption.plan(db)
    if plan is None:
        return ["Nothing to do: the readings are on a hypertable."]
    readings = sum(part.readings for part in plan.left)
    head = [
        f"TimescaleDB {plan.version}: {len(plan.left)} partitions to copy, about {readings:,}"
        f" readings; {plan.copied} are copied.",
        f"While it runs the disk needs about {size(plan.bytes)} more than now.",
    ]
    return head + [
        f"  {part.name}  {size(part.bytes)}  about {part.readings:,}" for part in plan.left
    ]


async def adopt(settings: Settings, say: Callable[[str], None]) -> str:
    """Move the readings; return the mode in force. Raises AdoptionRefused with a sentence."""
    async with _database(settings) as db:
        mode = await adoption.adopt(db, utcnow(), say, telemetry_settings(settings))
    return mode.value


async def cancel(settings: Settings) -> bool:
    """Undo a half-done move; False when there is none."""
    async with _database(settings) as db:
        return await adoption.cancel(db)
