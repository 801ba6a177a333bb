"""What `silverline storage status` says: mode, sizes, what is kept, how far the rollup is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.telemetry import modes, move_store, rollup_store, schema_store, status_store
from ingest.telemetry.model import StorageMode, TelemetrySettings
from ingest.telemetry.rollup_store import RollupState
from ingest.telemetry.status_store import TableSize, Waiting
from kernel.db import Database


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """`mode` is what the tables are made for, `possible` what this database could do.

    `lag` is the age of the newest closed quarter of an hour, None in the Community edition, whose
    aggregates the database refreshes. `moving` says that a move to a hypertable is half done.
    """

    mode: StorageMode
    possible: StorageMode
    extension: str | None
    tables: tuple[TableSize, ...]
    rollup: RollupState
    lag: timedelta | None
    waiting: Waiting
    last_hour: int
    moving: bool
    policies: tuple[tuple[str, str, bool], ...]


async def storage_status(db: Database, now: datetime) -> StorageStatus:
    """Look at the storage of readings; reads only, and nothing that grows with the readings."""
    async with db.transaction() as tx:
        shape = await schema_store.shape(tx)
        state = await rollup_store.read_state(tx)
        community = shape is StorageMode.COMMUNITY
        return StorageStatus(
            mode=shape,
            possible=await modes.probe(tx),
            extension=(await schema_store.extension(tx)).installed,
            tables=tuple(await status_store.table_sizes(tx, shape)),
            rollup=state,
            lag=None if community else max(now - state.done_15m, timedelta()),
            waiting=await status_store.waiting(tx, shape),
            last_hour=await status_store.newest_hour(tx, now - timedelta(hours=1)),
            moving=await move_store.under_way(tx),
            policies=tuple(await status_store.policies(tx)) if community else (),
        )


def kept(settings: TelemetrySettings, mode: StorageMode) -> dict[str, str]:
    """Return for how long each level is kept, and when it is compressed, in words."""
    days = {
        "readings": settings.keep_readings,
        "15 minutes": settings.keep_15m,
        "hours": settings.keep_1h,
    }
    words = {name: f"{span.days} days" for name, span in days.items()}
    words["days"] = "for ever"
    words["compressed"] = (
        f"after {settings.compress_after.days} days"
        if mode is StorageMode.COMMUNITY
        else "no: the Community edition of TimescaleDB does it"
    )
    return words
