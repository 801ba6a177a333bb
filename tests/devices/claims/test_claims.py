"""Claim codes: good once, for one device, not to be guessed, and of no use to who has the table."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from devices.attempts.model import CLAIM_BY_PERSON
from devices.attempts.service import prune
from devices.claims import rules
from devices.claims import service as claims
from devices.registry import inventory, service
from devices.registry.machine import DeviceAction
from devices.registry.model import Device, DeviceState
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples, fetch_value
from kernel.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited
from tests.devices.registry.world import CITY, XINCHENG, YUQUAN, add_device, add_elder, add_person

MONTH = timedelta(days=30)


@pytest.fixture
async def actor(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        return await add_person(tx, now)


async def printed(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime, *ids: str, **more: str
) -> list[str]:
    """Put devices in stock and print a code for each."""
    async with db.transaction() as tx:
        for device_id in ids:
            await add_device(tx, actor, now, device_id, **more)
        codes = await claims.print_codes(tx, cipher, ids, lasts=MONTH, actor=actor, now=now)
    return [one.code for one in codes]


async def device_of(db: Database, device_id: str) -> Device:
    async with db.connection() as conn:
        found = await inventory.by_id(conn, device_id)
    assert found is not None
    return found


def test_a_code_is_read_as_people_type_it() -> None:
    code = rules.new_code()
    assert rules.read(rules.written(code)) == code
    assert rules.read(f"  {code[:3].lower()} {code[3:].lower()} ") == code
    assert rules.read("7k2qf—om9xd") == "7K2QF0M9XD"
    assert rules.read("７Ｋ２ＱＦ－０Ｍ９ＸＤ") == "7K2QF0M9XD"
    assert rules.read("IL00000000") == "1100000000"
    for wrong in ("", "7K2QF", "7K2QF0M9XU", "7K2QF-0M9XD-1", "' OR 1=1 --"):
        assert rules.read(wrong) is None


async def test_a_code_binds_its_device_once(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    first, second = await printed(db, cipher, actor, now, "W-1", "W-2")
    async with db.transaction() as tx:
        elder = await add_elder(tx, now)
    assert (await claims.look_up(db, cipher, first, actor=actor, now=now)).id == "W-1"
    bound = await claims.claim(db, cipher, first, elder, "卧室", actor=actor, now=now)
    assert (bound.id, bound.elder_id, bound.room) == ("W-1", elder, "卧室")
    with pytest.raises(Invalid) as refused:
        await claims.claim(db, cipher, first, elder, "", actor=actor, now=now)
    assert refused.value.fields == {"code": "used"}
    assert (await device_of(db, "W-2")).state is DeviceState.STOCK
    assert (await claims.look_up(db, cipher, second, actor=actor, now=now)).id == "W-2"


async def test_of_two_people_with_one_label_one_gets_the_device(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    [code] = await printed(db, cipher, actor, now, "W-1")
    async with db.transaction() as tx:
        elders = [await add_elder(tx, now, name) for name in ("李秀英", "王建国")]
    results = await asyncio.gather(
        *(claims.claim(db, cipher, code, elder, "", actor=actor, now=now) for elder in elders),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Device) for one in results) == 1
    assert sum(isinstance(one, Invalid | Conflict) for one in results) == 1
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM device_binding") == 1


async def test_a_newer_label_and_time_end_an_older_one(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    [old] = await printed(db, cipher, actor, now, "W-1")
    async with db.transaction() as tx:
        [new] = await claims.print_codes(tx, cipher, ["W-1"], lasts=MONTH, actor=actor, now=now)
    with pytest.raises(Invalid) as replaced:
        await claims.look_up(db, cipher, old, actor=actor, now=now)
    assert replaced.value.fields == {"code": "unknown"}
    assert await claims.look_up(db, cipher, new.code, actor=actor, now=now + MONTH / 2)
    with pytest.raises(Invalid) as expired:
        await claims.look_up(db, cipher, new.code, actor=actor, now=now + MONTH)
    assert expired.value.fields == {"code": "expired"}
    async with db.transaction() as tx:
        [forever] = await claims.print_codes(tx, cipher, ["W-1"], lasts=None, actor=actor, now=now)
    later = now + timedelta(days=4000)
    assert await claims.look_up(db, cipher, forever.code, actor=actor, now=later)


async def test_guessing_ends_after_ten_and_knowing_does_not_count(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    [code] = await printed(db, cipher, actor, now, "W-1")
    for _ in range(CLAIM_BY_PERSON.most * 2):
        await claims.look_up(db, cipher, code, actor=actor, now=now)
    guesses = await asyncio.gather(
        *(
            claims.look_up(db, cipher, rules.new_code(), actor=actor, now=now)
            for _ in range(CLAIM_BY_PERSON.most + 5)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Invalid) for one in guesses) == CLAIM_BY_PERSON.most
    assert sum(isinstance(one, RateLimited) for one in guesses) == 5
    with pytest.raises(RateLimited):
        await claims.look_up(db, cipher, code, actor=actor, now=now)
    later = now + CLAIM_BY_PERSON.window + timedelta(seconds=1)
    assert (await claims.look_up(db, cipher, code, actor=actor, now=later)).id == "W-1"
    await prune(db, now + timedelta(days=2))
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM provisioning_attempt") == 0


async def test_the_table_and_the_log_have_no_code(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    [code] = await printed(db, cipher, actor, now, "W-1")
    async with db.transaction() as tx:
        elder = await add_elder(tx, now)
    await claims.claim(db, cipher, code, elder, "", actor=actor, now=now)
    async with db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT c::text FROM device_claim c")
        rows += await fetch_tuples(conn, "SELECT a::text FROM audit_log a")
        actions = await fetch_tuples(conn, "SELECT action FROM audit_log ORDER BY seq")
        stored = await fetch_value(conn, "SELECT code_index FROM device_claim")
    assert not any(code in text or rules.written(code) in text for (text,) in rows)
    assert bytes(stored) != FieldCipher({1: bytes(32)}).blind_index("device_claim", code)
    assert [action for (action,) in actions] == [
        "device.registered", "device.code_printed", "device.bound", "device.claimed",
    ]  # fmt: skip


async def test_a_district_claims_from_the_stock_of_its_city_for_its_own_elders(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    first, second = await printed(db, cipher, actor, now, "W-1", "W-2", division=CITY)
    [foreign] = await printed(db, cipher, actor, now, "W-3", division=YUQUAN)
    async with db.transaction() as tx:
        own = await add_elder(tx, now, "李秀英", XINCHENG)
        other = await add_elder(tx, now, "王建国", YUQUAN)
        local = await add_person(tx, now, username="surna", division="150102")
    bound = await claims.claim(db, cipher, first, own, "", actor=local, now=now)
    assert bound.division_code == XINCHENG
    with pytest.raises(NotFound):
        await claims.claim(db, cipher, second, other, "", actor=local, now=now)
    with pytest.raises(Invalid):
        await claims.look_up(db, cipher, foreign, actor=local, now=now)
    assert (await device_of(db, "W-2")).state is DeviceState.STOCK
    assert (await claims.look_up(db, cipher, second, actor=local, now=now)).id == "W-2"


async def test_only_devices_in_stock_get_labels_and_are_claimed(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime
) -> None:
    [code] = await printed(db, cipher, actor, now, "W-1")
    device = await device_of(db, "W-1")
    async with db.transaction() as tx:
        await service.change_state(
            tx, device.no, DeviceAction.MARK_FAULTY, "no_power", actor=actor, now=now
        )
    with pytest.raises(Conflict):
        await claims.look_up(db, cipher, code, actor=actor, now=now)
    for ids, problem in ((["W-1"], "not_in_stock"), ([], "required")):
        with pytest.raises(Invalid) as refused:
            async with db.transaction() as tx:
                await claims.print_codes(tx, cipher, ids, lasts=MONTH, actor=actor, now=now)
        assert refused.value.fields == {"devices": problem}
    operator = replace(actor, roles=frozenset({Role.OPERATOR}))
    with pytest.raises(Forbidden):
        await claims.look_up(db, cipher, code, actor=operator, now=now)
