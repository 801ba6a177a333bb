"""What alarms do: open once, ring again, get louder, and never close."""

import asyncio

import pytest
from psycopg.types.json import Jsonb

from devices.alarms import AlarmKind, ClearedCondition, Severity
from hotline.incidents import service
from hotline.incidents.model import Resolution, Status
from kernel.auth.model import Actor
from kernel.db import fetch_tuples, fetch_value
from kernel.errors import Invalid
from tests.hotline.world import World


async def test_the_first_alarm_opens_and_arms_the_escalation(world: World) -> None:
    incident = await world.opened(kind=AlarmKind.FALL)
    assert incident.status is Status.OPEN
    assert (incident.severity, incident.version, incident.activation_count) == (
        Severity.CRITICAL, 1, 1,
    )  # fmt: skip
    assert await world.kinds(incident.id) == ["incident.opened"]
    assert await world.deadlines(incident.id) == [("escalate", 0, 30.0), ("escalate", 1, 60.0)]


async def test_two_alarms_at_the_same_moment_are_one_incident_with_two_activations(
    world: World,
) -> None:
    elder = await world.elder()
    alarms = [await world.alarm(elder) for _ in range(6)]
    found = await asyncio.gather(*(world.react(alarm) for alarm in alarms))
    assert len({incident.id for incident in found}) == 1
    incident = await world.incident(found[0].id)
    assert incident.activation_count == 6
    assert sorted(await world.kinds(incident.id)) == ["incident.opened"] + 5 * ["incident.repeated"]
    async with world.db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM incident_activation") == 6


async def test_the_same_alarm_delivered_twice_counts_once(world: World) -> None:
    alarm = await world.alarm(await world.elder())
    await world.react(alarm)
    assert (await world.react(alarm)).activation_count == 1


async def test_other_kinds_and_other_elders_are_incidents_of_their_own(world: World) -> None:
    one, other = await world.elder(), await world.elder("张玉梅")
    numbers = {
        (await world.opened(one, AlarmKind.SOS)).number,
        (await world.opened(one, AlarmKind.FALL)).number,
        (await world.opened(other, AlarmKind.SOS)).number,
    }
    assert len(numbers) == 3


async def test_a_device_of_nobody_has_one_open_incident_a_kind(world: World) -> None:
    device = await world.device()
    first = await world.react(await world.alarm(None, AlarmKind.SMOKE, device_no=device))
    again = await world.react(await world.alarm(None, AlarmKind.SMOKE, device_no=device))
    assert first.id == again.id
    assert again.elder_id is None


async def test_an_alarm_of_nobody_and_nothing_is_refused(world: World) -> None:
    elder = await world.elder()
    alarm = await world.alarm(elder)
    with pytest.raises(Invalid):
        await world.react(type(alarm)(**{**_fields(alarm), "elder_id": None}))


def _fields(alarm: object) -> dict[str, object]:
    return {name: getattr(alarm, name) for name in type(alarm).__slots__}  # type: ignore[attr-defined]


async def test_a_louder_alarm_raises_the_severity_and_its_deadlines(world: World) -> None:
    elder = await world.elder()
    quiet = await world.opened(elder, AlarmKind.SPO2_LOW, severity=Severity.MAJOR)
    assert [step[2] for step in await world.deadlines(quiet.id)] == [120.0, 300.0]
    alarm = await world.alarm(elder, AlarmKind.SPO2_LOW, severity=Severity.CRITICAL)
    loud = await world.react(alarm, world.later(40))
    assert loud.severity is Severity.CRITICAL
    assert loud.escalation_policy["steps"][0]["after_s"] == 30
    assert [step[2] for step in await world.deadlines(loud.id)] == [70.0, 100.0]
    quieter = await world.alarm(elder, AlarmKind.SPO2_LOW, severity=Severity.MAJOR)
    assert (await world.react(quieter)).severity is Severity.CRITICAL


async def test_a_press_does_not_change_the_version_that_an_operator_is_about_to_claim(
    world: World, operator: Actor
) -> None:
    elder = await world.elder()
    seen = await world.opened(elder)
    await world.opened(elder)
    async with world.db.transaction() as tx:
        claimed = await service.acknowledge(tx, seen.id, seen.version, operator, world.now)
    assert claimed.status is Status.ACKNOWLEDGED


async def test_a_repeat_on_a_claimed_incident_rings_and_an_old_claim_makes_it_louder(
    world: World, operator: Actor
) -> None:
    elder = await world.elder()
    incident = await world.claimed(operator, elder)
    soon = await world.react(await world.alarm(elder), world.later(60))
    assert soon.escalation_level == 0
    late = await world.react(await world.alarm(elder), world.later(301))
    assert late.escalation_level == 1
    assert late.status is Status.ACKNOWLEDGED
    kinds = await world.kinds(incident.id)
    assert kinds[-2:] == ["incident.repeated", "incident.escalated"]


async def test_a_test_device_opens_a_test_incident_that_wakes_nobody(world: World) -> None:
    elder = await world.elder()
    incident = await world.opened(elder, test=True)
    assert incident.test
    assert await world.deadlines(incident.id) == []
    real = await world.react(await world.alarm(elder))
    assert not real.test
    assert len(await world.deadlines(incident.id)) == 2
    assert not (await world.react(await world.alarm(elder, test=True))).test


async def test_a_test_on_a_real_incident_is_on_record_and_neither_rings_nor_counts(
    world: World, operator: Actor
) -> None:
    elder = await world.elder()
    incident = await world.claimed(operator, elder)
    after = await world.react(await world.alarm(elder, test=True), world.later(301))
    assert (after.activation_count, after.escalation_level, after.test) == (1, 0, False)
    assert (await world.kinds(incident.id))[-1] == "incident.tested"


async def test_after_resolution_the_next_alarm_opens_a_new_incident(
    world: World, operator: Actor
) -> None:
    elder = await world.elder()
    incident = await world.claimed(operator, elder)
    async with world.db.transaction() as tx:
        await service.resolve(
            tx, incident.id, incident.version, Resolution.UNFOUNDED, "误按", operator, world.now
        )
    again = await world.opened(elder)
    assert again.id != incident.id
    assert again.number > incident.number


async def test_a_condition_that_is_over_marks_the_incident_and_never_closes_it(
    world: World,
) -> None:
    elder = await world.elder()
    kitchen, bedroom = await world.device(elder), await world.device(elder)
    for device in (kitchen, bedroom):
        incident = await world.opened(elder, AlarmKind.SMOKE, device_no=device)
    states = []
    for device in (kitchen, bedroom, bedroom):
        async with world.db.transaction() as tx:
            cleared = ClearedCondition(AlarmKind.SMOKE, device, elder.id, world.later(20))
            await service.condition_cleared(tx, cleared, world.later(20))
        states.append((await world.incident(incident.id)).condition_active)
    assert states == [True, False, False]
    after = await world.incident(incident.id)
    assert after.status is Status.OPEN
    assert (await world.kinds(after.id)).count("condition.cleared") == 2
    assert len(await world.deadlines(after.id)) == 2
    again = await world.opened(elder, AlarmKind.SMOKE, device_no=kitchen)
    assert again.condition_active


async def test_clearing_what_is_not_open_changes_nothing(world: World) -> None:
    elder = await world.elder()
    async with world.db.transaction() as tx:
        gone = ClearedCondition(AlarmKind.GAS, None, elder.id, world.now)
        await service.condition_cleared(tx, gone, world.now)


async def test_the_position_of_the_last_alarm_stays_when_the_next_has_none(world: World) -> None:
    elder = await world.elder()
    await world.opened(
        elder, lat=40.84, lon=111.75, position_at=world.now, position_accuracy_m=12.0
    )
    incident = await world.react(await world.alarm(elder))
    assert (incident.lat, incident.lon, incident.position_accuracy_m) == (40.84, 111.75, 12.0)


async def test_the_policy_of_the_longest_division_prefix_is_copied_and_kept(world: World) -> None:
    async with world.db.transaction() as tx:
        for division, seconds in (("15", 99), ("150102", 7), ("150105", 5)):
            await tx.execute(
                "INSERT INTO escalation_policy (id, division, severity, policy, updated_at)"
                " VALUES (gen_random_uuid(), %s, 'critical', %s, now())",
                (division, Jsonb({"steps": [{"after_s": seconds, "notify": "everyone"}]})),
            )
    incident = await world.opened()
    assert incident.escalation_policy["steps"][0]["after_s"] == 7
    async with world.db.transaction() as tx:
        await tx.execute("DELETE FROM escalation_policy")
    assert (await world.incident(incident.id)).escalation_policy["steps"][0]["after_s"] == 7


async def test_a_spoilt_policy_does_not_keep_an_alarm_from_becoming_an_incident(
    world: World,
) -> None:
    async with world.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO escalation_policy (id, division, severity, policy, updated_at) VALUES"
            " (gen_random_uuid(), '', 'critical', '{\"steps\": [{\"after_s\": \"soon\"}]}', now())"
        )
    assert [step[2] for step in await world.deadlines((await world.opened()).id)] == [30.0, 60.0]


async def test_what_leaves_on_the_live_feed_holds_no_personal_data(world: World) -> None:
    async with world.db.dedicated() as conn:
        await conn.execute("LISTEN live")
        await world.opened(await world.elder("欧阳秀英"))
        async for notice in conn.notifies():
            payload = notice.payload
            break
    assert "incident.opened" in payload
    assert "欧阳" not in payload
    async with world.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT payload::text FROM outbox")
    assert rows == []
