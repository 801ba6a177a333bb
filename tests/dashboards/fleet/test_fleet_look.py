"""The fleet's pages in a real browser: readable, in their window, the map alive."""

import uuid

import pytest
from playwright.async_api import Browser

from devices.firmware import service
from devices.firmware.shelf import Stored
from kernel.auth.model import Actor, Role
from kernel.db import fetch_value
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.fleet.yard import furnish
from tests.dashboards.ui.watching import PHONE, WIDE, ZOOMED, look_over

ROOT = "/console/fleet"
LOOKS: list[tuple[str, tuple[tuple[int, int], ...], dict[str, str]]] = [
    ("light", (ZOOMED, WIDE), {}),
    ("english-dark", (WIDE, PHONE), {"locale": "en", "theme": "dark"}),
]


async def rolling(site: Site, actor: Actor) -> tuple[uuid.UUID, str]:
    """A package that is being rolled out, with devices in every state of it."""
    now = site.clock.now
    async with site.db.transaction() as tx:
        package = await service.add_package(
            tx, Stored("ab" * 32, 1_310_720), profile="sl-watch-1", version="1.5.0-rc.2",
            notes="省电；修复夜间误报跌倒", file_name="w.bin", actor=actor, now=now,
        )  # fmt: skip
        rollout = await service.start_rollout(
            tx, package.id, division="1501", steps="10, 50, 100", canaries=["W-0000", "W-0010"],
            soak_minutes=90, failure_percent=60, actor=actor, now=now,
        )  # fmt: skip
        await tx.execute("UPDATE firmware_rollout SET step = 3")
        await service.advance(tx, rollout.id, "https://12349.example.org", now)
        for place, (state, detail) in enumerate(
            [("downloading", ""), ("failed", "checksum"), ("downloaded", "")]
        ):
            await tx.execute(
                "UPDATE firmware_update SET state = %s, percent = 40, detail = %s, settled_at ="
                " CASE WHEN %s = 'failed' THEN now() END WHERE device_no = (SELECT device_no"
                " FROM firmware_update ORDER BY device_no OFFSET %s LIMIT 1)",
                (state, detail, state, place),
            )
    return package.id, f"{ROOT}/firmware/rollouts/{rollout.id}"


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
    package, rollout = await rolling(site, opened.session.actor)
    pages = {
        "overview": ROOT,
        "devices": "/console/devices?sort=seen",
        "alarms": f"{ROOT}/alarms",
        "alarm": f"{ROOT}/alarms/{alarm}",
        "self-tests": f"{ROOT}/self-tests?due=soon",
        "sheet": f"{ROOT}/self-tests/print",
        "firmware": f"{ROOT}/firmware",
        "rollout": rollout,
        "rollout-new": f"{ROOT}/firmware/packages/{package}/rollout",
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
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        async with page.expect_response("**/silent.json"):
            await page.goto(ROOT)
        # Nothing is silent yet: a sentence, and no empty map.
        assert "现在没有静默的设备" in await page.inner_text("[data-fleet-map][data-state=empty]")
        assert not await page.is_visible(".map-canvas")
        await furnish(site, opened.session.actor, 60)
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
