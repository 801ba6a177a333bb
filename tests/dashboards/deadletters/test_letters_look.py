"""The dead letters' pages in a real browser."""

import pytest
from playwright.async_api import Browser

from kernel.auth.model import Role
from tests.dashboards.deadletters.mailbag import Worker, every_kind, put, vitals
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.ui.watching import (
    PHONE,
    WIDE,
    ZOOMED,
    accessibility_findings,
    look_over,
    settled,
)
from tests.devices.registry.world import add_device

ROOT = "/console/dead-letters"
LOOKS: list[tuple[str, tuple[tuple[int, int], ...], dict[str, str]]] = [
    ("light", (ZOOMED, WIDE), {}),
    ("english-dark", (WIDE, PHONE), {"locale": "en", "theme": "dark"}),
]


@pytest.mark.parametrize(("look", "sizes", "choices"), LOOKS, ids=[look[0] for look in LOOKS])
async def test_every_page_is_accessible_fits_and_obeys_the_policy(
    look: str,
    sizes: tuple[tuple[int, int], ...],
    choices: dict[str, str],
    site: Site,
    chromium: Browser,
) -> None:
    opened = await site.account("batu", Role.DEVICE_TECHNICIAN, **choices)
    letters = await put(site.db, *every_kind(site.clock.now))
    paths = {"list": ROOT, "none": f"{ROOT}?q=nothing", "asked": f"{ROOT}?status=all&asked=3"}
    kinds = ("unknown", "json", "binary", "tcp", "empty", "oversized", "failed")
    paths |= {name: f"{ROOT}/{one}" for name, one in zip(kinds, letters, strict=True)}
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        found = await look_over(page, paths, f"letters/{look}", sizes)
        await context.close()
    assert found == []


async def test_the_page_shows_by_itself_what_came_of_a_replay(
    site: Site, chromium: Browser
) -> None:
    opened = await site.account("batu", Role.DEVICE_TECHNICIAN)
    [letter] = await put(site.db, vitals("W-7", site.clock.now))
    async with site.db.transaction() as tx:
        await add_device(tx, opened.session.actor, site.clock.now, "W-7")
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        await page.goto(f"{ROOT}/{letter}")
        await settled(page)
        await page.keyboard.press("r")
        await page.wait_for_selector("[data-status=requested]")
        assert await accessibility_findings(page) == []
        await Worker(site.db).run()
        await page.wait_for_selector("[data-status=replayed]")
        assert "1 条消息中新存入 1 条" in await page.inner_text("#status")
        await context.close()


async def test_discarding_asks_first(site: Site, chromium: Browser) -> None:
    opened = await site.account("batu", Role.DEVICE_TECHNICIAN)
    [letter] = await put(site.db, vitals("W-7", site.clock.now))
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        await page.goto(f"{ROOT}/{letter}")
        await settled(page)
        await page.fill("#note", "已拆除")
        await page.click("#discard button")
        await page.wait_for_selector("[data-confirm-dialog]")
        await page.keyboard.press("n")
        assert await page.is_visible("#discard")
        await page.click("#discard button")
        await page.keyboard.press("y")
        await page.wait_for_selector("[data-status=discarded]")
        assert "已拆除" in await page.inner_text("#status")
        await context.close()
