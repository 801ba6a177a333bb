"""The pages of provisioning in a real browser: readable, in their window, obeying the policy."""

import pytest
from playwright.async_api import Browser, Page

from kernel.auth.model import Role
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.ui.watching import (
    accessibility_findings,
    collect_complaints,
    photograph,
    scrolls_sideways,
    settled,
)
from tests.devices.registry.world import add_device

ROOT = "/console/devices"
# One pass in each: a phone in English, and a console at 200 % in the dark.
LOOKS: list[tuple[str, tuple[int, int], dict[str, str]]] = [
    ("phone", (390, 844), {"locale": "en"}),
    ("zoomed", (683, 384), {"theme": "dark"}),
]
LIST = "编号,型号\nW-1,sl-watch-1\nW-9,没有\n"


async def look_at(page: Page, name: str) -> list[str]:
    """Return what is wrong with the page that is open."""
    await settled(page)
    await photograph(page, f"devices/{name}", whole=True)
    found = await accessibility_findings(page)
    if await scrolls_sideways(page):
        found.append("scrolls sideways")
    return [f"{name}: {each}" for each in found]


@pytest.mark.parametrize(("look", "size", "choices"), LOOKS, ids=[look[0] for look in LOOKS])
async def test_every_page_is_accessible_fits_and_obeys_the_policy(
    look: str, size: tuple[int, int], choices: dict[str, str], site: Site, chromium: Browser
) -> None:
    opened = await site.account("batu", Role.DEVICE_TECHNICIAN, **choices)
    async with site.db.transaction() as tx:
        for device_id in ("W-1", "W-2"):
            await add_device(tx, opened.session.actor, site.clock.now, device_id)
        hub = {"profile": "sl-gateway-1"}
        await add_device(tx, opened.session.actor, site.clock.now, "H-1", **hub)
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token, size)
        complaints = collect_complaints(page)
        found: list[str] = []
        for name in ("labels", "claim", "import", "batches"):
            await page.goto(f"{ROOT}/{name}")
            found += await look_at(page, f"{name}-{look}")
        for path in ("W-1/certificates", "H-1/behind"):
            await page.goto(f"{ROOT}/{path}")
            found += await look_at(page, f"{path.rpartition('/')[2]}-{look}")
        await page.goto(f"{ROOT}/import")
        file = {"name": "list.csv", "mimeType": "text/csv", "buffer": LIST.encode()}
        await page.set_input_files("#file", file)  # type: ignore[arg-type]
        await page.click("#page form button[type=submit]")
        await page.wait_for_url("**/import/*-*", timeout=20_000)
        found += await look_at(page, f"import-preview-{look}")
        await context.close()
    assert [*complaints, *found] == []
