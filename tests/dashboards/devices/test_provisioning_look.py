"""The pages of provisioning in a real browser: readable, in their window, obeying the policy."""

from playwright.async_api import Browser

from care.sheets.reading import read_rows
from dashboards.console.devices import routes_labels
from devices.imports import service as imports
from devices.imports.importer import interpret
from devices.provisioning import service as provisioning
from kernel.auth.model import Actor, Role
from kernel.db import Tx
from tests.dashboards.devices.site import Site, browse, serving
from tests.dashboards.ui.watching import PHONE, ZOOMED, look_over
from tests.devices.registry.world import XINCHENG, add_device

ROOT = "/console/devices"
LIST = "编号,型号,区划\nW-1,sl-watch-1,新城\nW-9,没有,新城\n"


class Places:
    """One place."""

    def code_of(self, text: str) -> list[str]:
        return [XINCHENG] if text == "新城" else []


async def furnish(tx: Tx, site: Site, actor: Actor) -> str:
    """Two devices in stock, a gateway, a batch, and a list that is wrong; return its id."""
    now = site.clock.now
    for device_id in ("W-1", "W-2"):
        await add_device(tx, actor, now, device_id)
    await add_device(tx, actor, now, "H-1", profile="sl-gateway-1")
    await provisioning.create(
        tx, batch="W2026", profile="sl-watch-1", division_code=XINCHENG, most=100,
        lasts=provisioning.LONGEST, actor=actor, now=now,
    )  # fmt: skip
    understood = interpret(read_rows(LIST.encode()), Places())
    made = await imports.preview(
        tx, understood, filename="清单.csv", with_secrets=True, actor=actor, now=now
    )
    return str(made)


async def test_every_page_is_accessible_fits_and_obeys_the_policy(
    site: Site, chromium: Browser
) -> None:
    opened = await site.account("batu", Role.DEVICE_TECHNICIAN, locale="en", theme="dark")
    async with site.db.transaction() as tx:
        made = await furnish(tx, site, opened.session.actor)
    pages = {
        "labels": routes_labels.PATH,
        "claim": routes_labels.CLAIM,
        "import": f"{ROOT}/import",
        "import-preview": f"{ROOT}/import/{made}",
        "batches": f"{ROOT}/batches",
        "certificates": f"{ROOT}/W-1/certificates",
        "behind": f"{ROOT}/H-1/behind",
    }
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        found = await look_over(page, pages, "devices/entry", (ZOOMED, PHONE))
        await context.close()
    assert found == []
