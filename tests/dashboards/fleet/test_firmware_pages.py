"""Firmware over HTTP: taken in, rolled out, watched, fetched by a link that is good once."""

import hashlib
import re

import httpx

from devices.firmware import service
from kernel.auth.model import Role
from kernel.db import fetch_tuples, fetch_value
from tests.dashboards.devices.site import Site, Visitor
from tests.dashboards.fleet.yard import furnish

ROOT = "/console/fleet/firmware"
FILE = b"SLFW" + bytes(range(256)) * 500


async def send(
    visitor: Visitor, content: bytes = FILE, *, profile: str = "sl-watch-1", version: str = "1.5.0"
) -> httpx.Response:
    response = await visitor.post(
        f"{ROOT}/upload",
        data={"_csrf": visitor.csrf, "profile": profile, "version": version, "notes": "省电"},
        files={"file": ("watch-1.5.0.bin", content)} if content else {},
    )
    if response.status_code != 303:
        visitor.page = response.text
    return response


async def begin(visitor: Visitor, **more: object) -> str:
    """Take a package in and start to roll it out; the path of the roll-out."""
    await visitor.follow(await send(visitor))
    path = re.search(rf'href="({ROOT}/packages/[0-9a-f-]+/rollout)"', visitor.page)
    assert path
    form = {"division": "1501", "steps": "100", "soak_minutes": 0, "failure_percent": 20} | more
    response = await visitor.submit(path[1], **form)
    assert response.status_code == 303, visitor.text
    return response.headers["location"]


async def look(site: Site) -> None:
    async with site.db.transaction() as tx:
        rollout = await fetch_value(tx, "SELECT id FROM firmware_rollout")
        await service.advance(tx, rollout, "http://console", site.clock.now)


async def test_a_package_is_taken_in_with_its_checksum(site: Site, technician: Visitor) -> None:
    await technician.follow(await send(technician))
    assert "固件已入库" in technician.text
    assert hashlib.sha256(FILE).hexdigest() in technician.page
    for content, profile, version, sentence in (
        (FILE, "sl-watch-1", "1.5.0", "这个型号已经有这个版本"),
        (FILE, "setracker-4g", "1.6.0", "请选择型号"),
        (FILE, "sl-watch-1", "一点六", "版本由字母、数字"),
        (b"", "sl-watch-1", "1.6.0", "请选择固件文件"),
    ):
        response = await send(technician, content, profile=profile, version=version)
        assert response.status_code == 422
        assert sentence in technician.text


async def test_a_rollout_is_begun_watched_paused_and_ended(site: Site, technician: Visitor) -> None:
    await furnish(site, technician.actor)
    path = await begin(technician, canaries="W-0000, W-0010", steps="50, 100")
    await look(site)
    await technician.open(path)
    assert "先行设备" in technician.text
    assert "W-0000" in technician.text
    assert "已通知" in technician.text
    await technician.follow(await technician.submit(f"{path}/pause"))
    assert "已暂停" in technician.text
    assert (await technician.submit(f"{path}/pause")).status_code == 409
    await technician.open(path)
    await technician.follow(await technician.submit(f"{path}/resume"))
    assert (await technician.submit(f"{path}/abort", reason="")).status_code == 422
    assert "请写明原因" in technician.text
    await technician.open(path)
    await technician.follow(await technician.submit(f"{path}/abort", reason="耗电太快"))
    assert "已中止：耗电太快" in technician.text
    assert "已撤回" in technician.text
    assert (await technician.submit(f"{path}/complete")).status_code == 404


async def test_what_is_wrong_with_a_rollout_is_said(site: Site, technician: Visitor) -> None:
    await technician.follow(await send(technician))
    path = re.search(rf'href="({ROOT}/packages/[0-9a-f-]+/rollout)"', technician.page)
    assert path
    await technician.open(path[1])
    response = await technician.submit(
        path[1], division="1502", steps="50", soak_minutes="x", failure_percent="0"
    )
    assert response.status_code == 422
    for sentence in ("比例要递增", "请填写 0 到 10080", "请填写 1 到 100", "您负责范围内的区域"):
        assert sentence in technician.text


async def test_what_stands_in_the_way_of_a_rollout_is_named_at_its_field(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    await begin(technician, canaries="W-0000", steps="100")
    await technician.open(ROOT)
    path = re.search(rf'href="({ROOT}/packages/[0-9a-f-]+/rollout)"', technician.page)
    assert path
    await technician.open(path[1])
    how = {"steps": "100", "soak_minutes": "5", "failure_percent": "20"}
    again = await technician.submit(path[1], division="1501", **how)
    assert again.status_code == 422
    assert "还有一次没有结束的升级" in technician.text
    await technician.open(path[1])
    mistyped = await technician.submit(path[1], division="1501", canaries="W-9999", **how)
    assert mistyped.status_code == 422
    assert "请核对先行设备的编号" in technician.text


async def test_a_device_fetches_its_file_once_without_a_login(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    await begin(technician)
    await look(site)
    async with site.db.connection() as conn:
        rows = await fetch_tuples(
            conn, "SELECT args->>'url' FROM device_command WHERE name = 'update' ORDER BY id"
        )
    assert len(rows) > 2
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app)) as device:
        answer = await device.get(rows[0][0])
        assert answer.status_code == 200
        assert answer.content == FILE
        assert answer.headers["content-length"] == str(len(FILE))
        assert "set-cookie" not in answer.headers
        assert (await device.get(rows[0][0])).status_code == 404
        assert (await device.get("http://console/firmware/" + "x" * 43)).status_code == 404
        assert (await device.get(rows[1][0])).content == FILE


async def test_somebody_of_another_division_sees_nothing_of_it(
    site: Site, technician: Visitor
) -> None:
    await furnish(site, technician.actor)
    path = await begin(technician, division="150102")
    stranger = await site.visitor("sarna", Role.DEVICE_TECHNICIAN, division="150104")
    assert (await stranger.open(path)).status_code == 404
    assert (await stranger.submit(f"{path}/pause", version=1)).status_code == 404
    await stranger.open(ROOT)
    assert path not in stranger.page


async def test_who_works_in_a_part_takes_no_package_away_from_the_others(
    site: Site, technician: Visitor
) -> None:
    await technician.follow(await send(technician))
    found = re.search(rf'action="({ROOT}/packages/[0-9a-f-]+/withdraw)"', technician.page)
    assert found
    district = await site.visitor("tuya", Role.DEVICE_TECHNICIAN, division="150102")
    await district.open(ROOT)
    assert "1.5.0" in district.text
    assert found[1] not in district.page
    assert (await district.submit(found[1])).status_code == 403
    assert (await technician.submit(found[1])).status_code == 303
