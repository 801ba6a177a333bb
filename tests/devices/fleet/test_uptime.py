"""How much of the time devices were heard: of one, and of a division by the hour."""

import random
from datetime import datetime, timedelta

from devices.fleet import jobs, rules, service, store
from devices.fleet.model import Transition
from devices.registry import service as registry
from kernel.auth.model import Actor, Role
from kernel.db import Database, Tx
from kernel.ids import new_id
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device, add_elder, add_person

HOUR = timedelta(hours=1)
CITY = Actor(new_id(), "batu", "巴图", frozenset({Role.DEVICE_TECHNICIAN}), "1501")


def came_and_went(begin: datetime, *minutes: float, online: bool = True) -> list[Transition]:
    """A device that comes at the first minute, goes at the second, and so on."""
    return [
        Transition(1, begin + timedelta(minutes=minute), online == (place % 2 == 0))
        for place, minute in enumerate(minutes)
    ]


def test_the_share_of_a_span_in_which_a_device_was_heard(now: datetime) -> None:
    end = now + HOUR
    assert rules.uptime([], now, end) is None
    assert rules.uptime(came_and_went(now, 0), now, end) == 1
    assert rules.uptime(came_and_went(now, -500), now, end) == 1
    assert rules.uptime(came_and_went(now, -500, -400), now, end) == 0
    assert rules.uptime(came_and_went(now, -30, 15), now, end) == 0.25
    assert rules.uptime(came_and_went(now, -30, 15, 45), now, end) == 0.5
    # What lies before the first contact is unknown; what comes after the end is not looked at.
    assert rules.uptime(came_and_went(now, 30), now, end) == 1
    assert rules.uptime(came_and_went(now, 30, 45, 90), now, end) == 0.5
    assert rules.uptime(came_and_went(now, 70), now, end) is None


async def fill(tx: Tx, now: datetime) -> None:
    """Three devices in two divisions, with comings and goings over three days."""
    technician = await add_person(tx, now - timedelta(days=40))
    dice = random.Random(7)
    for number, division in enumerate((XINCHENG, XINCHENG, YUQUAN)):
        begin = now - timedelta(days=20)
        elder = await add_elder(tx, begin, f"老人{number}", division)
        device = await add_device(tx, technician, begin, f"W-{number}", division=division)
        await registry.bind(tx, device.no, elder, "", actor=technician, now=begin)
        at, online = now - timedelta(days=3), True
        while at < now:
            await tx.execute(
                "INSERT INTO device_presence (device_no, at, online) VALUES (%s, %s, %s)",
                (device.no, at, online),
            )
            at, online = at + timedelta(minutes=dice.randint(3, 700)), not online


async def test_the_hours_of_a_division_add_up_to_what_its_devices_did(
    db: Database, now: datetime
) -> None:
    async with db.transaction() as tx:
        await fill(tx, now)
        end = now.replace(minute=0)
        await store.sum_up_hours(tx, end - timedelta(days=4), end)
        found = await service.division_uptime(tx, CITY, "", now)
        every = await store.transitions(tx, [1, 2, 3], end - timedelta(hours=24))
    expected: dict[str, float] = {}
    for code, numbers in {"150102": (1, 2), "150104": (3,)}.items():
        shares = [
            rules.uptime([t for t in every if t.device_no == no], end - timedelta(hours=24), end)
            for no in numbers
        ]
        expected[code] = sum(share or 0 for share in shares) / len(numbers)
    assert {one.code for one in found} == set(expected)
    for one in found:
        assert one.day is not None
        assert abs(one.day - expected[one.code]) < 1e-9
        assert one.month is not None
        assert 0 < one.month < 1


async def test_summing_up_again_changes_nothing_and_a_later_correction_counts(
    db: Database, now: datetime
) -> None:
    async with db.transaction() as tx:
        await fill(tx, now)
    await jobs.sum_up(db, now)

    async def shares() -> list[float | None]:
        async with db.connection() as conn:
            return [one.day for one in await service.division_uptime(conn, CITY, "", now)]

    first = await shares()
    await jobs.sum_up(db, now)
    assert await shares() == first
    # A device of 玉泉 turns out to have been silent for a day: it was dated back.
    async with db.transaction() as tx:
        await tx.execute(
            "DELETE FROM device_presence WHERE device_no = 3 AND at > %s", (now - 30 * HOUR,)
        )
        await tx.execute("INSERT INTO device_presence VALUES (3, %s, false)", (now - 26 * HOUR,))
    await jobs.sum_up(db, now)
    assert await shares() == [first[0], 0]


async def test_of_what_is_older_than_a_month_the_last_word_is_kept(
    db: Database, now: datetime
) -> None:
    async with db.transaction() as tx:
        technician = await add_person(tx, now)
        device = await add_device(tx, technician, now)
        for days, online in ((50, True), (45, False), (40, True)):
            await tx.execute(
                "INSERT INTO device_presence VALUES (%s, %s, %s)",
                (device.no, now - timedelta(days=days), online),
            )
    await jobs.forget(db, now)
    async with db.connection() as conn:
        left = await store.transitions(conn, [device.no], now - timedelta(days=60))
    assert [each.at for each in left] == [now - timedelta(days=40)]
