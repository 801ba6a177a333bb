"""Sending people: the link, what they tap, and what it does to the incident."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from hotline.contacts import service as contacts
from hotline.dispatch import service, store
from hotline.dispatch.model import DispatchAction as A
from hotline.dispatch.model import DispatchStatus as S
from hotline.escalation.jobs import due_deadlines
from hotline.incidents import service as incident_service
from hotline.incidents.model import Incident, Resolution, Status
from kernel.auth.model import Actor
from kernel.db import fetch_tuples, fetch_value
from kernel.errors import Conflict, Forbidden, NotFound
from tests.hotline.world import PUBLIC_URL, World

# A JPEG of one pixel, as small as they get.
JPEG = bytes.fromhex(
    "ffd8ffdb004300030202020202030202020303030304060404040404080606050609080a0a090809090a0c0f0c0a0b0e"
    "0b09090d110d0e0f101011100a0c12131210130f101010ffc9000b080001000101011100ffcc000600101005ffda0008"
    "0101000 03f00d2cf20ffd9".replace(" ", "")
)


async def _tap(world: World, dispatch_id: object, action: A, **more: object) -> S:
    async with world.db.transaction() as tx:
        done = await service.respond(tx, dispatch_id, action, world.later(60), **more)  # type: ignore[arg-type]
    return done.status


async def _sent(world: World, operator: Actor) -> tuple[Incident, object, str]:
    responder = await world.responder()
    return await world.sent(await world.claimed(operator), responder, operator)


async def test_sending_texts_a_link_of_which_only_the_hash_is_kept(
    world: World, operator: Actor
) -> None:
    incident, dispatch_id, token = await _sent(world, operator)
    assert incident.status is Status.DISPATCHED
    assert len(token) == 43
    async with world.db.connection() as conn:
        kept = await fetch_value(
            conn, "SELECT token_hash FROM dispatch WHERE id = %s", (dispatch_id,)
        )
        everything = await fetch_tuples(
            conn,
            "SELECT payload::text FROM outbox UNION ALL SELECT data::text FROM incident_event"
            " UNION ALL SELECT data::text FROM incident_deadline",
        )
    assert bytes(kept) == hashlib.sha256(token.encode()).digest()
    assert not any(token in row[0] for row in everything)
    assert ("dispatch_answer", 0, 120.0) in await world.deadlines(incident.id)


async def test_the_way_from_accepting_to_done_moves_the_incident(
    world: World, operator: Actor
) -> None:
    incident, dispatch_id, _ = await _sent(world, operator)
    walked = []
    for action in (A.ACCEPT, A.DEPART, A.ARRIVE, A.COMPLETE):
        status = await _tap(world, dispatch_id, action)
        walked.append((status, (await world.incident(incident.id)).status))
    assert walked == [
        (S.ACCEPTED, Status.DISPATCHED),
        (S.EN_ROUTE, Status.DISPATCHED),
        (S.ON_SCENE, Status.ON_SCENE),
        (S.COMPLETED, Status.ON_SCENE),
    ]
    events = await world.events(incident.id)
    assert [kind for kind, _ in events if kind.startswith("dispatch.")] == [
        "dispatch.accepted",
        "dispatch.en_route",
        "dispatch.on_scene",
        "dispatch.completed",
    ]


async def test_a_tap_that_was_lost_and_repeated_counts_once(world: World, operator: Actor) -> None:
    incident, dispatch_id, _ = await _sent(world, operator)
    for _ in range(3):
        assert await _tap(world, dispatch_id, A.ACCEPT, version=1) is S.ACCEPTED
    assert (await world.kinds(incident.id)).count("dispatch.accepted") == 1


async def test_a_page_that_is_out_of_date_is_refused(world: World, operator: Actor) -> None:
    _, dispatch_id, _ = await _sent(world, operator)
    await _tap(world, dispatch_id, A.ACCEPT)
    with pytest.raises(Conflict) as refused:
        await _tap(world, dispatch_id, A.DECLINE, version=1)
    assert refused.value.facts["status"] == "accepted"


async def test_the_link_opens_for_twelve_hours_and_thirty_minutes_after_completion(
    world: World, operator: Actor
) -> None:
    _, dispatch_id, token = await _sent(world, operator)

    async def opens(seconds: float) -> str:
        async with world.db.connection() as conn:
            try:
                found = await service.open_link(conn, token, world.later(seconds))
            except service.LinkDead as dead:
                return str(dead.facts["why"])
        return found.status.value

    assert await opens(12 * 3600 - 1) == "notified"
    assert await opens(12 * 3600) == "expired"
    for action in (A.ACCEPT, A.ARRIVE, A.COMPLETE):
        await _tap(world, dispatch_id, action)
    assert await opens(60 + 1799) == "completed"
    assert await opens(60 + 1800) == "expired"


@pytest.mark.parametrize("token", ["", "x", "../../etc/passwd", "\udcff", "A" * 5000])
async def test_a_link_that_is_none_opens_nothing(world: World, token: str) -> None:
    async with world.db.connection() as conn:
        with pytest.raises(service.LinkDead) as dead:
            await service.open_link(conn, token, world.now)
    assert dead.value.facts["why"] == "unknown"


async def test_nobody_of_another_city_is_sent(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator)
    elsewhere = await world.responder("包头的人", division="150202000000")
    with pytest.raises(NotFound):
        await world.sent(incident, elsewhere, operator)
    assert (await world.incident(incident.id)).status is Status.ACKNOWLEDGED


async def test_declining_tells_the_console_and_takes_the_incident_back(
    world: World, operator: Actor
) -> None:
    incident, dispatch_id, token = await _sent(world, operator)
    assert await _tap(world, dispatch_id, A.DECLINE, reason="车坏了") is S.DECLINED
    after = await world.incident(incident.id)
    assert (after.status, after.escalation_level) == (Status.ACKNOWLEDGED, 1)
    assert (await world.kinds(incident.id))[-3:] == [
        "dispatch.declined",
        "incident.stood_down",
        "incident.escalated",
    ]
    async with world.db.connection() as conn:
        with pytest.raises(service.LinkDead):
            await service.open_link(conn, token, world.later(61))
        assert await fetch_value(conn, "SELECT body_enc FROM contact_attempt") is None


async def test_with_a_second_responder_on_the_way_it_stays_dispatched(
    world: World, operator: Actor
) -> None:
    incident, first, _ = await _sent(world, operator)
    second = await world.responder("马志强", phone="13947100002")
    incident, other, _ = await world.sent(incident, second, operator)
    await _tap(world, first, A.DECLINE)
    assert (await world.incident(incident.id)).status is Status.DISPATCHED
    await _tap(world, other, A.DECLINE)
    assert (await world.incident(incident.id)).status is Status.ACKNOWLEDGED


async def test_the_same_responder_is_not_sent_twice(world: World, operator: Actor) -> None:
    responder = await world.responder()
    incident, _, _ = await world.sent(await world.claimed(operator), responder, operator)
    with pytest.raises(Conflict):
        await world.sent(incident, responder, operator)
    with pytest.raises(NotFound):
        await world.sent(incident, incident.id, operator)
    assert (await world.incident(incident.id)).version == incident.version


async def test_withdrawing_is_for_the_holder_and_texts_the_responder(
    world: World, operator: Actor
) -> None:
    incident, dispatch_id, _ = await _sent(world, operator)
    other = await world.user("赵敏")

    async def withdraw(actor: Actor) -> Incident:
        async with world.db.transaction() as tx:
            return await service.withdraw(
                tx,
                incident.id,
                incident.version,
                dispatch_id,
                actor,
                world.now,  # type: ignore[arg-type]
            )

    with pytest.raises(Forbidden):
        await withdraw(other)
    assert (await withdraw(operator)).status is Status.ACKNOWLEDGED
    assert (await world.attempts(incident.id))[-1][:2] == ("sms", "stand_down")
    with pytest.raises(Conflict):
        await _tap(world, dispatch_id, A.ACCEPT)


async def test_resolving_withdraws_who_is_on_the_way_and_leaves_who_is_there(
    world: World, operator: Actor
) -> None:
    incident, there, _ = await _sent(world, operator)
    second = await world.responder("马志强", phone="13947100002")
    incident, coming, _ = await world.sent(incident, second, operator)
    await _tap(world, there, A.ACCEPT)
    await _tap(world, there, A.ARRIVE)
    incident = await world.incident(incident.id)
    async with world.db.transaction() as tx:
        await incident_service.resolve(
            tx, incident.id, incident.version, Resolution.FOUNDED, "已扶起", operator, world.now
        )
    async with world.db.connection() as conn:
        states = {d.id: d.status for d in await store.of_incident(conn, incident.id)}
    assert states == {there: S.ON_SCENE, coming: S.WITHDRAWN}
    assert await _tap(world, there, A.COMPLETE) is S.COMPLETED
    assert (await world.incident(incident.id)).status is Status.RESOLVED


async def test_a_responder_who_does_not_accept_is_called_and_may_press_keys(
    world: World, operator: Actor
) -> None:
    incident, dispatch_id, _ = await _sent(world, operator)
    await due_deadlines(world.db, world.later(120))
    kinds = [data.get("reason") for kind, data in await world.events(incident.id)]
    assert "dispatch_unanswered" in kinds
    call = await world.last_attempt(incident.id)
    async with world.db.transaction() as tx:
        await contacts.attempt_progress(tx, call, "in_progress", "2", world.later(130))
    async with world.db.connection() as conn:
        found = await store.get(conn, dispatch_id)  # type: ignore[arg-type]
    assert found
    assert found.status is S.EN_ROUTE


async def test_a_link_that_could_not_be_texted_becomes_a_call_at_once(
    world: World, operator: Actor
) -> None:
    incident, _, _ = await _sent(world, operator)
    text = await world.last_attempt(incident.id, "sms")
    async with world.db.transaction() as tx:
        await contacts.attempt_progress(tx, text, "failed", None, world.later(3))
    assert (await world.attempts(incident.id))[-1][:2] == ("call", "dispatch")


async def test_notes_and_photos_come_onto_the_timeline_encrypted_and_once(
    world: World, operator: Actor
) -> None:
    incident, _, token = await _sent(world, operator)
    async with world.db.connection() as conn:
        dispatch = await service.open_link(conn, token, world.now)
    for _ in range(2):
        async with world.db.transaction() as tx:
            photo = await service.add_photo(tx, world.cipher, dispatch, JPEG, world.now)
    assert photo is None
    async with world.db.transaction() as tx:
        await service.add_note(tx, dispatch, "老人已扶起，意识清楚", world.now)
    kinds = await world.kinds(incident.id)
    assert kinds.count("dispatch.photo") == 1
    assert kinds[-1] == "dispatch.note"
    async with world.db.connection() as conn:
        (info,) = await store.photos(conn, incident.id)
        found = await store.photo_bytes(conn, incident.id, info.id)
    assert found
    assert found[1][:3] != b"\xff\xd8\xff"
    assert world.cipher.decrypt_bytes(service.PHOTO, found[1]).startswith(b"\xff\xd8\xff")


async def test_photos_that_come_at_the_same_moment_do_not_pass_the_limit_together(
    world: World, operator: Actor
) -> None:
    incident, _, token = await _sent(world, operator)
    async with world.db.connection() as conn:
        dispatch = await service.open_link(conn, token, world.now)

    async def send(number: int) -> bool:
        image = JPEG + bytes([number])
        try:
            async with world.db.transaction() as tx:
                await service.add_photo(tx, world.cipher, dispatch, image, world.now)
        except service.TooManyPhotos:
            return False
        return True

    assert all([await send(number) for number in range(service.MAX_PHOTOS - 1)])
    taken = await asyncio.gather(*(send(100 + number) for number in range(4)))
    assert taken.count(True) == 1
    async with world.db.connection() as conn:
        assert await store.photo_count(conn, dispatch.id) == service.MAX_PHOTOS
    assert (await world.kinds(incident.id)).count("dispatch.photo") == service.MAX_PHOTOS
    # The answer to the first one was lost: it is there, and that is no mistake of the phone.
    assert await send(0)


def test_a_link_is_where_phones_reach_us() -> None:
    assert service.tokens.link(PUBLIC_URL + "/", "abc") == f"{PUBLIC_URL}/r/abc"
    assert timedelta(hours=12) == service.tokens.LIFETIME
