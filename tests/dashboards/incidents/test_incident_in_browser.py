"""An incident under the hands: by keyboard alone, two people at once, while everything changes."""

import asyncio
import re
import struct
import zlib

import pytest
from playwright.async_api import Page, Route, expect

from devices.alarms import AlarmKind
from hotline.dispatch import service as dispatches
from hotline.dispatch.model import DispatchAction
from hotline.incidents import service
from hotline.incidents.model import Incident, Resolution, Status
from kernel.auth.model import Role
from tests.dashboards.incidents.conftest import Seat, Site
from tests.dashboards.incidents.test_incident_page import advance, at
from tests.dashboards.ui.watching import collect_complaints, settled
from tests.hotline.world import Person, World


@pytest.fixture
async def tab(web_site: Site, seat: Seat, fall: Incident) -> Page:
    """The incident's page in the operator's browser."""
    page = await web_site.tab(seat, at(fall))
    await settled(page)
    return page


async def test_the_letter_of_claiming_opens_the_first_incident_or_the_selected_one(
    web_site: Site, world: World, seat: Seat, fall: Incident
) -> None:
    other = await world.opened(await world.elder("巴特尔"), AlarmKind.HEART_RATE_HIGH)
    page = await web_site.tab(seat, "/console")
    await page.keyboard.press("a")
    await expect(page.locator("#incident")).to_have_attribute("data-id", str(fall.id))
    await page.keyboard.press("Escape")
    await expect(page.locator("#loud")).to_be_visible()
    await page.locator(f"#queue-{other.id}").focus()
    await page.keyboard.press("a")
    await expect(page.locator("#incident")).to_have_attribute("data-id", str(other.id))
    assert (await world.incident(fall.id)).status is Status.OPEN


async def test_the_whole_way_by_keyboard_alone(
    web_site: Site, world: World, seat: Seat, fall: Incident
) -> None:
    await world.responder("斯琴")
    second = await world.responder("马志强", phone="13947100002")
    page = await web_site.tab(seat, "/console")
    complaints = collect_complaints(page)
    keys = page.keyboard
    await keys.press("j")
    await keys.press("Enter")
    await expect(page.locator("h1")).to_have_text("李秀英")
    await keys.press("a")
    await expect(page.locator("#incident-status")).to_contain_text("接警人 王芳")
    await keys.press("c")
    await expect(page.locator("#reach-elder")).to_contain_text("排队中")
    await keys.press("f")
    await expect(page.locator("#incident-timeline")).to_contain_text("呼叫联系人（按顺序） 李建华")
    await keys.press("2")
    await expect(page.locator("#incident-timeline")).to_contain_text("呼叫联系人 王淑兰")
    await keys.press("g")
    await keys.type("是本人")
    await keys.press("Enter")
    await expect(page.locator("#incident-questions .asked")).to_contain_text("是本人")
    # The next question has the cursor already.
    await keys.type("坐在地上")
    await keys.press("Enter")
    await expect(page.locator("#incident-questions .asked")).to_have_count(2)
    await keys.press("Escape")
    await keys.press("d")
    await expect(page.locator("#dispatch-dialog")).to_be_visible()
    names = await page.locator("#dispatch-choices strong").all_inner_texts()
    await keys.press(str(names.index("马志强") + 1))
    await keys.press("Enter")
    await expect(page.locator("#dispatch-dialog")).to_be_hidden()
    await expect(page.locator("[data-dispatch=notified]")).to_contain_text("马志强")
    await keys.press("n")
    await keys.type("已告知女儿")
    await keys.press("Enter")
    await expect(page.locator("#incident-timeline")).to_contain_text("备注：已告知女儿")
    await expect(page.locator("#note")).to_have_value("")
    await keys.press("Escape")
    await keys.press("s")
    await keys.type("女儿张敏")
    await keys.press("Enter")
    await expect(page.locator("dialog[open]")).to_have_count(0)
    await expect(page.locator("#incident-timeline")).to_contain_text("有人到场：女儿张敏")
    await keys.press("r")
    await keys.press("3")
    await keys.press("Enter")
    await expect(page.locator("dialog[open]")).to_have_count(0)
    await expect(page.locator("#incident-status")).to_contain_text("家属已到，交由家属照看")
    await keys.press("o")
    await keys.type("家属来电")
    await keys.press("Tab")
    await keys.press("Enter")
    await expect(page.locator("dialog[open]")).to_have_count(0)
    await expect(page.locator("#incident-timeline")).to_contain_text("重新打开：家属来电")
    await keys.press("u")
    await keys.press("y")
    await expect(page.locator("#incident-timeline")).to_contain_text("放回队列")
    await keys.press("Escape")
    await expect(page.locator("h1")).to_have_text("值班总览")
    after = await world.incident(fall.id)
    assert (after.status, after.reopened_count) == (Status.OPEN, 1)
    assert second
    assert complaints == []


async def test_every_letter_on_the_page_is_in_the_list_of_keys(tab: Page) -> None:
    await tab.keyboard.press("a")
    await expect(tab.locator("#act-resolve")).to_be_visible()
    await tab.keyboard.press("?")
    keys = tab.locator("#keys-dialog .key-list")
    for text in (
        "呼叫老人",
        "呼叫家属",
        "派人",
        "到场",
        "结案",
        "移交",
        "放回队列",
        "备注",
        "询问要点",
    ):
        await expect(keys).to_contain_text(text)


async def test_what_is_typed_survives_what_others_do(
    tab: Page, world: World, web_site: Site, fall: Incident
) -> None:
    other = await web_site.login("赵敏")
    await tab.fill("#note", "已联系女儿，正在")
    await tab.fill("#ask-answer", "是本人，声音")
    await advance(world, fall, other.actor, "claim")
    await expect(tab.locator("#incident-status")).to_contain_text("接警人 赵敏")
    await expect(tab.locator("#incident-actions")).to_contain_text("赵敏 处置中")
    await expect(tab.locator("#note")).to_have_value("已联系女儿，正在")
    await expect(tab.locator("#ask-answer")).to_have_value("是本人，声音")


async def test_what_is_typed_survives_what_one_does_oneself(tab: Page) -> None:
    await tab.fill("#note", "已联系女儿，正在")
    await tab.keyboard.press("Escape")
    await tab.keyboard.press("a")
    await expect(tab.locator("#incident-status")).to_contain_text("接警人 王芳")
    await expect(tab.locator("#note")).to_have_value("已联系女儿，正在")


async def test_the_loser_of_a_race_reads_who_won_beside_the_button(
    tab: Page, web_site: Site, fall: Incident, world: World
) -> None:
    other = await web_site.login("赵敏")
    rival = await web_site.tab(other, at(fall))
    # The rival's page does not hear of the claim in time, as on a slow line.
    await rival.route("**/parts", lambda route: route.abort())
    await tab.keyboard.press("a")
    await expect(tab.locator("#incident-status")).to_contain_text("接警人 王芳")
    await rival.unroute("**/parts")
    await rival.keyboard.press("a")
    notice = rival.locator("#actions-notice")
    await expect(notice).to_contain_text(re.compile(r"王芳 已在 今天 \d\d:\d\d 接警"))
    await expect(rival.locator("#incident-status")).to_contain_text("接警人 王芳")
    # The word stays when the buttons beside it have changed.
    await expect(rival.locator("#incident-actions")).to_contain_text("王芳 处置中")
    await expect(notice).to_contain_text("没有覆盖对方的操作")
    assert (await world.incident(fall.id)).holder_name == "王芳"


async def test_a_form_that_is_being_filled_names_the_version_that_its_person_saw(
    tab: Page, world: World, seat: Seat, fall: Incident
) -> None:
    held = await advance(world, fall, seat.actor, "claim")
    _, dispatch_id, _ = await world.sent(held, await world.responder("斯琴"), seat.actor)
    await expect(tab.locator("#incident-status [aria-current]")).to_have_text("已派人")
    await tab.keyboard.press("r")
    await tab.keyboard.press("4")
    async with world.db.transaction() as tx:
        for step in (DispatchAction.ACCEPT, DispatchAction.ARRIVE):
            await dispatches.respond(tx, dispatch_id, step, world.now)
    await expect(tab.locator("#incident-status [aria-current]")).to_have_text("已到场")
    await tab.keyboard.press("Enter")
    notice = tab.locator("#resolve-notice")
    await expect(notice).to_contain_text("已有人到场")
    await expect(tab.locator("#resolve-reason")).to_have_value("误按，已与老人本人确认平安")
    await expect(tab.locator("#resolve-version")).to_have_value("4")
    await tab.locator("#resolve-dialog button[type=submit]").click()
    await expect(tab.locator("#resolve-dialog")).to_be_hidden()
    assert (await world.incident(fall.id)).resolution is Resolution.UNFOUNDED


async def test_an_empty_reason_is_said_in_the_dialog(
    tab: Page, seat: Seat, fall: Incident, world: World
) -> None:
    await advance(world, fall, seat.actor, "claim")
    await expect(tab.locator("#act-resolve")).to_be_visible()
    await tab.keyboard.press("r")
    await tab.check("#resolve-dialog input[value=founded]")
    await tab.fill("#resolve-reason", "   ")
    await tab.locator("#resolve-dialog button[type=submit]").click()
    await expect(tab.locator("#resolve-notice")).to_contain_text("请写明原因")
    await expect(tab.locator("#resolve-dialog")).to_be_visible()


async def test_what_did_not_change_is_left_alone(
    tab: Page, world: World, seat: Seat, fall: Incident
) -> None:
    await tab.evaluate("document.querySelector('#incident-questions').mark = 1")
    await tab.evaluate("document.querySelector('[data-map]').mark = 1")
    await tab.focus("#act-call-elder")
    async with world.db.transaction() as tx:
        await service.add_note(tx, fall.id, "物业已开门", seat.actor, world.now)
    await expect(tab.locator("#incident-timeline")).to_contain_text("物业已开门")
    assert await tab.evaluate("document.querySelector('#incident-questions').mark") == 1
    assert await tab.evaluate("document.querySelector('[data-map]').mark") == 1
    assert await tab.evaluate("document.activeElement.id") == "act-call-elder"


def picture() -> bytes:
    """A real PNG: one grey pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = zlib.compress(b"\x00\x80")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


async def test_a_photo_from_the_scene_appears_on_the_timeline(
    tab: Page, world: World, seat: Seat, fall: Incident
) -> None:
    complaints = collect_complaints(tab)
    held = await advance(world, fall, seat.actor, "claim")
    _, _, token = await world.sent(held, await world.responder("斯琴"), seat.actor)
    async with world.db.transaction() as tx:
        dispatch = await dispatches.open_link(tx, token, world.now)
        await dispatches.add_photo(tx, world.cipher, dispatch, picture(), world.now)
    image = tab.get_by_alt_text("现场照片，斯琴 拍摄")
    await expect(image).to_be_visible()
    await image.scroll_into_view_if_needed()
    await expect(image).to_have_js_property("naturalWidth", 1)
    assert complaints == []


async def test_a_further_activation_rings_and_shows_while_the_page_is_open(
    tab: Page, world: World, elder: Person, fall: Incident
) -> None:
    alarm = await world.alarm(elder, AlarmKind.FALL, device_no=fall.device_no)
    await world.react(alarm)
    await expect(tab.locator("#incident-status")).to_contain_text("第 2 次触发")
    await expect(tab.locator("#sound")).to_have_attribute("data-tone", "repeat")
    await tab.keyboard.press("a")
    await expect(tab.locator("#sound")).to_have_attribute("data-tone", "")


async def test_the_next_one_is_a_key_away_after_a_closing(
    tab: Page, world: World, seat: Seat, fall: Incident
) -> None:
    await world.opened(await world.elder("王淑珍"), AlarmKind.SOS)
    await advance(world, fall, seat.actor, "resolve")
    await expect(tab.locator("#act-following")).to_contain_text("求助 王淑珍")
    await tab.keyboard.press("x")
    await expect(tab.locator("h1")).to_have_text("王淑珍")


async def test_calls_are_offered_only_to_who_has_it(
    tab: Page, web_site: Site, world: World, fall: Incident
) -> None:
    await expect(tab.locator(".calls").first).to_be_visible()
    await advance(world, fall, (await web_site.login("赵敏")).actor, "claim")
    await expect(tab.locator("#incident-actions")).to_contain_text("赵敏 处置中")
    await expect(tab.locator(".calls").first).to_be_hidden()


async def test_the_address_follows_also_when_the_queue_changes_under_the_link(
    web_site: Site, world: World, seat: Seat, fall: Incident
) -> None:
    page = await web_site.tab(seat, "/console")
    opened = asyncio.Event()

    async def late(route: Route) -> None:
        await opened.wait()
        await route.continue_()

    await page.route(f"**{at(fall)}", late)
    await page.click(f"#queue-{fall.id}")
    await world.opened(await world.elder("王淑珍"), AlarmKind.SOS)
    await expect(page.locator("#queue")).to_contain_text("王淑珍")
    opened.set()
    await expect(page.locator("h1")).to_have_text("李秀英")
    await expect(page).to_have_url(f"{web_site.url}{at(fall)}")
    await expect(page.locator(f"#queue-{fall.id}")).to_have_attribute("aria-current", "true")
    await page.go_back()
    await expect(page.locator("h1")).to_have_text("值班总览")


async def test_who_walks_by_tab_goes_on_with_the_next_step(tab: Page) -> None:
    await tab.focus("#act-acknowledge")
    await tab.keyboard.press("Enter")
    await expect(tab.locator("#act-dispatch")).to_be_focused()


async def test_a_session_that_ends_leaves_what_is_typed_where_it_is(
    tab: Page, world: World, seat: Seat, fall: Incident
) -> None:
    await tab.fill("#note", "已联系女儿，正在")
    async with world.db.transaction() as tx:
        await tx.execute("DELETE FROM user_session")
        await service.add_note(tx, fall.id, "物业已开门", seat.actor, world.now)
    await expect(tab.locator("#session-over")).to_be_visible()
    await expect(tab.locator("#note")).to_have_value("已联系女儿，正在")
    await expect(tab).to_have_url(re.compile(rf"{fall.id}$"))


async def test_a_dialog_opens_by_the_space_bar_and_chooses_anew_each_time(
    tab: Page, world: World
) -> None:
    for name, phone in (("斯琴", "13947100001"), ("马志强", "13947100002")):
        await world.responder(name, phone=phone)
    await tab.reload()
    await settled(tab)
    await tab.focus("#act-dispatch")
    await tab.keyboard.press("Space")
    await expect(tab.locator("#dispatch-dialog")).to_be_visible()
    choices = tab.locator("#dispatch-choices input")
    await tab.keyboard.press("2")
    await expect(choices.nth(1)).to_be_checked()
    await tab.keyboard.press("Escape")
    await tab.keyboard.press("d")
    await expect(choices.nth(0)).to_be_checked()


@pytest.mark.parametrize("lost", [False, True], ids=["accepted", "refused"])
async def test_an_answer_that_comes_late_does_not_land_on_another_incident(
    lost: bool, tab: Page, web_site: Site, world: World, fall: Incident
) -> None:
    complaints = collect_complaints(tab)
    other = await world.opened(await world.elder("王淑珍"), AlarmKind.SOS)
    left = asyncio.Event()

    async def late(route: Route) -> None:
        await left.wait()
        await route.continue_()

    await tab.route(f"**{at(fall)}/acknowledge", late)
    await tab.keyboard.press("a")
    await tab.click(f"#queue-{other.id}")
    await expect(tab.locator("h1")).to_have_text("王淑珍")
    if lost:
        await advance(world, fall, (await web_site.login("赵敏")).actor, "claim")
    async with tab.expect_response("**/acknowledge"):
        left.set()
    if lost:
        await expect(tab.locator("#notices")).to_contain_text("赵敏 已在 今天")
    await expect(tab.locator(f"#queue-{fall.id}")).to_contain_text("已接警")
    await expect(tab.locator("#incident-status [aria-current]")).to_have_text("待处置")
    await expect(tab.locator("#incident-timeline")).not_to_contain_text("已接警")
    assert [text for text in complaints if "409" not in text] == []


async def test_duty_changes_without_leaving_the_page(tab: Page) -> None:
    await tab.evaluate("window.marker = 1")
    await tab.click("#duty-button")
    await expect(tab.locator("#duty-button")).to_contain_text("值班 王芳")
    await expect(tab.locator("#duty-button")).to_have_attribute("aria-pressed", "true")
    await expect(tab.locator("h1")).to_have_text("李秀英")
    assert await tab.evaluate("window.marker") == 1


async def test_the_overview_follows_the_feed(web_site: Site, world: World, seat: Seat) -> None:
    page = await web_site.tab(seat, "/console")
    await expect(page.locator("#waiting-line")).to_contain_text("现在没有待处置的警情")
    await page.keyboard.press("m")
    await world.opened(await world.elder("张玉梅"), AlarmKind.FALL)
    await expect(page.locator("#waiting-line")).to_contain_text("有 1 条紧急或重要警情没有人接")
    await expect(page.locator("#loud")).to_contain_text("张玉梅")


async def test_showing_everything_is_one_key(
    tab: Page, web_site: Site, world: World, fall: Incident
) -> None:
    await tab.keyboard.press("a")
    await expect(tab.locator("#incident-status")).to_contain_text("接警人 王芳")
    page = await web_site.tab(await web_site.login("赵敏"), at(fall))
    await expect(page.locator("#page")).not_to_contain_text("2单元501室")
    await page.keyboard.press("v")
    await expect(page.locator("#page")).to_contain_text("2单元501室")
    await settled(page)
    await expect(page).to_have_url(re.compile(rf"{fall.id}$"))
    await page.reload()
    await expect(page.locator("#page")).not_to_contain_text("2单元501室")


async def test_an_incident_is_handed_over_with_two_keys_after_its_letter(
    web_site: Site, world: World, seat: Seat, fall: Incident
) -> None:
    await web_site.login("赵敏", Role.OPERATOR)
    page = await web_site.tab(seat, at(fall))
    await settled(page)
    await page.keyboard.press("a")
    await expect(page.locator("#incident-status")).to_contain_text("接警人 王芳")
    await page.keyboard.press("h")
    await expect(page.locator("#hand_over-dialog")).to_be_visible()
    await expect(page.locator("#hand_over-dialog")).not_to_contain_text("王芳")
    await page.keyboard.press("1")
    await page.keyboard.press("Enter")
    await expect(page.locator("#incident-status")).to_contain_text("接警人 赵敏")


async def test_a_note_that_was_written_outlives_the_session(
    tab: Page, seat: Seat, world: World, fall: Incident
) -> None:
    await tab.keyboard.press("n")
    await tab.keyboard.type("老人说头晕")
    async with world.db.transaction() as tx:
        await tx.execute("DELETE FROM user_session WHERE user_id = %s", (seat.actor.user_id,))
    await tab.keyboard.press("Enter")
    await expect(tab.locator("#page [data-notice] [data-status='401']")).to_contain_text(
        "刚才的操作没有保存。请先记下填写的内容"
    )
    await expect(tab.locator("#note")).to_have_value("老人说头晕")
    assert tab.url.endswith(at(fall))


async def test_a_page_that_does_not_open_is_not_called_unsaved(tab: Page) -> None:
    await tab.context.set_offline(True)
    await tab.keyboard.press("Escape")
    await expect(tab.locator("[data-status='0']")).to_contain_text("页面没有打开")
