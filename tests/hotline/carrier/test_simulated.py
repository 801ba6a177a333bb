"""The outbox and the simulated carrier together: real rows, a real worker, real callbacks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from hotline.carrier.simulated import Behaviour, SimulatedCarrier, SimulationSettings
from hotline.contacts import service as contacts
from hotline.contacts.jobs import outbox_handlers
from hotline.incidents.model import Incident
from kernel.auth.model import Actor
from kernel.outbox import OutboxWorker
from kernel.ports import CarrierError, OutgoingCall, OutgoingText
from tests.hotline.world import World

QUICK = Behaviour("no_answer", ring_s=0.05, talk_s=0.01)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def carrier(world: World) -> AsyncIterator[SimulatedCarrier]:
    """A carrier with a worker that hands it what is in the outbox."""
    made = SimulatedCarrier(world.db, SimulationSettings(QUICK))
    stop = asyncio.Event()
    worker = OutboxWorker(world.db, outbox_handlers(world.db, world.cipher, made))
    task = asyncio.create_task(worker.run(stop))
    yield made
    stop.set()
    await made.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(task, 30)


async def _statuses(world: World, incident: Incident) -> list[str]:
    return [row[3] for row in await world.attempts(incident.id)]


async def test_the_chain_runs_by_itself_to_the_one_who_presses_1(
    world: World, operator: Actor, carrier: SimulatedCarrier
) -> None:
    elder = await world.elder(contacts=3)
    carrier.script(elder.contact_phones[1], Behaviour("busy"))
    carrier.script(
        elder.contact_phones[2], Behaviour("answered", ring_s=0.05, talk_s=0.01, digits="1")
    )
    incident = await world.claimed(operator, elder)
    async with world.db.transaction() as tx:
        await contacts.call_contacts_in_order(tx, incident.id, operator, world.now)

    async def over() -> bool:
        return await _statuses(world, incident) == ["no_answer", "busy", "completed"]

    await until(over)
    called = [placed.call for placed in carrier.calls.values()]
    assert [call.to for call in called] == elder.contact_phones
    assert all(call.gather for call in called)
    assert "李*英老人" in called[0].say
    assert elder.name not in called[0].say


async def test_the_demonstration_can_pick_up(
    world: World, operator: Actor, carrier: SimulatedCarrier
) -> None:
    elder = await world.elder(contacts=2)
    carrier.script(elder.contact_phones[0], Behaviour("no_answer", ring_s=30, talk_s=0.01))
    incident = await world.claimed(operator, elder)
    async with world.db.transaction() as tx:
        reference = str(await contacts.call_contacts_in_order(tx, incident.id, operator, world.now))

    async def status_is(wanted: str) -> bool:
        return await _statuses(world, incident) == [wanted]

    await until(lambda: status_is("ringing"))
    assert carrier.answer(reference, "1")
    await until(lambda: status_is("completed"))
    assert not carrier.answer(reference, "1")


async def test_texts_to_contacts_are_sent_with_masked_names(
    world: World, operator: Actor, carrier: SimulatedCarrier
) -> None:
    elder = await world.elder()
    incident = await world.claimed(operator, elder)
    async with world.db.transaction() as tx:
        await contacts.text_contact(tx, incident.id, elder.contact_ids[0], operator, world.now)

    async def sent() -> bool:
        return await _statuses(world, incident) == ["sent"]

    await until(sent)
    (text,) = carrier.texts.values()
    assert text.to == elder.contact_phones[0]
    assert "求助" in text.body
    assert elder.name not in text.body


async def test_a_number_that_does_not_exist_fails_at_once_and_the_next_is_called(
    world: World, operator: Actor, carrier: SimulatedCarrier
) -> None:
    elder = await world.elder(contacts=2)
    carrier.script(elder.contact_phones[0], Behaviour(invalid=True))
    incident = await world.claimed(operator, elder)
    async with world.db.transaction() as tx:
        await contacts.call_contacts_in_order(tx, incident.id, operator, world.now)

    async def over() -> bool:
        return await _statuses(world, incident) == ["failed", "no_answer"]

    await until(over)


async def test_the_same_reference_twice_is_one_call_and_one_text(world: World) -> None:
    carrier = SimulatedCarrier(world.db, SimulationSettings(QUICK))
    call = OutgoingCall("0190a6e0-0000-7000-8000-000000000000", "13900000000", "您好")
    assert await carrier.place_call(call) == await carrier.place_call(call)
    text = OutgoingText("r1", "13900000000", "您好")
    assert await carrier.send_text(text) == await carrier.send_text(text)
    assert (len(carrier.calls), len(carrier.texts)) == (1, 1)
    with pytest.raises(CarrierError):
        await carrier.send_text(OutgoingText("r2", "not a number", ""))
    await carrier.close()


async def test_a_call_that_was_given_up_before_its_turn_is_not_placed(
    world: World, operator: Actor
) -> None:
    carrier = SimulatedCarrier(world.db, SimulationSettings(QUICK))
    incident = await world.claimed(operator)
    async with world.db.transaction() as tx:
        reference = await contacts.call_elder(tx, incident.id, operator, world.now)
    async with world.db.transaction() as tx:
        await contacts.attempt_progress(tx, str(reference), "no_answer", None, world.later(80))
    worker = OutboxWorker(world.db, outbox_handlers(world.db, world.cipher, carrier))
    assert await worker.run_once() == 1
    assert carrier.calls == {}
