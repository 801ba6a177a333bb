"""Sheaves through the pipeline on a real database: once, in order, with all that follows."""

import asyncio
from datetime import datetime, timedelta

import pytest

from ingest.turns import OvertakenError, Turn
from kernel.db import Database
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness, body

V = {"heart_rate": 72, "spo2": 97}


def topic(device: str, kind: str = "vitals") -> str:
    return f"silverline/v1/{device}/{kind}"


async def test_a_sheaf_is_stored_like_single_frames_and_acknowledged_once(
    home: Home, feed: Feed, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    frames = [("W-0001", body(seq=n, t=now - timedelta(seconds=9 - n), vitals=V)) for n in range(3)]
    sheaf = feed.sheaf(now, *frames, ("W-0404", frames[0][1]), ("W-0001", b"{"))
    assert await feed.together(sheaf) == 3
    rows = await home.rows("SELECT device_no, metric, value, quality FROM reading ORDER BY time, 2")
    assert rows == [(no, 1, 72.0, 0), (no, 2, 97.0, 0)] * 3
    assert await home.letters() == [("malformed_json", "", 1), ("unknown_device", "W-0404", 1)]
    assert feed.sheaves == [sheaf]
    assert await home.rows("SELECT last_seen_at, online FROM device WHERE no = %s", no) == [
        (now, True)
    ]
    await feed.pipeline.latest.flush(home.db)
    latest = await home.rows("SELECT metric, time FROM latest_reading ORDER BY 1")
    assert latest == [(1, now - timedelta(seconds=7)), (2, now - timedelta(seconds=7))]


async def test_what_came_singly_is_recognised_in_a_sheaf_and_the_other_way_round(
    home: Home, feed: Feed, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    one, two, three = (("W-0001", body(seq=n, t=now, vitals=V)) for n in range(3))
    assert await feed.give(feed.mqtt(topic("W-0001"), one[1], now)) == 1
    assert await feed.together(feed.sheaf(now, one, two, two)) == 1
    assert await feed.together(feed.sheaf(now, two, one, three)) == 1
    assert await feed.give(feed.mqtt(topic("W-0001"), three[1], now)) == 0
    assert await feed.together(feed.sheaf(now, one, two, three)) == 0
    assert await home.count("ingest_message") == 3
    assert await home.count("reading") == 6


async def test_rules_see_a_sheaf_in_its_order_and_normal_values_end_a_condition(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    elder = await home.elder()
    await home.device("W-0001", elder=elder)

    def beats(seq: int, rate: int) -> tuple[str, bytes]:
        at = now + timedelta(seconds=seq)
        return "W-0001", body(seq=seq, t=at, vitals={"heart_rate": rate})

    await feed.together(feed.sheaf(now, beats(1, 72), beats(2, 125), beats(3, 126)))
    assert witness.kinds == ["heart_rate_high"]
    assert list(await home.states()) == [(f"e:{elder}", "vital:heart_rate")]
    # Nothing in it is near a limit, but a condition is open.
    await feed.together(feed.sheaf(now, beats(4, 80), beats(5, 81)))
    assert [each.kind.value for each in witness.cleared] == ["heart_rate_high"]
    assert await home.states() == {}


async def test_single_frames_and_sheaves_of_one_batch_are_judged_in_the_order_of_arrival(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    high = body(seq=1, t=now, vitals={"heart_rate": 125})
    normal = body(seq=2, t=now + timedelta(seconds=1), vitals={"heart_rate": 72})
    again = body(seq=3, t=now + timedelta(seconds=2), vitals={"heart_rate": 125}, note="x")
    sheaf = feed.sheaf(now, ("W-0001", high), ("W-0001", normal))
    await feed.together(sheaf, feed.mqtt(topic("W-0001"), again, now))
    # Twice in a row would ring; the normal one stood between them.
    assert witness.kinds == []
    assert await home.count("reading") == 3


async def test_a_device_that_said_goodbye_between_its_vitals_is_gone(
    home: Home, feed: Feed, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    will = feed.mqtt(topic("W-0001", "status"), b'{"online":false}', now)
    sheaf = feed.sheaf(now, ("W-0001", body(seq=1, t=now, vitals=V)))
    goodbye = feed.mqtt(topic("W-0001", "status"), b'{"online":false}', now, packet_id=77)
    await feed.give(will)
    await feed.together(sheaf, goodbye)
    assert await home.value("SELECT online FROM device WHERE no = %s", no) is False
    soon = now + timedelta(seconds=1)
    await feed.together(feed.sheaf(soon, ("W-0001", body(seq=2, t=now, vitals=V))))
    assert await home.value("SELECT online FROM device WHERE no = %s", no) is True


async def test_that_a_device_was_heard_is_not_written_with_every_message(
    home: Home, feed: Feed, now: datetime
) -> None:
    gateway = await home.device("G-0001", "sl-gateway-1")
    no = await home.device("W-0001", elder=await home.elder(), gateway=gateway)

    async def seen(seconds: int) -> list[datetime]:
        at = now + timedelta(seconds=seconds)
        element = {"device": "W-0001", "seq": seconds, "t": int(at.timestamp() * 1000), "vitals": V}
        assert await feed.together(feed.sheaf(at, ("G-0001", body(batch=[element])))) == 1
        rows = await home.rows(
            "SELECT last_seen_at FROM device WHERE no = ANY(%s) ORDER BY no", [gateway, no]
        )
        return [row[0] for row in rows]

    assert await seen(0) == [now, now]
    assert await seen(19) == [now, now]
    assert await seen(21) == [now + timedelta(seconds=21)] * 2


async def test_steps_in_a_sheaf_are_a_sign_of_life(home: Home, feed: Feed, now: datetime) -> None:
    elder = await home.elder()
    await home.device("W-0001", elder=elder)
    frames = [
        ("W-0001", body(seq=n, t=now + timedelta(seconds=n), vitals={"steps": 40 * n}))
        for n in range(3)
    ]
    await feed.together(feed.sheaf(now, *frames))
    rows = await home.rows("SELECT elder_id, at, sign FROM elder_activity")
    assert rows == [(elder, now + timedelta(seconds=2), "steps")]


async def test_readings_of_hours_that_are_rolled_up_mark_them(
    home: Home, feed: Feed, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    async with home.db.transaction() as tx:
        await tx.execute("UPDATE rollup_state SET open_from = %s WHERE level = '15m'", (now,))
    late = now - timedelta(hours=3)
    frames = [
        ("W-0001", body(seq=1, t=late, vitals=V)),
        ("W-0001", body(seq=2, t=late + timedelta(milliseconds=1), vitals=V)),
        ("W-0001", body(seq=3, t=now, vitals=V)),
    ]
    await feed.together(feed.sheaf(now, *frames))
    hour = late.replace(minute=0, second=0, microsecond=0)
    assert await home.rows("SELECT device_no, hour FROM reading_late") == [(no, hour)]


async def test_a_batch_waits_for_the_one_before_it_and_goes_back_when_that_fails(
    db: Database,
) -> None:
    first = Turn()
    second = Turn(first)
    waiting = asyncio.create_task(second.comes())
    await asyncio.sleep(0)
    assert not waiting.done()
    # It may be our transaction that the one before waits for: nobody waits for long.
    with pytest.raises(OvertakenError):
        await waiting
    waiting = asyncio.create_task(second.comes())
    await asyncio.sleep(0)
    first.fails()
    with pytest.raises(OvertakenError):
        await waiting
    with pytest.raises(OvertakenError):
        await second.begins()
    following = asyncio.create_task(second.is_first())
    await asyncio.sleep(0)
    assert not following.done()
    first.settle()
    await following
    await second.begins()
    await second.comes()


async def test_the_one_behind_leaves_no_marks_before_the_one_it_waits_for(
    home: Home, feed: Feed, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    frames = [("W-0001", body(seq=n, t=now, vitals=V)) for n in range(50)]
    first, _ = await feed.pipeline.take(feed.sheaf(now, *frames))
    second, _ = await feed.pipeline.take(feed.sheaf(now, frames[-1]))
    assert first is not None
    assert second is not None
    before = Turn()
    behind = asyncio.create_task(feed.pipeline.store([second], now, Turn(before)))
    await asyncio.sleep(0.05)
    # The one behind had all the time to leave the mark of the message that is in both.
    async with asyncio.timeout(20):
        assert await feed.pipeline.store([first], now, before) == 50
        before.settle()
        assert await behind == 0
    assert await home.count("reading") == 100


async def test_two_batches_at_a_time_store_each_message_once(
    home: Home, feed: Feed, now: datetime
) -> None:
    for n in range(20):
        await home.device(f"W-{n:04}", elder=await home.elder())
    frames = [
        (f"W-{n % 20:04}", body(seq=n, t=now, vitals={"heart_rate": 60 + n % 70}))
        for n in range(400)
    ]
    works = []
    for at in (0, 100, 200, 100, 300, 0):
        sheaf = feed.sheaf(now, *frames[at : at + 100])
        columns, odd = await feed.pipeline.take(sheaf)
        assert not odd
        works.append(columns)
    from ingest.lanes import BulkWriter
    from ingest.settings import IngestSettings

    writer = BulkWriter(feed.pipeline, IngestSettings(batch_messages=100, quiet_ms=1))
    running = asyncio.create_task(writer.run())
    for work in works:
        assert work is not None
        writer.put(work)

    async with asyncio.timeout(20):
        while len(feed.sheaves) < len(works):
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await home.count("ingest_message") == 400
    assert await home.count("reading") == 400
