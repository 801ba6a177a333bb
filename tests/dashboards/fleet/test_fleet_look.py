"""The fleet's pages in a real browser: readable, in their window, the map alive."""

import pytest
from playwright.async_api import Browser

from kernel.auth.model import Role
from kernel.db import fetch_value
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.fleet.yard import furnish
from tests.dashboards.ui.watching import PHONE, WIDE, ZOOMED, look_over

ROOT = "/console/fleet"
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
    await furnish(site, opened.session.actor)
    async with site.db.connection() as conn:
        alarm = await fetch_value(conn, "SELECT id FROM technical_alarm WHERE kind = 'tamper'")
    pages = {
        "overview": ROOT,
        "devices": f"{ROOT}/devices?order=seen",
        "alarms": f"{ROOT}/alarms",
        "alarm": f"{ROOT}/alarms/{alarm}",
        "self-tests": f"{ROOT}/self-tests?due=soon",
        "sheet": f"{ROOT}/self-tests/print",
        "mode": "/console/devices/W-0001/mode?mode=away",
        "device": "/console/devices/W-0002",
    }
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        found = await look_over(page, pages, f"fleet/{look}", sizes)
        await context.close()
    assert found == []


async def test_the_map_puts_neighbours_together_and_parts_them_closer_up(
    site: Site, chromium: Browser
) -> None:
    opened = await site.account("batu", Role.DEVICE_TECHNICIAN)
    await furnish(site, opened.session.actor, 60)
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        await page.goto(ROOT)
        await page.wait_for_selector("[data-fleet-map][data-state=ready]")
        assert "15 台静默设备有位置" in await page.inner_text(".map-note")
        shown = page.locator("[data-fleet-map] .leaflet-marker-icon")
        before = await shown.count()
        assert 0 < before <= 15
        numbers = [int(text) for text in await page.locator(".map-cluster").all_inner_texts()]
        single = await page.locator(".map-spot").count()
        assert sum(numbers) + single == 15
        # The counters ask again by themselves, and the page stays where it is.
        await page.evaluate("document.querySelector('#fleet-counts').dataset.old = '1'")
        await page.evaluate(
            "document.querySelector('#fleet-counts').dispatchEvent(new CustomEvent('live'))"
        )
        await page.wait_for_selector("#fleet-counts:not([data-old])")
        await context.close()
