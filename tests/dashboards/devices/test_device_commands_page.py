"""Asking a device for something on its page: who sees the buttons, and what became of it."""

from datetime import timedelta

from playwright.async_api import Browser

from devices.commands import service
from devices.messages import CommandAck
from kernel.auth.model import Role
from tests.dashboards.devices.site import Site, Visitor, browse, serving
from tests.dashboards.ui.watching import accessibility_findings, settled
from tests.devices.registry.world import add_device

PAGE = "/console/devices/W-1"


async def test_an_operator_rings_a_watch_and_reads_its_answer(
    site: Site, technician: Visitor
) -> None:
    async with site.db.transaction() as tx:
        watch = await add_device(tx, technician.actor, site.clock.now, "W-1")
    operator = await site.visitor("wangfang", Role.OPERATOR, name="王芳")
    await operator.open(PAGE)
    assert "还没有向它发过指令" in operator.text
    response = await operator.submit(f"{PAGE}/commands", name="ring")
    assert response.status_code == 303
    await operator.follow(response)
    assert "指令已交给设备" in operator.text
    assert "响铃 等待发送" in operator.text
    async with site.db.transaction() as tx:
        asked = (await service.recent(tx, watch.no))[0]
        later = site.clock.now + timedelta(seconds=2)
        ack = CommandAck(str(asked.id), ok=False, detail="no <b>loudspeaker</b>")
        await service.settle(tx, [(watch.no, ack)], later)
    await operator.open(PAGE)
    assert "响铃 设备拒绝 no <b>loudspeaker</b>" in operator.text
    assert "王芳" in operator.text
    assert "<b>loudspeaker" not in operator.page
    assert "向设备发了指令" in operator.text


async def test_the_card_asks_again_while_an_answer_is_awaited_and_then_no_more(
    site: Site, technician: Visitor
) -> None:
    async with site.db.transaction() as tx:
        watch = await add_device(tx, technician.actor, site.clock.now, "W-1")
    await technician.open(PAGE)
    assert "hx-trigger" not in technician.page.split('id="command-list"')[1][:200]
    await technician.submit(f"{PAGE}/commands", name="ring")
    await technician.open(f"{PAGE}/commands")
    assert technician.page.lstrip().startswith("<div")
    assert 'hx-trigger="every 2s"' in technician.page
    # A device that sleeps answers when it wakes: there is no hurry then.
    site.clock.now += timedelta(minutes=2)
    await technician.open(f"{PAGE}/commands")
    assert 'hx-trigger="every 15s"' in technician.page
    async with site.db.transaction() as tx:
        asked = (await service.recent(tx, watch.no))[0]
        ack = CommandAck(str(asked.id), ok=True, detail="")
        await service.settle(tx, [(watch.no, ack)], site.clock.now)
    await technician.open(f"{PAGE}/commands")
    assert "响铃 已执行" in technician.text
    assert "hx-get" not in technician.page
    far = await site.visitor("far", Role.DEVICE_TECHNICIAN, division="150203")
    assert (await far.open(f"{PAGE}/commands")).status_code == 404


async def test_the_answer_appears_on_the_open_page(
    site: Site, technician: Visitor, chromium: Browser
) -> None:
    async with site.db.transaction() as tx:
        watch = await add_device(tx, technician.actor, site.clock.now, "W-1")
    opened = await site.account("batu2", Role.DEVICE_TECHNICIAN)
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        await page.goto(PAGE)
        await settled(page)
        await page.keyboard.press("g")
        await page.wait_for_selector("#command-list[data-awaits=answer]")
        await page.focus("#commands button")
        async with site.db.transaction() as tx:
            asked = (await service.recent(tx, watch.no))[0]
            ack = CommandAck(str(asked.id), ok=True, detail="")
            await service.settle(tx, [(watch.no, ack)], site.clock.now)
        await page.wait_for_selector("#command-list[data-awaits='']")
        assert "已执行" in await page.inner_text("#command-list")
        assert await page.evaluate("document.activeElement.closest('#commands') !== null")
        assert await accessibility_findings(page) == []
        await context.close()


async def test_who_may_not_ask_is_refused_and_sees_no_button(
    site: Site, technician: Visitor
) -> None:
    async with site.db.transaction() as tx:
        await add_device(tx, technician.actor, site.clock.now, "W-1")
        await add_device(tx, technician.actor, site.clock.now, "D-1", profile="sl-door-1")
    manager = await site.visitor("liu", Role.CARE_MANAGER, name="刘")
    await manager.open(PAGE)
    assert f'action="{PAGE}/commands"' not in manager.page
    assert (await manager.submit(f"{PAGE}/commands", name="ring")).status_code == 403
    assert (await technician.submit(f"{PAGE}/commands", name="dance")).status_code == 422
    answer = await technician.submit("/console/devices/D-1/commands", name="ring")
    assert answer.status_code == 409


async def test_the_card_speaks_english(site: Site, technician: Visitor) -> None:
    async with site.db.transaction() as tx:
        await add_device(tx, technician.actor, site.clock.now, "W-1")
    visitor = await site.visitor("amy", Role.SUPERVISOR, name="Amy", locale="en")
    await visitor.open(PAGE)
    assert "Commands" in visitor.text
    assert "Nothing was asked of it yet" in visitor.text
