"""The live feed: events after the commit, to whom they concern, and a resync after any gap."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from kernel import live
from kernel.db import Database, execute
from kernel.live import RESYNC, LiveEvent, LiveHub, publish
from tests.kernel.waiting import cut_connections, until

Queue = asyncio.Queue[LiveEvent]
PLACE = "150102001000"


@pytest.fixture
async def hub(db: Database) -> AsyncIterator[LiveHub]:
    made = LiveHub(db)
    await made.start()
    await asyncio.wait_for(made.listening.wait(), 20)
    yield made
    await made.stop()


async def say(db: Database, event: str, division: str = PLACE, **data: Any) -> None:
    async with db.transaction() as tx:
        await publish(tx, event, division=division, data=data)


async def test_a_hub_that_is_stopped_twice_or_never_started_stops(db: Database) -> None:
    hub = LiveHub(db)
    await hub.stop()
    await hub.start()
    await hub.stop()
    await hub.stop()


async def next_event(queue: Queue) -> LiveEvent:
    return await asyncio.wait_for(queue.get(), 20)


async def drained(db: Database, queue: Queue) -> list[LiveEvent]:
    """Everything that has been sent up to now: an event of our own marks the end."""
    await say(db, "end", "")
    found = []
    while (event := await next_event(queue)).event != "end":
        found.append(event)
    return found


async def test_an_event_arrives_whole(db: Database, hub: LiveHub) -> None:
    async with hub.subscribe("") as queue:
        await say(db, "incident.opened", id="0198", number=7, acknowledged_by=None)
        assert await next_event(queue) == LiveEvent(
            "incident.opened", PLACE, {"id": "0198", "number": 7, "acknowledged_by": None}
        )


async def test_only_what_is_committed_is_sent_and_in_order(db: Database, hub: LiveHub) -> None:
    async with hub.subscribe("") as queue:
        with contextlib.suppress(ZeroDivisionError):
            async with db.transaction() as tx:
                await publish(tx, "never", division=PLACE, data={})
                raise ZeroDivisionError
        async with db.transaction() as tx:
            for number in range(50):
                await publish(tx, "incident.changed", division=PLACE, data={"n": number})
            await execute(tx, "SELECT 1")
            assert queue.empty()
        found = await drained(db, queue)
    assert [event.data["n"] for event in found] == list(range(50))


@pytest.mark.parametrize(
    ("prefix", "seen"),
    [
        ("", ["street", "district", "everyone", "elsewhere"]),
        ("1501", ["street", "district", "everyone"]),
        ("150102", ["street", "everyone"]),
        ("150102001", ["street", "everyone"]),
        ("1502", ["everyone", "elsewhere"]),
    ],
)
async def test_a_subscriber_gets_the_events_of_the_division(
    db: Database, hub: LiveHub, prefix: str, seen: list[str]
) -> None:
    async with hub.subscribe(prefix) as queue:
        await say(db, "street", "150102001000")
        await say(db, "district", "150103000000")
        await say(db, "everyone", "")
        await say(db, "elsewhere", "150203001000")
        assert [event.event for event in await drained(db, queue)] == seen


async def test_every_web_process_gets_every_event(db: Database, hub: LiveHub) -> None:
    other = LiveHub(db)
    await other.start()
    await asyncio.wait_for(other.listening.wait(), 20)
    async with hub.subscribe("") as one, other.subscribe("") as two, hub.subscribe("") as three:
        await say(db, "incident.opened")
        for queue in (one, two, three):
            assert (await next_event(queue)).event == "incident.opened"
    await other.stop()


async def test_a_browser_that_does_not_read_gets_one_resync_for_all_of_it(
    db: Database, hub: LiveHub
) -> None:
    async with hub.subscribe("") as slow, hub.subscribe("") as quick:
        quick_seen = 0
        for number in range(live.QUEUE_LIMIT + 1):
            await say(db, "incident.changed", n=number)
            await next_event(quick)
            quick_seen += 1
        assert await next_event(slow) == LiveEvent(RESYNC)
        assert slow.empty()
        await say(db, "incident.opened")
        assert (await next_event(slow)).event == "incident.opened"
    assert quick_seen == live.QUEUE_LIMIT + 1


async def test_after_a_lost_connection_everybody_is_told_to_look_again(
    db: Database, hub: LiveHub
) -> None:
    async with hub.subscribe("1501") as queue, hub.subscribe("1502") as other:
        assert await cut_connections(db, "silverline-dedicated") == 1
        # Sent into the gap or after it: in both cases the resync comes, and nothing is relied on.
        await say(db, "incident.opened")
        found = await next_event(queue)
        while found.event != RESYNC:
            found = await next_event(queue)
        assert (await next_event(other)).event == RESYNC
        await until(hub.listening.is_set)
        await say(db, "incident.changed")
        assert (await drained(db, queue))[-1].event == "incident.changed"


async def test_who_came_before_the_feed_was_up_is_told_to_look_again(db: Database) -> None:
    hub = LiveHub(db)
    async with hub.subscribe("") as queue:
        await say(db, "incident.opened")
        await hub.start()
        assert (await next_event(queue)).event == RESYNC
    await hub.stop()


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"event":"x"}',
        '{"event":"x","division":"","data":3}',
        # Deeper than the parser goes: Python raises no ValueError for it.
        pytest.param("[" * 7900, id="deep"),
    ],
)
async def test_what_is_not_ours_is_passed_over(db: Database, hub: LiveHub, payload: str) -> None:
    async with hub.subscribe("") as queue:
        async with db.transaction() as tx:
            await tx.execute("SELECT pg_notify('live', %s)", (payload,))
        assert await drained(db, queue) == []


async def test_who_has_left_gets_nothing_more(db: Database, hub: LiveHub) -> None:
    async with hub.subscribe("") as stays:
        async with hub.subscribe("") as left:
            pass
        await say(db, "incident.opened")
        await next_event(stays)
        assert left.empty()


async def test_an_event_that_is_too_long_fails_its_own_transaction_loudly(db: Database) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="too long"):
        await say(db, "incident.opened", text="长" * 4000)
