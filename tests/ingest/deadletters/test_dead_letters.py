"""Dead letters: counted, found, replayed through the same pipeline, discarded, on record."""

import uuid
from datetime import datetime, timedelta

import pytest

from ingest.deadletters import replay, service, store
from ingest.deadletters.model import Draft, Filters
from ingest.jobs import outbox_handlers
from ingest.pipeline import Pipeline
from kernel.auth.model import Actor, Role
from kernel.db import Database
from kernel.errors import Conflict, NotFound
from kernel.ids import new_id
from kernel.outbox import OutboxItem
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness, body


@pytest.fixture
async def technician(home: Home, now: datetime) -> Actor:
    actor = Actor(new_id(), "wangjg", "王建国", frozenset({Role.DEVICE_TECHNICIAN}), "1501")
    async with home.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO user_account (id, username, display_name, password_hash, roles, division,"
            " created_at) VALUES (%s, %s, %s, 'x', %s, '1501', %s)",
            (actor.user_id, actor.username, actor.display_name, ["device_technician"], now),
        )
    return actor


async def only_letter(home: Home) -> uuid.UUID:
    [(letter_id,)] = await home.rows("SELECT id FROM dead_letter")
    return uuid.UUID(str(letter_id))


async def test_the_same_frame_within_an_hour_is_counted_not_multiplied(
    home: Home, feed: Feed, now: datetime
) -> None:
    for minutes in (0, 1, 59, 61):
        at = now + timedelta(minutes=minutes)
        await feed.give(
            feed.mqtt("silverline/v1/W-0001/vitals", b"not json", at),
            feed.mqtt("silverline/v1/W-0001/vitals", b"not json", at),
        )
    letters = await home.rows(
        "SELECT occurrences, received_at, last_at FROM dead_letter ORDER BY received_at"
    )
    assert letters == [
        (6, now, now + timedelta(minutes=59)),
        (2, now + timedelta(minutes=61), now + timedelta(minutes=61)),
    ]


async def test_another_topic_payload_or_reason_is_another_letter(
    home: Home, feed: Feed, now: datetime
) -> None:
    await feed.give(
        feed.mqtt("silverline/v1/W-0001/vitals", b"not json", now),
        feed.mqtt("silverline/v1/W-0002/vitals", b"not json", now),
        feed.mqtt("silverline/v1/W-0001/vitals", b"no json", now),
        feed.mqtt("silverline/v1/W-0001/vitals", b"[]", now),
    )
    assert await home.count("dead_letter") == 4


async def test_letters_are_found_by_status_reason_and_text(
    db: Database, home: Home, feed: Feed, now: datetime, technician: Actor
) -> None:
    for number in range(7):
        topic = f"silverline/v1/W-000{number}/vitals"
        await feed.give(feed.mqtt(topic, b"{", now + timedelta(seconds=number)))
    await feed.give(feed.mqtt("silverline/v1/W-0404/vitals", body(seq=1, vitals={"spo2": 97}), now))
    async with db.transaction() as tx:
        page = await service.find(tx, Filters(), 1, per_page=3)
        assert page.total == 8
        assert [letter.topic[-13:-7] for letter in page.letters] == ["W-0006", "W-0005", "W-0004"]
        assert (await service.find(tx, Filters(reason="unknown_device"))).total == 1
        assert (await service.find(tx, Filters(text="w-0003"))).total == 1
        assert (await service.find(tx, Filters(text="%"))).total == 0
        counts = [(each.reason, each.letters) for each in await service.by_reason(tx)]
        assert counts == [("malformed_json", 7), ("unknown_device", 1)]
        letter = page.letters[0]
        await service.discard(tx, letter.id, actor=technician, now=now)
        assert (await service.find(tx, Filters())).total == 7
        assert (await service.find(tx, Filters(status="discarded"))).letters[0].id == letter.id
        assert (await service.find(tx, Filters(status="all"))).total == 8
        with pytest.raises(Conflict):
            await service.discard(tx, letter.id, actor=technician, now=now)
        with pytest.raises(NotFound):
            await service.get(tx, new_id())
    entries = await home.rows("SELECT action, subject_id FROM audit_log")
    assert entries == [("dead_letter.discarded", str(letter.id))]


async def test_a_frame_of_an_unknown_device_can_be_replayed_once_it_is_registered(
    db: Database, home: Home, feed: Feed, witness: Witness, pipeline: Pipeline, now: datetime,
    technician: Actor,
) -> None:  # fmt: skip
    payload = body(seq=4, t=now, alarm="sos")
    await feed.give(feed.mqtt("silverline/v1/P-0007/alarm", payload, now))
    letter_id = await only_letter(home)
    await home.device("P-0007", "sl-pendant-1", elder=await home.elder())
    later = now + timedelta(minutes=5)
    async with db.transaction() as tx:
        await service.request_replay(tx, letter_id, actor=technician, now=later)
        assert (await service.get(tx, letter_id)).status == "requested"
    topic, item = (await home.rows("SELECT topic, payload FROM outbox"))[0]
    handlers = outbox_handlers(db, witness.react, witness.clear)
    for attempt in (1, 2):
        await handlers[topic](OutboxItem(new_id(), topic, None, item, attempt))
    assert witness.kinds == ["sos"]
    assert await home.count("ingest_message") == 1
    async with db.connection() as conn:
        letter = await service.get(conn, letter_id)
    assert (letter.status, letter.replayed_by) == ("replayed", technician.user_id)
    assert letter.replay_note == "1 of 1 messages stored"
    assert [row[0] for row in await home.rows("SELECT action FROM audit_log")] == [
        "dead_letter.replay_requested"
    ]


async def test_what_a_replay_brings_is_the_device_s_latest(
    db: Database, home: Home, feed: Feed, witness: Witness, now: datetime, technician: Actor
) -> None:
    payload = body(seq=4, t=now, vitals={"heart_rate": 77})
    await feed.give(feed.mqtt("silverline/v1/W-0007/vitals", payload, now))
    letter_id = await only_letter(home)
    await home.device("W-0007", elder=await home.elder())
    async with db.transaction() as tx:
        await service.request_replay(tx, letter_id, actor=technician, now=now)
    topic, item = (await home.rows("SELECT topic, payload FROM outbox"))[0]
    handlers = outbox_handlers(db, witness.react, witness.clear)
    await handlers[topic](OutboxItem(new_id(), topic, None, item, 1))
    assert await home.rows("SELECT metric, value FROM latest_reading") == [(1, 77.0)]


async def test_a_replay_that_fails_says_why_and_stays_open(
    db: Database, home: Home, feed: Feed, pipeline: Pipeline, now: datetime
) -> None:
    await feed.give(feed.mqtt("silverline/v1/P-0007/vitals", body(seq=1, vitals={"spo2": 9}), now))
    letter_id = await only_letter(home)
    result = await replay.replay(db, pipeline, letter_id, now)
    assert result is not None
    assert result.reason == "unknown_device"
    async with db.connection() as conn:
        letter = await service.get(conn, letter_id)
    assert letter.status == "open"
    assert "P-0007" in (letter.replay_note or "")
    assert await home.count("dead_letter") == 1


async def test_of_a_batch_only_what_was_missing_is_stored_by_a_replay(
    db: Database, home: Home, feed: Feed, pipeline: Pipeline, now: datetime
) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0001", "sl-gateway-1", elder=elder)
    await home.device("M-0001", "sl-motion-1", elder=elder, gateway=gateway)
    t = int(now.timestamp() * 1000)
    batch = [
        {"device": "M-0001", "seq": 1, "t": t, "vitals": {"motion": 1}},
        {"device": "M-0002", "seq": 1, "t": t, "vitals": {"motion": 1}},
    ]
    await feed.give(feed.mqtt("silverline/v1/G-0001/vitals", body(batch=batch), now))
    await home.device("M-0002", "sl-motion-1", elder=elder, gateway=gateway)
    letter_id = await only_letter(home)
    fresh = outbox_handlers(db, Witness().react, Witness().clear)
    await fresh[service.REPLAY_TOPIC](
        OutboxItem(new_id(), service.REPLAY_TOPIC, None, {"id": str(letter_id)}, 1)
    )
    assert await home.count("reading") == 2
    note = await home.value("SELECT replay_note FROM dead_letter")
    assert note == "1 of 2 messages stored"


async def test_a_press_is_replayed_once_although_it_has_no_number(
    db: Database, home: Home, feed: Feed, witness: Witness, pipeline: Pipeline, now: datetime
) -> None:
    await feed.give(feed.mqtt("zigbee2mqtt/button", b'{"action":"single"}', now))
    letter_id = await only_letter(home)
    await home.device(
        "B-0001", "z2m-hs1eb", elder=await home.elder(), alias=("zigbee2mqtt", "button")
    )
    again = Pipeline(db, type(pipeline._registry)(db), witness.react, witness.clear)
    assert (await replay.replay(db, again, letter_id, now)) is not None
    async with db.transaction() as tx:
        await tx.execute("UPDATE dead_letter SET replayed_at = NULL")
    result = await replay.replay(db, again, letter_id, now + timedelta(hours=3))
    assert result is not None
    assert result.stored == 0
    assert witness.kinds == ["sos"]
    assert await home.value("SELECT received_at FROM alarm") == now


async def test_a_frame_that_was_kept_in_part_is_not_replayed(
    db: Database, home: Home, feed: Feed, pipeline: Pipeline, now: datetime, technician: Actor
) -> None:
    await feed.give(feed.mqtt("silverline/v1/W-0001/vitals", b"y" * 80_000, now))
    letter_id = await only_letter(home)
    async with db.transaction() as tx:
        with pytest.raises(Conflict):
            await service.request_replay(tx, letter_id, actor=technician, now=now)
    assert await replay.replay(db, pipeline, letter_id, now) is None


async def test_any_text_can_be_kept(db: Database, now: datetime) -> None:
    wild = "a\0b\ud800c" + "长" * 5_000
    draft = Draft(now, "mqtt", None, wild, wild, b"\0\xff", "unknown_topic", wild)
    async with db.transaction() as tx:
        await store.keep(tx, [draft])
        [letter] = (await service.find(tx, Filters())).letters
    assert letter.payload == b"\0\xff"
    assert letter.topic.startswith("a\ufffdb?c长")
    assert len(letter.detail) == 500


async def test_only_settled_letters_are_forgotten(
    db: Database, home: Home, feed: Feed, now: datetime, technician: Actor
) -> None:
    for name in ("one", "two"):
        await feed.give(feed.mqtt(f"elsewhere/{name}", b"{}", now))
    async with db.transaction() as tx:
        letter = (await service.find(tx, Filters(text="one"))).letters[0]
        await service.discard(tx, letter.id, actor=technician, now=now)
        assert await store.forget(tx, now + timedelta(days=1), 10) == 1
    assert [row[0] for row in await home.rows("SELECT topic FROM dead_letter")] == ["elsewhere/two"]


async def test_what_was_searched_for_is_not_written_into_the_log(
    db: Database, home: Home, technician: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        wanted = Filters(text="13812345678", reason="unknown_device")
        await service.request_replay_of_all(tx, wanted, actor=technician, now=now)
    [(detail,)] = await home.rows("SELECT detail FROM audit_log")
    assert detail == {"letters": 0, "reason": "unknown_device", "transport": "", "text": True}
