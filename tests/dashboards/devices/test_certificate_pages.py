"""Certificates through pages and JSON: sign a request, take one in, revoke."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dashboards.console.devices import router as devices_router
from devices.certificates import api, service
from devices.certificates import authority as authorities
from devices.certificates.desk import AuthorityDesk
from devices.registry import guard
from kernel.auth.model import Role
from tests.dashboards.devices.site import Site, Visitor, make_site
from tests.devices.certificates.test_authority import request as signing_request
from tests.devices.registry.world import add_device

PAGE = "/console/devices/W-1/certificates"


@pytest.fixture
async def site(db, cipher, now, pages, tmp_path: Path):  # type: ignore[no-untyped-def]
    made = await make_site(db, cipher, now, pages, devices_router, api.router)
    made.app.state.authority = AuthorityDesk(tmp_path / "ca", lambda: b"open sesame")
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def technician(site: Site) -> Visitor:
    made = await site.visitor("batu", Role.DEVICE_TECHNICIAN)
    async with site.db.transaction() as tx:
        await add_device(tx, made.actor, site.clock.now, "W-1")
    return made


async def test_without_an_authority_the_page_says_so(site: Site, technician: Visitor) -> None:
    await technician.open(PAGE)
    assert "这台服务器上没有证书机构" in technician.text
    csr = signing_request("W-1", ec.generate_private_key(ec.SECP256R1()))
    assert (await technician.submit(PAGE, csr=csr, days=30)).status_code == 422
    headers = {"X-CSRF-Token": technician.csrf, "Accept": "application/json"}
    answer = await technician.post("/devices/W-1/certificates", json={"csr": csr}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_authority")


async def test_a_request_is_signed_on_the_page_and_by_the_interface_and_revoked(
    site: Site, technician: Visitor, tmp_path: Path
) -> None:
    now = site.clock.now
    made = authorities.create("test", now)
    authorities.save(made, tmp_path / "ca", b"open sesame")
    csr = signing_request("W-1", ec.generate_private_key(ec.SECP256R1()))
    for fields, sentence in (
        ({"csr": "x", "days": 30}, "不是 PEM 格式的签名请求"),
        ({"csr": csr, "days": "x"}, "有效天数是 1 到 3650"),
    ):
        assert (await technician.submit(PAGE, **fields)).status_code == 422
        assert sentence in technician.text
    assert (await technician.submit(PAGE, csr=csr, days=30)).status_code == 200
    assert "BEGIN CERTIFICATE" in technician.text
    headers = {"X-CSRF-Token": technician.csrf, "Accept": "application/json"}
    path = "/devices/W-1/certificates"
    answer = await technician.post(path, json={"csr": csr, "days": 5}, headers=headers)
    assert answer.status_code == 201
    signed = x509.load_pem_x509_certificate(answer.json()["certificate"].encode())
    signed.verify_directly_issued_by(made.certificate)
    serial = answer.json()["serial"]
    ended = await technician.post(
        f"{path}/{serial}/revoke", json={"reason": "superseded"}, headers=headers
    )
    assert ended.status_code == 200
    listed = (await technician.get(path, headers=headers)).json()["items"]
    assert [one["live"] for one in listed] == [False, True]
    other = listed[1]["serial"]
    done = await technician.submit(f"{PAGE}/revoke", serial=other, reason="key_compromise")
    await technician.follow(done)
    assert "证书已吊销" in technician.text
    assert technician.text.count("已吊销") == 3
    foreign = authorities.sign_device(
        authorities.create("maker", now), "W-1", authorities.new_key()[0], now, 9
    )
    done = await technician.submit(f"{PAGE}/trust", certificate=authorities.pem_of(foreign))
    await technician.follow(done)
    assert "别处签发" in technician.text
    again = await technician.submit(f"{PAGE}/trust", certificate=authorities.pem_of(foreign))
    assert again.status_code == 422
    async with site.db.connection() as conn:
        device = await guard.find(conn, "W-1", technician.actor)
        assert len(await service.of_device(conn, device.no)) == 3


async def test_an_operator_may_look_and_nothing_else(site: Site, technician: Visitor) -> None:
    operator = await site.visitor("wang", Role.OPERATOR)
    assert (await operator.open(PAGE)).status_code == 200
    assert "登记别处签发的证书" not in operator.text
    assert (await operator.submit(f"{PAGE}/trust", certificate="x")).status_code == 403
