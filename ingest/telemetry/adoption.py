"""Moves a plain installation onto a hypertable while ingest keeps writing (ADR 0003).

Day by day: first whatever comes to a partition from now on is noted beside it, then the partition
is copied. `reading` stays what it was until everything is copied; then what was noted is taken over
and the hypertable gets the name, in one short transaction with writers kept out. Each step is a
transaction that writes down what it did, so a run that is killed is continued by the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from ingest.telemetry import modes, move_store, schema_store
from ingest.telemetry.model import StorageError, StorageMode, TelemetrySettings
from ingest.telemetry.move_store import Part
from kernel.db import Database, Tx

Say = Callable[[str], None]
_ATTEMPTS = 20
_WAIT_SECONDS = 0.5
_LOCK_ATTEMPTS = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What a move has to do: the partitions left, and what has been copied before."""

    version: str
    left: tuple[Part, ...]
    copied: int
    begun: bool

    @property
    def bytes(self) -> int:
        """Size of what is left with its indexes: about what the disk needs beside it."""
        return sum(part.bytes for part in self.left)


class AdoptionRefused(StorageError):
    """The move cannot be made here; the message says why and what would help."""

    code = "storage_adoption"
    status = 409


async def plan(db: Database) -> Plan | None:
    """Return what there is to do, None when the readings are on a hypertable.

    Raises AdoptionRefused when the server cannot do it.
    """
    async with db.transaction() as tx:
        if await schema_store.shape(tx) is not StorageMode.PLAIN:
            return None
        found = await schema_store.extension(tx)
        begun = await move_store.under_way(tx)
        copied = len(await move_store.copied(tx)) if begun else 0
        left = await (move_store.left(tx) if begun else move_store.parts(tx))
    if found.available is None:
        raise AdoptionRefused(
            "This PostgreSQL server has no TimescaleDB. Install its package for this version of"
            " PostgreSQL; until then readings stay on ordinary partitions, which work as well."
        )
    if not found.loaded:
        raise AdoptionRefused(
            "TimescaleDB is installed on this server but not loaded. Add timescaledb to"
            " shared_preload_libraries in postgresql.conf and restart PostgreSQL."
        )
    return Plan(found.available, tuple(left), copied, begun)


async def adopt(
    db: Database, now: datetime, say: Say, settings: TelemetrySettings | None = None
) -> StorageMode:
    """Move the readings; return the mode that is in force then. Safe to run again at any time.

    `say` gets a line for each step. Raises AdoptionRefused, and psycopg.errors.LockNotAvailable
    when writers and readers leave no gap for a step: run it again.
    """
    async with db.dedicated() as lock:
        await _only_run(lock)
        wanted = await plan(db)
        if wanted is not None:
            await _begin(db, wanted, say)
            await _copy_all(db, wanted, now, say)
        await _clean_up(db, say)
    async with db.connection() as conn:
        mode = await modes.probe(conn)
    return await modes.ensure_storage(db, mode, now, settings)


async def cancel(db: Database) -> bool:
    """Undo a move that has not switched yet; False when there is none. No reading is touched."""
    async with db.dedicated() as lock:
        await _only_run(lock)
        async with db.transaction() as tx:
            if not await move_store.under_way(tx) or await move_store.switched(tx):
                return False
        await _retried(db, move_store.cancel)
    return True


async def _only_run(lock: Tx) -> None:
    # The server may still be ending what a killed run has left.
    for _ in range(_LOCK_ATTEMPTS):
        if await move_store.try_lock(lock):
            return
        await asyncio.sleep(_WAIT_SECONDS)
    raise AdoptionRefused("Another run is moving the readings already.")


async def _begin(db: Database, wanted: Plan, say: Say) -> None:
    if wanted.begun:
        say(f"Going on: {wanted.copied} partitions are copied, {len(wanted.left)} are left.")
        return
    if not await modes.enable_extension(db):
        async with db.connection() as conn:
            if (await schema_store.extension(conn)).installed is None:
                raise AdoptionRefused(
                    "This database account may not install TimescaleDB. Let an administrator run"
                    " CREATE EXTENSION timescaledb in this database once."
                )

    async def step(tx: Tx) -> None:
        await schema_store.exclude_writers(tx)
        await move_store.begin(tx)

    await _retried(db, step)
    say(f"Moving {len(wanted.left)} partitions to a hypertable of TimescaleDB {wanted.version}.")


async def _copy_all(db: Database, wanted: Plan, now: datetime, say: Say) -> None:
    """Copy until nothing is left, and switch: a partition may have got its first reading since."""
    done, whole = wanted.copied, wanted.copied + len(wanted.left)
    while True:
        async with db.transaction() as tx:
            left = await move_store.left(tx)
        for part in left:
            number = await _copy(db, part, now)
            done += 1
            whole = max(whole, done)
            say(f"{done:>5} of {whole}  {part.name}  {number:,} readings")
        if await _switch(db):
            say("The hypertable has taken over the name; reading goes on.")
            return


async def _copy(db: Database, part: Part, now: datetime) -> int:
    async def watch(tx: Tx) -> None:
        await move_store.watch(tx, part)

    await _retried(db, watch)
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        await move_store.end_with_client(tx)
        return await move_store.copy(tx, part, is_over=part.until is not None and part.until < now)


async def _switch(db: Database) -> bool:
    """Switch over; False when there is more to copy first."""
    # Most of what was noted, while writers still write: what remains is a moment's worth.
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        await move_store.drain(tx)
    complete = False

    async def step(tx: Tx) -> None:
        nonlocal complete
        await schema_store.no_time_limit(tx)
        await schema_store.exclude_writers(tx)
        complete = not await move_store.left(tx)
        if complete:
            await move_store.drain(tx)
            await move_store.switch(tx)

    await _retried(db, step)
    return complete


async def _clean_up(db: Database, say: Say) -> None:
    """Drop the old table after a last look at the books."""
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        if not await move_store.switched(tx):
            return
        missing = await move_store.difference(tx)
    if missing:
        raise StorageError(
            f"The old table has {missing:,} readings more than were taken over. It is kept as"
            " reading_partitioned; nothing is lost, but somebody should look.",
            missing=missing,
        )
    await _retried(db, move_store.end)
    say("The books agree; the old partitions are dropped.")


async def _retried(db: Database, step: Callable[[Tx], Awaitable[None]]) -> None:
    """Do a short step that needs a lock, again when it does not get it within three seconds."""
    for _ in range(_ATTEMPTS - 1):
        try:
            async with db.transaction() as tx:
                await step(tx)
        except psycopg.errors.LockNotAvailable:
            await asyncio.sleep(_WAIT_SECONDS)
        else:
            return
    async with db.transaction() as tx:
        await step(tx)
