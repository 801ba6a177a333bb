"""Asking a device for something on its page: who sees the buttons, and what became of it."""

from datetime import timedelta

from playwright.async_api import Browser

from devices.commands import service, store
from devices.commands.model import CommandState
from devices.downlink import NOT_DELIVERED, UNCONFIRMED
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
    assert "指令已下达" in operator.text
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


async def test_what_could_not_be_said_to_a_device_was_not_refused_by_it(
    site: Site, technician: Visitor
) -> None:
    now = site.clock.now
    async with site.db.transaction() as tx:
        device = await add_device(tx, technician.actor, now, "W-1", profile="jt808-speaker")
        asked = await service.request(
            tx, device.no, "speak", {"text": "ᠮᠣᠩᠭᠣᠯ"}, technician.actor, now
        )
        command = await store.outgoing(tx, asked.id, now)
        assert command is not None
        await service.give_up(tx, command, "text_encoding", now)
    await technician.open(PAGE)
    assert "播报 无法发送 文字里有它认不出的字" in technician.text
    assert "设备拒绝" not in technician.text
    assert "not_said" not in technician.page


async def test_a_sensor_behind_a_platform_is_asked_and_its_way_there_is_told(
    site: Site, technician: Visitor
) -> None:
    now = site.clock.now
    async with site.db.transaction() as tx:
        await add_device(tx, technician.actor, now, "NS-1", profile="ls-chirpstack")
        door = await add_device(
            tx, technician.actor, now, "D-1", profile="ls-ws301", gateway_id="NS-1"
        )
        asked = await service.request(
            tx, door.no, "set_interval", {"seconds": 600}, technician.actor, now
        )
        await store.tried(tx, asked.id, asked.expires_at)
        await store.left(tx, asked.id, now)
    page = "/console/devices/D-1"
    for word, said in (("handed_over", "已交给平台转发"), ("transmitted", "网关已发射")):
        async with site.db.transaction() as tx:
            await store.note(tx, asked.id, word)
        await technician.open(page)
        assert f"设置上报间隔 已发出，等待应答 {said}" in technician.text
    async with site.db.transaction() as tx:
        await store.settle(tx, asked.id, CommandState.REFUSED, NOT_DELIVERED + UNCONFIRMED, now)
    await technician.open(page)
    # The device has not refused anything.
    assert "设置上报间隔 未送达 设备没有确认" in technician.text
    assert f"{page}/commands/new?name=reboot" in technician.page
    assert "name=speak" not in technician.page
    english = await site.visitor("smith", Role.DEVICE_TECHNICIAN, locale="en")
    await english.open(page)
    assert "Not delivered not confirmed by the device" in english.text


async def test_what_left_and_was_not_answered_is_told_from_what_never_left(
    site: Site, technician: Visitor
) -> None:
    now = site.clock.now
    async with site.db.transaction() as tx:
        watch = await add_device(tx, technician.actor, now, "W-1")
        asked = {
            name: await service.request(tx, watch.no, name, args, technician.actor, now)
            for name, args in (("ring", {}), ("locate", {}), ("set_interval", {"seconds": 60}))
        }
        for name in ("ring", "set_interval"):
            await store.left(tx, asked[name].id, now)
        later = {"seconds": 600}
        await service.request(tx, watch.no, "set_interval", later, technician.actor, now)
        await store.expire(tx, now + timedelta(hours=1))
    await technician.open(PAGE)
    assert "响铃 没有应答" in technician.text
    assert "立即定位 已过期" in technician.text
    assert "设置上报间隔 已过期 已被新的设置取代" in technician.text


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


async def test_a_technician_gives_commands_that_say_something(
    site: Site, technician: Visitor
) -> None:
    async with site.db.transaction() as tx:
        watch = await add_device(tx, technician.actor, site.clock.now, "W-1")
    form = f"{PAGE}/commands/new"
    await technician.open(PAGE)
    page = technician.page
    for name in ("speak", "set_interval", "set_thresholds", "reboot"):
        assert f'href="{form}?name={name}"' in page
        assert (await technician.open(f"{form}?name={name}")).status_code == 200
    given = (
        {"name": "speak", "text": "请按时吃药"},
        {"name": "set_interval", "seconds": "300"},
        {"name": "set_thresholds", "metric": "heart_rate", "low": "45", "high": "130.5"},
        {"name": "reboot"},
    )
    for fields in given:
        assert (await technician.submit(form, **fields)).status_code == 303
    async with site.db.transaction() as tx:
        asked = {one.name: dict(one.args) for one in await service.recent(tx, watch.no)}
    assert asked == {
        "speak": {"text": "请按时吃药"},
        "set_interval": {"seconds": 300},
        "set_thresholds": {"heart_rate": {"low": 45, "high": 130.5}},
        "reboot": {},
    }


async def test_what_is_wrong_with_a_command_is_said_on_its_form(
    site: Site, technician: Visitor
) -> None:
    async with site.db.transaction() as tx:
        watch = await add_device(tx, technician.actor, site.clock.now, "W-1")
        await add_device(tx, technician.actor, site.clock.now, "D-1", profile="sl-door-1")
    form = f"{PAGE}/commands/new"
    wrong = (
        ({"name": "speak", "text": " "}, "请填写要播报的话"),
        ({"name": "speak", "text": "好" * 201}, "最多 200 个字"),
        ({"name": "set_interval", "seconds": "1e3"}, "10 到 86400 之间的整数"),
        (
            {"name": "set_thresholds", "metric": "heart_rate", "low": "9", "high": "5"},
            "下限要小于上限",
        ),
        ({"name": "set_thresholds", "metric": "heart_rate", "low": "x"}, "下限要小于上限"),
        ({"name": "set_thresholds", "metric": "heart_rate", "low": "nan"}, "下限要小于上限"),
        ({"name": "set_thresholds", "metric": "luck", "low": "1"}, "请选择指标"),
    )
    for fields, sentence in wrong:
        assert (await technician.submit(form, **fields)).status_code == 422
        assert sentence in technician.text
    assert (await technician.submit(form, name="dance")).status_code == 422
    door = "/console/devices/D-1/commands/new?name=speak"
    assert (await technician.open(door)).status_code == 404
    operator = await site.visitor("wangfang", Role.OPERATOR, name="王芳")
    await operator.open(PAGE)
    assert form not in operator.page
    assert (await operator.submit(form, name="reboot")).status_code == 403
    async with site.db.transaction() as tx:
        assert await service.recent(tx, watch.no) == []
