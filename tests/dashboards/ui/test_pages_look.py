"""The gallery, the shell, login and errors: as they look, in every theme, size and language."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from kernel.clock import utcnow
from tests.dashboards.ui.harness import Stage, busy_queue
from tests.dashboards.ui.watching import (
    PHONE,
    WIDE,
    ZOOMED,
    accessibility_findings,
    look_over,
    photograph,
    settled,
)

INCIDENT = "/console/incidents/q1"
LOOKS: list[tuple[str, str, tuple[tuple[int, int], ...], dict[str, str]]] = [
    ("gallery", "/ui", (WIDE,), {}),
    ("gallery-dark-english", "/ui", (WIDE, PHONE), {"theme": "dark", "locale": "en"}),
    ("shell", INCIDENT, (PHONE, ZOOMED, WIDE), {}),
    ("shell-dark-english", INCIDENT, (WIDE, PHONE), {"theme": "dark", "locale": "en"}),
    ("shell-large", INCIDENT, (WIDE,), {"size": "large"}),
    ("shell-large-english", INCIDENT, (ZOOMED,), {"size": "large", "locale": "en"}),
    ("login", "/login?wrong=1", (WIDE,), {}),
    ("login-dark-english", "/login", (PHONE,), {"theme": "dark", "locale": "en"}),
    ("not-found", "/console/missing", (WIDE,), {}),
]


async def open_page(
    browser: Browser, stage: Stage, path: str, size: tuple[int, int], cookies: dict[str, str]
) -> Page:
    options: dict[str, Any] = {"viewport": {"width": size[0], "height": size[1]}}
    context = await browser.new_context(base_url=stage.url, locale="zh-CN", **options)
    context.set_default_timeout(30_000)
    chosen = [{"name": k, "value": v, "url": stage.url} for k, v in cookies.items()]
    await context.add_cookies(chosen)  # type: ignore[arg-type]
    return await context.new_page()


@pytest.mark.parametrize(("name", "path", "sizes", "cookies"), LOOKS, ids=[x[0] for x in LOOKS])
async def test_a_page_is_accessible_fits_and_obeys_the_policy(
    name: str,
    path: str,
    sizes: tuple[tuple[int, int], ...],
    cookies: dict[str, str],
    chromium: Browser,
    stage: Stage,
) -> None:
    stage.queue = busy_queue()
    page = await open_page(chromium, stage, path, sizes[0], cookies)
    assert await look_over(page, {name: path}, "ui", sizes, expected="404") == []
    await page.context.close()


SHOWN_KEYS = "() => [...document.querySelectorAll('kbd')].filter((e) => e.checkVisibility()).length"


async def test_keys_are_shown_where_there_are_keys(chromium: Browser, stage: Stage) -> None:
    for touch in (False, True):
        context = await chromium.new_context(
            base_url=stage.url, locale="zh-CN", has_touch=touch, is_mobile=touch
        )
        page = await context.new_page()
        await page.goto("/ui")
        await settled(page)
        assert bool(await page.evaluate(SHOWN_KEYS)) is not touch
        await context.close()


async def test_the_system_decides_on_dark_until_somebody_pins_it(
    chromium: Browser, stage: Stage
) -> None:
    context = await chromium.new_context(base_url=stage.url, color_scheme="dark")
    page = await context.new_page()
    await page.goto("/ui")
    await settled(page)

    async def background() -> str:
        return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = await background()
    await page.click("button[name=theme][value=light]")
    light = await background()
    assert dark != light
    assert await page.get_attribute("button[name=theme][value=light]", "aria-pressed") == "true"
    await context.close()


async def test_pages_can_be_read_without_javascript(chromium: Browser, stage: Stage) -> None:
    stage.queue = busy_queue()
    context = await chromium.new_context(base_url=stage.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(INCIDENT)
    assert "李秀英" in await page.inner_text("h1")
    assert await page.inner_text(".clock-time") != ""
    await page.click("noscript a")
    await page.click("text=巴特尔")
    assert "巴特尔" in await page.inner_text("h1")
    await context.close()


async def test_dialogs_menus_and_key_list_are_accessible(chromium: Browser, stage: Stage) -> None:
    stage.queue = busy_queue()
    page = await open_page(chromium, stage, INCIDENT, WIDE, {})
    await page.goto(INCIDENT)
    await settled(page)
    await page.keyboard.press("?")
    await page.wait_for_selector("#keys-dialog[open]")
    await photograph(page, "keys")
    assert await accessibility_findings(page) == []
    await page.keyboard.press("Escape")
    await page.click(".topbar .menu > summary")
    await photograph(page, "menu")
    assert await accessibility_findings(page) == []
    await page.click(".rail .menu > summary")
    assert not await page.is_visible("text=退出登录")
    await photograph(page, "more")
    assert await accessibility_findings(page) == []
    await page.goto("/ui")
    await page.click("text=打开对话框")
    await photograph(page, "dialog")
    assert await accessibility_findings(page) == []
    await page.context.close()


async def test_the_chart_switches_metrics_and_has_a_table(chromium: Browser, stage: Stage) -> None:
    page = await open_page(chromium, stage, "/ui", WIDE, {})
    await page.goto("/ui")
    await settled(page)
    chart = page.locator("[data-chart]").first
    await chart.get_by_role("button", name="血压").click()
    assert await chart.get_attribute("data-metric") == "blood_pressure"
    await chart.locator("summary").click()
    assert await chart.locator("thead th").all_inner_texts() == [
        "时间",
        "收缩压 (mmHg)",
        "舒张压 (mmHg)",
    ]
    assert await chart.locator("tbody tr").count() == 131
    assert "血压曲线" in str(await chart.locator(".chart-canvas").get_attribute("aria-label"))
    await page.context.close()


async def test_the_map_says_distances_and_ages_in_words(chromium: Browser, stage: Stage) -> None:
    page = await open_page(chromium, stage, "/ui", WIDE, {})
    await page.goto("/ui")
    await settled(page)
    lines = await page.locator(".map-list li").all_inner_texts()
    assert "李强" in lines[2]
    assert "东南 550 米 · 3 分钟前" in lines[2]
    assert "误差约 60 米" in lines[1]
    await page.context.close()


SIDEWAYS = "(frame) => frame.scrollWidth - frame.clientWidth"
COLUMN_NAMES = "(cell) => getComputedStyle(cell, '::before').content"


@pytest.mark.parametrize("size", [ZOOMED, PHONE])
async def test_where_a_table_has_no_room_its_rows_are_cards_that_name_each_value(
    size: tuple[int, int], chromium: Browser, stage: Stage
) -> None:
    page = await open_page(chromium, stage, "/ui", size, {})
    await page.goto("/ui")
    await settled(page)
    frame = page.get_by_role("region", name="老人列表")
    assert await frame.evaluate(SIDEWAYS) <= 0
    table = page.get_by_role("table", name="老人列表")
    first = table.get_by_role("row").nth(1)
    assert await first.get_by_role("rowheader").count() == 1
    names = [await cell.evaluate(COLUMN_NAMES) for cell in await first.get_by_role("cell").all()]
    assert names == ['"年龄"', '"区域"', '"设备"', '"最近一次信号"', '"电量"']
    # What sorted in the head still sorts, and says how it is sorted now.
    await table.get_by_role("columnheader").filter(has_text="年龄").get_by_role("link").click()
    await page.wait_for_url("**sort=age**")
    await page.context.close()


async def test_where_a_table_has_room_it_is_one(chromium: Browser, stage: Stage) -> None:
    page = await open_page(chromium, stage, "/ui", WIDE, {})
    await page.goto("/ui")
    await settled(page)
    cells = page.get_by_role("table", name="老人列表").get_by_role("row").nth(1).get_by_role("cell")
    tops = await cells.evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().top)")
    assert (len(tops), len(set(tops))) == (5, 1)
    assert await cells.nth(1).evaluate(COLUMN_NAMES) == "none"
    await page.context.close()


# How much lower than its badge a clock stands, and how far beyond the item it ends.
TOP_LINES = """(lines) => lines.map((line) => {
  const [item, badge, clock] = [line.parentElement, line.children[0], line.lastElementChild]
    .map((e) => e.getBoundingClientRect());
  return { lower: Math.abs(clock.top - badge.top), beyond: clock.right - item.right };
})"""


@pytest.mark.parametrize("waited", [30, 150, 4000])
async def test_in_english_a_clock_of_the_queue_stays_in_the_first_line(
    waited: int, chromium: Browser, stage: Stage
) -> None:
    since = utcnow() - timedelta(seconds=waited)
    kinds = ["heart_rate_high", "spo2_low", "geofence_exit"]
    stage.queue = [
        replace(item, kind=kind, status="open", since=since)
        for item, kind in zip(busy_queue(), kinds, strict=False)
    ]
    page = await open_page(chromium, stage, INCIDENT, (1366, 768), {"locale": "en"})
    await page.goto(INCIDENT)
    await settled(page)
    lines = await page.locator(".queue-top").evaluate_all(TOP_LINES)
    assert len(lines) == len(kinds)
    assert [line for line in lines if line["lower"] > 5 or line["beyond"] > 0] == []
    await page.context.close()
