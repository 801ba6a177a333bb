"""Modes of a device: what each holds back, who may start them for how long, how they end."""

from datetime import datetime, timedelta

import pytest

from devices.alarms import ALARM_CLASSES, AlarmKind
from devices.modes import jobs, rules, service, store
from devices.modes.model import DeviceMode, Modes
from devices.modes.rules import Effect
from devices.registry import guard
from devices.registry import service as registry
from devices.registry.machine import DeviceAction
from kernel.auth.model import Actor
from kernel.db import Database, fetch_tuples
from kernel.errors import Conflict, Invalid, NotFound
from tests.devices.registry.world import YUQUAN, add_device, add_elder, add_person

A, M = AlarmKind, DeviceMode
HOUR = timedelta(hours=1)


@pytest.fixture
async def technician(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        person = await add_person(tx, now)
        await add_device(tx, person, now)
    return person


async def start(
    db: Database, actor: Actor, now: datetime, mode: DeviceMode, lasts: timedelta, reason: str = "x"
) -> None:
    async with db.transaction() as tx:
        device = await guard.find(tx, "W-0193", actor)
        await service.start(
            tx, device.no, mode, until=now + lasts, reason=reason, actor=actor, now=now
        )


async def rows(db: Database, sql: str) -> list[tuple[object, ...]]:
    async with db.connection() as conn:
        return [tuple(row) for row in await fetch_tuples(conn, sql)]


@pytest.mark.parametrize("mode", [M.AWAY, M.MAINTENANCE])
def test_only_silence_is_held_back_and_never_what_says_that_a_life_is_in_danger(
    mode: DeviceMode, now: datetime
) -> None:
    modes = Modes(**{f"{mode}_until": now + HOUR})
    held = {kind for kind in A if rules.effect(kind, modes, now) is not Effect.CALLS}
    of_the_elder = {kind for kind in held if not ALARM_CLASSES[kind].technical}
    assert of_the_elder == {A.INACTIVITY, A.BED_EXIT}
    assert held - of_the_elder == {A.DEVICE_OFFLINE, A.SELF_TEST_OVERDUE} | (
        {A.TAMPER} if mode is M.MAINTENANCE else set()
    )


def test_in_test_mode_every_alarm_of_an_elder_is_a_test(now: datetime) -> None:
    modes = Modes(test_until=now + HOUR)
    for kind in A:
        if not ALARM_CLASSES[kind].technical:
            assert rules.effect(kind, modes, now) is Effect.TEST
    assert rules.effect(A.LOW_BATTERY, modes, now) is Effect.CALLS


def test_a_mode_has_no_effect_from_its_end_on(now: datetime) -> None:
    modes = Modes(test_until=now, away_until=now - HOUR)
    assert modes.running(now) == ()
    assert all(rules.effect(kind, modes, now) is Effect.CALLS for kind in A)


async def test_a_mode_has_a_reason_and_an_end_that_is_not_too_far(
    db: Database, technician: Actor, now: datetime
) -> None:
    for mode, lasts, reason, wrong in (
        (M.TEST, timedelta(hours=25), "演练", {"until": "range"}),
        (M.AWAY, timedelta(days=91), "探亲", {"until": "range"}),
        (M.MAINTENANCE, timedelta(0), "检修", {"until": "range"}),
        (M.MAINTENANCE, HOUR, " ", {"reason": "required"}),
        (M.MAINTENANCE, HOUR, "长" * 201, {"reason": "too_long"}),
    ):
        with pytest.raises(Invalid) as refused:
            await start(db, technician, now, mode, lasts, reason)
        assert refused.value.fields == wrong
    stranger = await _person_of_yuquan(db, now)
    with pytest.raises(NotFound):
        await start(db, stranger, now, M.TEST, HOUR)


async def _person_of_yuquan(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        return await add_person(tx, now, username="sarna", name="萨日娜", division=YUQUAN[:6])


async def test_modes_run_beside_each_other_are_renewed_and_end_before_their_time(
    db: Database, technician: Actor, now: datetime
) -> None:
    await start(db, technician, now, M.TEST, HOUR, "演练")
    await start(db, technician, now, M.AWAY, timedelta(days=3), "探亲")
    await start(db, technician, now, M.AWAY, timedelta(days=9), "探亲，晚几天回来")
    async with db.transaction() as tx:
        device = await guard.find(tx, "W-0193", technician)
        assert device.modes.running(now) == (M.TEST, M.AWAY)
        away = next(r for r in await service.running(tx, device.no, now) if r.mode is M.AWAY)
        assert (away.renewed, away.reason, away.started_by) == (1, "探亲，晚几天回来", "巴图")
        await service.end(tx, device.no, M.AWAY, actor=technician, now=now + HOUR / 2)
    async with db.transaction() as tx:
        device = await guard.find(tx, "W-0193", technician)
        assert device.modes.running(now + HOUR / 2) == (M.TEST,)
        with pytest.raises(Conflict):
            await service.end(tx, device.no, M.AWAY, actor=technician, now=now + HOUR)
    assert [row[0] for row in await rows(db, "SELECT action FROM audit_log ORDER BY seq")] == [
        "device.registered", "device.test_started", "device.away_started", "device.away_renewed",
        "device.away_ended",
    ]  # fmt: skip


async def test_the_job_closes_what_is_over_and_reminds_once_of_each_end(
    db: Database, technician: Actor, now: datetime
) -> None:
    await start(db, technician, now, M.TEST, HOUR)
    reminded = "SELECT reminded_at IS NOT NULL, ended_at IS NOT NULL FROM device_mode"
    await jobs.remind(db, now + timedelta(minutes=49))
    assert await rows(db, reminded) == [(False, False)]
    await jobs.remind(db, now + timedelta(minutes=51))
    await jobs.expire(db, now + timedelta(minutes=51))
    assert await rows(db, reminded) == [(True, False)]
    # Renewed, it will be called to mind anew.
    await start(db, technician, now + timedelta(minutes=52), M.TEST, HOUR)
    assert await rows(db, reminded) == [(False, False)]
    await jobs.expire(db, now + timedelta(hours=2))
    await jobs.expire(db, now + timedelta(hours=3))
    assert await rows(db, reminded) == [(False, True)]
    [(ended_at, ended_by)] = await rows(db, "SELECT ended_at, ended_by FROM device_mode")
    assert (ended_at, ended_by) == (now + timedelta(minutes=112), None)
    actions = await rows(db, "SELECT action FROM audit_log ORDER BY seq DESC LIMIT 1")
    assert actions == [("device.test_expired",)]
    # It can begin again.
    await start(db, technician, now + timedelta(hours=4), M.TEST, HOUR)


async def test_another_elder_is_not_away_and_what_is_retired_is_in_no_mode(
    db: Database, technician: Actor, now: datetime
) -> None:
    await start(db, technician, now, M.AWAY, timedelta(days=3))
    await start(db, technician, now, M.MAINTENANCE, timedelta(days=3))
    async with db.transaction() as tx:
        device = await guard.find(tx, "W-0193", technician)
        elder = await add_elder(tx, now)
        device = await registry.bind(tx, device.no, elder, "", actor=technician, now=now)
        assert device.modes.running(now) == (M.MAINTENANCE,)
        device = await registry.change_state(
            tx, device.no, DeviceAction.RETIRE, "lost", actor=technician, now=now
        )
        assert device.modes.running(now) == ()
        assert await store.running(tx, device.no) == []
