"""Many incidents and one duty phone: one call at a time, the others wait and come in order."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from devices.alarms import AlarmKind
from hotline.contacts import store as contacts
from hotline.contacts import texts
from hotline.contacts.model import Purpose
from hotline.contacts.service import attempt_progress
from hotline.dispatch.store import facts_of
from hotline.escalation.jobs import FallbackPhone, due_deadlines
from hotline.incidents import service
from hotline.incidents.model import Incident, Status
from kernel.auth.model import Actor
from kernel.db import fetch_tuples
from tests.hotline.world import World

PHONE = "13947100009"


async def _run(world: World, seconds: float, fallback: FallbackPhone | None = None) -> None:
    await due_deadlines(world.db, world.later(seconds), fallback)


async def _calls(world: World) -> list[tuple[str, str]]:
    """Duty calls as (number of the incident's place in the storm, status), oldest first."""
    async with world.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT i.number, a.status FROM contact_attempt a JOIN incident i"
            " ON i.id = a.incident_id WHERE a.channel = 'call' ORDER BY a.created_at, a.id",
        )
    return [(str(number), status) for number, status in rows]


async def _texts(world: World) -> int:
    async with world.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT id FROM contact_attempt WHERE channel = 'sms'")
    return len(rows)


async def _end(world: World, incident: Incident, status: str, after: float) -> None:
    reference = await world.last_attempt(incident.id)
    async with world.db.transaction() as tx:
        await attempt_progress(tx, reference, status, None, world.later(after))


async def test_two_kinds_of_one_elder_ring_the_duty_phone_one_after_the_other(
    world: World,
) -> None:
    await world.duty_phone(PHONE)
    elder = await world.elder()
    fall = await world.opened(elder, AlarmKind.FALL)
    press = await world.opened(elder, AlarmKind.SOS)
    await _run(world, 60)
    assert len(await _calls(world)) == 1
    assert await _texts(world) == 1
    called = fall if await world.attempts(fall.id) else press
    waits = press if called is fall else fall
    assert "escalation.waiting" in await world.kinds(waits.id)
    for seconds in (65, 70, 75):
        await _run(world, seconds)
    assert len(await _calls(world)) == 1
    assert (await world.kinds(waits.id)).count("escalation.waiting") == 1
    await _end(world, called, "no_answer", 76)
    await _run(world, 80)
    assert [row[:2] for row in await world.attempts(waits.id)][:1] == [("call", "duty")]
    assert len(await _calls(world)) == 2


async def test_ten_incidents_in_a_minute_are_ten_calls_in_order_and_a_text_a_minute(
    world: World,
) -> None:
    await world.duty_phone(PHONE)
    storm = []
    for second in range(10):
        moment = world.later(second)
        elder = await world.elder(f"老人{second}")
        storm.append(await world.react(await world.alarm(elder, now=moment), moment))
    by_number = {str(incident.number): incident for incident in storm}
    running_at_once, ended = [], 0
    for second in range(55, 55 + 10 * 25):
        await _run(world, second)
        running = [number for number, status in await _calls(world) if status == "queued"]
        running_at_once.append(len(running))
        calls = len(await _calls(world))
        if running and second >= 60 + 20 * (ended + 1):
            await _end(world, by_number[running[0]], "no_answer", second)
            ended += 1
        assert await _texts(world) <= 1 + (second - 60) // 60 or calls == 0
    assert max(running_at_once) == 1
    first_round = [number for number, _ in await _calls(world)][:10]
    assert first_round == sorted(by_number, key=int)


async def test_a_critical_incident_goes_before_a_major_one_that_waits(world: World) -> None:
    await world.duty_phone(PHONE)
    major = await world.opened(kind=AlarmKind.HEART_RATE_HIGH)
    late = world.later(235)
    first = await world.react(await world.alarm(await world.elder(), now=late), late)
    later = world.later(245)
    second = await world.react(await world.alarm(await world.elder(), now=later), later)
    for seconds in (295, 300, 305):
        await _run(world, seconds)
    assert [number for number, _ in await _calls(world)] == [str(first.number)]
    await _end(world, first, "no_answer", 307)
    for seconds in (310, 311, 312, 313, 314, 315, 316):
        await _run(world, seconds)
    assert [number for number, _ in await _calls(world)][1] == str(second.number)
    assert await world.attempts(major.id) == []


async def test_a_claim_ends_the_wait(world: World, operator: Actor) -> None:
    await world.duty_phone(PHONE)
    first, second = await world.opened(), await world.opened()
    await _run(world, 60)
    waits = second if await world.attempts(first.id) else first
    async with world.db.transaction() as tx:
        await service.acknowledge(tx, waits.id, waits.version, operator, world.later(62))
    await _end(world, second if waits is first else first, "no_answer", 63)
    await _run(world, 70)
    assert await world.attempts(waits.id) == []
    assert (await world.incident(waits.id)).status is Status.ACKNOWLEDGED


async def test_workers_at_the_same_moment_place_one_call(world: World) -> None:
    await world.duty_phone(PHONE)
    for _ in range(6):
        await world.opened()
    await _run(world, 30)
    await asyncio.gather(*(_run(world, 60) for _ in range(4)))
    assert len(await _calls(world)) == 1
    assert await _texts(world) == 1


async def test_one_number_in_two_divisions_is_one_phone_and_others_ring_at_once(
    world: World,
) -> None:
    for division, phone in (("150102", PHONE), ("150103", PHONE), ("150104", "13947100010")):
        await world.duty_phone(phone, division=division)
    for division in ("150102003000", "150103001000", "150104001000"):
        await world.opened(await world.elder(division=division), division=division)
    await _run(world, 60)
    assert len(await _calls(world)) == 2


async def test_the_phone_of_the_settings_is_called_once_at_a_time_too(world: World) -> None:
    fallback = FallbackPhone(PHONE, world.cipher)
    first, second = await world.opened(), await world.opened()
    await _run(world, 60, fallback)
    assert len(await _calls(world)) == 1
    called = first if await world.attempts(first.id) else second
    await _end(world, called, "busy", 61)
    await _run(world, 66, fallback)
    assert len(await _calls(world)) == 2


async def test_a_call_whose_end_nobody_reported_does_not_hold_the_phone_for_ever(
    world: World,
) -> None:
    await world.duty_phone(PHONE)
    first, second = await world.opened(), await world.opened()
    await _run(world, 60)
    called = first if await world.attempts(first.id) else second
    await _end(world, called, "in_progress", 65)
    for seconds in range(65, 380, 5):
        await _run(world, seconds)
    assert len(await _calls(world)) == 2
    async with world.db.connection() as conn:
        begun = await fetch_tuples(
            conn, "SELECT created_at FROM contact_attempt WHERE channel = 'call' ORDER BY 1"
        )
    assert begun[1][0] - begun[0][0] >= timedelta(seconds=300)


async def test_call_and_text_say_how_many_others_nobody_has_claimed(
    world: World, operator: Actor
) -> None:
    await world.duty_phone(PHONE)
    incident = await world.opened()
    await world.opened(), await world.opened(kind=AlarmKind.HEART_RATE_HIGH)
    await world.opened(kind=AlarmKind.BED_EXIT)
    await world.claimed(operator)
    async with world.db.connection() as conn:
        phone = (await fetch_tuples(conn, "SELECT id FROM duty_phone"))[0][0]
        others = await contacts.unclaimed_besides(conn, incident.id, phone)
        facts = await facts_of(conn, incident.id)
    assert others == 2
    assert facts is not None
    told = replace(facts, others=others)
    assert "另有2起警情等待接警" in texts.spoken(Purpose.DUTY, told)
    assert "另有2起警情等待接警" in texts.written(Purpose.DUTY, told)
    assert "另有" not in texts.spoken(Purpose.DUTY, facts)


async def test_an_incident_that_finds_the_phone_busy_goes_on_to_the_next_one(world: World) -> None:
    await world.duty_phone(PHONE)
    await world.duty_phone("13947100010", position=2)
    storm = [await world.opened() for _ in range(3)]
    await _run(world, 60)
    names = [[row[2] for row in await world.attempts(one.id) if row[0] == "call"] for one in storm]
    assert sorted(names) == [[], ["值班电话1"], ["值班电话2"]]
    second = storm[names.index(["值班电话2"])]
    waits = storm[names.index([])]
    assert "escalation.next_phone" in await world.kinds(second.id)
    assert ("escalation.next_phone", {"to": "值班电话1", "next": "值班电话2"}) in (
        await world.events(second.id)
    )
    assert "escalation.waiting" in await world.kinds(waits.id)
    # It waits for the first phone, and takes whichever is free first.
    await _end(world, second, "no_answer", 61)
    await _run(world, 66)
    calls = [row[2] for row in await world.attempts(waits.id) if row[0] == "call"]
    assert calls == ["值班电话2"]


async def test_whoever_waits_longer_gets_the_next_phone_too(world: World) -> None:
    await world.duty_phone(PHONE)
    early = [await world.opened() for _ in range(2)]
    await _run(world, 60)
    waits = early[0] if not await world.attempts(early[0].id) else early[1]
    await world.duty_phone("13947100010", position=2)
    late = world.later(2)
    newcomer = await world.react(await world.alarm(await world.elder(), now=late), late)
    await _run(world, 62)
    assert await world.attempts(newcomer.id) == []
    await _run(world, 65)
    assert [row[2] for row in await world.attempts(waits.id) if row[0] == "call"] == ["值班电话2"]
    assert await world.attempts(newcomer.id) == []


async def test_a_phone_that_rings_about_an_incident_is_no_reason_to_ring_another(
    world: World,
) -> None:
    await world.duty_phone(PHONE)
    await world.duty_phone("13947100010", position=2)
    incident = await world.opened()
    # Until the repeat of the step two minutes later the call is still under way.
    for seconds in (60, 120, 180, 185):
        await _run(world, seconds)
        if seconds == 60:
            await _end(world, incident, "in_progress", 61)
    names = [row[2] for row in await world.attempts(incident.id) if row[0] == "call"]
    assert names == ["值班电话1"]
