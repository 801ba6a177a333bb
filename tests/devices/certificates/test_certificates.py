"""Certificates in the registry: issued, known again, revoked, gone with the device."""

from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from devices.certificates import authority as authorities
from devices.certificates import service, store
from devices.certificates.authority import Authority
from devices.certificates.model import IssuedCertificate
from devices.registry import service as registry
from devices.registry.machine import DeviceAction
from kernel.auth.model import Actor
from kernel.db import Database, Tx, fetch_tuples
from kernel.errors import Conflict, Invalid, NotFound
from tests.devices.registry.world import add_device, add_person


@pytest.fixture
async def actor(db: Database, now: datetime) -> Actor:
    async with db.transaction() as tx:
        made = await add_person(tx, now)
        await add_device(tx, made, now, "W-1")
        await add_device(tx, made, now, "W-2")
        return made


@pytest.fixture
def authority(now: datetime) -> Authority:
    return authorities.create("silverline", now)


def der(issued: IssuedCertificate) -> bytes:
    loaded = x509.load_pem_x509_certificate(issued.certificate.encode())
    return loaded.public_bytes(serialization.Encoding.DER)


async def issued(tx: Tx, authority: Authority, actor: Actor, now: datetime) -> IssuedCertificate:
    key, _ = authorities.new_key()
    return await service.issue(tx, authority, "W-1", key, actor=actor, now=now)


async def test_a_certificate_is_known_until_it_is_revoked(
    tx: Tx, authority: Authority, actor: Actor, now: datetime
) -> None:
    old = await issued(tx, authority, actor, now)
    new = await issued(tx, authority, actor, now)
    for one in (old, new):
        grant = await service.recognise(tx, der(one), now, adopt=False)
        assert grant is not None
        assert grant.device_id == "W-1"
    await service.revoke(tx, "W-1", old.serial.upper(), "superseded", actor=actor, now=now)
    assert await service.recognise(tx, der(old), now, adopt=True) is None
    assert await service.recognise(tx, der(new), now, adopt=False)
    assert [one.serial for one in await store.revoked(tx, now)] == [old.serial]
    with pytest.raises(NotFound):
        await service.revoke(tx, "W-2", new.serial, "superseded", actor=actor, now=now)
    with pytest.raises(Invalid):
        await service.revoke(tx, "W-1", new.serial, "because", actor=actor, now=now)
    items = await fetch_tuples(tx, "SELECT payload->>'cut' FROM outbox ORDER BY id")
    assert [cut for (cut,) in items] == ["false", "false", "true"]


async def test_a_retired_device_has_none_and_gets_none(
    tx: Tx, authority: Authority, actor: Actor, now: datetime
) -> None:
    one = await issued(tx, authority, actor, now)
    device = await registry.guard.find(tx, "W-1", actor)
    await registry.change_state(
        tx, device.no, DeviceAction.RETIRE, "worn_out", actor=actor, now=now
    )
    assert await service.recognise(tx, der(one), now, adopt=True) is None
    assert [row.revoked_at for row in await service.of_device(tx, device.no)] == [now]
    with pytest.raises(Conflict):
        await issued(tx, authority, actor, now)


async def test_another_authoritys_certificate_is_adopted_or_trusted_and_revoked(
    tx: Tx, actor: Actor, now: datetime
) -> None:
    other = authorities.create("maker", now)
    key, _ = authorities.new_key()
    foreign = authorities.sign_device(other, "W-1", key, now, 30)
    shown = foreign.public_bytes(serialization.Encoding.DER)
    assert await service.recognise(tx, shown, now, adopt=False) is None
    assert await service.recognise(tx, shown, now, adopt=True)
    device = await registry.guard.find(tx, "W-1", actor)
    [row] = await service.of_device(tx, device.no)
    assert (row.own, row.issuer) == (False, "CN=maker")
    await service.revoke(tx, "W-1", row.serial, "key_compromise", actor=actor, now=now)
    assert await service.recognise(tx, shown, now, adopt=True) is None
    assert await store.revoked(tx, now) == []
    second = authorities.pem_of(authorities.sign_device(other, "W-1", key, now, 30))
    trusted = await service.trust(tx, "W-1", second, actor=actor, now=now)
    assert trusted.live(now)
    for text, problem in ((second, "name"), ("nothing", "unreadable")):
        with pytest.raises(Invalid) as refused:
            await service.trust(tx, "W-2", text, actor=actor, now=now)
        assert refused.value.fields == {"certificate": problem}
    with pytest.raises(Conflict):
        await service.trust(tx, "W-1", second, actor=actor, now=now)
    nobody = authorities.sign_device(other, "W-9", key, now, 30)
    shown = nobody.public_bytes(serialization.Encoding.DER)
    assert await service.recognise(tx, shown, now, adopt=True) is None
