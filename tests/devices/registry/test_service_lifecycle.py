"""The life of a device: what its use cases permit, keep on record and refuse."""

import asyncio
import uuid
from datetime import datetime, timedelta

import pytest

from devices.credentials import service as credentials
from devices.registry import access, finding, guard, history_store, inventory, service
from devices.registry.machine import REASONS, TRANSITIONS, DeviceAction, next_state, possible
from devices.registry.model import Connection, DeviceState
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx, fetch_tuples, fetch_value
from kernel.errors import Conflict, Invalid, NotFound
from tests.devices.registry.world import (
    XINCHENG,
    YUQUAN,
    add_device,
    add_elder,
    add_person,
)

A, S = DeviceAction, DeviceState


@pytest.fixture
async def technician(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        return await add_person(tx, now)


@pytest.fixture
async def outsider(db: Database, now: datetime) -> Actor:
    """A technician of 玉泉区 alone."""
    async with db.transaction() as tx:
        return await add_person(tx, now, username="zhaomin", name="赵敏", division="150104")


async def actions_of(db: Database, device_id: str) -> list[str]:
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn, "SELECT action FROM audit_log WHERE subject_id = %s ORDER BY seq", (device_id,)
        )
    return [row[0] for row in rows]


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("action", list(A))
def test_what_the_table_does_not_have_is_refused(state: DeviceState, action: DeviceAction) -> None:
    if (state, action) in TRANSITIONS:
        assert next_state(state, action) is TRANSITIONS[state, action]
        assert action in possible(state)
    else:
        with pytest.raises(Conflict):
            next_state(state, action)


def test_retired_devices_never_come_back() -> None:
    assert possible(S.RETIRED) == []


async def test_a_device_lives_from_stock_to_retirement_on_record(
    db: Database, technician: Actor, cipher: FieldCipher, now: datetime
) -> None:
    def at(minutes: int) -> datetime:
        return now + timedelta(minutes=minutes)

    async with db.transaction() as tx:
        device = await add_device(tx, technician, now, serial="SN-88")
        elder_id = await add_elder(tx, now)
    assert (device.state, device.version, device.connection) == (S.STOCK, 1, Connection.NEVER)

    async with db.transaction() as tx:
        secret = await access.issue_credential(
            tx, device.no, replaces=None, cipher=cipher, actor=technician, now=now
        )
    async with db.transaction() as tx:
        device = await service.bind(
            tx, device.no, elder_id, " 卧室 ", actor=technician, now=at(1), version=1
        )
    assert (device.state, device.elder_name, device.room) == (S.BOUND, "李秀英", "卧室")

    async with db.transaction() as tx:
        device = await service.change_state(
            tx, device.no, A.MARK_FAULTY, "no_power", note="充不进电", actor=technician, now=at(2)
        )
    assert (device.state, device.elder_id, device.room) == (S.FAULTY, None, "")
    assert (device.state_reason, device.state_note, device.state_at) == (
        "no_power", "充不进电", at(2),
    )  # fmt: skip

    async with db.transaction() as tx:
        await service.change_state(
            tx, device.no, A.REPAIR, "battery_replaced", actor=technician, now=at(3)
        )
    async with db.transaction() as tx:
        device = await service.change_state(
            tx, device.no, A.RETIRE, "worn_out", actor=technician, now=at(4)
        )
        assert await credentials.authenticate(tx, secret.username, secret.password) is None
    assert device.state is S.RETIRED

    async with db.connection() as conn:
        [binding] = await history_store.bindings(conn, device.no, "")
    assert (binding.elder_name, binding.bound_by, binding.reason, binding.note) == (
        "李秀英", "巴图", "no_power", "充不进电",
    )  # fmt: skip
    assert (binding.bound_at, binding.unbound_at) == (at(1), at(2))
    assert await actions_of(db, "W-0193") == [
        "device.registered", "device.credential_issued", "device.bound", "device.marked_faulty",
        "device.repaired", "device.retired",
    ]  # fmt: skip


async def test_the_audit_log_gets_no_words_about_people(
    db: Database, technician: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, technician, now)
        await service.bind(tx, device.no, await add_elder(tx, now), "", actor=technician, now=now)
        await service.change_state(
            tx, device.no, A.UNBIND, "deceased", note="李秀英上周去世", actor=technician, now=now
        )
    async with db.connection() as conn:
        log = await fetch_value(conn, "SELECT string_agg(detail::text, ' ') FROM audit_log")
    assert "deceased" in log
    assert "李秀英" not in log


async def test_who_comes_too_late_changes_nothing(
    db: Database, technician: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, technician, now)
        first, second = await add_elder(tx, now), await add_elder(tx, now, "王桂兰")
    async with db.transaction() as tx:
        await service.bind(tx, device.no, first, "", actor=technician, now=now, version=1)
    with pytest.raises(Conflict) as late:
        async with db.transaction() as tx:
            await service.bind(tx, device.no, second, "", actor=technician, now=now, version=1)
    assert late.value.facts == {"device_id": "W-0193", "state": "bound", "version": 2}
    async with db.connection() as conn:
        kept = await inventory.by_id(conn, "W-0193")
        change = await finding.last_change(conn, "W-0193")
    assert kept is not None
    assert kept.elder_id == first
    assert change is not None
    assert (change.action, change.by) == ("device.bound", "巴图")


async def test_of_two_at_once_one_wins(db: Database, technician: Actor, now: datetime) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, technician, now)
        elders = [await add_elder(tx, now), await add_elder(tx, now, "王桂兰")]
    both_have_read = asyncio.Barrier(2)

    async def bind(elder_id: uuid.UUID) -> bool:
        async with db.transaction() as tx:
            await guard.mine(tx, device.no, technician, 1)
            await both_have_read.wait()
            try:
                await service.bind(
                    tx, device.no, elder_id, "", actor=technician, now=now, version=1
                )
            except Conflict:
                return False
        return True

    assert sorted(await asyncio.gather(*(bind(each) for each in elders))) == [False, True]
    async with db.connection() as conn:
        assert len(await history_store.bindings(conn, device.no, "")) == 1


async def test_rebinding_ends_the_older_binding(tx: Tx, now: datetime) -> None:
    technician = await add_person(tx, now)
    device = await add_device(tx, technician, now)
    first, second = await add_elder(tx, now), await add_elder(tx, now, "王桂兰", YUQUAN)
    later = now + timedelta(hours=1)
    await service.bind(tx, device.no, first, "客厅", actor=technician, now=now)
    await service.bind(tx, device.no, first, "卧室", actor=technician, now=later)
    device = await service.bind(
        tx, device.no, second, "", actor=technician, now=later + timedelta(hours=1)
    )
    history = await history_store.bindings(tx, device.no, "")
    assert [(b.elder_name, b.room, b.reason) for b in history] == [
        ("王桂兰", "", ""), ("李秀英", "卧室", "rebound"), ("李秀英", "客厅", "moved_room"),
    ]  # fmt: skip
    assert device.division_code == YUQUAN
    device = await service.change_state(
        tx, device.no, A.UNBIND, "replaced", actor=technician, now=later + timedelta(hours=2)
    )
    assert (device.division_code, device.elder_id) == (YUQUAN, None)


async def test_a_bound_device_belongs_to_the_place_of_its_elder(
    db: Database, technician: Actor, outsider: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, technician, now, division=XINCHENG)
        elder_id = await add_elder(tx, now, division=YUQUAN)
    async with db.transaction() as tx:
        with pytest.raises(NotFound):
            await finding.overview(tx, device.id, outsider, now)
        with pytest.raises(NotFound):
            await service.bind(tx, device.no, elder_id, "", actor=outsider, now=now)
    async with db.transaction() as tx:
        await service.bind(tx, device.no, elder_id, "", actor=technician, now=now)
        assert (await finding.overview(tx, device.id, outsider, now)).device.id == device.id
    async with db.transaction() as tx:
        await tx.execute("UPDATE elder SET division_code = %s", (XINCHENG,))
        with pytest.raises(NotFound):
            await service.change_state(tx, device.no, A.UNBIND, "replaced", actor=outsider, now=now)


async def test_nobody_binds_to_an_elder_of_another_place_or_of_the_archive(
    db: Database, outsider: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, outsider, now, division=YUQUAN)
        elsewhere, archived = await add_elder(tx, now), await add_elder(tx, now, division=YUQUAN)
        await tx.execute("UPDATE elder SET archived_at = %s WHERE id = %s", (now, archived))
        for elder_id in (elsewhere, archived):
            with pytest.raises(NotFound):
                await service.bind(tx, device.no, elder_id, "", actor=outsider, now=now)


@pytest.mark.parametrize("action", list(REASONS))
async def test_a_change_wants_a_reason_and_the_other_reason_a_note(
    tx: Tx, now: datetime, action: DeviceAction
) -> None:
    technician = await add_person(tx, now)
    device = await add_device(tx, technician, now)
    if action is A.UNBIND:
        await service.bind(tx, device.no, await add_elder(tx, now), "", actor=technician, now=now)
    if action is A.REPAIR:
        await service.change_state(
            tx, device.no, A.MARK_FAULTY, "damaged", actor=technician, now=now
        )
    for reason, note, problem in (
        ("", "", {"reason": "required"}),
        ("bored", "", {"reason": "required"}),
        ("other", "  ", {"note": "required"}),
        ("other", "长" * 201, {"note": "too_long"}),
    ):
        with pytest.raises(Invalid) as refused:
            await service.change_state(
                tx, device.no, action, reason, note=note, actor=technician, now=now
            )
        assert refused.value.fields == problem
    moved = await service.change_state(
        tx, device.no, action, "other", note="看情况", actor=technician, now=now
    )
    assert moved.state_note == "看情况"
