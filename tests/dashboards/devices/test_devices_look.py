"""The devices' pages in a real browser: readable, in their window, obeying the strict policy."""

import pytest
from playwright.async_api import Browser

from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from tests.dashboards.devices.furniture import LONG_ID, furnish
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.ui.watching import PHONE, WIDE, ZOOMED, look_over

ROOT = "/console/devices"
PAGES = {
    "list": ROOT,
    "list-none": f"{ROOT}?q=nothing",
    "watch": f"{ROOT}/W-0193",
    "gateway": f"{ROOT}/H-0007",
    "faulty": f"{ROOT}/S-0003",
    "long": f"{ROOT}/{LONG_ID}",
    "new": f"{ROOT}/new",
    "bind": f"{ROOT}/{LONG_ID}/bind?q=w",
    "rebind": f"{ROOT}/W-0193/bind",
    "unbind": f"{ROOT}/W-0193/change/unbind",
    "retire": f"{ROOT}/S-0003/change/retire",
    "mode": f"{ROOT}/W-0193/mode",
    "names": f"{ROOT}/4G-0001/names",
    "details": f"{ROOT}/D-0021/details",
}
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
    cipher: FieldCipher,
    chromium: Browser,
) -> None:
    opened = await site.account("batu", Role.DEVICE_TECHNICIAN, **choices)
    async with site.db.transaction() as tx:
        await furnish(tx, cipher, opened.session.actor, site.clock.now)
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        found = await look_over(page, PAGES, f"devices/{look}", sizes)
        await context.close()
    assert found == []
