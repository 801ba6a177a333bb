"""Scheduled jobs: one leader inserts due runs, any process with the runner works them off.

APScheduler only decides *when*; a run exists once under UNIQUE(job, due_at), whoever inserts it.
The leader holds a session advisory lock: when its connection dies, another takes over in seconds.

Jobs do not wait for each other, each runs once at a time in a process. When runs of a job have
piled up, the newest is done and the others are closed as skipped: a job looks at the state of
things and not at its due time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from prometheus_client import Counter, Gauge

from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS, Database, execute, fetch_one
from kernel.logs import describe

log = structlog.get_logger(__name__)
_LEADER_KEY = 0x51_1F_E4_12
LEASE_SECONDS = 600
POLL_SECONDS = 2.0
STOP_SECONDS = 10.0

_runs = Counter("silverline_job_runs_total", "Finished job runs", ["job", "result"])
_leader = Gauge("silverline_scheduler_leader", "1 while this process leads the scheduler")

JobFunction = Callable[[Database, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `every_seconds`; it must be idempotent: a run may be taken twice."""

    name: str
    run: JobFunction
    every_seconds: int


@dataclass(frozen=True, slots=True)
class _Run:
    id: int
    job: str
    due_at: datetime


def due_at(now: datetime, every_seconds: int) -> datetime:
    """Return the latest moment on the grid of `every_seconds` that is not after `now`."""
    stamp = int(now.timestamp()) // every_seconds * every_seconds
    return datetime.fromtimestamp(stamp, UTC)


async def insert_due(db: Database, job: Job, now: datetime) -> bool:
    """Insert the run that is due now; False when it was there already."""
    async with db.transaction() as tx:
        added = await execute(
            tx,
            "INSERT INTO job_run (job, due_at) VALUES (%s, %s)"
            " ON CONFLICT (job, due_at) DO NOTHING",
            (job.name, due_at(now, job.every_seconds)),
        )
        await tx.execute("SELECT pg_notify('job', %s)", (job.name,))
    return added == 1


class Scheduler:
    """Leads when it can, and works off due runs in any case."""

    def __init__(self, db: Database, jobs: Sequence[Job]) -> None:
        self._db = db
        self._jobs = {job.name: job for job in jobs}
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self.is_leader = False

    async def run(self, stop: asyncio.Event) -> None:
        """Lead and work until `stop` is set."""
        leading = asyncio.create_task(self._lead(), name="scheduler-leader")
        leading.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                if leading.done():
                    # Without a leader nothing is due ever again: end loudly, to be started anew.
                    leading.result()
                try:
                    while await self._start_one():
                        pass
                except TRANSIENT_ERRORS as error:
                    log.warning("scheduler.database_away", error=type(error).__name__)
                await _first_of(POLL_SECONDS, self._wake, stop)
        finally:
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            await self._finish()

    async def run_one(self) -> bool:
        """Take one due run and do it; False when there is none."""
        run = await self._claim()
        if run is None:
            return False
        await self._do(run)
        return True

    async def _start_one(self) -> bool:
        run = await self._claim()
        if run is None:
            return False
        self._running[run.job] = asyncio.create_task(self._do_safely(run), name=f"job-{run.job}")
        return True

    async def _do_safely(self, run: "_Run") -> None:
        try:
            await self._do(run)
        except TRANSIENT_ERRORS as error:
            # Not marked: it is taken again when its lease is over, unless a newer run comes first.
            log.warning("scheduler.database_away", job=run.job, error=type(error).__name__)
        finally:
            del self._running[run.job]
            self._wake.set()

    async def _finish(self) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running.values(), timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _lead(self) -> None:
        while True:
            try:
                async with self._db.dedicated() as conn:
                    cursor = await conn.execute("SELECT pg_try_advisory_lock(%s)", (_LEADER_KEY,))
                    row = await cursor.fetchone()
                    if row and row[0]:
                        await self._hold(conn)
            except (psycopg.Error, OSError) as error:
                log.warning("scheduler.leader_lost", error=type(error).__name__)
            await asyncio.sleep(2.0)

    async def _hold(self, conn: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        clockwork = AsyncIOScheduler(timezone=UTC)
        for job in self._jobs.values():
            clockwork.add_job(
                self._fire,
                IntervalTrigger(seconds=job.every_seconds),
                args=[job],
                next_run_time=utcnow(),
                misfire_grace_time=None,
                coalesce=True,
                max_instances=1,
            )
        clockwork.start()
        self.is_leader = True
        _leader.set(1)
        log.info("scheduler.leads")
        try:
            while True:
                # The lock lives as long as this session does; losing it must be noticed.
                await conn.execute("SELECT 1")
                await asyncio.sleep(2.0)
        finally:
            self.is_leader = False
            _leader.set(0)
            clockwork.shutdown(wait=False)

    async def _fire(self, job: Job) -> None:
        try:
            await insert_due(self._db, job, utcnow())
        except TRANSIENT_ERRORS as error:
            log.warning("scheduler.insert_failed", job=job.name, error=type(error).__name__)
        self._wake.set()

    async def _do(self, run: "_Run") -> None:
        error: str | None = None
        try:
            async with asyncio.timeout(LEASE_SECONDS * 0.9):
                await self._jobs[run.job].run(self._db, run.due_at)
        except TRANSIENT_ERRORS:
            raise
        # A job is somebody else's code: its error is kept on the run and the next run goes on.
        except Exception as failure:
            error = describe(failure)
            log.exception("scheduler.job_failed", job=run.job)
        _runs.labels(run.job, "error" if error else "done").inc()
        async with self._db.transaction() as tx:
            await execute(
                tx,
                "UPDATE job_run SET finished_at = now(), error = %s WHERE id = %s",
                (error, run.id),
            )

    async def _claim(self) -> "_Run | None":
        async with self._db.transaction() as tx:
            run = await fetch_one(
                tx,
                _Run,
                """
                UPDATE job_run SET started_at = now() WHERE id = (
                    SELECT id FROM job_run
                    WHERE finished_at IS NULL AND job = ANY(%(jobs)s)
                      AND (started_at IS NULL
                           OR started_at < now() - make_interval(secs => %(lease)s))
                    ORDER BY due_at DESC LIMIT 1 FOR UPDATE SKIP LOCKED)
                RETURNING id, job, due_at
                """,
                {"jobs": [j for j in self._jobs if j not in self._running], "lease": LEASE_SECONDS},
            )
            if run is not None:
                skipped = await execute(
                    tx,
                    """
                    UPDATE job_run SET finished_at = now(), error = 'skipped' WHERE id IN (
                        SELECT id FROM job_run
                        WHERE finished_at IS NULL AND job = %(job)s AND due_at < %(due)s
                          AND (started_at IS NULL
                               OR started_at < now() - make_interval(secs => %(lease)s))
                        FOR UPDATE SKIP LOCKED)
                    """,
                    {"job": run.job, "due": run.due_at, "lease": LEASE_SECONDS},
                )
                _runs.labels(run.job, "skipped").inc(skipped)
        return run


async def _first_of(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of the events is set, or for so many seconds."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()


async def prune(db: Database, now: datetime) -> None:
    """Job of the kernel itself: forget finished runs and outbox items after their time."""
    async with db.transaction() as tx:
        await execute(tx, "DELETE FROM job_run WHERE finished_at < %s", (now - timedelta(days=7),))
        await execute(tx, "DELETE FROM outbox WHERE done_at < %s", (now - timedelta(days=30),))
        await execute(tx, "DELETE FROM user_session WHERE expires_at < %s", (now,))
        await execute(tx, "DELETE FROM login_attempt WHERE at < %s", (now - timedelta(days=1),))
        await execute(
            tx, "DELETE FROM login_lock WHERE last_attempt_at < %s", (now - timedelta(days=1),)
        )


async def every(stop: asyncio.Event, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
    """Run `step` again and again with a pause, until `stop`.

    A step that fails is logged and the loop goes on: one incident that cannot be handled must not
    end the watch over all the others.
    """
    while not stop.is_set():
        try:
            await step()
        except TRANSIENT_ERRORS as error:
            log.warning("loop.database_away", step=step.__qualname__, error=type(error).__name__)
        except Exception:
            log.exception("loop.step_failed", step=step.__qualname__)
        await _first_of(seconds, stop)
