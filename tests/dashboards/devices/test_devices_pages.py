"""The devices' pages over HTTP: who may come in, what is seen, what a list says."""

import csv
import io
import re
from datetime import timedelta

import pytest

from devices.registry import service
from kernel import divisions
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import fetch_tuples
from tests.dashboards.devices.furniture import LONG_ID, furnish
from tests.dashboards.devices.site import Site, Visitor
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device, add_elder

ROOT = "/console/devices"
READERS = {
    Role.OPERATOR, Role.SUPERVISOR, Role.CARE_MANAGER, Role.DEVICE_TECHNICIAN, Role.ADMINISTRATOR,
}  # fmt: skip
WRITERS = {Role.SUPERVISOR, Role.DEVICE_TECHNICIAN, Role.ADMINISTRATOR}
FORMS = (
    "/new", "/W-1/details", "/W-1/bind", "/W-1/change/retire", "/W-1/mode", "/W-1/names",
)  # fmt: skip
POSTS = (
    "", "/W-1/details", "/W-1/bind", "/W-1/change/retire", "/W-1/mode", "/W-1/mode/end",
    "/W-1/credential", "/W-1/credential/revoke", "/W-1/names", "/W-1/names/remove",
)  # fmt: skip


async def stock(site: Site, visitor: Visitor, device_id: str, division: str = XINCHENG) -> None:
    async with site.db.transaction() as tx:
        await add_device(tx, visitor.actor, site.clock.now, device_id, division=division)


@pytest.mark.parametrize("role", list(Role))
async def test_roles_decide_who_reads_and_who_changes(
    site: Site, technician: Visitor, role: Role
) -> None:
    await stock(site, technician, "W-1")
    visitor = await site.visitor("somebody", role)
    reads = 200 if role in READERS else 403
    for path in ("", "/W-1", "/export.csv"):
        assert (await visitor.open(ROOT + path)).status_code == reads, path
    for path in FORMS:
        expected = 200 if role in WRITERS else 403
        assert (await visitor.open(ROOT + path)).status_code == expected, path
    if role not in WRITERS:
        for path in POSTS:
            assert (await visitor.submit(ROOT + path)).status_code == 403, path
        await visitor.open(f"{ROOT}/W-1")
        assert "报废" not in visitor.text


async def test_who_is_not_logged_in_is_sent_to_the_login(site: Site, technician: Visitor) -> None:
    technician.cookies.clear()
    response = await technician.open(f"{ROOT}/W-1")
    assert response.headers["location"] == f"/login?next={ROOT}/W-1"


async def test_nothing_is_changed_without_the_token_of_the_session(
    site: Site, technician: Visitor
) -> None:
    await stock(site, technician, "W-1")
    for path in POSTS:
        response = await technician.post(ROOT + path, data={"_csrf": "guess", "version": "1"})
        assert response.status_code == 403, path
    async with site.db.connection() as conn:
        actions = await fetch_tuples(conn, "SELECT action FROM audit_log WHERE subject_id = 'W-1'")
    assert actions == [("device.registered",)]


async def test_devices_of_another_district_do_not_exist(site: Site, technician: Visitor) -> None:
    await stock(site, technician, "W-1", XINCHENG)
    await stock(site, technician, "W-2", YUQUAN)
    near = await site.visitor("near", Role.DEVICE_TECHNICIAN, division="150104")
    await near.open(ROOT)
    assert "W-2" in near.text
    assert "W-1" not in near.text
    assert "W-1" not in (await near.get(f"{ROOT}/export.csv")).text
    for path in ("", *(form.removeprefix("/W-1") for form in FORMS[1:])):
        assert (await near.open(f"{ROOT}/W-1{path}")).status_code == 404, path
    for path in POSTS[1:]:
        response = await near.submit(ROOT + path, version="1", reason="lost")
        assert response.status_code == 404, path


@pytest.mark.parametrize("device_id", ["nothing", "a%00b", "..%2f..", "x" * 300, "%F0%9F%98%80"])
async def test_an_address_that_is_no_device_is_not_found(
    technician: Visitor, device_id: str
) -> None:
    response = await technician.open(f"{ROOT}/{device_id}")
    assert response.status_code == 404


async def test_the_page_says_all_that_is_known(
    site: Site, technician: Visitor, cipher: FieldCipher
) -> None:
    async with site.db.transaction() as tx:
        elders = await furnish(tx, cipher, technician.actor, site.clock.now)
    await technician.open(f"{ROOT}/W-0193")
    for words in (
        "健康手表 SL-W1", "已绑定", elders[1].name, "随身佩戴", "SN-4711", "在线", "3 分钟前",
        "1.4.2", "最长 10 分，超过 30 分算离线", "心率 72", "次/分", "第 1 号警情",
        "停用中，未呼叫", "测试", f"解绑 {elders[2].name}", "改绑给另一位老人", "巴图",
        "登记了设备",
    ):  # fmt: skip
        assert words in technician.text, words
    # The fever of the elder who had the watch before is not shown.
    assert "39.4" not in technician.text
    assert '"accuracy": 35' in technician.page.replace("&#34;", '"')


async def test_looking_at_a_bound_device_is_on_record(site: Site, technician: Visitor) -> None:
    async with site.db.transaction() as tx:
        device = await add_device(tx, technician.actor, site.clock.now, "W-1")
        await add_device(tx, technician.actor, site.clock.now, "W-2")
        elder = await add_elder(tx, site.clock.now)
        await service.bind(tx, device.no, elder, "", actor=technician.actor, now=site.clock.now)
    await technician.open(f"{ROOT}/W-1")
    await technician.open(f"{ROOT}/W-2")
    async with site.db.connection() as conn:
        looks = await fetch_tuples(
            conn,
            "SELECT subject_id, actor_name, detail ->> 'elder_id' FROM audit_log"
            " WHERE action = 'device.viewed'",
        )
    assert looks == [("W-1", "batu", str(elder))]


async def test_filters_stay_in_the_address_and_narrow_the_list(
    site: Site, technician: Visitor, cipher: FieldCipher
) -> None:
    async with site.db.transaction() as tx:
        await furnish(tx, cipher, technician.actor, site.clock.now)
    await technician.open(f"{ROOT}?battery=low&connection=offline&sort=-battery")
    assert "D-0021" in technician.text
    assert "H-0007" not in technician.text
    assert "共 1 条" in technician.text
    assert 'value="low" selected' in technician.page
    assert "battery=low&amp;connection=offline" in technician.page or (
        "connection=offline&amp;battery=low" in technician.page
    )
    # What is no choice of ours does not filter, whatever it is.
    for query in ("state=%00&connection=x&page=-1&sort=drop", "page=99999999", "q=%25&division=x'"):
        assert (await technician.open(f"{ROOT}?{query}")).status_code == 200, query


async def test_an_export_cannot_be_run_as_a_formula(site: Site, technician: Visitor) -> None:
    async with site.db.transaction() as tx:
        device = await add_device(tx, technician.actor, site.clock.now, "W-1", serial="=1+1")
        elder = await add_elder(tx, site.clock.now, "李秀英")
        await service.bind(
            tx, device.no, elder, "@home", actor=technician.actor, now=site.clock.now
        )
        await add_device(tx, technician.actor, site.clock.now, "X-1", profile="sl-door-1")
    response = await technician.get(f"{ROOT}/export.csv?q=w-1")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.content.startswith(b"\xef\xbb\xbf")
    header, row = csv.reader(io.StringIO(response.content.decode("utf-8-sig")))
    line = dict(zip(header, row, strict=True))
    assert line["编号"] == "W-1"
    assert line["序列号"] == "'=1+1"
    assert line["房间"] == "'@home"
    assert line["老人姓名"] == "李秀英"


async def test_a_gateway_shows_what_it_speaks_for(
    site: Site, technician: Visitor, cipher: FieldCipher
) -> None:
    async with site.db.transaction() as tx:
        await furnish(tx, cipher, technician.actor, site.clock.now)
    await technician.open(f"{ROOT}/H-0007")
    assert "下挂设备" in technician.text
    assert f'href="{ROOT}/D-0021"' in technician.page
    await technician.open(f"{ROOT}/D-0021")
    assert f'href="{ROOT}/H-0007"' in technician.page


async def test_the_usual_next_step_is_the_one_primary_action(
    site: Site, technician: Visitor, cipher: FieldCipher
) -> None:
    async with site.db.transaction() as tx:
        await furnish(tx, cipher, technician.actor, site.clock.now)
    for device_id, step in (
        (LONG_ID, "绑定老人"), ("W-0193", ""), ("S-0003", "修复入库"), ("4G-0001", ""),
    ):  # fmt: skip
        await technician.open(f"{ROOT}/{device_id}")
        head = technician.page.split("</header>")[-2]
        assert head.count("btn-primary") == (1 if step else 0), device_id
        assert step in head


async def test_english_pages_have_no_chinese_but_names(site: Site) -> None:
    visitor = await site.visitor("bob", Role.DEVICE_TECHNICIAN, name="Bob", locale="en")
    await stock(site, visitor, "W-1")
    async with site.db.connection() as conn:
        place = await divisions.path_name(conn, XINCHENG)
    known = {*place.split(), "".join(place.split()[-2:]), "中文", "语言"}
    for path in ("", "/W-1", "/new", "/W-1/bind", "/W-1/change/retire", "/W-1/mode", "/W-1/names"):
        await visitor.open(ROOT + path)
        found = set(re.findall("[\u4e00-\u9fff]+", visitor.text))
        assert found <= known or path == "/new", (path, found - known)


async def test_a_list_of_many_pages_keeps_its_place(site: Site, technician: Visitor) -> None:
    async with site.db.transaction() as tx:
        for number in range(53):
            await add_device(tx, technician.actor, site.clock.now, f"W-{number:03}")
    await technician.open(f"{ROOT}?state=stock&page=2")
    assert "第 51–53 条" in technician.text
    assert "W-052" in technician.text
    assert "W-049" not in technician.text
    site.clock.now += timedelta(seconds=1)
    await technician.open(f"{ROOT}?page=9")
    assert "第 51–53 条" in technician.text
