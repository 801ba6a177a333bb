"""The pages in a real browser: readable, in their window, obeying the strict policy."""

import pytest
from playwright.async_api import Browser

from hotline.demo import seed_responders
from hotline.escalation import store as escalation
from hotline.responders import store as responders
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import fetch_value
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.ui.watching import PHONE, WIDE, ZOOMED, look_over

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
    opened = await site.account("zhao", Role.ADMINISTRATOR, **choices)
    async with site.db.transaction() as tx:
        await seed_responders(tx, cipher, site.clock.now, site.clock.now)
        one = (await responders.all_of(tx))[0].id
        phone = (await escalation.duty_phones(tx, "150102003000"))[0].id
        assert await fetch_value(tx, "SELECT count(*) FROM responder") == 8
    root = "/console/responders"
    paths = {
        "list": root,
        "none": f"{root}?q=nobody",
        "new": f"{root}/new",
        "one": f"{root}/{one}",
        "phones": "/console/duty-phones",
        "phone": f"/console/duty-phones/{phone}",
        "phone-new": "/console/duty-phones/new",
        "policies": "/console/escalation",
        "policy": "/console/escalation/edit?severity=critical&division=1501",
        "accounts": "/console/staff",
    }
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        found = await look_over(page, paths, f"responders/{look}", sizes)
        await context.close()
    assert found == []
