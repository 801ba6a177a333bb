"""One wins a claim; the others are told who and when. Who may do what stands on the action."""

import asyncio
from datetime import datetime

import pytest

from hotline.incidents import service
from hotline.incidents.model import Incident, Resolution, Status
from kernel.auth.model import Actor, Role
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tests.hotline.world import World


async def _claim(world: World, incident: Incident, actor: Actor) -> Incident | Conflict:
    try:
        async with world.db.transaction() as tx:
            return await service.acknowledge(tx, incident.id, incident.version, actor, world.now)
    except Conflict as lost:
        return lost


async def test_twenty_claims_at_once_have_one_winner_whom_the_others_see(world: World) -> None:
    incident = await world.opened()
    actors = [await world.user(f"坐席{n}") for n in range(20)]
    results = await asyncio.gather(*(_claim(world, incident, actor) for actor in actors))
    won = [result for result in results if isinstance(result, Incident)]
    lost = [result for result in results if isinstance(result, Conflict)]
    assert len(won) == 1
    assert len(lost) == 19
    winner = won[0].holder_name
    assert {conflict.facts["by"] for conflict in lost} == {winner}
    assert {conflict.facts["at"] for conflict in lost} == {world.now.isoformat()}
    assert (await world.kinds(incident.id)).count("incident.acknowledged") == 1


async def test_claiming_ends_the_escalation_and_starts_the_clock_of_the_claim(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator)
    assert incident.status is Status.ACKNOWLEDGED
    assert incident.first_acknowledged_at == world.now
    assert await world.deadlines(incident.id) == [("time_in_status", 0, 180.0)]


async def test_a_second_click_of_the_same_person_is_no_conflict(
    world: World, operator: Actor
) -> None:
    incident = await world.opened()
    for _ in range(2):
        async with world.db.transaction() as tx:
            claimed = await service.acknowledge(tx, incident.id, 1, operator, world.now)
    assert claimed.version == 2


async def test_giving_it_back_rings_again_from_the_start(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator)
    async with world.db.transaction() as tx:
        back = await service.release(tx, incident.id, 2, operator, world.later(100))
    assert (back.status, back.acknowledged_by) == (Status.OPEN, None)
    assert back.first_acknowledged_at == world.now
    assert [step[2] for step in await world.deadlines(incident.id)] == [130.0, 160.0]


async def test_only_the_holder_or_a_supervisor_acts_on_a_claimed_incident(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator)
    other = await world.user("赵敏")
    with pytest.raises(Forbidden) as refused:
        await _resolve(world, incident, other)
    assert refused.value.facts["by"] == "王芳"
    supervisor = await world.user("李建国", Role.SUPERVISOR)
    assert (await _resolve(world, incident, supervisor)).status is Status.RESOLVED


async def _resolve(
    world: World, incident: Incident, actor: Actor, now: datetime | None = None
) -> Incident:
    async with world.db.transaction() as tx:
        return await service.resolve(
            tx, incident.id, incident.version, Resolution.FOUNDED, " 已送医 ", actor,
            now or world.now,
        )  # fmt: skip


async def test_handing_over_is_for_the_holder_or_a_supervisor_and_names_both(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator)
    other, third = await world.user("赵敏"), await world.user("孙丽")
    assert other.user_id
    assert third.user_id
    with pytest.raises(Forbidden):
        async with world.db.transaction() as tx:
            await service.hand_over(tx, incident.id, 2, third.user_id, third, world.now)
    async with world.db.transaction() as tx:
        given = await service.hand_over(tx, incident.id, 2, other.user_id, operator, world.now)
    assert given.holder_name == "赵敏"
    data = (await world.events(incident.id))[-1][1]
    assert (data["from_name"], data["to_name"], data["version"]) == ("王芳", "赵敏", 3)
    supervisor = await world.user("李建国", Role.SUPERVISOR)
    assert supervisor.user_id
    async with world.db.transaction() as tx:
        taken = await service.hand_over(
            tx, incident.id, 3, supervisor.user_id, supervisor, world.now
        )
    assert taken.holder_name == "李建国"


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.CARE_MANAGER, Role.RESPONDER])
async def test_it_cannot_be_handed_to_somebody_who_does_not_handle_incidents(
    world: World, operator: Actor, role: Role
) -> None:
    incident = await world.claimed(operator)
    other = await world.user("某人", role)
    assert other.user_id
    with pytest.raises(Invalid):
        async with world.db.transaction() as tx:
            await service.hand_over(tx, incident.id, 2, other.user_id, operator, world.now)


async def test_it_cannot_be_handed_to_another_division(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator)
    other = await world.user("包头坐席", division="1502")
    assert other.user_id
    with pytest.raises(Invalid):
        async with world.db.transaction() as tx:
            await service.hand_over(tx, incident.id, 2, other.user_id, operator, world.now)


async def test_outside_of_the_division_there_is_no_incident(world: World) -> None:
    incident = await world.opened()
    stranger = await world.user("包头坐席", division="1502")
    with pytest.raises(NotFound):
        async with world.db.transaction() as tx:
            await service.acknowledge(tx, incident.id, 1, stranger, world.now)


async def test_without_the_permission_nothing_can_be_claimed(world: World) -> None:
    incident = await world.opened()
    manager = await world.user("照护管理", Role.CARE_MANAGER)
    with pytest.raises(Forbidden):
        async with world.db.transaction() as tx:
            await service.acknowledge(tx, incident.id, 1, manager, world.now)


async def test_an_unclaimed_incident_cannot_be_resolved(world: World, operator: Actor) -> None:
    incident = await world.opened()
    with pytest.raises(Conflict):
        await _resolve(world, incident, operator)


async def test_a_resolution_needs_a_reason_and_is_kept_with_it(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator)
    with pytest.raises(Invalid):
        async with world.db.transaction() as tx:
            await service.resolve(tx, incident.id, 2, Resolution.FOUNDED, "  ", operator, world.now)
    closed = await _resolve(world, incident, operator)
    assert (closed.resolution, closed.resolution_reason) == (Resolution.FOUNDED, "已送医")
    assert await world.deadlines(incident.id) == []


async def test_an_old_version_loses_and_is_told_what_happened(
    world: World, operator: Actor
) -> None:
    incident = await world.claimed(operator)
    await _resolve(world, incident, operator)
    with pytest.raises(Conflict) as lost:
        await _resolve(world, incident, operator)
    assert lost.value.facts["status"] == "resolved"
    assert lost.value.facts["version"] == 3
    assert lost.value.facts["by"] == "王芳"


async def test_reopening_holds_it_for_who_does_unless_a_newer_one_is_open(
    world: World, operator: Actor
) -> None:
    elder = await world.elder()
    incident = await world.claimed(operator, elder)
    closed = await _resolve(world, incident, operator)
    other = await world.user("赵敏")
    async with world.db.transaction() as tx:
        again = await service.reopen(tx, closed.id, 3, "家属来电，老人又不适", other, world.now)
    assert (again.status, again.holder_name) == (Status.ACKNOWLEDGED, "赵敏")
    assert (again.resolution, again.resolved_at, again.reopened_count) == (None, None, 1)
    closed = await _resolve(world, again, other)
    newer = await world.opened(elder)
    with pytest.raises(Conflict) as refused:
        async with world.db.transaction() as tx:
            await service.reopen(tx, closed.id, closed.version, "再看", other, world.now)
    assert refused.value.facts["number"] == newer.number


async def test_notes_move_nothing(world: World, operator: Actor) -> None:
    incident = await world.opened()
    async with world.db.transaction() as tx:
        await service.add_note(tx, incident.id, "邻居来电说听到响声", operator, world.now)
    assert (await world.incident(incident.id)).version == 1
    assert (await world.events(incident.id))[-1] == ("note.added", {"text": "邻居来电说听到响声"})
    with pytest.raises(Invalid):
        async with world.db.transaction() as tx:
            await service.add_note(tx, incident.id, " ", operator, world.now)


async def test_those_who_could_take_over_are_listed(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator)
    await world.user("赵敏")
    await world.user("李建国", Role.SUPERVISOR)
    await world.user("审计", Role.AUDITOR)
    await world.user("包头坐席", division="1502")
    async with world.db.connection() as conn:
        found = await service.takers(conn, incident)
    assert {one.display_name for one in found} == {"赵敏", "李建国"}
