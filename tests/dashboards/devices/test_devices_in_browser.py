"""The devices' pages with scripts: keyboard only, a secret that is gone, a lost race in place."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page

from devices.registry import inventory, service
from kernel.auth.model import Role
from kernel.auth.service import NewSession
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.ui.watching import accessibility_findings, photograph, settled
from tests.devices.registry.world import add_device, add_elder

ROOT = "/console/devices"


@dataclass
class Bench:
    """A technician's tab on a running site."""

    site: Site
    session: NewSession
    page: Page


@pytest.fixture
async def bench(site: Site, chromium: Browser) -> AsyncIterator[Bench]:
    session = await site.account("batu", Role.DEVICE_TECHNICIAN)
    async with site.db.transaction() as tx:
        await add_device(tx, session.session.actor, site.clock.now, "W-1")
    async with serving(site) as url:
        context, page = await browse(
            chromium, url, session.token, permissions=["clipboard-read", "clipboard-write"]
        )
        yield Bench(site, session, page)
        await context.close()


async def test_a_device_is_bound_by_keyboard_alone(bench: Bench) -> None:
    page = bench.page
    async with bench.site.db.transaction() as tx:
        elder = await add_elder(tx, bench.site.clock.now, "李秀英")
    await page.goto(f"{ROOT}/W-1")
    await settled(page)
    await page.keyboard.press("b")
    await page.wait_for_url("**/bind")
    await page.keyboard.press("f")
    await page.keyboard.type("lxy")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=李秀英")
    assert await page.is_checked("input[type=radio]")
    await page.keyboard.press("s")
    await page.wait_for_selector("text=已绑定。")
    assert page.url.endswith(f"{ROOT}/W-1?done=bound")
    async with bench.site.db.connection() as conn:
        device = await inventory.by_id(conn, "W-1")
    assert device is not None
    assert device.elder_id == elder


async def test_a_secret_can_be_copied_and_is_gone_when_one_comes_back(bench: Bench) -> None:
    page = bench.page
    await page.goto(f"{ROOT}/W-1")
    await settled(page)
    await page.evaluate("window.sameDocument = true")
    await page.keyboard.press("c")
    await page.wait_for_selector("[data-secret]")
    secret = await page.inner_text("[data-secret]")
    assert await accessibility_findings(page) == []
    await photograph(page, "devices/credential")
    await page.keyboard.press("c")
    await page.wait_for_selector("text=已复制")
    assert await page.evaluate("navigator.clipboard.readText()") == secret
    # The shell was never left: a call or an alarm would have gone on.
    assert await page.evaluate("window.sameDocument") is True
    await page.click("text=完成，返回设备")
    await page.wait_for_selector("text=更换凭据")
    await page.go_back()
    await page.wait_for_function("!location.pathname.endsWith('/credential') || document.body")
    await page.wait_for_selector("#credential")
    assert secret not in await page.content()
    await page.reload()
    assert secret not in await page.content()


async def test_the_secret_prints_alone(bench: Bench) -> None:
    page = bench.page
    await page.goto(f"{ROOT}/W-1")
    await settled(page)
    await page.keyboard.press("c")
    await page.wait_for_selector("[data-secret]")
    await page.emulate_media(media="print")
    await photograph(page, "devices/credential-print")
    assert await page.is_visible("[data-secret]")
    for hidden in (".rail", ".topbar", ".queue-column", "[data-print]"):
        assert not await page.is_visible(hidden), hidden


async def test_a_lost_race_is_told_beside_the_form_and_nothing_typed_is_lost(
    bench: Bench,
) -> None:
    page, site = bench.page, bench.site
    await page.goto(f"{ROOT}/W-1/mode?mode=away")
    await settled(page)
    await page.fill("#reason", "住院")
    actor = bench.session.session.actor
    async with site.db.transaction() as tx:
        device = await inventory.by_id(tx, "W-1")
        assert device is not None
        elder = await add_elder(tx, site.clock.now)
        await service.bind(tx, device.no, elder, "", actor=actor, now=site.clock.now)
    await page.click("form button:has-text('开始')")
    told = page.locator("form [data-message]")
    await told.wait_for()
    assert "巴图 今天 22:03 绑定了老人" in await told.inner_text()
    assert await page.input_value("#reason") == "住院"
    assert await accessibility_findings(page) == []
    await photograph(page, "devices/conflict")
    await told.locator("a").click()
    await page.wait_for_selector("#state")


async def test_a_refused_form_takes_the_focus_and_links_to_its_field(bench: Bench) -> None:
    page = bench.page
    await page.goto(f"{ROOT}/new")
    await settled(page)
    await page.fill("#device_id", "坏编号")
    await page.click("button:has-text('登记')")
    await page.wait_for_selector(".error-summary")
    assert await page.evaluate("document.activeElement.className") == "error-summary"
    assert await page.input_value("#device_id") == "坏编号"
    assert await accessibility_findings(page) == []
    await photograph(page, "devices/refused")
    await page.click(".error-summary a")
    assert await page.evaluate("document.activeElement.id") == "device_id"
