"""The start page: what waits, what is mine, today's figures, who is on duty."""

from devices.alarms import AlarmKind
from kernel.auth.model import Role
from tests.dashboards.incidents.conftest import Site
from tests.dashboards.incidents.test_incident_page import advance
from tests.hotline.world import World


async def test_a_calm_start_says_so(site: Site) -> None:
    seat = await site.login()
    text = await seat.see("/console")
    assert "值班总览" in text
    assert "现在没有待处置的警情" in text
    assert "没有。您接的警情在结案之前都列在这里" in text
    assert "没有人在岗" in text


async def test_what_waits_what_is_mine_and_what_colleagues_have(site: Site, world: World) -> None:
    seat, other = await site.login("王芳"), await site.login("赵敏")
    await world.opened(await world.elder("李秀英"), AlarmKind.FALL)
    await world.opened(kind=AlarmKind.LOW_BATTERY)
    await world.claimed(seat.actor, await world.elder("王淑珍"))
    await world.claimed(other.actor, await world.elder("张玉梅"))
    text = await seat.see("/console")
    assert "有 1 条紧急或重要警情没有人接" in text
    assert "王淑珍" in seat.part("mine")
    assert "李秀英" in seat.part("loud")
    assert "张玉梅" in seat.part("others")
    assert "赵敏" in seat.part("others")


async def test_only_technical_ones_are_no_hurry(site: Site, world: World) -> None:
    seat = await site.login()
    await world.opened(kind=AlarmKind.LOW_BATTERY)
    await world.opened(kind=AlarmKind.LOW_BATTERY)
    assert "有 2 条一般或技术警情待处置，不紧急" in await seat.see("/console")


async def test_the_figures_of_today(site: Site, world: World) -> None:
    seat = await site.login()
    for _ in range(3):
        incident = await world.opened()
    await advance(world, incident, seat.actor, "resolve")
    await world.opened(test=True)
    await seat.see("/console")
    figures = seat.part("figures")
    assert "警情 3" in figures
    assert "已结案 1" in figures
    assert "没有人接 2" in figures
    # The other two have not waited for 60 seconds yet.
    assert "60 秒内接警 100.0" in figures


async def test_going_on_duty_shows_on_the_bar_and_in_the_list(site: Site, world: World) -> None:
    seat = await site.login("王芳")
    await world.responder("斯琴")
    await seat.see("/console")
    assert "您现在不在岗" in seat.text
    await seat.fill("/account/duty")
    assert "值班 王芳" in seat.text
    assert "您现在不在岗" not in seat.text
    assert "王芳" in seat.part("colleagues")
    assert "斯琴" in seat.part("responders")
    assert "急救" in seat.part("responders")
    await seat.fill("/account/duty")
    assert "不在岗 王芳" in seat.text


async def test_who_does_not_handle_incidents_has_no_duty_and_no_button(site: Site) -> None:
    manager = await site.login("孙丽", Role.CARE_MANAGER)
    await manager.see("/console")
    assert not manager.has_form("/account/duty")
    assert not manager.has_form("/console/demo/alarm")


async def test_who_does_not_handle_incidents_is_told_to_look_and_nothing_rings(
    site: Site, world: World
) -> None:
    await world.opened(await world.elder("李秀英"), AlarmKind.FALL)
    manager, seat = await site.login("孙丽", Role.CARE_MANAGER), await site.login()
    await manager.see("/console")
    assert "按 J 选择，回车打开。" in manager.text
    assert "我接的警情" not in manager.text
    assert 'id="sound"' not in manager.html
    await seat.see("/console")
    assert "按 A 打开最前面的一条，再按 A 接警" in seat.text
    assert 'id="sound"' in seat.html


async def test_the_part_that_follows_the_feed_has_no_frame(site: Site) -> None:
    seat = await site.login()
    await seat.see("/console/overview")
    assert "<html" not in seat.html
    assert "今天" in seat.text
