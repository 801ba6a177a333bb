"""The devices behind a gateway: added, moved and taken away on its own page."""

from care.elders.demo import seed_elders
from dashboards.console.devices.words import model_title
from devices.registry import inventory, service
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from tests.dashboards.devices.site import Site, Visitor
from tests.dashboards.devices.test_claim_pages import found
from tests.devices.registry.world import XINCHENG, YUQUAN, add_device

PAGE = "/console/devices/H-1/behind"


async def furnished(site: Site, technician: Visitor) -> None:
    async with site.db.transaction() as tx:
        for device_id, profile in (
            ("H-1", "sl-gateway-1"), ("H-2", "sl-gateway-1"), ("D-1", "sl-door-1"),
            ("D-2", "sl-door-1"), ("4G-1", "setracker-4g"),
        ):  # fmt: skip
            await add_device(tx, technician.actor, site.clock.now, device_id, profile=profile)
        await add_device(
            tx, technician.actor, site.clock.now, "D-9", profile="sl-door-1", division=YUQUAN,
            gateway_id="H-1",
        )  # fmt: skip


async def version_of(site: Site, device_id: str) -> int:
    return (await found(site.db, device_id)).version


async def test_a_device_is_added_moved_and_taken_away(site: Site, technician: Visitor) -> None:
    await furnished(site, technician)
    await technician.open(PAGE)
    assert "D-1" in technician.text
    assert "4G-1" not in technician.text
    version = await version_of(site, "D-1")
    done = await technician.post(
        PAGE, data={"_csrf": technician.csrf, "device": "D-1", "version": version}
    )
    await technician.follow(done)
    assert "已挂到这个网关" in technician.text
    assert (await found(site.db, "D-1")).gateway_id == "H-1"
    late = await technician.post(
        PAGE + "/remove", data={"_csrf": technician.csrf, "device": "D-1", "version": version}
    )
    assert late.status_code == 409
    other = PAGE.replace("H-1", "H-2")
    await technician.open(f"{other}?q=d-1")
    assert "现在挂在 H-1" in technician.text
    fields = {"_csrf": technician.csrf, "device": "D-1", "version": version + 1}
    assert (await technician.post(other + "/remove", data=fields)).status_code == 409
    assert (await technician.post(other, data=fields)).status_code == 303
    assert (await found(site.db, "D-1")).gateway_id == "H-2"
    fields["version"] = version + 2
    assert (await technician.post(other + "/remove", data=fields)).status_code == 303
    assert (await found(site.db, "D-1")).gateway_id is None


async def test_devices_of_other_homes_are_offered_when_they_are_asked_for_alone(
    site: Site, technician: Visitor, cipher: FieldCipher
) -> None:
    await furnished(site, technician)
    now, actor = site.clock.now, technician.actor
    async with site.db.transaction() as tx:
        home, other = (await seed_elders(tx, cipher, 2, now, 7))[:2]
        for device_id, elder in (("H-1", home), ("D-1", home), ("D-2", other)):
            device = await inventory.by_id(tx, device_id)
            assert device is not None
            await service.bind(tx, device.no, elder.id, "", actor=actor, now=now)
    await technician.open(PAGE)
    offered = technician.text.split("添加已登记的设备")[1]
    assert f"D-1 {model_title('sl-door-1', 'zh')} 绑定给 {home.name}" in offered
    assert "D-2" not in offered
    await technician.open(f"{PAGE}?q=d-2")
    assert f"D-2 绑定给 {other.name}，不是这一家的设备。仍然挂到这里？" in technician.page


async def test_only_gateways_have_the_page_and_only_ones_own_devices_are_on_it(
    site: Site, technician: Visitor
) -> None:
    await furnished(site, technician)
    assert (await technician.open(PAGE.replace("H-1", "D-1"))).status_code == 404
    for wanted in ("nothing", "H-1"):
        refused = await technician.submit(PAGE, device=wanted, version=1)
        assert refused.status_code == 422
        assert "不能挂在这里" in technician.text
    local = await site.visitor("surna", Role.DEVICE_TECHNICIAN, division=XINCHENG[:6])
    await local.open(PAGE)
    assert "另有 1 台不在您负责的区域" in local.text
    assert "D-9" not in local.text
    operator = await site.visitor("wang", Role.OPERATOR)
    assert (await operator.open(PAGE)).status_code == 403
    await technician.open("/console/devices/H-2")
    assert "还没有设备" in technician.text
    await technician.open("/console/devices/new?gateway_id=H-2&codec=silverline_v1")
    assert 'value="H-2" selected' in technician.page
