"""Moving about the console: by mouse, by keyboard alone, forwards, back and after refusals."""

from playwright.async_api import Page, expect

from tests.dashboards.ui.harness import Stage, busy_queue
from tests.dashboards.ui.watching import settled


async def go(page: Page, stage: Stage, path: str = "/console") -> None:
    stage.queue = busy_queue()
    await page.goto(path)
    await settled(page)


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.id || document.activeElement.tagName"))


async def test_links_change_the_page_and_keep_the_shell(tab: Page, stage: Stage) -> None:
    await go(tab, stage)
    await tab.evaluate("window.marker = 1")
    await tab.click(".rail >> text=老人")
    await expect(tab.locator("h1")).to_have_text("老人")
    await expect(tab).to_have_url(f"{stage.url}/console/elders")
    assert await tab.evaluate("window.marker") == 1
    assert await tab.get_attribute(".rail [data-section=elders]", "aria-current") == "page"
    assert await tab.get_attribute(".rail [data-section=incidents]", "aria-current") is None
    assert await focused(tab) == "H1"
    # The title flashes while something rings; without that it is the page's.
    stage.queue = []
    stage.publish("resync")
    await expect(tab).to_have_title("老人 · 银龄")


async def test_back_returns_to_the_page_before(tab: Page, stage: Stage) -> None:
    await go(tab, stage)
    await tab.evaluate("window.marker = 1")
    await tab.click("#queue-q2")
    await expect(tab.locator("h1")).to_contain_text("巴特尔")
    await expect(tab).to_have_url(f"{stage.url}/console/incidents/q2")
    await tab.go_back()
    await expect(tab).to_have_url(f"{stage.url}/console")
    await expect(tab.locator("h1")).to_have_text("警情")
    assert await tab.locator("#main #main, #page #page").count() == 0
    await tab.go_forward()
    await expect(tab.locator("h1")).to_contain_text("巴特尔")
    await expect(tab.locator("#queue-q2")).to_have_attribute("aria-current", "true")
    assert await tab.evaluate("window.marker") == 1
    # Pages hold personal data: none is kept in the browser for going back.
    assert await tab.evaluate("sessionStorage.getItem('htmx-history-cache')") is None


async def test_an_incident_is_found_and_claimed_by_keyboard_alone(tab: Page, stage: Stage) -> None:
    await go(tab, stage)
    await tab.keyboard.press("j")
    assert await focused(tab) == "queue-q1"
    await tab.keyboard.press("j")
    assert await focused(tab) == "queue-q2"
    await tab.keyboard.press("k")
    await tab.keyboard.press("Enter")
    await expect(tab.locator("h1")).to_contain_text("李秀英")
    await expect(tab.locator("#queue-q1")).to_have_attribute("aria-current", "true")
    await tab.keyboard.press("a")
    await expect(tab.locator("#status")).to_contain_text("已接警")
    assert stage.posts == ["q1 token"]
    await expect(tab).to_have_url(f"{stage.url}/console/incidents/q1")
    await tab.keyboard.press("Escape")
    await expect(tab.locator("h1")).to_have_text("警情")
    await tab.keyboard.press("/")
    assert await focused(tab) == "topsearch"


async def test_the_queue_keeps_the_focus_when_it_is_refreshed(tab: Page, stage: Stage) -> None:
    await go(tab, stage)
    await tab.keyboard.press("j")
    before = int(await tab.locator("#queue").get_attribute("data-refreshed") or 0)
    stage.change("q4", repeats=3)
    await expect(tab.locator("#queue-q4")).to_contain_text("第 3 次触发")
    assert int(await tab.locator("#queue").get_attribute("data-refreshed") or 0) > before
    assert await focused(tab) == "queue-q1"


async def test_letters_are_letters_while_somebody_types(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await tab.focus("#note")
    await tab.keyboard.type("aj?/")
    assert await tab.input_value("#note") == "aj?/"
    assert stage.posts == []
    await tab.keyboard.press("Escape")
    assert await focused(tab) == "BODY"
    await tab.keyboard.press("Control+a")
    assert stage.posts == []


async def test_single_keys_can_be_turned_off(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await tab.keyboard.press("?")
    keys = tab.locator("#keys-dialog .key-list")
    await expect(keys).to_contain_text("接警")
    await expect(keys).to_contain_text("下一条警情")
    await tab.uncheck("#keys-enabled")
    await tab.keyboard.press("Escape")
    await expect(tab.locator("#keys-dialog")).to_be_hidden()
    await tab.keyboard.press("a")
    await tab.keyboard.press("j")
    assert stage.posts == []
    await tab.reload()
    await settled(tab)
    assert await tab.get_attribute("html", "data-keys") == "off"


async def test_the_loser_of_a_race_is_told_who_won_in_place(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await tab.fill("#note", "已联系女儿")
    await tab.click("[data-key=d]")
    message = tab.locator("#page [data-notice] [data-message]")
    await expect(message).to_contain_text("赵磊 已在今天 14:03 派出 李强")
    await expect(message).to_have_attribute("data-status", "409")
    assert await tab.input_value("#note") == "已联系女儿"
    await expect(tab).to_have_url(f"{stage.url}/console/incidents/q1")


async def test_a_lost_line_keeps_the_page_and_says_what_is_safe(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await tab.context.set_offline(True)
    await tab.keyboard.press("a")
    await expect(tab.locator("#page [data-notice]")).to_contain_text("没有保存")
    assert stage.posts == []
    await tab.context.set_offline(False)
    await tab.keyboard.press("a")
    await expect(tab.locator("#status")).to_contain_text("已接警")


async def test_two_quick_presses_are_one_request(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await tab.evaluate(
        "() => { const b = document.querySelector('[data-key=a]'); b.click(); b.click(); }"
    )
    await expect(tab.locator("#status")).to_contain_text("已接警")
    assert stage.posts == ["q1 token"]


async def test_a_question_is_asked_before_it_is_done(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await tab.keyboard.press("r")
    await expect(tab.locator("dialog[open] h2")).to_have_text("确定结案？")
    await tab.keyboard.press("n")
    await expect(tab.locator("dialog[open]")).to_have_count(0)
    assert stage.posts == []
    await tab.keyboard.press("r")
    await tab.keyboard.press("y")
    await expect(tab.locator("#status")).to_contain_text("已接警")
    assert stage.posts == ["q1 token"]


async def test_a_masked_value_is_shown_on_demand(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await expect(tab.locator(".masked")).to_contain_text("139****5512")
    await tab.keyboard.press("v")
    await expect(tab.locator(".masked")).to_have_text("139 0471 5512")


async def test_a_missing_page_is_shown_inside_the_shell(tab: Page, stage: Stage) -> None:
    await go(tab, stage)
    await tab.click("text=已移除的一页")
    await expect(tab.locator("#page")).to_contain_text("找不到这一页")
    await expect(tab.locator("#queue-q1")).to_be_visible()


async def test_language_theme_and_size_are_chosen_in_the_menu(tab: Page, stage: Stage) -> None:
    await go(tab, stage, "/console/incidents/q1")
    await tab.click(".topbar .menu > summary")
    # One after the other, or the answer of the first would pass for that of the second.
    async with tab.expect_response("**/preferences"):
        await tab.click("button[name=theme][value=dark]")
    assert await tab.get_attribute("html", "data-bs-theme") == "dark"
    async with tab.expect_response("**/preferences"):
        await tab.click("button[name=size][value=large]")
    assert await tab.get_attribute("html", "data-size") == "large"
    await tab.click("button[name=locale][value=en]")
    await expect(tab.locator("html")).to_have_attribute("lang", "en")
    await expect(tab).to_have_url(f"{stage.url}/console/incidents/q1")
    assert await tab.get_attribute("html", "data-bs-theme") == "dark"
    assert await tab.get_attribute("html", "data-size") == "large"
    await expect(tab.locator("[data-key=a]")).to_contain_text("Claim")
