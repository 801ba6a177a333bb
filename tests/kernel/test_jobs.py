"""Scheduled jobs: one leader, each due run once, nothing waits for anything else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import jobs
from kernel.db import Database, execute, fetch_tuples, fetch_value
from kernel.ids import new_id
from kernel.jobs import Job, Scheduler, due_at, every, insert_due, prune
from tests.kernel.waiting import cut_connections, until

NOW = datetime(2026, 3, 5, 14, 3, 7, tzinfo=UTC)


class Work:
    """A job's function that keeps its due times, waits for a gate and fails when told to."""

    def __init__(self, *errors: Exception) -> None:
        self.seen: list[datetime] = []
        self.errors = list(errors)
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, _: Database, now: datetime) -> None:
        self.seen.append(now)
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)


async def runs(db: Database) -> list[tuple[Any, ...]]:
    async with db.connection() as tx:
        return await fetch_tuples(
            tx, "SELECT job, due_at, finished_at IS NOT NULL, error FROM job_run ORDER BY due_at"
        )


async def age(db: Database, seconds: float) -> None:
    async with db.transaction() as tx:
        await execute(
            tx, "UPDATE job_run SET started_at = started_at - make_interval(secs => %s)", (seconds,)
        )


@asynccontextmanager
async def running(*schedulers: Scheduler) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(scheduler.run(stop)) for scheduler in schedulers]
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)


@given(st.floats(0, 4e9), st.integers(1, 86_400))
def test_due_times_lie_on_a_grid_that_everybody_shares(stamp: float, seconds: int) -> None:
    now = datetime.fromtimestamp(stamp, UTC)
    due = due_at(now, seconds)
    assert now - timedelta(seconds=seconds) < due <= now
    assert int(due.timestamp()) % seconds == 0
    assert due_at(due, seconds) == due


async def test_a_due_run_is_put_in_once_by_whoever_comes_first(db: Database) -> None:
    job = Job("sweep", Work(), 60)
    added = await asyncio.gather(*(insert_due(db, job, NOW) for _ in range(5)))
    assert sorted(added) == [False] * 4 + [True]
    assert await insert_due(db, job, NOW + timedelta(seconds=60))
    assert [due for _, due, _, _ in await runs(db)] == [
        datetime(2026, 3, 5, 14, 3, tzinfo=UTC),
        datetime(2026, 3, 5, 14, 4, tzinfo=UTC),
    ]


async def test_a_run_is_given_its_due_time_and_marked(db: Database) -> None:
    work = Work()
    job = Job("sweep", work, 60)
    await insert_due(db, job, NOW)
    scheduler = Scheduler(db, [job])
    assert await scheduler.run_one()
    assert not await scheduler.run_one()
    assert work.seen == [NOW.replace(second=0)]
    assert [(done, error) for _, _, done, error in await runs(db)] == [(True, None)]


async def test_a_job_that_fails_is_written_down_and_the_next_run_goes_on(db: Database) -> None:
    work = Work(ValueError("no such column"))
    job = Job("sweep", work, 60)
    scheduler = Scheduler(db, [job])
    for minute in range(2):
        await insert_due(db, job, NOW + timedelta(minutes=minute))
        assert await scheduler.run_one()
    assert [error for _, _, _, error in await runs(db)] == ["ValueError: no such column", None]


async def test_a_run_that_lost_the_database_is_taken_again_after_its_lease(db: Database) -> None:
    work = Work(psycopg.OperationalError("gone"))
    job = Job("sweep", work, 86_400)
    scheduler = Scheduler(db, [job])
    await insert_due(db, job, NOW)
    with pytest.raises(psycopg.OperationalError):
        await scheduler.run_one()
    assert not await scheduler.run_one()
    await age(db, jobs.LEASE_SECONDS + 1)
    assert await scheduler.run_one()
    assert len(work.seen) == 2
    assert [(done, error) for _, _, done, error in await runs(db)] == [(True, None)]


async def test_when_runs_have_piled_up_only_the_newest_is_done(db: Database) -> None:
    work = Work()
    job, other = Job("sweep", work, 60), Job("rollup", Work(), 60)
    for minute in range(5):
        await insert_due(db, job, NOW + timedelta(minutes=minute))
    await insert_due(db, other, NOW)
    scheduler = Scheduler(db, [job])
    assert await scheduler.run_one()
    assert not await scheduler.run_one()
    assert work.seen == [NOW.replace(second=0) + timedelta(minutes=4)]
    found = await runs(db)
    assert [error for name, _, _, error in found if name == "sweep"] == ["skipped"] * 4 + [None]
    assert [done for name, _, done, _ in found if name == "rollup"] == [False]


async def test_a_slow_job_does_not_hold_up_another(db: Database) -> None:
    slow, quick = Work(), Work()
    slow.gate.clear()
    scheduler = Scheduler(db, [Job("rollup", slow, 1), Job("sweep", quick, 1)])
    async with running(scheduler):
        await until(lambda: bool(slow.seen) and len(quick.seen) >= 3)
        assert len(slow.seen) == 1
        slow.gate.set()
        await until(lambda: len(slow.seen) >= 2)


async def test_of_two_schedulers_one_leads_and_no_due_time_runs_twice(db: Database) -> None:
    work = Work()
    pair = [Scheduler(db, [Job("sweep", work, 1)]) for _ in range(2)]
    async with running(*pair):
        await until(lambda: len(work.seen) >= 4)
        assert [one.is_leader for one in pair].count(True) == 1
    assert len(set(work.seen)) == len(work.seen)
    assert not any(one.is_leader for one in pair)


async def test_another_takes_over_when_the_leader_loses_its_connection(db: Database) -> None:
    work = Work()
    pair = [Scheduler(db, [Job("sweep", work, 1)]) for _ in range(2)]
    async with running(*pair):
        await until(lambda: any(one.is_leader for one in pair) and bool(work.seen))
        before = await _leading_sessions(db)
        await cut_connections(db, "silverline-dedicated")
        await until(lambda: _another_leads(db, before))
        # The old one may believe that it leads until it asks: it cannot make a run twice.
        await until(lambda: [one.is_leader for one in pair].count(True) == 1)
        seen = len(work.seen)
        await until(lambda: len(work.seen) > seen + 1)
    assert len(set(work.seen)) == len(work.seen)


async def _leading_sessions(db: Database) -> set[int]:
    async with db.connection() as tx:
        rows = await fetch_tuples(
            tx,
            "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted",
        )
    return {row[0] for row in rows}


async def _another_leads(db: Database, before: set[int]) -> bool:
    return bool(await _leading_sessions(db) - before)


async def test_the_scheduler_survives_the_loss_of_every_connection(db: Database) -> None:
    work = Work()
    async with running(Scheduler(db, [Job("sweep", work, 1)])):
        await until(lambda: bool(work.seen))
        await cut_connections(db)
        before = len(work.seen)
        await until(lambda: len(work.seen) > before)


async def test_a_scheduler_that_stops_lets_its_job_finish(db: Database) -> None:
    work = Work()
    work.gate.clear()
    async with running(Scheduler(db, [Job("sweep", work, 3600)])) as stop:
        await until(lambda: bool(work.seen))
        stop.set()
        work.gate.set()
    assert [(done, error) for _, _, done, error in await runs(db)] == [(True, None)]


async def test_a_loop_goes_on_after_a_bad_step_and_ends_when_told() -> None:
    seen = 0
    stop = asyncio.Event()

    async def step() -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            raise psycopg.OperationalError("away")
        if seen == 2:
            raise KeyError("one bad incident")
        if seen == 4:
            stop.set()

    await asyncio.wait_for(every(stop, 0.001, step), 20)
    assert seen == 4


async def test_a_loop_does_not_sit_out_its_pause_when_told_to_end() -> None:
    stop = asyncio.Event()

    async def step() -> None:
        stop.set()

    await asyncio.wait_for(every(stop, 3600, step), 20)


async def test_what_is_over_is_forgotten_after_its_time(db: Database) -> None:
    user = new_id()
    async with db.transaction() as tx:
        await execute(
            tx,
            "INSERT INTO job_run (job, due_at, finished_at) VALUES"
            " ('a', %(now)s, %(now)s - interval '8 days'), ('b', %(now)s, %(now)s), ('c', %(now)s,"
            " NULL)",
            {"now": NOW},
        )
        for done, dead in (("31 days", None), ("1 day", None), (None, "90 days")):
            await execute(
                tx,
                "INSERT INTO outbox (id, topic, payload, done_at, dead_at) VALUES (%s, 'sms', '{}',"
                " %s - %s::interval, %s - %s::interval)",
                (new_id(), NOW, done, NOW, dead),
            )
        await execute(
            tx,
            "INSERT INTO user_account (id, username, display_name, password_hash, roles, division,"
            " created_at) VALUES (%s, 'a', 'a', '', '{operator}', '', %s)",
            (user, NOW),
        )
        for key, ends in ((b"old", NOW - timedelta(seconds=1)), (b"new", NOW + timedelta(hours=1))):
            await execute(
                tx,
                "INSERT INTO user_session (token_hash, user_id, csrf_token, created_at,"
                " last_seen_at, expires_at) VALUES (%s, %s, '', %s, %s, %s)",
                (key, user, NOW, NOW, ends),
            )
    await prune(db, NOW)
    async with db.connection() as tx:
        assert [name for name, *_ in await runs(db)] == ["b", "c"]
        # A dead item stays: it is shown to the administrator, who decides.
        assert await fetch_value(tx, "SELECT count(*) FROM outbox") == 2
        assert await fetch_value(tx, "SELECT token_hash FROM user_session") == b"new"


async def test_a_scheduler_that_cannot_lead_ends_instead_of_waiting_for_ever(db: Database) -> None:
    # A pause that no timedelta can hold: the leader's task fails with what nobody foresaw.
    scheduler = Scheduler(db, [Job("endless", Work(), every_seconds=10**15)])
    with pytest.raises(OverflowError):
        await asyncio.wait_for(scheduler.run(asyncio.Event()), 20)
