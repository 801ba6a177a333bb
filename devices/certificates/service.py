"""Issue, revoke and recognise client certificates. Audited; revoking is felt at once.

The embedded broker asks here at every connection and drops who is named on the channel
`credential`. Mosquitto is told by the worker (dynamic security, devices/credentials/jobs.py), and
refuses the handshake once it has read the list of revoked certificates anew.
"""

import uuid
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from devices.certificates import authority as authorities
from devices.certificates import store
from devices.certificates.authority import USUAL_DAYS, Authority, PublicKey
from devices.certificates.model import REASONS, CertificateRow, IssuedCertificate
from devices.credentials.model import Grant
from devices.credentials.service import ACCESS_TOPIC
from devices.profiles import PROFILES
from devices.registry import guard
from devices.registry.model import Device, DeviceState
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import new_id
from kernel.outbox import enqueue


async def issue(
    tx: Tx,
    authority: Authority,
    device_id: str,
    key: PublicKey,
    *,
    actor: Actor,
    now: datetime,
    days: int = USUAL_DAYS,
) -> IssuedCertificate:
    """Sign a key of the device. Others that it has stay valid: it can change over in peace.

    Raises NotFound, Invalid (days), Conflict for a retired device.
    """
    device = await guard.find(tx, device_id, actor)
    if device.state is DeviceState.RETIRED:
        raise Conflict("A retired device gets no certificate.", state=device.state.value)
    certificate = authorities.sign_device(authority, device.id, key, now, days)
    await _keep(tx, certificate, device.no, actor.user_id, now, own=True)
    await _tell_broker(tx, device.id, cut=False)
    serial = authorities.serial_of(certificate)
    await guard.record(
        tx, actor, "device.certificate_issued", device.id, device.division_code, now, serial=serial
    )
    return IssuedCertificate(
        device_id=device.id,
        serial=serial,
        not_after=certificate.not_valid_after_utc,
        certificate=authorities.pem_of(certificate),
        authority=authority.pem,
    )


async def trust(
    tx: Tx, device_id: str, text: str, *, actor: Actor, now: datetime
) -> CertificateRow:
    """Take in a device's certificate (PEM) of another authority, so that it counts with us too.

    Whether its authority is to be trusted is up to the broker's bundle. Raises NotFound, Invalid
    (certificate: unreadable, name or expired), Conflict when it is known or the device is retired.
    """
    device = await guard.find(tx, device_id, actor)
    if device.state is DeviceState.RETIRED:
        raise Conflict("A retired device gets no certificate.", state=device.state.value)
    try:
        certificate = x509.load_pem_x509_certificate(text.strip().encode())
        named = authorities.identity_of(certificate)
    except ValueError as error:
        wrong = {"certificate": "unreadable"}
        raise Invalid("This is no certificate in PEM.", wrong) from error
    if named != device.id:
        raise Invalid("The certificate is another device's.", {"certificate": "name"})
    if certificate.not_valid_after_utc <= now:
        raise Invalid("The certificate has expired.", {"certificate": "expired"})
    if not await _keep(tx, certificate, device.no, actor.user_id, now, own=False):
        raise Conflict("This certificate is known already.", device_id=device.id)
    await _tell_broker(tx, device.id, cut=False)
    serial = authorities.serial_of(certificate)
    await guard.record(
        tx, actor, "device.certificate_trusted", device.id, device.division_code, now, serial=serial
    )
    return next(row for row in await store.of_device(tx, device.no) if row.serial == serial)


async def revoke(
    tx: Tx, device_id: str, serial: str, reason: str, *, actor: Actor, now: datetime
) -> None:
    """End one certificate; brokers drop the connection. Raises NotFound, Invalid (reason)."""
    device = await guard.find(tx, device_id, actor)
    if reason not in REASONS:
        raise Invalid("A reason is needed.", {"reason": "required"})
    wanted = serial.lower().replace(":", "").lstrip("0")
    if not await store.revoke(tx, device.no, wanted, reason, by=actor.user_id, now=now):
        raise NotFound("The device has no such certificate that counts.", serial=serial)
    await _tell_broker(tx, device.id, cut=True)
    await guard.record(
        tx, actor, "device.certificate_revoked", device.id, device.division_code, now,
        serial=wanted, reason=reason,
    )  # fmt: skip


async def revoke_all(tx: Tx, device: Device, actor: Actor, now: datetime) -> None:
    """End every certificate of a device that goes out of service."""
    reason = "cessation_of_operation"
    if await store.revoke(tx, device.no, None, reason, by=actor.user_id, now=now):
        await _tell_broker(tx, device.id, cut=True)


async def of_device(tx: Tx, device_no: int) -> list[CertificateRow]:
    """Return the device's certificates, newest first."""
    return await store.of_device(tx, device_no)


async def recognise(tx: Tx, der: bytes, now: datetime, *, adopt: bool) -> Grant | None:
    """Return what the holder of a certificate may do, None for one that does not count.

    The chain and the dates were checked by TLS. `adopt`: certificates of another authority are
    taken in when they are first seen, so that they can be seen and revoked here; without it only
    those that we have issued count.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        device_id = authorities.identity_of(certificate)
    except ValueError:
        return None
    device = await store.holder(tx, device_id) if device_id else None
    if device is None or device.state == DeviceState.RETIRED:
        return None
    known = await store.known(tx, certificate.fingerprint(hashes.SHA256()))
    if known is None:
        if not adopt:
            return None
        await _keep(tx, certificate, device.no, None, now, own=False)
    elif known.revoked_at is not None or known.device_no != device.no:
        return None
    profile = PROFILES.get(device.profile)
    base = profile.bridge_topics(device.id) if profile else ()
    return Grant(device.no, device.id, base)


async def _keep(
    tx: Tx,
    certificate: x509.Certificate,
    device_no: int,
    by: uuid.UUID | None,
    now: datetime,
    *,
    own: bool,
) -> bool:
    return await store.insert(
        tx,
        certificate_id=new_id(),
        device_no=device_no,
        fingerprint=certificate.fingerprint(hashes.SHA256()),
        serial=authorities.serial_of(certificate),
        issuer=certificate.issuer.rfc4514_string()[:500],
        own=own,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        by=by,
        now=now,
    )


async def _tell_broker(tx: Tx, device_id: str, *, cut: bool) -> None:
    await enqueue(tx, ACCESS_TOPIC, {"device_id": device_id, "secret": None, "cut": cut})
