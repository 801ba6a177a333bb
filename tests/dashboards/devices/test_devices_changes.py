"""Changing devices through their pages: forms, refusals, lost races, secrets."""

import re
from datetime import timedelta
from html import unescape

import pytest

from devices.credentials import service as credentials
from devices.registry import inventory, service
from devices.registry.machine import DeviceAction
from devices.registry.model import Device
from kernel.auth.model import Role
from kernel.db import fetch_tuples
from tests.dashboards.devices.site import Site, Visitor
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device, add_elder

ROOT = "/console/devices"


async def device_in(site: Site, device_id: str = "W-1") -> Device:
    async with site.db.connection() as conn:
        found = await inventory.by_id(conn, device_id)
    assert found is not None
    return found


@pytest.fixture
async def watch(site: Site, technician: Visitor) -> Device:
    """A watch in stock."""
    async with site.db.transaction() as tx:
        return await add_device(tx, technician.actor, site.clock.now, "W-1")


async def test_a_device_is_registered_and_its_page_says_what_comes_next(
    site: Site, technician: Visitor
) -> None:
    await technician.open(f"{ROOT}/new")
    assert "内蒙古自治区 呼和浩特市" in technician.text
    response = await technician.submit(
        ROOT, device_id=" W-0193 ", profile="setracker-4g", division_code="150100000000",
        address="8800000015", serial="SN-1",
    )  # fmt: skip
    assert response.headers["location"] == f"{ROOT}/W-0193?done=registered"
    await technician.follow(response)
    assert "下一步：发放凭据，再绑定给老人" in technician.text
    assert "8800000015" in technician.text
    assert (await device_in(site, "W-0193")).serial == "SN-1"


async def test_a_refused_registration_keeps_what_was_typed(
    watch: Device, technician: Visitor
) -> None:
    await technician.open(f"{ROOT}/new")
    response = await technician.submit(
        ROOT, device_id="W-1", profile="sl-door-1", division_code="110000000000",
        gateway_id="H-9", serial="SN-<7>",
    )  # fmt: skip
    assert response.status_code == 422
    for sentence in (
        "还没有保存，请改正下面几处", "这个编号已经登记过", "请选择您负责范围内的区划",
        "没有这个网关",
    ):  # fmt: skip
        assert sentence in technician.text
    assert 'value="SN-&lt;7&gt;"' in technician.page
    assert 'value="sl-door-1" selected' in technician.page
    assert 'href="#device_id"' in technician.page


async def test_an_elder_is_found_by_initials_and_gets_the_device(
    site: Site, technician: Visitor, watch: Device
) -> None:
    async with site.db.transaction() as tx:
        elder = await add_elder(tx, site.clock.now, "李秀英")
        await add_elder(tx, site.clock.now, "王桂兰")
    path = f"{ROOT}/W-1/bind"
    await technician.open(f"{path}?q=lxy")
    assert "李秀英" in technician.text
    assert "王桂兰" not in technician.text
    assert f'value="{elder}" checked' in technician.page
    response = await technician.submit(path, elder_id=elder, room="卧室")
    await technician.follow(response)
    assert "已绑定。" in technician.text
    bound = await device_in(site)
    assert (bound.elder_id, bound.room) == (elder, "卧室")


async def test_a_number_that_is_searched_for_stays_out_of_the_address(
    site: Site, technician: Visitor, watch: Device
) -> None:
    path = f"{ROOT}/W-1/bind"
    await technician.open(path)
    assert f'action="{path}/find"' in technician.page
    response = await technician.submit(f"{path}/find", q="138-1234-5678")
    address = response.headers["location"]
    assert address.startswith(f"{path}?q=~")
    await technician.follow(response)
    assert "没有找到“138-1234-5678”" in technician.text
    response = await technician.submit(f"{path}/find", q="lxy")
    assert response.headers["location"] == f"{path}?q=lxy"


async def test_elders_of_other_districts_are_neither_found_nor_bound(site: Site) -> None:
    near = await site.visitor("near", Role.DEVICE_TECHNICIAN, division="150104")
    async with site.db.transaction() as tx:
        await add_device(tx, near.actor, site.clock.now, "W-1", division=YUQUAN)
        elder = await add_elder(tx, site.clock.now, "李秀英", XINCHENG)
    path = f"{ROOT}/W-1/bind"
    await near.open(f"{path}?q=lxy")
    assert "没有找到“lxy”" in near.text
    assert (await near.open(f"{path}?elder={elder}")).status_code == 404
    assert (await near.submit(path, elder_id=elder, version=1)).status_code == 404
    assert (await device_in(site)).elder_id is None


async def test_binding_without_an_elder_says_so(technician: Visitor, watch: Device) -> None:
    path = f"{ROOT}/W-1/bind"
    await technician.open(path)
    for elder_id in ("", "not-a-uuid"):
        response = await technician.submit(path, elder_id=elder_id, version=1)
        assert response.status_code == 422
        assert "请先搜索并选中一位老人" in technician.text


async def test_only_the_room_can_be_changed(site: Site, technician: Visitor, watch: Device) -> None:
    async with site.db.transaction() as tx:
        elder = await add_elder(tx, site.clock.now)
        await service.bind(tx, watch.no, elder, "客厅", actor=technician.actor, now=site.clock.now)
    path = f"{ROOT}/W-1/bind"
    await technician.open(path)
    assert f"{path}?elder={elder}" in technician.page
    await technician.open(f"{path}?elder={elder}")
    assert f'value="{elder}" checked' in technician.page
    assert 'value="客厅"' in technician.page
    await technician.follow(await technician.submit(path, elder_id=elder, room="卫生间"))
    assert "换了房间" in technician.text
    assert (await device_in(site)).room == "卫生间"


@pytest.mark.parametrize(
    ("action", "reason", "words"),
    [
        ("mark_faulty", "no_signal", "已报故障，设备退出使用"),
        ("retire", "lost", "已报废，凭据已失效"),
    ],
)
async def test_a_change_asks_why_and_says_what_was_done(
    site: Site, technician: Visitor, watch: Device, action: str, reason: str, words: str
) -> None:
    path = f"{ROOT}/W-1/change/{action}"
    await technician.open(path)
    response = await technician.submit(path, note="墙后<b>")
    assert response.status_code == 422
    assert "请说明原因" in technician.text
    assert "墙后&lt;b&gt;" in technician.page
    await technician.follow(await technician.submit(path, reason=reason, note="墙后"))
    assert words in technician.text
    assert (await device_in(site)).state_note == "墙后"


async def test_who_comes_too_late_sees_who_was_faster(
    site: Site, technician: Visitor, watch: Device
) -> None:
    other = await site.visitor("zhaomin", Role.SUPERVISOR, name="赵敏")
    forms = [
        ("change/retire", {"reason": "lost"}),
        ("change/mark_faulty", {"reason": "damaged"}),
        ("mode", {"mode": "away", "hours": "24", "reason": "检修"}),
        ("mode", {"mode": "test", "hours": "1", "reason": "检修"}),
        ("mode/end", {"mode": "maintenance"}),
        ("details", {"division_code": YUQUAN}),
    ]
    async with site.db.transaction() as tx:
        elder = await add_elder(tx, site.clock.now)
    forms.append(("bind", {"elder_id": str(elder)}))
    await other.open(f"{ROOT}/W-1/mode")
    await other.submit(f"{ROOT}/W-1/mode", mode="maintenance", hours="4", reason="住院")
    for path, fields in forms:
        response = await technician.submit(f"{ROOT}/W-1/{path}", version=1, **fields)
        assert response.status_code == 409, path
        assert "赵敏 今天 22:03 打开了维护模式" in technician.text, path
        assert "现在的状态：在库。没有覆盖对方的操作" in technician.text
        assert "data-message" in technician.page
    left = await device_in(site)
    assert (left.version, left.maintenance_until) == (2, site.clock.now + timedelta(hours=4))


async def test_a_step_that_the_state_does_not_have_is_refused_on_the_form_already(
    site: Site, technician: Visitor, watch: Device
) -> None:
    for path in ("change/unbind", "change/repair"):
        assert (await technician.open(f"{ROOT}/W-1/{path}")).status_code == 409
    assert (await technician.open(f"{ROOT}/W-1/change/bind")).status_code == 404
    assert (await technician.open(f"{ROOT}/W-1/change/explode")).status_code == 404
    async with site.db.transaction() as tx:
        await service.change_state(
            tx, watch.no, DeviceAction.RETIRE, "lost", actor=technician.actor, now=site.clock.now
        )
    assert (await technician.open(f"{ROOT}/W-1/bind")).status_code == 409
    response = await technician.submit(f"{ROOT}/W-1/change/retire", version=2, reason="lost")
    assert response.status_code == 409


def secret_in(page: str) -> str:
    found = re.search(r"data-secret>([^<]+)<", page)
    assert found
    return unescape(found[1])


async def test_a_secret_is_shown_once_and_no_cache_keeps_it(
    site: Site, technician: Visitor, watch: Device
) -> None:
    await technician.open(f"{ROOT}/W-1")
    response = await technician.submit(f"{ROOT}/W-1/credential", replaces="")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert "密钥只显示这一次" in technician.text
    secret = secret_in(technician.page)
    async with site.db.transaction() as tx:
        grant = await credentials.authenticate(tx, "W-1", secret)
    assert grant is not None
    assert grant.device_id == "W-1"
    back = await technician.get(f"{ROOT}/W-1/credential")
    assert (back.status_code, back.headers["location"]) == (303, f"{ROOT}/W-1")
    await technician.follow(back)
    assert secret not in technician.page
    assert "有效" in technician.text
    # Sending the same form again, as a reload does, ends nothing.
    again = await technician.submit(f"{ROOT}/W-1/credential", replaces="")
    assert again.status_code == 409
    assert "发放了凭据" in technician.text
    async with site.db.transaction() as tx:
        assert await credentials.authenticate(tx, "W-1", secret) is not None


async def test_rotating_ends_the_old_secret_and_revoking_every_secret(
    site: Site, technician: Visitor, watch: Device
) -> None:
    async def field(name: str) -> str:
        await technician.open(f"{ROOT}/W-1")
        found = re.search(f'name="{name}" value="([^"]+)"', technician.page)
        assert found
        return found[1]

    await technician.submit(f"{ROOT}/W-1/credential", replaces="")
    first = secret_in(technician.page)
    site.clock.advance(minutes=1)
    await technician.submit(f"{ROOT}/W-1/credential", replaces=await field("replaces"))
    second = secret_in(technician.page)
    assert "旧的凭据已经失效" in technician.text
    async with site.db.transaction() as tx:
        assert await credentials.authenticate(tx, "W-1", first) is None
        assert await credentials.authenticate(tx, "W-1", second) is not None
    response = await technician.submit(
        f"{ROOT}/W-1/credential/revoke", revokes=await field("revokes")
    )
    await technician.follow(response)
    assert "凭据已吊销" in technician.text
    async with site.db.transaction() as tx:
        assert await credentials.authenticate(tx, "W-1", second) is None
    async with site.db.connection() as conn:
        logged = await fetch_tuples(
            conn, "SELECT action FROM audit_log WHERE subject_id = 'W-1' ORDER BY seq"
        )
    assert [row[0] for row in logged] == [
        "device.registered", "device.credential_issued", "device.credential_rotated",
        "device.credential_revoked",
    ]  # fmt: skip
    assert (await technician.submit(f"{ROOT}/W-1/credential/revoke")).status_code == 404


async def test_a_mode_is_asked_for_seen_renewed_and_ended(
    site: Site, technician: Visitor, watch: Device
) -> None:
    path = f"{ROOT}/W-1/mode"
    await technician.open(f"{path}?mode=away")
    assert "老人外出：长时间无活动、离床未归、设备离线、自检逾期不通知" in technician.text
    for fields, sentence in (
        ({"mode": "away", "hours": "24", "reason": " "}, "请说明原因"),
        ({"mode": "test", "hours": "72", "reason": "演练"}, "测试最长 24 小时"),
        ({"mode": "away", "hours": "-1", "reason": "住院"}, "请选择多久"),
        ({"mode": "away", "reason": "住院"}, "请选择多久"),
        ({"mode": "holiday", "hours": "1", "reason": "住院"}, "请选择模式"),
    ):
        response = await technician.submit(path, **fields)
        assert response.status_code == 422
        assert sentence in technician.text
    answer = await technician.submit(path, mode="away", hours="24", reason="住院")
    await technician.follow(answer)
    assert "外出模式，到明天 22:03自动结束" in technician.text
    assert "还有 1 天 · 巴图 · 住院" in technician.text
    await technician.open(f"{ROOT}?held=1")
    assert "W-1" in technician.text
    await technician.open(f"{path}?mode=away")
    assert "住院" in technician.page
    await technician.follow(await technician.submit(path, mode="away", hours="168", reason="住院"))
    assert "已延长" in technician.text
    assert "还有 7 天" in technician.text
    await technician.follow(await technician.submit(f"{path}/end", mode="away"))
    assert "模式已结束" in technician.text


async def test_a_mode_ends_by_itself_and_another_goes_on(
    site: Site, technician: Visitor, watch: Device
) -> None:
    path = f"{ROOT}/W-1/mode"
    await technician.open(path)
    await technician.submit(path, mode="test", hours="1", reason="安装演练")
    await technician.open(path)
    await technician.submit(path, mode="maintenance", hours="24", reason="换电池")
    await technician.open(f"{ROOT}/W-1")
    assert "只开测试警情，不呼叫任何人，求助键也是" in technician.text
    assert "换电池" in technician.text
    for _ in range(2):
        site.clock.now += timedelta(minutes=30)
        await technician.open(f"{ROOT}/W-1")
    assert "只开测试警情" not in technician.text
    assert "换电池" in technician.text


async def test_names_are_added_refused_and_removed(
    site: Site, technician: Visitor, watch: Device
) -> None:
    path = f"{ROOT}/W-1/names"
    async with site.db.transaction() as tx:
        await add_device(
            tx, technician.actor, site.clock.now, "Z-1", profile="z2m-hs1eb", address="床头按钮"
        )
    await technician.open(path)
    response = await technician.submit(path, codec="zigbee2mqtt", address="床头按钮")
    assert response.status_code == 422
    assert "另一台设备已经用了这个名称" in technician.text
    name = "李家/“门”&<1>"
    await technician.follow(await technician.submit(path, codec="zigbee2mqtt", address=name))
    assert "已添加" in technician.text
    assert name in technician.text
    response = await technician.submit(f"{path}/remove", codec="zigbee2mqtt", address="床头按钮")
    assert response.status_code == 404
    await technician.follow(
        await technician.submit(f"{path}/remove", codec="zigbee2mqtt", address=name)
    )
    assert "已删除" in technician.text
    assert name not in technician.text


async def test_details_are_corrected(site: Site, technician: Visitor, watch: Device) -> None:
    async with site.db.transaction() as tx:
        await add_device(tx, technician.actor, site.clock.now, "H-1", profile="sl-gateway-1")
    path = f"{ROOT}/W-1/details"
    await technician.open(path)
    await technician.follow(
        await technician.submit(path, serial="SN-9", gateway_id="H-1", division_code=YUQUAN)
    )
    assert "资料已修改" in technician.text
    changed = await device_in(site)
    assert (changed.serial, changed.gateway_id, changed.division_code) == ("SN-9", "H-1", YUQUAN)


async def test_text_that_no_database_takes_is_cleaned(
    site: Site, technician: Visitor, watch: Device
) -> None:
    path = f"{ROOT}/W-1/change/retire"
    await technician.open(path)
    response = await technician.submit(path, reason="other", note="a\0b")
    assert response.status_code == 303
    assert (await device_in(site)).state_note == "ab"
    assert (await technician.open(f"{ROOT}?q=%00")).status_code == 200


async def test_a_name_that_no_database_takes_is_not_there(
    technician: Visitor, watch: Device
) -> None:
    fields = {"codec": "set\0racker", "address": "88\0"}
    answer = await technician.submit(f"{ROOT}/W-1/names/remove", **fields)
    assert answer.status_code == 404
