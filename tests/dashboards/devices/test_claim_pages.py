"""Labels and claiming through the pages: no code in an address, one use, one sheet of real PDF."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser

from dashboards.console.account import login
from dashboards.console.devices import router as devices_router
from dashboards.ui.environment import Pages
from devices.claims import rules
from devices.claims import service as claims
from devices.registry import inventory
from devices.registry.model import Device
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.dashboards.devices.site import PASSWORD, Site, Visitor, browse, make_site, serving
from tests.dashboards.ui.watching import photograph, scrolls_sideways, settled
from tests.devices.registry.world import add_device, add_elder

ROOT = "/console/devices"


async def stocked(site: Site, visitor: Visitor, *ids: str) -> None:
    async with site.db.transaction() as tx:
        for device_id in ids:
            await add_device(tx, visitor.actor, site.clock.now, device_id)


async def code_of(site: Site, cipher: FieldCipher, visitor: Visitor, device_id: str) -> str:
    async with site.db.transaction() as tx:
        [one] = await claims.print_codes(
            tx, cipher, [device_id], lasts=None, actor=visitor.actor, now=site.clock.now
        )
    return rules.written(one.code)


async def found(db: Database, device_id: str) -> Device:
    async with db.connection() as conn:
        device = await inventory.by_id(conn, device_id)
    assert device is not None
    return device


async def sheet(visitor: Visitor, *devices: str, **fields: str) -> Any:
    data: dict[str, Any] = {"_csrf": visitor.csrf, "paper": "24", "lasts": "90", **fields}
    return await visitor.post(f"{ROOT}/labels", data=data | {"device": list(devices)})


async def test_a_sheet_has_a_page_for_every_24_labels_and_says_what_is_wrong(
    site: Site, technician: Visitor
) -> None:
    await stocked(site, technician, *(f"W-{n:03}" for n in range(30)))
    await technician.open(f"{ROOT}/labels?q=W-0")
    assert technician.page.count('name="device"') == 30
    answer = await sheet(technician, *(f"W-{n:03}" for n in range(25)))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", answer.content)) == 2
    assert b"NotoSansSC" in answer.content
    for devices, fields, sentence in (
        ([], {}, "请至少选一台设备"),
        (["W-001"], {"paper": "9"}, "请选择标签纸"),
        (["W-001"], {"lasts": "7000"}, "请选择有效期"),
    ):
        refused = await sheet(technician, *devices, **fields)
        assert refused.status_code == 422
        assert sentence in refused.text
    assert (await sheet(technician, "W-999")).status_code == 404
    assert (await sheet(technician, "W-9\x0099")).status_code == 404


async def test_a_device_is_claimed_by_its_code_and_the_code_stays_out_of_addresses(
    site: Site, technician: Visitor, cipher: FieldCipher
) -> None:
    await stocked(site, technician, "W-1")
    code = await code_of(site, cipher, technician, "W-1")
    async with site.db.transaction() as tx:
        elder = await add_elder(tx, site.clock.now, "李秀英")
    await technician.open(f"{ROOT}/claim")
    wrong = await technician.submit(f"{ROOT}/claim", code="00000-00000")
    assert wrong.status_code == 422
    assert "没有这个认领码" in technician.text
    await technician.submit(f"{ROOT}/claim", code=code.lower())
    assert "W-1" in technician.text
    await technician.submit(f"{ROOT}/claim", code=code, q="lxy")
    assert "李秀英" in technician.text
    nobody = await technician.submit(f"{ROOT}/claim/bind", code=code)
    assert nobody.status_code == 422
    long = await technician.submit(f"{ROOT}/claim/bind", code=code, elder_id=elder, room="房" * 41)
    assert long.status_code == 422
    bound = await technician.submit(f"{ROOT}/claim/bind", code=code, elder_id=elder, room="床边")
    assert bound.headers["location"] == f"{ROOT}/claim?done=W-1"
    await technician.follow(bound)
    assert "W-1 已绑定" in technician.text
    again = await technician.submit(f"{ROOT}/claim", code=code)
    assert again.status_code == 422
    assert "已经用过了" in technician.text
    assert (await found(site.db, "W-1")).elder_id == elder


async def test_who_may_not_claim_sees_neither_page_nor_button(
    site: Site, technician: Visitor
) -> None:
    operator = await site.visitor("wang", Role.OPERATOR)
    assert (await operator.open(f"{ROOT}/claim")).status_code == 403
    assert (await operator.open(f"{ROOT}/labels")).status_code == 403
    await operator.open(ROOT)
    assert "扫码绑定" not in operator.text
    manager = await site.visitor("qi", Role.CARE_MANAGER)
    assert (await manager.open(f"{ROOT}/claim")).status_code == 200
    assert (await manager.open(f"{ROOT}/labels")).status_code == 403
    await technician.open(ROOT)
    assert "扫码绑定" in technician.text


async def test_a_scanned_label_leads_through_the_login_to_the_bound_device_on_a_phone(
    db: Database, cipher: FieldCipher, now: Any, pages: Pages, chromium: Browser
) -> None:
    site = await make_site(db, cipher, now, pages, devices_router, login.router)
    technician = await site.visitor("batu", Role.DEVICE_TECHNICIAN)
    await stocked(site, technician, "W-1")
    code = await code_of(site, cipher, technician, "W-1")
    async with site.db.transaction() as tx:
        await add_elder(tx, now, "李秀英")
    asked: list[str] = []
    async with serving(site) as url:
        context, page = await browse(chromium, url, "", (390, 844))
        await context.clear_cookies()
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{ROOT}/claim#{code}")
        await page.wait_for_selector("html[data-ready]", timeout=20_000)
        assert await page.evaluate("location.hash") == ""
        await page.fill("#username", "batu")
        await page.fill("#password", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("h1:has-text('W-1')", timeout=20_000)
        assert not await scrolls_sideways(page)
        await photograph(page, "devices/claim-elder-phone", whole=True)
        await page.fill("#main input[name=q]", "lxy")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("text=李秀英", timeout=20_000)
        await settled(page)
        await photograph(page, "devices/claim-found-phone", whole=True)
        await page.get_by_role("button", name=re.compile("绑定")).last.click()
        await page.wait_for_selector("text=W-1 已绑定", timeout=20_000)
        await photograph(page, "devices/claim-done-phone", whole=True)
        await context.close()
    assert not any(code in address for address in asked)
    assert (await found(db, "W-1")).elder_name == "李秀英"
    await technician.aclose()


@pytest.mark.parametrize("name", ["labels", "claim", "import", "batches", "fleet", "new"])
async def test_no_device_takes_the_name_of_a_page(
    site: Site, technician: Visitor, name: str
) -> None:
    answer = await technician.submit(
        ROOT, device_id=name, profile="sl-watch-1", division_code="150102000000"
    )
    assert answer.status_code == 422
