"""The rollup job: closes buckets, and computes again what late data touched.

In the Community edition continuous aggregates close the buckets; what is left is late data that
lies before them, and whoever else wants to know of it (`Recompute`). What is of days whose readings
have been deleted is added to their buckets (`past_store`), in every edition.

Every step is a transaction of its own and starts from what the database says, so a run that is
killed anywhere is simply continued by the next one.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
import structlog
from prometheus_client import Counter, Gauge

from ingest.telemetry import past_store, rollup_store, schema_store
from ingest.telemetry.model import StorageMode, TelemetrySettings
from ingest.telemetry.rollup_store import Mark, RollupState, SeenMarks
from ingest.telemetry.rules import floor_to
from kernel.db import Database, Tx

log = structlog.get_logger(__name__)

# A bucket is closed so long after its end: most readings are there by then, the rest is marked.
GRACE = timedelta(seconds=60)
_QUARTER = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
# At 1,000 readings a second an hour is 3.6 million rows, some seconds of one core.
_CHUNK = _HOUR
_LONGEST_CHUNK = timedelta(days=32)
_FEW_BUCKETS = 10_000
_MARKS_AT_ONCE = 20_000
_READINGS_AT_ONCE = 100_000

Recompute = Callable[[Tx, Collection[Mark], datetime], Awaitable[None]]
"""Called with device hours that got readings late, in the transaction that rolls them up again.

What it raises leaves the marks for the next run. Sees the readings and their new buckets.
"""

_lag = Gauge(
    "silverline_rollup_lag_seconds", "Age of the end of the newest closed 15-minute bucket"
)
_late = Counter("silverline_rollup_late_hours_total", "Device hours rolled up again for late data")
_past = Counter(
    "silverline_rollup_past_readings_total", "Readings added to days whose readings were deleted"
)


@dataclass(frozen=True, slots=True)
class RollupResult:
    """What a run did: buckets written in order, by all levels, device hours done again, and
    readings added to buckets whose own are gone."""

    buckets: int = 0
    late_hours: int = 0
    past_readings: int = 0


async def roll_up(
    db: Database,
    now: datetime,
    settings: TelemetrySettings | None = None,
    recompute: Recompute | None = None,
) -> RollupResult:
    """Close the buckets that ended a minute ago; compute again what late data touched."""
    settings = settings or TelemetrySettings()
    async with db.transaction() as tx:
        closes = await schema_store.shape(tx) is not StorageMode.COMMUNITY
    await _open_next(db, now)
    buckets = 0
    chunk = _CHUNK
    while closes and (written := await _close_next(db, chunk)):
        buckets += written.buckets
        # After a long pause with few readings in it, or none, there is no need to go by the hour.
        chunk = min(2 * chunk, _LONGEST_CHUNK) if written.buckets < _FEW_BUCKETS else _CHUNK
    past = 0
    while added := await _add_past(db, now, settings, ours=closes):
        past += added
    if not closes:
        return RollupResult(buckets, await _redo_refreshed(db, now, settings, recompute), past)
    late = 0
    while hours := await _redo_late(db, now, recompute):
        late += hours
    return RollupResult(buckets, late, past)


async def _open_next(db: Database, now: datetime) -> None:
    """Move the line between fresh and late. Writers wait for it, so it is all this does."""
    try:
        async with db.transaction() as tx:
            await schema_store.exclude_writers(tx)
            await rollup_store.set_open_from(tx, floor_to(_QUARTER, now - GRACE))
    except psycopg.errors.LockNotAvailable:
        log.warning("telemetry.rollup_line_not_moved")


@dataclass(frozen=True, slots=True)
class _Step:
    buckets: int


async def _close_next(db: Database, chunk: timedelta) -> _Step | None:
    """Close what follows, at most a chunk of readings, None when nothing is left to close."""
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        await rollup_store.lock_job(tx)
        state = await rollup_store.read_state(tx)
        if state.open_from is None:
            return None
        done_15m = min(state.done_15m + chunk, state.open_from)
        if done_15m <= state.done_15m:
            _lag.set_to_current_time()
            return None
        # The month of a bucket need not have a partition yet after a long pause.
        await schema_store.make_rollup_partitions(tx, state.done_1d, done_15m)
        buckets = await rollup_store.roll_15m(tx, state.done_15m, done_15m)
        await rollup_store.set_done(tx, "15m", done_15m)
        buckets += await _close_coarser(tx, state, done_15m)
    return _Step(buckets)


async def _close_coarser(tx: Tx, state: RollupState, done_15m: datetime) -> int:
    buckets = 0
    done_1h = floor_to(_HOUR, done_15m)
    if done_1h > state.done_1h:
        buckets += await rollup_store.roll_1h(tx, state.done_1h, done_1h)
        await rollup_store.set_done(tx, "1h", done_1h)
    done_1d = floor_to(_DAY, done_1h)
    if done_1d > state.done_1d:
        buckets += await rollup_store.roll_1d(tx, state.done_1d, done_1d)
        await rollup_store.set_done(tx, "1d", done_1d)
    return buckets


async def _add_past(db: Database, now: datetime, settings: TelemetrySettings, *, ours: bool) -> int:
    """Add some of what came for deleted days to its buckets; returns how many readings.

    Before late hours are done again: the day at the line is made of its hours once more.
    """
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        await rollup_store.lock_job(tx)
        span = await past_store.waiting(tx)
        if span.first is None:
            return 0
        kept = rollup_store.kept_from(await rollup_store.read_state(tx), now, settings, ours=ours)
        await past_store.make_partitions(tx, span, *kept)
        added = await past_store.add(tx, _READINGS_AT_ONCE, *kept)
    _past.inc(added)
    return added


async def _redo_refreshed(
    db: Database, now: datetime, settings: TelemetrySettings, recompute: Recompute | None
) -> int:
    """Community edition: refresh what late data touched, before anybody is told of it.

    The policies would do it some minutes later, and in batches of which they leave a rest for their
    next run. What comes during a refresh may not be in it: its mark is for the next one. Returns
    how many marks there were; when a refresh is refused, the next run tries again.
    """
    async with db.transaction() as tx:
        kept = await schema_store.policy_keeps(tx, settings)
    reach = schema_store.refresh_reach(kept)
    late = 0
    while True:
        async with db.transaction() as tx:
            seen = await rollup_store.see_late_marks(tx, _MARKS_AT_ONCE, now - reach)
        if not seen.ids or not await _refresh(db, seen):
            return late
        # A policy of the database deletes without telling us how far it went.
        late += await _redo_late(db, now, recompute, now - kept, seen)
        if len(seen.ids) < _MARKS_AT_ONCE:
            return late


async def _refresh(db: Database, seen: SeenMarks) -> bool:
    """Return whether it was done: one that meets a policy's is refused."""
    if seen.first is None or seen.last is None:
        return True
    try:
        async with db.dedicated() as conn:
            for level in ("15m", "1h", "1d"):
                await rollup_store.refresh(conn, level, seen.first, seen.last)
    except psycopg.errors.LockNotAvailable:
        log.info("telemetry.refresh_postponed")
        return False
    return True


async def _redo_late(
    db: Database,
    now: datetime,
    recompute: Recompute | None,
    horizon: datetime | None = None,
    seen: SeenMarks | None = None,
) -> int:
    """Take some marks and compute their buckets again; returns how many marks there were."""
    async with db.transaction() as tx:
        await schema_store.no_time_limit(tx)
        await rollup_store.lock_job(tx)
        marks, taken = await rollup_store.take_late_marks(tx, _MARKS_AT_ONCE, horizon, seen)
        if marks:
            hours = [hour for _, hour in marks]
            await schema_store.make_rollup_partitions(tx, min(hours), max(hours) + _HOUR)
            state = await rollup_store.read_state(tx)
            await rollup_store.reroll_15m(tx, marks, state.done_15m)
            await rollup_store.reroll_1h(tx, marks, state.done_1h)
            await rollup_store.reroll_1d(tx, marks, state.done_1d)
            if recompute is not None:
                await recompute(tx, marks, now)
            _late.inc(len(marks))
    return taken
