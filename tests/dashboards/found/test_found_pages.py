"""A technician looks through what an installation announced, adopts one and ignores another."""

import pytest
from playwright.async_api import Browser

from kernel.auth.model import Role
from kernel.db import fetch_value
from tests.dashboards.devices.site import Site, Visitor, browse, serving
from tests.dashboards.ui.watching import (
    accessibility_findings,
    collect_complaints,
    photograph,
    scrolls_sideways,
    settled,
)

ROOT = "/console/found"
FORM = f"{ROOT}/adopt?gateway=HA-0001&key=z2m_0x1"


async def test_what_was_announced_is_listed_with_what_it_tells(technician: Visitor) -> None:
    assert (await technician.open(ROOT)).status_code == 200
    for word in ("厨房烟感", "HEIMAN HS1SA", "烟雾", "按键", "HA-0001"):
        assert word in technician.text
    assert "<b>按钮</b>" not in technician.page


async def test_one_is_adopted_as_what_fits_it(site: Site, technician: Visitor) -> None:
    await technician.open(FORM)
    assert 'value="ha-smoke" selected' in technician.page
    answer = await technician.submit(
        f"{ROOT}/adopt", gateway="HA-0001", key="z2m_0x1", profile="ha-smoke", device_id="SMOKE-1"
    )
    await technician.follow(answer)
    assert "SMOKE-1 已接管" in technician.text
    assert "厨房烟感" not in technician.text
    await technician.open(f"{ROOT}?status=adopted")
    assert "厨房烟感" in technician.text
    async with site.db.connection() as conn:
        gateway = await fetch_value(
            conn,
            "SELECT g.id FROM device d JOIN device g ON g.no = d.gateway_no WHERE d.id = %s",
            ("SMOKE-1",),
        )
    assert gateway == "HA-0001"


async def test_a_second_adoption_is_told_so(technician: Visitor) -> None:
    fields = {"gateway": "HA-0001", "key": "z2m_0x1", "profile": "ha-smoke"}
    await technician.open(FORM)
    await technician.submit(f"{ROOT}/adopt", **fields, device_id="SMOKE-1")
    answer = await technician.submit(f"{ROOT}/adopt", **fields, device_id="SMOKE-2")
    await technician.follow(answer)
    assert "别人刚刚接管了这台设备" in technician.text


@pytest.mark.parametrize(
    ("device_id", "profile", "sentence"),
    [
        ("a b", "ha-smoke", "编号只能用字母"),
        ("HA-0001", "ha-smoke", "已有这个编号的设备"),
        ("S-1", "z2m-smoke", "请选择型号"),
    ],
)
async def test_what_cannot_be_is_said_at_its_field(
    technician: Visitor, device_id: str, profile: str, sentence: str
) -> None:
    await technician.open(FORM)
    answer = await technician.submit(
        f"{ROOT}/adopt", gateway="HA-0001", key="z2m_0x1", profile=profile, device_id=device_id
    )
    assert answer.status_code == 422
    assert sentence in technician.text


async def test_one_is_ignored_and_put_back(technician: Visitor) -> None:
    await technician.open(ROOT)
    answer = await technician.submit(f"{ROOT}/ignore", gateway="HA-0001", key="e1")
    await technician.follow(answer)
    assert "床头" not in technician.text
    await technician.open(f"{ROOT}?status=ignored")
    assert "床头" in technician.text
    await technician.submit(f"{ROOT}/ignore", gateway="HA-0001", key="e1", back="1")
    await technician.open(ROOT)
    assert "床头" in technician.text


async def test_what_nobody_announced_is_not_there(technician: Visitor) -> None:
    answer = await technician.open(f"{ROOT}/adopt?gateway=HA-0001&key=nothing")
    assert answer.status_code == 404


async def test_only_who_may_register_devices_comes_in(site: Site, technician: Visitor) -> None:
    del technician
    operator = await site.visitor("sarula", Role.OPERATOR, name="萨如拉")
    assert (await operator.open(ROOT)).status_code == 403


@pytest.mark.parametrize(
    ("size", "choices"),
    [((390, 844), {"locale": "en"}), ((683, 384), {"theme": "dark"}), ((1366, 768), {})],
    ids=["phone", "zoomed", "console"],
)
async def test_the_pages_are_accessible_and_fit(
    size: tuple[int, int],
    choices: dict[str, str],
    site: Site,
    technician: Visitor,
    chromium: Browser,
) -> None:
    del technician
    opened = await site.account("anna", Role.DEVICE_TECHNICIAN, **choices)
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token, size)
        complaints = collect_complaints(page)
        found: list[str] = []
        for name, path in (("found", ROOT), ("found-adopt", FORM)):
            await page.goto(path)
            await settled(page)
            await photograph(page, f"devices/{name}-{size[0]}", whole=True)
            found += await accessibility_findings(page)
            if await scrolls_sideways(page):
                found.append(f"{name} scrolls sideways")
        await context.close()
    assert found == []
    assert complaints == []
