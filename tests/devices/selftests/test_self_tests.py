"""The monthly test press: what counts, what is due, and who is told."""

from datetime import datetime, timedelta

import pytest

from app.wiring import react_to_alarm
from devices.alarms import ALARM_CLASSES, AlarmKind, RaisedAlarm
from devices.modes import service as modes
from devices.modes.model import DeviceMode
from devices.profiles import PROFILES
from devices.registry import service as registry
from devices.registry.machine import DeviceAction
from devices.selftests import jobs, service
from devices.selftests.model import DueFilters
from devices.technical import service as technical
from devices.technical.model import TechnicalFilters
from kernel.auth.model import Actor
from kernel.db import Database
from kernel.ids import new_id
from tests.devices.registry.world import YUQUAN, add_device, add_elder, add_person

DAY = timedelta(days=1)


@pytest.fixture
async def technician(db: Database, now: datetime) -> Actor:
    """Two pendants and a door sensor that were bound today."""
    async with db.transaction() as tx:
        person = await add_person(tx, now)
        elder = await add_elder(tx, now)
        for device_id, profile in (
            ("P-1", "sl-pendant-1"), ("P-2", "sl-pendant-1"), ("D-1", "sl-door-1"),
        ):  # fmt: skip
            device = await add_device(tx, person, now, device_id, profile=profile)
            await registry.bind(tx, device.no, elder, "", actor=person, now=now)
        await add_device(tx, person, now, "P-3", profile="sl-pendant-1")
    return person


async def press(
    db: Database, no: int, at: datetime, *, test: bool = True, source: str = "device",
    kind: AlarmKind = AlarmKind.SOS,
) -> None:  # fmt: skip
    alarm = RaisedAlarm(
        id=new_id(), kind=kind, severity=ALARM_CLASSES[kind].severity, source=source,
        device_no=no, device_id=f"P-{no}", elder_id=None, division_code=YUQUAN, received_at=at,
        test=test,
    )  # fmt: skip
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO alarm (id, device_no, kind, severity, source, received_at, test)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (alarm.id, no, kind.value, alarm.severity.value, source, at, test),
        )
        await react_to_alarm(tx, alarm, at)


async def due(db: Database, actor: Actor, until: datetime) -> list[str]:
    async with db.connection() as conn:
        found = await service.due(conn, actor, DueFilters(until))
        assert await service.count(conn, actor, DueFilters(until)) == len(found)
    return [one.device_id for one in found]


async def told(db: Database, actor: Actor) -> list[str]:
    async with db.connection() as conn:
        found = await technical.listed(conn, actor, TechnicalFilters(kind="self_test_overdue"))
    return sorted(one.device_id for one in found)


def test_what_calls_for_help_is_tested_every_month_and_the_rest_never() -> None:
    assert PROFILES["sl-pendant-1"].self_test_days == 30
    assert PROFILES["sl-door-1"].self_test_days == 0


async def test_a_test_is_due_a_month_after_the_binding_and_after_each_test(
    db: Database, technician: Actor, now: datetime
) -> None:
    assert await due(db, technician, now + 29 * DAY) == []
    assert await due(db, technician, now + 30 * DAY) == ["P-1", "P-2"]
    await press(db, 1, now + 20 * DAY)
    assert await due(db, technician, now + 49 * DAY) == ["P-2"]
    assert await due(db, technician, now + 50 * DAY) == ["P-2", "P-1"]


@pytest.mark.parametrize(
    ("test", "source", "kind"),
    [
        (False, "device", AlarmKind.SOS),
        (True, "rule", AlarmKind.HEART_RATE_HIGH),
        (True, "device", AlarmKind.LOW_BATTERY),
    ],
)
async def test_only_what_a_device_sends_as_a_test_counts(
    db: Database, technician: Actor, now: datetime, test: bool, source: str, kind: AlarmKind
) -> None:
    await press(db, 1, now + 20 * DAY, test=test, source=source, kind=kind)
    assert await due(db, technician, now + 30 * DAY) == ["P-1", "P-2"]


async def test_technicians_are_told_once_and_a_test_takes_it_back(
    db: Database, technician: Actor, now: datetime
) -> None:
    late = now + 31 * DAY
    await jobs.remind(db, late - 2 * DAY)
    assert await told(db, technician) == []
    async with db.transaction() as tx:
        await modes.start(
            tx, 2, DeviceMode.AWAY, until=late + DAY, reason="探亲", actor=technician, now=late
        )
    await jobs.remind(db, late)
    await jobs.remind(db, late)
    assert await told(db, technician) == ["P-1"]
    await jobs.remind(db, late + 2 * DAY)
    assert await told(db, technician) == ["P-1", "P-2"]
    await press(db, 1, late + 2 * DAY)
    assert await told(db, technician) == ["P-2"]
    # Out of service nobody waits for its test.
    async with db.transaction() as tx:
        await registry.change_state(
            tx, 2, DeviceAction.UNBIND, "not_needed", actor=technician, now=late + 2 * DAY
        )
    assert await told(db, technician) == []
    await jobs.remind(db, late + 3 * DAY)
    assert await told(db, technician) == []
