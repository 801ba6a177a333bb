"""Taking devices in, correcting them, their names and secrets, and finding them again."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from devices.credentials import service as credentials
from devices.modes import service as modes
from devices.modes.model import DeviceMode
from devices.registry import access, finding, inventory, service
from devices.registry import store as addresses
from devices.registry.machine import DeviceAction
from devices.registry.model import (
    Address,
    Connection,
    DeviceFilters,
    DeviceOrder,
    DeviceSort,
    DeviceState,
)
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx, fetch_value
from kernel.errors import Conflict, Invalid, NotFound
from tests.devices.registry.world import CITY, XINCHENG, YUQUAN, add_device, add_elder, add_person


@pytest.fixture
async def technician(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        return await add_person(tx, now, division="150102")


async def test_registration_says_everything_that_is_wrong_at_once(tx: Tx, now: datetime) -> None:
    technician = await add_person(tx, now, division="150102")
    with pytest.raises(Invalid) as refused:
        await service.register(
            tx, device_id="-1", profile="toaster", division_code=YUQUAN, serial="9" * 65,
            gateway_id="H-1", actor=technician, now=now,
        )  # fmt: skip
    assert refused.value.fields == {
        "device_id": "form", "profile": "unknown", "division_code": "outside",
        "serial": "too_long", "gateway_id": "unknown",
    }  # fmt: skip


@pytest.mark.parametrize("device_id", ["", "new", "设备", "a b", "_x", "x" * 65, "a/b", "a\n"])
async def test_ids_that_cannot_stand_in_a_topic_or_an_address_are_refused(
    tx: Tx, now: datetime, device_id: str
) -> None:
    technician = await add_person(tx, now)
    with pytest.raises(Invalid) as refused:
        await add_device(tx, technician, now, device_id)
    assert refused.value.fields == {"device_id": "form"}


async def test_an_id_and_an_address_are_taken_once(tx: Tx, now: datetime) -> None:
    technician = await add_person(tx, now)
    await add_device(tx, technician, now, "4G-1", profile="setracker-4g", address="8800000015")
    with pytest.raises(Invalid) as refused:
        await add_device(tx, technician, now, "4G-1", profile="setracker-4g")
    assert refused.value.fields == {"device_id": "taken"}
    with pytest.raises(Invalid) as refused:
        await add_device(tx, technician, now, "4G-2", profile="setracker-4g", address="8800000015")
    assert refused.value.fields == {"address": "taken"}
    found = await addresses.resolve(tx, [Address("setracker", "8800000015")])
    assert [device.id for device in found.values()] == ["4G-1"]


async def test_only_a_gateway_in_service_and_in_reach_speaks_for_others(
    tx: Tx, now: datetime
) -> None:
    city = await add_person(tx, now)
    near = await add_person(tx, now, username="near", division="150102")
    await add_device(tx, city, now, "H-1", profile="sl-gateway-1", division=XINCHENG)
    await add_device(tx, city, now, "H-2", profile="sl-gateway-1", division=YUQUAN)
    gone = await add_device(tx, city, now, "H-3", profile="sl-gateway-1", division=XINCHENG)
    await service.change_state(tx, gone.no, DeviceAction.RETIRE, "lost", actor=city, now=now)
    await add_device(tx, city, now, "W-1", division=XINCHENG)
    for gateway in ("H-2", "H-3", "W-1", "H-9"):
        with pytest.raises(Invalid) as refused:
            await add_device(tx, near, now, "D-1", profile="sl-door-1", gateway_id=gateway)
        assert refused.value.fields == {"gateway_id": "unknown"}
    door = await add_device(tx, near, now, "D-1", profile="sl-door-1", gateway_id="H-1")
    assert door.gateway_id == "H-1"
    assert [each.id for each in await finding.gateways(tx, near)] == ["H-1"]
    seen = await finding.overview(tx, "H-1", near, now)
    assert [each.id for each in seen.behind] == ["D-1"]


async def test_what_was_registered_can_be_corrected(tx: Tx, now: datetime) -> None:
    technician = await add_person(tx, now)
    hub = await add_device(tx, technician, now, "H-1", profile="sl-gateway-1")
    door = await add_device(tx, technician, now, "D-1", profile="sl-door-1")
    door = await service.correct(
        tx, door.no, serial="SN-7", gateway_id="H-1", division_code=YUQUAN, version=1,
        actor=technician, now=now,
    )  # fmt: skip
    assert (door.serial, door.gateway_id, door.division_code) == ("SN-7", "H-1", YUQUAN)
    with pytest.raises(Invalid) as refused:
        await service.correct(
            tx, hub.no, serial="", gateway_id="H-1", division_code=XINCHENG, version=1,
            actor=technician, now=now,
        )  # fmt: skip
    assert refused.value.fields == {"gateway_id": "itself"}
    with pytest.raises(Conflict):
        await service.correct(
            tx, door.no, serial="", gateway_id="", division_code=YUQUAN, version=1,
            actor=technician, now=now,
        )  # fmt: skip


async def test_of_two_who_rotate_a_secret_the_second_is_told(
    db: Database, technician: Actor, cipher: FieldCipher, now: datetime
) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, technician, now)
        first = await access.issue_credential(
            tx, device.no, replaces=None, cipher=cipher, actor=technician, now=now
        )
    async with db.transaction() as tx:
        with pytest.raises(Conflict):
            await access.issue_credential(
                tx, device.no, replaces=None, cipher=cipher, actor=technician, now=now
            )
        live = (await finding.overview(tx, device.id, technician, now)).credential
        assert live is not None
        second = await access.issue_credential(
            tx, device.no, replaces=live.id, cipher=cipher, actor=technician,
            now=now + timedelta(minutes=1),
        )  # fmt: skip
        assert await credentials.authenticate(tx, first.username, first.password) is None
        assert await credentials.authenticate(tx, second.username, second.password) is not None
        with pytest.raises(Conflict):
            await access.revoke_credential(
                tx, device.no, revokes=live.id, actor=technician, now=now
            )
        seen = await finding.overview(tx, device.id, technician, now)
        assert seen.credential is not None
        await access.revoke_credential(
            tx, device.no, revokes=seen.credential.id, actor=technician, now=now
        )
        assert await credentials.authenticate(tx, second.username, second.password) is None
        history = await access.credential_history(tx, device.no)
    assert [each.revoked_at is None for each in history] == [False, False]
    assert history[0].created_by == "巴图"


async def test_neither_database_nor_log_nor_outbox_holds_the_secret(
    db: Database, technician: Actor, cipher: FieldCipher, now: datetime
) -> None:
    async with db.transaction() as tx:
        device = await add_device(tx, technician, now)
        secret = await access.issue_credential(
            tx, device.no, replaces=None, cipher=cipher, actor=technician, now=now
        )
    async with db.connection() as conn:
        everything = await fetch_value(
            conn,
            "SELECT (SELECT string_agg(c::text, '') FROM device_credential c)"
            " || (SELECT string_agg(o::text, '') FROM outbox o)"
            " || (SELECT string_agg(l::text, '') FROM audit_log l)",
        )
    assert device.id in everything
    assert secret.password not in everything


async def test_a_retired_device_gets_neither_secret_nor_mode(
    tx: Tx, cipher: FieldCipher, now: datetime
) -> None:
    technician = await add_person(tx, now)
    device = await add_device(tx, technician, now)
    await service.change_state(
        tx, device.no, DeviceAction.RETIRE, "lost", actor=technician, now=now
    )
    with pytest.raises(Conflict):
        await access.issue_credential(
            tx, device.no, replaces=None, cipher=cipher, actor=technician, now=now
        )
    with pytest.raises(Conflict):
        await modes.start(
            tx, device.no, DeviceMode.TEST, until=now + timedelta(hours=1), reason="演练",
            actor=technician, now=now,
        )  # fmt: skip


async def test_names_are_given_taken_and_checked(tx: Tx, now: datetime) -> None:
    technician = await add_person(tx, now)
    first = await add_device(tx, technician, now, "Z-1", profile="z2m-hs1eb")
    second = await add_device(tx, technician, now, "Z-2", profile="z2m-hs1eb")

    async def add(no: int, codec: str, address: str) -> dict[str, str]:
        try:
            await access.add_alias(tx, no, codec, address, actor=technician, now=now)
        except Invalid as error:
            return error.fields
        return {}

    assert await add(first.no, "zigbee2mqtt", " 李秀英家/床头按钮 ") == {}
    assert await add(second.no, "zigbee2mqtt", "李秀英家/床头按钮") == {"address": "taken"}
    assert await add(second.no, "morse", "") == {"codec": "unknown", "address": "required"}
    assert await add(second.no, "zigbee2mqtt", "a\tb") == {"address": "form"}
    assert await add(second.no, "zigbee2mqtt", "x" * 129) == {"address": "too_long"}
    for no, address in ((second.no, "李秀英家/床头按钮"), (first.no, "nothing")):
        with pytest.raises(NotFound):
            await access.remove_alias(tx, no, "zigbee2mqtt", address, actor=technician, now=now)
    await access.remove_alias(
        tx, first.no, "zigbee2mqtt", "李秀英家/床头按钮", actor=technician, now=now
    )
    assert await add(second.no, "zigbee2mqtt", "李秀英家/床头按钮") == {}


class Shelf:
    """Six devices of every kind of state, and what a filter finds of them."""

    def __init__(self, tx: Tx, actor: Actor, now: datetime) -> None:
        self.tx, self.actor, self.now = tx, actor, now

    async def fill(self) -> None:
        tx, now, actor = self.tx, self.now, self.actor
        elder = await add_elder(tx, now, "乌云其木格")
        watch = await add_device(tx, actor, now, "W-0193", serial="SN-4711")
        await service.bind(tx, watch.no, elder, "", actor=actor, now=now)
        await add_device(tx, actor, now, "G-1", profile="setracker-4g", address="8800000015")
        await add_device(tx, actor, now, "S-1", profile="sl-smoke-1")
        old = await add_device(tx, actor, now, "A-OLD")
        await service.change_state(tx, old.no, DeviceAction.RETIRE, "lost", actor=actor, now=now)
        await add_device(tx, actor, now, "P_1", profile="sl-pendant-1", division=YUQUAN)
        heard = (
            "UPDATE device SET online = %s, last_seen_at = %s, battery_percent = %s WHERE id = %s"
        )
        await tx.execute(heard, (True, now, 20, "W-0193"))
        await tx.execute(heard, (False, now - timedelta(days=2), 20, "G-1"))
        await tx.execute(heard, (None, None, 16, "S-1"))

    async def find(self, order: DeviceOrder | None = None, **filters: Any) -> list[str]:
        wanted = replace(DeviceFilters(), **filters)
        found = await finding.search(self.tx, self.actor, wanted, order or DeviceOrder(), self.now)
        assert found.total == len(found.devices)
        return [device.id for device in found.devices]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["G-1", "P_1", "S-1", "W-0193", "A-OLD"]),
        ({"text": "w-01"}, ["W-0193"]),
        ({"text": "4711"}, ["W-0193"]),
        ({"text": "880000"}, ["G-1"]),
        ({"text": "乌云"}, ["W-0193"]),
        ({"text": "wyqmg"}, ["W-0193"]),
        ({"text": "QMG"}, ["W-0193"]),
        ({"text": "wuyun"}, ["W-0193"]),
        ({"text": "_"}, ["P_1"]),
        ({"text": "%"}, []),
        ({"state": DeviceState.BOUND}, ["W-0193"]),
        ({"profile": "sl-smoke-1"}, ["S-1"]),
        ({"connection": Connection.ONLINE}, ["W-0193"]),
        ({"connection": Connection.OFFLINE}, ["G-1"]),
        ({"connection": Connection.NEVER}, ["P_1", "S-1", "A-OLD"]),
        ({"low_battery": True}, ["G-1", "W-0193"]),
        ({"division": "150104"}, ["P_1"]),
        ({"state": DeviceState.STOCK, "low_battery": True}, ["G-1"]),
    ],
)
async def test_the_list_is_narrowed(
    tx: Tx, now: datetime, filters: dict[str, Any], found: list[str]
) -> None:
    shelf = Shelf(tx, await add_person(tx, now), now)
    await shelf.fill()
    assert await shelf.find(**filters) == found


@pytest.mark.parametrize(
    ("sort", "descending", "found"),
    [
        (DeviceSort.ID, True, ["W-0193", "S-1", "P_1", "G-1", "A-OLD"]),
        (DeviceSort.BATTERY, False, ["S-1", "G-1", "W-0193", "P_1", "A-OLD"]),
        (DeviceSort.SEEN, True, ["W-0193", "G-1", "P_1", "S-1", "A-OLD"]),
        (DeviceSort.ELDER, False, ["W-0193", "G-1", "P_1", "S-1", "A-OLD"]),
    ],
)
async def test_the_list_is_ordered_and_retired_devices_come_last(
    tx: Tx, now: datetime, sort: DeviceSort, descending: bool, found: list[str]
) -> None:
    shelf = Shelf(tx, await add_person(tx, now), now)
    await shelf.fill()
    assert await shelf.find(DeviceOrder(sort, descending)) == found


async def test_devices_whose_alarms_call_nobody_are_found_while_that_lasts(
    tx: Tx, now: datetime
) -> None:
    technician = await add_person(tx, now)
    for device_id, mode, hours in (
        ("W-1", DeviceMode.MAINTENANCE, 2),
        ("W-2", DeviceMode.TEST, 3),
        ("W-3", None, 0),
    ):
        device = await add_device(tx, technician, now, device_id)
        if mode is not None:
            await modes.start(
                tx, device.no, mode, until=now + timedelta(hours=hours), reason="检修",
                actor=technician, now=now,
            )  # fmt: skip
    shelf = Shelf(tx, technician, now)
    assert await shelf.find(held_back=True) == ["W-1", "W-2"]
    shelf.now = now + timedelta(hours=2)
    assert await shelf.find(held_back=True) == ["W-2"]


async def test_an_export_is_scoped_and_on_record(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        city = await add_person(tx, now)
        near = await add_person(tx, now, username="near", division="150102")
        await add_device(
            tx, city, now, "W-1", division=XINCHENG, profile="setracker-4g", address="8800000015"
        )
        await add_device(tx, city, now, "W-2", division=YUQUAN)
        await add_device(tx, city, now, "W-3", division=CITY)
    async with db.transaction() as tx:
        numbers = await finding.export(tx, near, DeviceFilters(), DeviceOrder(limit=1), now)
    rows = [row async for part in finding.exported(db, numbers) for row in part]
    assert [(device.id, name) for device, name in rows] == [("W-1", "8800000015")]
    async with db.connection() as conn:
        logged = await fetch_value(
            conn, "SELECT detail::text FROM audit_log WHERE action = 'device.exported'"
        )
    assert logged == '{"rows":1}'


async def test_pages_of_the_list_follow_each_other(tx: Tx, now: datetime) -> None:
    technician = await add_person(tx, now)
    for number in range(5):
        await add_device(tx, technician, now, f"W-{number}")
    order = DeviceOrder(limit=2, offset=2)
    found = await finding.search(tx, technician, DeviceFilters(), order, now)
    assert ([each.id for each in found.devices], found.total) == (["W-2", "W-3"], 5)


async def test_the_devices_of_an_elder_are_those_bound_now(tx: Tx, now: datetime) -> None:
    technician = await add_person(tx, now)
    elder = await add_elder(tx, now)
    for device_id in ("W-1", "P-1"):
        device = await add_device(tx, technician, now, device_id)
        await service.bind(tx, device.no, elder, "", actor=technician, now=now)
    await service.change_state(
        tx, device.no, DeviceAction.UNBIND, "replaced", actor=technician, now=now
    )
    assert [each.id for each in await inventory.of_elder(tx, elder)] == ["W-1"]


async def test_a_device_behind_a_bridge_is_named_in_the_bridges_protocol(
    tx: Tx, technician: Actor, now: datetime
) -> None:
    await add_device(tx, technician, now, "LT-0001", profile="ls-tts")
    await service.register(
        tx, device_id="B-0001", profile="ls-ws101", division_code=XINCHENG, gateway_id="LT-0001",
        address="button-1", actor=technician, now=now,
    )  # fmt: skip
    assert await fetch_value(tx, "SELECT codec FROM device_alias", ()) == "tts"


async def test_a_sensor_of_lorawan_may_be_put_behind_either_server(
    tx: Tx, technician: Actor, now: datetime
) -> None:
    await add_device(tx, technician, now, "B-0001", profile="ls-ws101")
    await add_device(tx, technician, now, "W-0001")
    for server in ("ls-tts", "ls-chirpstack"):
        gateway = await add_device(tx, technician, now, f"G-{server}", profile=server)
        found = await finding.to_put_behind(tx, gateway, technician, "")
        assert [device.id for device in found] == ["B-0001"]
