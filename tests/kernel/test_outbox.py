"""The outbox: an effect leaves exactly when its change is committed, and again when it fails."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import outbox
from kernel.clock import utcnow
from kernel.db import Database, execute, fetch_tuples, fetch_value
from kernel.outbox import (
    MAX_ATTEMPTS,
    Handler,
    OutboxItem,
    OutboxWorker,
    PermanentFailure,
    backoff_seconds,
    enqueue,
)
from tests.kernel.waiting import cut_connections, until


@dataclass
class Recorder:
    """A handler that keeps what it was given, and fails when told to."""

    items: list[OutboxItem] = field(default_factory=list)
    fail: Callable[[OutboxItem], Exception | None] = lambda _: None

    async def __call__(self, item: OutboxItem) -> None:
        self.items.append(item)
        if error := self.fail(item):
            raise error


@asynccontextmanager
async def working(db: Database, handlers: Mapping[str, Handler]) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(OutboxWorker(db, handlers).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def put(db: Database, topic: str = "sms", **payload: Any) -> None:
    async with db.transaction() as tx:
        await enqueue(tx, topic, payload)


async def states(db: Database) -> list[tuple[Any, ...]]:
    async with db.connection() as tx:
        return await fetch_tuples(
            tx,
            "SELECT done_at IS NOT NULL, dead_at IS NOT NULL, attempts, last_error"
            " FROM outbox ORDER BY id",
        )


async def age(db: Database, seconds: float) -> None:
    """Let time pass for every item, without waiting for it."""
    async with db.transaction() as tx:
        await execute(
            tx,
            "UPDATE outbox SET available_at = available_at - make_interval(secs => %(s)s),"
            " claimed_until = claimed_until - make_interval(secs => %(s)s)",
            {"s": seconds},
        )


async def test_an_item_is_handled_once_after_its_commit(db: Database) -> None:
    seen = Recorder()
    async with working(db, {"sms": seen}):
        async with db.transaction() as tx:
            item_id = await enqueue(tx, "sms", {"to": "contact-1"})
            assert seen.items == []
        await until(lambda: bool(seen.items))
        await until(lambda: _is(states(db), [(True, False, 1, None)]))
    assert [(i.id, i.topic, i.payload, i.attempts) for i in seen.items] == [
        (item_id, "sms", {"to": "contact-1"}, 1)
    ]


async def _is(awaitable: Any, expected: Any) -> bool:
    found: bool = await awaitable == expected
    return found


async def test_an_item_of_a_change_that_was_rolled_back_never_leaves(db: Database) -> None:
    seen = Recorder()
    with suppress(ZeroDivisionError):
        async with db.transaction() as tx:
            await enqueue(tx, "sms", {})
            raise ZeroDivisionError
    assert await OutboxWorker(db, {"sms": seen}).run_once() == 0
    assert await states(db) == []


async def test_notify_wakes_the_worker(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Recorder()
    # Who only looked around from time to time would not come before the test has given up.
    monkeypatch.setattr(outbox, "POLL_SECONDS", 3600.0)
    async with working(db, {"sms": seen}):
        await until(lambda: _listening(db))
        await put(db)
        await until(lambda: bool(seen.items))


async def _listening(db: Database) -> bool:
    async with db.connection() as tx:
        found = await fetch_value(
            tx,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND query = 'LISTEN outbox'",
        )
    return bool(found)


async def test_the_same_key_of_a_topic_is_put_in_once(db: Database) -> None:
    async with db.transaction() as tx:
        assert await enqueue(tx, "sms", {"n": 1}, key="incident-1") is not None
        assert await enqueue(tx, "sms", {"n": 2}, key="incident-1") is None
        assert await enqueue(tx, "call", {"n": 3}, key="incident-1") is not None
        assert await enqueue(tx, "sms", {"n": 4}) is not None
        assert await enqueue(tx, "sms", {"n": 5}) is not None
    assert len(await states(db)) == 4


async def test_an_item_waits_until_it_is_available(db: Database) -> None:
    seen = Recorder()
    worker = OutboxWorker(db, {"sms": seen})
    async with db.transaction() as tx:
        await enqueue(tx, "sms", {}, available_at=utcnow() + timedelta(minutes=5))
    assert await worker.run_once() == 0
    await age(db, 301)
    assert await worker.run_once() == 1


async def test_a_failure_is_kept_and_tried_again_later(db: Database) -> None:
    seen = Recorder(fail=lambda i: ConnectionError("busy\0") if i.attempts < 3 else None)
    worker = OutboxWorker(db, {"sms": seen})
    await put(db)
    assert await worker.run_once() == 1
    assert await states(db) == [(False, False, 1, "ConnectionError: busy")]
    assert await worker.run_once() == 0
    await age(db, 1.1)
    assert await worker.run_once() == 1
    await age(db, 1.1)
    assert await worker.run_once() == 0
    await age(db, 1.1)
    assert await worker.run_once() == 1
    assert await states(db) == [(True, False, 3, "ConnectionError: busy")]


async def test_after_its_last_attempt_an_item_is_dead(db: Database) -> None:
    worker = OutboxWorker(db, {"sms": Recorder(fail=lambda _: ValueError("always"))})
    await put(db)
    for _ in range(MAX_ATTEMPTS):
        assert await worker.run_once() == 1
        await age(db, 700)
    assert await worker.run_once() == 0
    assert await states(db) == [(False, True, MAX_ATTEMPTS, "ValueError: always")]


async def test_what_cannot_succeed_is_dead_at_once(db: Database) -> None:
    worker = OutboxWorker(db, {"sms": Recorder(fail=lambda _: PermanentFailure("no such number"))})
    await put(db)
    await worker.run_once()
    assert await states(db) == [(False, True, 1, "PermanentFailure: no such number")]


async def test_two_workers_never_take_the_same_item(db: Database) -> None:
    seen = Recorder()
    async with db.transaction() as tx:
        for number in range(200):
            await enqueue(tx, "sms", {"n": number})
    async with working(db, {"sms": seen}), working(db, {"sms": seen}):
        await until(lambda: _all_done(db))
    assert sorted(item.payload["n"] for item in seen.items) == list(range(200))


async def _all_done(db: Database) -> bool:
    async with db.connection() as tx:
        return not await fetch_value(tx, "SELECT count(*) FROM outbox WHERE done_at IS NULL")


async def test_an_item_of_a_worker_that_was_killed_is_taken_when_its_claim_ends(
    db: Database,
) -> None:
    killed = OutboxWorker(db, {"sms": Recorder()})
    await put(db)
    assert len(await killed._claim(20)) == 1
    seen = Recorder()
    other = OutboxWorker(db, {"sms": seen})
    await age(db, outbox.CLAIM_SECONDS - 5)
    assert await other.run_once() == 0
    await age(db, 6)
    assert await other.run_once() == 1
    assert seen.items[0].attempts == 2


async def test_a_handler_that_takes_long_keeps_its_claim(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "RENEW_SECONDS", 0.05)
    finish, seen = asyncio.Event(), Recorder()

    async def slow(item: OutboxItem) -> None:
        await seen(item)
        await finish.wait()

    async def left() -> float:
        async with db.connection() as tx:
            sql = "SELECT coalesce(extract(epoch FROM claimed_until - now()), 0)::float FROM outbox"
            return float(await fetch_value(tx, sql))

    async with working(db, {"sms": slow}):
        await put(db)
        await until(lambda: len(seen.items) == 1)
        await age(db, outbox.CLAIM_SECONDS)
        async with asyncio.timeout(30):
            while await left() < outbox.CLAIM_SECONDS / 2:
                await asyncio.sleep(0.02)
        # Not even when it ran out: it is still in this worker's hands.
        await age(db, outbox.CLAIM_SECONDS * 2)
        await put(db)
        await until(lambda: len(seen.items) == 2)
        assert len({item.id for item in seen.items}) == 2
        finish.set()
    assert [attempts for _, _, attempts, _ in await states(db)] == [1, 1]


async def test_an_item_that_kills_its_worker_each_time_ends_too(db: Database) -> None:
    seen = Recorder()
    worker = OutboxWorker(db, {"sms": seen})
    await put(db)
    for _ in range(MAX_ATTEMPTS):
        assert len(await worker._claim(20)) == 1
        await age(db, outbox.CLAIM_SECONDS + 1)
    assert await worker.run_once() == 1
    assert seen.items == []
    assert await states(db) == [(False, True, MAX_ATTEMPTS + 1, "RuntimeError: never finished")]


async def test_a_handler_that_hangs_does_not_hold_up_the_others(db: Database) -> None:
    forever, seen = asyncio.Event(), Recorder()

    async def hang(_: OutboxItem) -> None:
        await forever.wait()

    async with working(db, {"slow": hang, "call": seen}):
        await put(db, "slow")
        for number in range(outbox.PLACES * 2):
            await put(db, "call", n=number)
        await until(lambda: len(seen.items) == outbox.PLACES * 2)
        forever.set()


async def test_no_more_than_the_places_are_in_flight(db: Database) -> None:
    open_now, most = 0, 0
    gate = asyncio.Event()

    async def count(_: OutboxItem) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await gate.wait()
        open_now -= 1

    async with db.transaction() as tx:
        for _ in range(50):
            await enqueue(tx, "sms", {})
    async with working(db, {"sms": count}):
        await until(lambda: open_now == outbox.PLACES)
        gate.set()
        await until(lambda: _all_done(db))
    assert most == outbox.PLACES


async def test_a_worker_takes_only_topics_that_it_knows(db: Database) -> None:
    await put(db, "somebody-elses")
    assert await OutboxWorker(db, {"sms": Recorder()}).run_once() == 0
    assert await states(db) == [(False, False, 0, None)]


async def test_a_worker_that_stops_lets_its_items_land(db: Database) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def slow(_: OutboxItem) -> None:
        started.set()
        await gate.wait()

    await put(db)
    async with working(db, {"sms": slow}) as stop:
        await started.wait()
        stop.set()
        gate.set()
    assert await states(db) == [(True, False, 1, None)]


async def test_what_does_not_land_in_time_is_given_back(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STOP_SECONDS", 0.05)
    started = asyncio.Event()

    async def hang(_: OutboxItem) -> None:
        started.set()
        await asyncio.Event().wait()

    await put(db)
    async with working(db, {"sms": hang}):
        await started.wait()
    seen = Recorder()
    assert await OutboxWorker(db, {"sms": seen}).run_once() == 1


async def test_the_worker_survives_the_loss_of_every_connection(db: Database) -> None:
    seen = Recorder()
    async with working(db, {"sms": seen}):
        await put(db, n=1)
        await until(lambda: len(seen.items) == 1)
        await until(lambda: _all_done(db))
        assert await cut_connections(db) > 0
        await put(db, n=2)
        await until(lambda: len(seen.items) == 2)
        await until(lambda: _listening(db))


@given(st.integers(-5, 10_000))
def test_the_pause_grows_and_has_an_end(attempts: int) -> None:
    assert 1 <= backoff_seconds(attempts) <= backoff_seconds(attempts + 1) <= 600
