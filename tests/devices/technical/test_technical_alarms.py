"""Technical alarms: one of a kind and device, a life of their own, and never an incident."""

import uuid
from datetime import datetime, timedelta
from itertools import product

import pytest

from app.wiring import condition_cleared, react_to_alarm
from devices.alarms import ALARM_CLASSES, AlarmKind, ClearedCondition, RaisedAlarm
from devices.registry import inventory
from devices.registry import service as registry
from devices.registry.model import Device
from devices.technical import jobs, machine, service
from devices.technical.machine import TechnicalAction as A
from devices.technical.model import TechnicalAlarm, TechnicalFilters
from devices.technical.model import TechnicalState as S
from kernel.auth.model import Actor
from kernel.db import Database, fetch_value
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import new_id
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device, add_elder, add_person

HOUR = timedelta(hours=1)


@pytest.fixture
async def technician(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        return await add_person(tx, now)


@pytest.fixture
async def watch(db: Database, technician: Actor, now: datetime) -> Device:
    async with db.transaction() as tx:
        return await add_device(tx, technician, now)


def alarm_of(device: Device, kind: AlarmKind, at: datetime, **more: object) -> RaisedAlarm:
    return RaisedAlarm(
        id=new_id(), kind=kind, severity=ALARM_CLASSES[kind].severity, source="rule",
        device_no=device.no, device_id=device.id, elder_id=device.elder_id,
        division_code=device.division_code, received_at=at, **more,  # type: ignore[arg-type]
    )  # fmt: skip


async def happen(db: Database, device: Device, kind: AlarmKind, at: datetime) -> None:
    async with db.transaction() as tx:
        await react_to_alarm(tx, alarm_of(device, kind, at), at)


async def over(db: Database, device: Device, kind: AlarmKind, at: datetime) -> None:
    async with db.transaction() as tx:
        await condition_cleared(tx, ClearedCondition(kind, device.no, device.elder_id, at), at)


async def listed(db: Database, actor: Actor, state: str = "open") -> list[TechnicalAlarm]:
    async with db.connection() as conn:
        return await service.listed(conn, actor, TechnicalFilters(state=state))


async def do(
    db: Database, actor: Actor, alarm: TechnicalAlarm, action: A, now: datetime, **more: object
) -> None:
    async with db.transaction() as tx:
        await service.act(
            tx, alarm.id, action, version=alarm.version, actor=actor, now=now,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip


def test_every_step_of_the_table_and_no_other_can_be_taken() -> None:
    for state, action in product(S, A):
        if action in machine.possible(state):
            assert machine.next_state(state, action) is not state
        else:
            with pytest.raises(Conflict):
                machine.next_state(state, action)
    assert machine.possible(S.CLEARED) == []


async def test_what_is_wrong_with_a_device_is_no_incident_and_is_counted_once(
    db: Database, technician: Actor, watch: Device, now: datetime
) -> None:
    for kind in service.TECHNICAL_KINDS:
        await happen(db, watch, kind, now)
    await happen(db, watch, AlarmKind.LOW_BATTERY, now + HOUR)
    alarms = {alarm.kind: alarm for alarm in await listed(db, technician)}
    assert set(alarms) == {kind.value for kind in service.TECHNICAL_KINDS}
    assert (alarms["low_battery"].count, alarms["low_battery"].last_at) == (2, now + HOUR)
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM incident") == 0


async def test_an_elders_alarm_goes_on_being_an_incident(
    db: Database, technician: Actor, watch: Device, now: datetime
) -> None:
    alarm = alarm_of(watch, AlarmKind.SOS, now)
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO alarm (id, device_no, kind, severity, source, received_at)"
            " VALUES (%s, %s, 'sos', 'critical', 'device', %s)",
            (alarm.id, watch.no, now),
        )
        await react_to_alarm(tx, alarm, now)
    assert await listed(db, technician) == []
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT kind FROM incident") == "sos"


async def test_it_is_acknowledged_and_cleared_by_the_device_itself(
    db: Database, technician: Actor, watch: Device, now: datetime
) -> None:
    await happen(db, watch, AlarmKind.DEVICE_OFFLINE, now)
    [alarm] = await listed(db, technician)
    await do(db, technician, alarm, A.ACKNOWLEDGE, now + HOUR)
    with pytest.raises(Conflict):
        await do(db, technician, alarm, A.ACKNOWLEDGE, now + HOUR)
    [seen] = await listed(db, technician, "acknowledged")
    assert (seen.state, seen.acknowledged_by) == (S.ACKNOWLEDGED, "巴图")
    await over(db, watch, AlarmKind.DEVICE_OFFLINE, now + 2 * HOUR)
    assert await listed(db, technician) == []
    [past] = await listed(db, technician, "cleared")
    assert (past.cleared_at, past.cleared_by) == (now + 2 * HOUR, None)
    # Again is a new one.
    await happen(db, watch, AlarmKind.DEVICE_OFFLINE, now + 3 * HOUR)
    [again] = await listed(db, technician)
    assert (again.state, again.count) == (S.ACTIVE, 1)


async def test_what_is_put_aside_comes_back_by_its_time_unless_it_is_over(
    db: Database, technician: Actor, watch: Device, now: datetime
) -> None:
    await happen(db, watch, AlarmKind.TAMPER, now)
    await happen(db, watch, AlarmKind.LOW_BATTERY, now)
    for alarm in await listed(db, technician):
        for until, note, wrong in (
            (None, "等零件", {"until": "range"}),
            (now + timedelta(days=31), "等零件", {"until": "range"}),
            (now + HOUR, " ", {"note": "required"}),
        ):
            with pytest.raises(Invalid) as refused:
                await do(db, technician, alarm, A.SHELVE, now, until=until, note=note)
            assert refused.value.fields == wrong
        await do(db, technician, alarm, A.SHELVE, now, until=now + HOUR, note="等零件")
    await over(db, watch, AlarmKind.LOW_BATTERY, now)
    await jobs.unshelve(db, now + HOUR / 2)
    [shelved] = await listed(db, technician)
    assert (shelved.kind, shelved.state, shelved.note) == ("tamper", S.SHELVED, "等零件")
    await jobs.unshelve(db, now + HOUR)
    [back] = await listed(db, technician)
    assert (back.state, back.shelved_until) == (S.ACTIVE, None)
    # No device takes back that it was opened: a person does, and says why.
    with pytest.raises(Invalid):
        await do(db, technician, back, A.CLEAR, now + HOUR)
    await do(db, technician, back, A.CLEAR, now + HOUR, note="复位了外壳")
    [cleared] = [a for a in await listed(db, technician, "cleared") if a.kind == "tamper"]
    assert (cleared.cleared_by, cleared.note) == ("巴图", "复位了外壳")


async def test_one_sees_and_changes_the_own_divisions_alone(
    db: Database, technician: Actor, watch: Device, now: datetime
) -> None:
    await happen(db, watch, AlarmKind.TAMPER, now)
    async with db.transaction() as tx:
        other = await add_person(tx, now, username="sarna", name="萨日娜", division=YUQUAN[:6])
    assert await listed(db, other) == []
    [alarm] = await listed(db, technician)
    assert watch.division_code == XINCHENG
    with pytest.raises(NotFound):
        await do(db, other, alarm, A.ACKNOWLEDGE, now)
    with pytest.raises(NotFound):
        async with db.transaction() as tx:
            await service.act(tx, uuid.uuid4(), A.ACKNOWLEDGE, version=1, actor=technician, now=now)


async def test_an_elder_whose_only_button_is_silent_is_cut_off_from_help(
    db: Database, technician: Actor, watch: Device, now: datetime
) -> None:
    async with db.transaction() as tx:
        elder = await add_elder(tx, now)
        await registry.bind(tx, watch.no, elder, "", actor=technician, now=now)
        door = await add_device(tx, technician, now, "D-1", profile="sl-door-1")
        await registry.bind(tx, door.no, elder, "", actor=technician, now=now)
        await tx.execute("UPDATE device SET online = (no <> %s)", (watch.no,))
    await happen(db, watch, AlarmKind.DEVICE_OFFLINE, now)

    async def help_of_elder() -> service.ElderHelp:
        async with db.connection() as conn:
            bound = await inventory.of_elder(conn, elder)
            return await service.elder_help(conn, elder, bound)

    found = await help_of_elder()
    assert found.cut_off
    assert [alarm.kind for alarm in found.alarms] == ["device_offline"]
    async with db.transaction() as tx:
        spare = await add_device(tx, technician, now, "P-1", profile="sl-pendant-1")
        await registry.bind(tx, spare.no, elder, "", actor=technician, now=now)
        await tx.execute("UPDATE device SET online = true WHERE no = %s", (spare.no,))
    assert not (await help_of_elder()).cut_off
