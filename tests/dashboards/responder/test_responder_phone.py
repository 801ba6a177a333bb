"""The responder's page in a real browser on a phone's screen, with a bad network."""

import asyncio
import base64
import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from kernel.clock import utcnow
from kernel.db import execute, fetch_tuples
from tests.dashboards.responder.conftest import Task
from tests.dashboards.ui.watching import (
    accessibility_findings,
    collect_complaints,
    scrolls_sideways,
)
from tests.hotline.serving import Site

CONTRAST = """() => {
  const luminance = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgba("white");
  };
  const found = [];
  for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, two] = [luminance(rgba(style.color)), luminance(behind(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    found.push([element.textContent.trim().slice(0, 20), ratio, parseFloat(style.fontSize)]);
  }
  return found;
}"""


@pytest.fixture
async def page(handset: BrowserContext, task: Task) -> Page:
    tab = await handset.new_page()
    await tab.goto(task.path)
    await tab.wait_for_selector("html[data-ready]", state="attached")
    return tab


@pytest.mark.parametrize(("locale", "old"), [("zh-CN", "5 分钟前"), ("en-US", "5 min ago")])
async def test_the_age_of_a_position_goes_on_while_the_page_stays_open(
    chromium: Browser, site: Site, task: Task, locale: str, old: str
) -> None:
    async with task.world.db.transaction() as tx:
        await execute(
            tx,
            "UPDATE incident SET lat = 40.86, lon = 111.69, position_at = %s WHERE id = %s",
            (utcnow(), task.incident.id),
        )
    context = await chromium.new_context(base_url=site.url, locale=locale)
    tab = await context.new_page()
    await tab.clock.install()
    await tab.goto(task.path)
    age = tab.locator("time[data-ago]")
    await expect(age).to_have_text({"zh-CN": "刚刚", "en-US": "just now"}[locale])
    await tab.clock.run_for(5 * 60_000 + 20_000)
    await expect(age).to_have_text(old)
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_large_clear_and_accessible(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    complaints = collect_complaints(page)
    await page.reload()
    measured = await page.evaluate(CONTRAST)
    assert len(measured) > 15
    assert [m for m in measured if m[1] < 7] == []
    assert min(size for _, _, size in measured) >= 18
    body = await page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    assert body >= 20
    heights = await page.evaluate(
        "[...document.querySelectorAll('a, button, textarea, input:not([type=hidden])')]"
        ".map((e) => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 60
    assert not await scrolls_sideways(page)
    assert await accessibility_findings(page) == []
    assert complaints == []


async def test_the_whole_task_by_thumb(page: Page, task: Task) -> None:
    for label, status, following in (
        ("接受", "accepted", "出发"),
        ("出发", "en_route", "到达"),
        ("到达", "on_scene", "完成"),
        ("完成", "completed", ""),
    ):
        await page.get_by_role("button", name=label, exact=True).tap()
        if following:
            await expect(page.get_by_role("button", name=following, exact=True)).to_be_visible()
        await expect(page.get_by_role("button", name=label, exact=True)).to_have_count(0)
        await expect(page.get_by_role("status").first).to_contain_text("已记录")
        assert await task.status() == status
    await expect(page.get_by_text("半小时内还可以补充")).to_be_visible()
    assert re.search(r"/r/[\w-]{43}$", page.url)


async def test_a_button_without_a_network_is_kept_and_arrives_when_it_is_back(
    page: Page, task: Task, handset: BrowserContext
) -> None:
    await handset.set_offline(True)
    await page.get_by_role("button", name="接受", exact=True).tap()
    await expect(page.locator("#line")).to_contain_text("已经保存在手机里")
    assert await task.status() == "notified"
    await handset.set_offline(False)
    await expect(page.get_by_role("button", name="出发", exact=True)).to_be_visible()
    assert await task.status() == "accepted"


async def test_a_kept_button_survives_closing_the_page(
    page: Page, task: Task, handset: BrowserContext
) -> None:
    await handset.set_offline(True)
    await page.get_by_role("button", name="接受", exact=True).tap()
    await expect(page.locator("#line")).to_contain_text("已经保存在手机里")
    await page.close()
    await handset.set_offline(False)
    again = await handset.new_page()
    await again.goto(task.path)
    await expect(again.get_by_role("button", name="出发", exact=True)).to_be_visible()
    assert await task.status() == "accepted"


async def test_what_was_typed_is_still_there_after_a_reload_and_gone_after_sending(
    page: Page, task: Task
) -> None:
    note = page.get_by_label("备注")
    await note.fill("门锁着，正在联系开锁")
    await page.reload()
    await expect(note).to_have_value("门锁着，正在联系开锁")
    await page.get_by_role("button", name="发送备注").tap()
    await expect(page.get_by_text("备注已发给值班员。")).to_be_visible()
    await expect(note).to_have_value("")
    assert (await task.kinds()).count("dispatch.note") == 1


async def test_a_photo_is_made_small_before_it_is_sent(page: Page, task: Task) -> None:
    encoded = await page.evaluate(
        """() => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [2400, 1600];
          const pen = canvas.getContext("2d");
          for (let i = 0; i < 500; i++) {
            pen.fillStyle = `hsl(${i * 37 % 360} 80% 50%)`;
            pen.fillRect(i * 71 % 2400, i * 131 % 1600, 160, 160);
          }
          return canvas.toDataURL("image/jpeg", 1).split(",")[1];
        }"""
    )
    large = base64.b64decode(encoded)
    await page.get_by_label("现场照片").set_input_files(
        {"name": "p.jpg", "mimeType": "image/jpeg", "buffer": large}
    )
    await page.get_by_role("button", name="发送照片").tap()
    await expect(page.get_by_text("照片已发给值班员。")).to_be_visible()
    async with task.world.db.connection() as conn:
        ((size,),) = await fetch_tuples(conn, "SELECT size FROM dispatch_photo")
    assert size < len(large) / 2


async def test_what_is_not_sent_yet_outlives_the_next_step_and_says_so(
    page: Page, task: Task
) -> None:
    photo = page.get_by_label("现场照片")
    await photo.set_input_files({"name": "p.jpg", "mimeType": "image/jpeg", "buffer": b"chosen"})
    await page.get_by_label("备注").fill("门锁着")
    await page.get_by_role("button", name="接受", exact=True).tap()
    await expect(page.get_by_role("button", name="出发", exact=True)).to_be_visible()
    await expect(page.locator("#line")).to_contain_text("还没有发送")
    await expect(page.get_by_label("备注")).to_have_value("门锁着")
    assert await photo.evaluate("field => field.files[0].name") == "p.jpg"
    # Sent, the note is gone from its field; the photo still waits.
    await page.get_by_role("button", name="发送备注").tap()
    await expect(page.get_by_text("备注已发给值班员。")).to_be_visible()
    await expect(page.get_by_label("备注")).to_have_value("")
    await expect(page.locator("#line")).to_contain_text("还没有发送")


async def test_the_position_is_sent_once_the_task_is_accepted(page: Page, task: Task) -> None:
    async with page.expect_request(lambda request: request.url.endswith("/position")):
        await page.get_by_role("button", name="接受", exact=True).tap()
    async with task.world.db.connection() as conn:
        async with asyncio.timeout(30):
            while True:
                rows = await fetch_tuples(conn, "SELECT lat, lon FROM responder")
                if rows[0][0] is not None:
                    break
                await asyncio.sleep(0.02)
    assert rows[0] == (40.8123, 111.6543)


async def test_without_a_script_the_buttons_are_forms(task: Task, chromium, site) -> None:  # type: ignore[no-untyped-def]
    context = await chromium.new_context(
        base_url=site.url, java_script_enabled=False, locale="zh-CN"
    )
    page = await context.new_page()
    await page.goto(task.path)
    for label in ("接受", "出发", "到达", "完成"):
        await page.get_by_role("button", name=label, exact=True).click()
    await expect(page.get_by_text("半小时内还可以补充")).to_be_visible()
    await context.close()
    assert await task.status() == "completed"
