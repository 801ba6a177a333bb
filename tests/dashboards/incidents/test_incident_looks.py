"""How the incidents' pages look: each size, theme and language, long names, dialogs, no scripts."""

import uuid
from datetime import date

import pytest
from playwright.async_api import Browser, expect

from care.elders import store as elders
from care.elders.model import Contact, Draft, LivingSituation, Phone, Relation, Sex
from devices.alarms import AlarmKind
from hotline.contacts import service as contacts
from hotline.contacts.model import AttemptStatus
from hotline.incidents import service
from hotline.incidents.model import Incident
from hotline.responders import service as responders
from kernel.auth import web
from kernel.ids import new_id
from tests.dashboards.incidents.conftest import Seat, Site
from tests.dashboards.incidents.test_incident_page import advance, at
from tests.dashboards.ui.watching import (
    PHONE,
    WIDE,
    ZOOMED,
    accessibility_findings,
    look_over,
    settled,
)
from tests.hotline.world import PLACE, Person, World

LOOKS: list[tuple[str, tuple[tuple[int, int], ...], dict[str, str]]] = [
    ("light", (PHONE, ZOOMED, WIDE), {}),
    ("dark-english", (WIDE, PHONE), {"theme": "dark", "locale": "en"}),
    ("large", (ZOOMED, WIDE), {"text_size": "large"}),
    ("large-english", (WIDE, ZOOMED), {"text_size": "large", "locale": "en"}),
]


async def long_elder(world: World) -> Person:
    """An elder whose names, address and notes are as long as they come."""
    names = ("乌日娜其木格·阿拉坦其其格苏", "欧阳建国（长子，常驻包头市）", "Батбаяр Энхтуяа")
    notes = "工作日白天在矿上，电话常常打不通，请先发短信；晚上七点以后在家。"
    people = tuple(
        Contact(name, Relation.CHILD, f"1390471990{n}", n != 1, notes, id=new_id())
        for n, name in enumerate(names)
    )
    draft = Draft(
        name="额尔敦陶格陶呼·阿拉坦其木格",
        division_code=PLACE,
        sex=Sex.FEMALE,
        birth_date=date(1931, 2, 11),
        address="丽苑社区东护城河北街 118 号院（老粮食局家属院，从西门进，东门常年上锁）"
        "3 号楼 2 单元 501 室",
        lat=40.8570,
        lon=111.6900,
        living_situation=LivingSituation.ALONE,
        risk_notes="高血压三级，两次跌倒史，听力差，请大声慢说；家中养有两只大狗，"
        "上门前请先打电话让邻居牵走",
        medical_notes="2019 年脑梗死，服用华法林、阿司匹林、氨氯地平；对青霉素和磺胺类过敏；"
        "2023 年左侧髋关节置换",
        access_notes="钥匙盒在门框左侧，密码 4071；单元门禁 #2580；电梯夜间停运，需要走楼梯到五层",
        languages=("蒙古语", "晋语", "普通话"),
        phones=(Phone("13904719999", "手机"), Phone("04713021837", "家里座机，响得久一点")),
    )
    elder_id = new_id()
    async with world.db.transaction() as tx:
        made = elders.NewElder(elder_id, draft, people)
        await elders.insert(tx, world.cipher, [made], world.now, by=None)
    return Person(elder_id, draft.name, "13904719999", [p.id for p in people if p.id], [])


@pytest.fixture
async def busy(world: World, seat: Seat) -> Incident:
    """Two loud incidents at once, one of them in the middle of its life, and lesser ones."""
    elder = await long_elder(world)
    device = await world.device(elder)
    fall = await world.opened(elder, AlarmKind.FALL, device_no=device)
    await world.react(await world.alarm(elder, AlarmKind.FALL, device_no=device), world.later(4))
    held = await advance(world, fall, seat.actor, "claim")
    near, far = await world.responder("斯琴"), await world.responder("郭建军", phone="13947100005")
    async with world.db.transaction() as tx:
        await responders.report_position(tx, near, 40.8600, 111.6900, 12, world.now)
        await responders.report_position(tx, far, 40.7969, 111.6538, 60, world.later(-7200))
        call = await contacts.call_contacts_in_order(tx, held.id, seat.actor, world.now)
        await contacts.attempt_progress(tx, str(call), AttemptStatus.NO_ANSWER, None, world.now)
        await service.add_note(tx, held.id, "邻居说听见响动，" * 12, seat.actor, world.now)
    await world.sent(held, near, seat.actor)
    await world.opened(await world.elder("巴特尔"), AlarmKind.SOS)
    await world.opened(await world.elder("王淑珍"), AlarmKind.HEART_RATE_HIGH)
    for _ in range(3):
        await world.opened(kind=AlarmKind.DEVICE_OFFLINE)
    return await world.incident(held.id)


async def wish(world: World, seat: Seat, wishes: dict[str, str]) -> None:
    """Set looks as the menu does."""
    async with world.db.transaction() as tx:
        await tx.execute(
            "UPDATE user_account SET locale = %s, theme = %s, text_size = %s WHERE id = %s",
            (
                wishes.get("locale", "zh"),
                wishes.get("theme", "auto"),
                wishes.get("text_size", "normal"),
                seat.actor.user_id,
            ),
        )


@pytest.mark.parametrize(("look", "sizes", "wishes"), LOOKS, ids=[look[0] for look in LOOKS])
async def test_every_page_is_accessible_fits_and_obeys_the_policy(
    look: str,
    sizes: tuple[tuple[int, int], ...],
    wishes: dict[str, str],
    web_site: Site,
    world: World,
    seat: Seat,
    busy: Incident,
) -> None:
    await wish(world, seat, wishes)
    page = await (await web_site.browser(seat)).new_page()
    pages = {"one": at(busy), "overview": "/console", "list": "/console/incidents"}
    assert await look_over(page, pages, f"incidents/{look}", sizes) == []


async def test_the_list_of_incidents_fits_its_frame_in_english(
    web_site: Site, seat: Seat, world: World, busy: Incident
) -> None:
    await wish(world, seat, {"locale": "en"})
    page = await web_site.tab(seat, "/console/incidents")
    await settled(page)
    hidden = "frame => frame.scrollWidth - frame.clientWidth"
    assert await page.locator(".table-frame").evaluate(hidden) == 0


async def test_what_counts_is_in_sight_at_once(web_site: Site, seat: Seat, world: World) -> None:
    """Who, where, the primary action and the first numbers, without scrolling, at 1366×768."""
    elder = await long_elder(world)
    fall = await world.opened(elder, AlarmKind.FALL)
    page = await web_site.tab(seat, at(fall))
    await settled(page)
    for wanted in ("h1", ".fact-wide", "#incident-status", "#act-acknowledge", "#act-call-elder"):
        await expect(page.locator(wanted).first).to_be_in_viewport(ratio=1)
    for wanted in (".phone-number", ".chart-canvas", ".map-canvas"):
        await expect(page.locator(wanted).first).to_be_in_viewport()
    # The actions stay where they are while the page moves under them.
    await page.locator("#incident-timeline").scroll_into_view_if_needed()
    await expect(page.locator("#act-acknowledge")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("wishes", [{}, {"theme": "dark", "locale": "en"}], ids=["zh", "dark-en"])
async def test_every_dialog_is_accessible(
    web_site: Site, world: World, seat: Seat, busy: Incident, wishes: dict[str, str]
) -> None:
    await wish(world, seat, wishes)
    page = await web_site.tab(seat, at(busy))
    await settled(page)
    for key, dialog in (("d", "dispatch"), ("s", "on_scene"), ("r", "resolve"), ("h", "hand_over")):
        await page.keyboard.press(key)
        await expect(page.locator(f"#{dialog}-dialog")).to_be_visible()
        assert await accessibility_findings(page) == [], dialog
        await page.keyboard.press("Escape")
        await expect(page.locator(f"#{dialog}-dialog")).to_be_hidden()


async def test_a_key_counts_as_soon_as_a_dialog_is_closed(
    web_site: Site, seat: Seat, busy: Incident
) -> None:
    """Its field keeps the focus until the page is drawn again, and takes no letter any more."""
    page = await web_site.tab(seat, at(busy))
    await settled(page)
    await page.keyboard.press("s")
    await expect(page.locator("#on_scene-note")).to_be_focused()
    await page.evaluate(
        """() => {
            const field = document.getElementById('on_scene-note');
            field.closest('dialog').close();
            const key = new KeyboardEvent('keydown', {key: 'r', bubbles: true, cancelable: true});
            field.dispatchEvent(key);
        }"""
    )
    await expect(page.locator("#resolve-dialog")).to_be_visible()


async def test_the_page_works_without_scripts(chromium: Browser, site: Site, world: World) -> None:
    seat = await site.login("王芳")
    fall = await world.opened(await world.elder("李秀英"), AlarmKind.FALL)
    await world.responder("斯琴")
    context = await chromium.new_context(base_url=site.url, java_script_enabled=False)
    await context.add_cookies([{"name": web.COOKIE, "value": seat.token, "url": site.url}])
    page = await context.new_page()
    await page.goto(at(fall))
    await page.click("#act-acknowledge")
    await expect(page.locator("#incident-status")).to_contain_text("接警人 王芳")
    await page.click("#act-dispatch")
    await expect(page.locator("#dispatch-dialog")).to_be_visible()
    await page.click("#dispatch-dialog button[type=submit]")
    await expect(page.locator("#incident-dispatches")).to_contain_text("斯琴")
    await page.click("#act-resolve")
    await expect(page.locator("#resolve-dialog")).to_be_visible()
    await expect(page.locator(".presets")).to_be_hidden()
    await page.check("#resolve-dialog input[value=founded]")
    await page.fill("#resolve-reason", "现场处置完毕")
    await page.click("#resolve-dialog button[type=submit]")
    await expect(page.locator("#incident-status")).to_contain_text("现场处置完毕")
    await context.close()


async def test_an_incident_that_is_gone_is_a_page_in_the_shell(web_site: Site, seat: Seat) -> None:
    page = await web_site.tab(seat, f"/console/incidents/{uuid.uuid4()}")
    await expect(page.locator("#page")).to_contain_text("找不到这一页")
    await expect(page.locator("#queue")).to_be_visible()
