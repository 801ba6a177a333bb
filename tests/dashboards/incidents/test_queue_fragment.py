"""The queue beside every page: its order and what each line says."""

import re
from html import unescape

from devices.alarms import AlarmKind
from hotline.escalation.jobs import due_deadlines
from kernel.auth.model import Role
from tests.dashboards.incidents.conftest import Site
from tests.hotline.world import World


async def lines(site: Site, html: str) -> list[str]:
    found = re.findall(r'<a class="queue-item.*?</a>', html, re.S)
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", one)).split()) for one in found]


async def test_unclaimed_ones_come_first_the_loudest_on_top(site: Site, world: World) -> None:
    seat = await site.login()
    for kind, name in (
        (AlarmKind.HEART_RATE_HIGH, "王淑珍"),
        (AlarmKind.BED_EXIT, "张玉梅"),
        (AlarmKind.FALL, "李秀英"),
    ):
        await world.opened(await world.elder(name), kind)
    await world.claimed(seat.actor, await world.elder("巴特尔"), kind=AlarmKind.SMOKE)
    await seat.see("/console/queue")
    rows = await lines(site, seat.html)
    assert [re.sub(r" \d\d:\d\d|\d+(?= 岁)", "", row) for row in rows] == [
        "紧急 跌倒 李秀英  岁 新城区",
        "重要 心率过高 王淑珍  岁 新城区",
        "一般 离床未归 张玉梅  岁 新城区",
        "紧急 烟雾 巴特尔  岁 新城区 已接警 我",
    ]
    assert re.search(r"data-queue-count>3<", seat.html)
    assert "处置中" in seat.text
    statuses = re.findall(r'data-severity="(\w+)" data-status="(\w+)"', seat.html)
    assert statuses[0] == ("critical", "open")


async def test_a_line_says_who_has_it_how_often_it_fired_and_that_it_escalated(
    site: Site, world: World
) -> None:
    seat, colleague = await site.login(), await site.login("赵敏")
    await world.claimed(colleague.actor, await world.elder("巴特尔"))
    elder = await world.elder("李秀英")
    await world.opened(elder, AlarmKind.FALL)
    await world.opened(elder, AlarmKind.FALL)
    await due_deadlines(world.db, world.later(31))
    await seat.see("/console/queue")
    rows = await lines(site, seat.html)
    assert "李秀英" in rows[0]
    assert "已升级 第 2 次触发" in rows[0]
    assert "已接警 赵敏" in rows[1]


async def test_the_clock_carries_the_limits_of_the_house(site: Site, world: World) -> None:
    seat = await site.login()
    elder = await world.elder()
    await world.react(await world.alarm(elder, AlarmKind.FALL), world.later(-75))
    await seat.see("/console/queue")
    assert 'data-limits="60,180"' in seat.html
    assert 'data-level="1"' in seat.html
    assert "超时 01:1" in seat.text


async def test_technical_ones_of_a_kind_are_one_line_that_leads_to_the_list(
    site: Site, world: World
) -> None:
    seat = await site.login()
    for _ in range(4):
        await world.opened(kind=AlarmKind.DEVICE_OFFLINE)
    await seat.see("/console/queue")
    assert "设备离线 (4)" in seat.text
    found = re.search(r'href="(/console/incidents\?[^"]*)"', seat.html)
    assert found
    assert "共 4 条" in await seat.see(unescape(found[1]))
    assert re.search(r"data-queue-count>4<", (await seat.get("/console/queue")).text)


async def test_an_empty_queue_says_what_will_appear_and_offers_a_fall(site: Site) -> None:
    seat = await site.login()
    text = await seat.see("/console/queue")
    assert "现在没有待处置的警情" in text
    assert "模拟一次跌倒" in text
    assert seat.form("/console/demo/alarm")["_csrf"]


async def test_the_queue_is_that_of_the_division_and_of_who_may_see_it(
    site: Site, world: World
) -> None:
    await world.opened(await world.elder("李秀英"))
    elsewhere = await site.login("赵敏", division="150105")
    assert "李秀英" not in await elsewhere.see("/console/queue")
    auditor = await site.login("审计员", Role.AUDITOR)
    await auditor.see("/console/queue", 403)


async def test_the_queue_in_english(site: Site, world: World) -> None:
    seat = await site.login(locale="en")
    await world.opened(await world.elder("李秀英"), AlarmKind.FALL)
    text = await seat.see("/console/queue")
    assert "Critical Fall" in text
    assert "To handle" in text
