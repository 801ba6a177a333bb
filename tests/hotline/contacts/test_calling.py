"""Calling people: the elder, contacts one after the other, the duty phone and its keys."""

import uuid

import pytest

from hotline.contacts import service as contacts
from hotline.escalation.jobs import due_deadlines
from hotline.incidents import service
from hotline.incidents.model import Incident, Resolution, Status
from kernel.auth.model import Actor, Role
from kernel.db import fetch_tuples
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tests.hotline.world import World


async def _report(
    world: World, reference: str, status: str, digits: str | None = None, after: float = 5
) -> None:
    async with world.db.transaction() as tx:
        await contacts.attempt_progress(tx, reference, status, digits, world.later(after))


async def _chain(world: World, incident: Incident, operator: Actor) -> str:
    async with world.db.transaction() as tx:
        return str(await contacts.call_contacts_in_order(tx, incident.id, operator, world.now))


async def test_calling_the_elder_is_an_outbox_item_without_a_number(
    world: World, operator: Actor
) -> None:
    elder = await world.elder()
    incident = await world.claimed(operator, elder)
    async with world.db.transaction() as tx:
        attempt = await contacts.call_elder(tx, incident.id, operator, world.now)
    async with world.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT topic, payload::text FROM outbox")
    assert [row[0] for row in rows] == ["carrier.call"]
    assert elder.phone not in rows[0][1]
    assert str(attempt) in rows[0][1]
    assert (await world.events(incident.id))[-1][0] == "contact.called"


async def test_only_the_holder_or_a_supervisor_reaches_people(
    world: World, operator: Actor
) -> None:
    elder = await world.elder()
    incident = await world.claimed(operator, elder)
    other, auditor = await world.user("赵敏"), await world.user("审计员", Role.AUDITOR)
    for person in (other, auditor):
        async with world.db.connection() as conn:
            with pytest.raises(Forbidden):
                await contacts.call_elder(conn, incident.id, person, world.now)
            with pytest.raises(Forbidden):
                await contacts.text_contact(
                    conn, incident.id, elder.contact_ids[0], person, world.now
                )
    supervisor = await world.user("李建国", Role.SUPERVISOR)
    async with world.db.transaction() as tx:
        await contacts.call_elder(tx, incident.id, supervisor, world.now)
    assert await world.attempts(incident.id) == [("call", "elder", elder.name, "queued")]


async def test_nobody_is_called_about_an_incident_that_is_resolved(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator)
    async with world.db.transaction() as tx:
        await service.resolve(
            tx, incident.id, incident.version, Resolution.UNFOUNDED, "误触", operator, world.now
        )
    with pytest.raises(Conflict) as refused:
        await _chain(world, incident, operator)
    assert refused.value.facts["status"] == "resolved"
    assert await world.attempts(incident.id) == []


async def test_an_unreached_contact_is_followed_by_the_next_until_one_confirms(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator, await world.elder(contacts=3))
    first = await _chain(world, incident, operator)
    await _report(world, first, "ringing")
    await _report(world, first, "no_answer")
    second = await world.last_attempt(incident.id)
    await _report(world, second, "busy")
    third = await world.last_attempt(incident.id)
    await _report(world, third, "ringing")
    await _report(world, third, "in_progress")
    await _report(world, third, "in_progress", "2")
    await _report(world, third, "completed", "2")
    assert await world.attempts(incident.id) == [
        ("call", "chain", "李建华", "no_answer"),
        ("call", "chain", "王淑兰", "busy"),
        ("call", "chain", "陈志国", "completed"),
    ]
    events = await world.events(incident.id)
    assert ("contact.pressed", "2") in [(kind, data.get("key")) for kind, data in events]
    assert "incident.escalated" not in [kind for kind, _ in events]


@pytest.mark.parametrize("end", ["no_answer", "busy", "failed", "completed"])
async def test_when_nobody_confirms_the_console_hears_it(
    world: World, operator: Actor, end: str
) -> None:
    incident = await world.claimed(operator, await world.elder(contacts=1))
    await _report(world, await _chain(world, incident, operator), end)
    kind, data = (await world.events(incident.id))[-1]
    assert (kind, data["reason"]) == ("incident.escalated", "no_contact_reached")


async def test_who_presses_3_is_followed_by_the_next(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator, await world.elder(contacts=2))
    first = await _chain(world, incident, operator)
    await _report(world, first, "completed", "3")
    assert [row[2] for row in await world.attempts(incident.id)] == ["李建华", "王淑兰"]


async def test_reports_that_come_late_twice_or_out_of_order_change_nothing(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator, await world.elder(contacts=2))
    first = await _chain(world, incident, operator)
    for status in ("no_answer", "no_answer", "ringing", "in_progress", "completed"):
        await _report(world, first, status)
    assert [row[3] for row in await world.attempts(incident.id)] == ["no_answer", "queued"]
    assert (await world.kinds(incident.id)).count("contact.ended") == 1


async def test_a_report_of_an_unknown_call_is_ignored_and_nonsense_refused(world: World) -> None:
    await _report(world, str(uuid.uuid4()), "completed")
    with pytest.raises(Invalid):
        await _report(world, "CA123", "completed")
    with pytest.raises(Invalid):
        await _report(world, str(uuid.uuid4()), "exploded")


async def test_a_lost_report_does_not_stop_the_chain(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator, await world.elder(contacts=2))
    await _chain(world, incident, operator)
    await due_deadlines(world.db, world.later(80))
    assert [row[2:] for row in await world.attempts(incident.id)] == [
        ("李建华", "no_answer"),
        ("王淑兰", "queued"),
    ]


async def test_a_conversation_is_not_cut_off_by_the_deadline(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator, await world.elder(contacts=2))
    first = await _chain(world, incident, operator)
    await _report(world, first, "in_progress")
    await due_deadlines(world.db, world.later(80))
    assert [row[3] for row in await world.attempts(incident.id)] == ["in_progress"]
    await due_deadlines(world.db, world.later(80 + 901))
    assert [row[3] for row in await world.attempts(incident.id)] == ["failed", "queued"]


async def test_the_chain_runs_once_at_a_time_and_ends_with_the_incident(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator, await world.elder(contacts=2))
    first = await _chain(world, incident, operator)
    with pytest.raises(Conflict):
        await _chain(world, incident, operator)
    async with world.db.transaction() as tx:
        await service.resolve(
            tx, incident.id, 2, Resolution.CANCELLED, "家属已到", operator, world.now
        )
    await _report(world, first, "no_answer")
    assert len(await world.attempts(incident.id)) == 1


async def test_somebody_who_is_not_there_cannot_be_called(world: World, operator: Actor) -> None:
    lonely = await world.claimed(operator, await world.elder(contacts=0))
    with pytest.raises(NotFound):
        await _chain(world, lonely, operator)
    other = await world.elder("张玉梅")
    with pytest.raises(NotFound):
        async with world.db.transaction() as tx:
            await contacts.call_contact(tx, lonely.id, other.contact_ids[0], operator, world.now)


async def _ring_duty(world: World) -> tuple[Incident, str]:
    incident = await world.opened()
    await due_deadlines(world.db, world.later(60))
    return incident, await world.last_attempt(incident.id)


async def test_key_1_on_the_duty_phone_claims_for_its_person(world: World) -> None:
    supervisor = await world.user("李建国", Role.SUPERVISOR)
    await world.duty_phone("13947100009", user=supervisor)
    incident, call = await _ring_duty(world)
    await _report(world, call, "in_progress", after=70)
    await _report(world, call, "in_progress", "1", after=72)
    claimed = await world.incident(incident.id)
    assert (claimed.status, claimed.holder_name) == (Status.ACKNOWLEDGED, "李建国")
    assert [kind for kind, _, _ in await world.deadlines(incident.id)].count("escalate") == 0


async def test_key_3_or_no_answer_rings_the_next_duty_phone(world: World) -> None:
    for position in (1, 2, 3):
        await world.duty_phone(f"1394710010{position}", position=position)
    incident, first = await _ring_duty(world)
    await _report(world, first, "completed", "3", after=70)
    second = await world.last_attempt(incident.id)
    await _report(world, second, "no_answer", after=95)
    calls = [row for row in await world.attempts(incident.id) if row[0] == "call"]
    assert [row[2:] for row in calls] == [
        ("值班电话1", "completed"),
        ("值班电话2", "no_answer"),
        ("值班电话3", "queued"),
    ]


async def test_a_duty_phone_of_nobody_gives_peace_for_a_while_and_then_it_begins_again(
    world: World,
) -> None:
    await world.duty_phone("13947100009")
    incident, call = await _ring_duty(world)
    await _report(world, call, "completed", "1", after=70)
    assert (await world.incident(incident.id)).status is Status.OPEN
    steps = [step for step in await world.deadlines(incident.id) if step[0] == "escalate"]
    assert steps == [("escalate", 0, 70.0 + 300 + 30), ("escalate", 1, 70.0 + 300 + 60)]
