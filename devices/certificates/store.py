"""SQL of certificates."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from devices.certificates.model import CertificateRow, Known, RevokedSerial
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True, slots=True)
class Holder:
    """The device that a certificate names."""

    no: int
    id: str
    profile: str
    state: str


async def holder(tx: Tx, device_id: str) -> Holder | None:
    """Return a device by its id."""
    return await fetch_one(
        tx, Holder, "SELECT no, id, profile, state FROM device WHERE id = %s", (device_id,)
    )


async def known(tx: Tx, fingerprint: bytes) -> Known | None:
    """Return what is known of a certificate."""
    return await fetch_one(
        tx,
        Known,
        "SELECT device_no, revoked_at FROM device_certificate WHERE fingerprint = %s",
        (fingerprint,),
    )


async def insert(
    tx: Tx,
    *,
    certificate_id: uuid.UUID,
    device_no: int,
    fingerprint: bytes,
    serial: str,
    issuer: str,
    own: bool,
    not_before: datetime,
    not_after: datetime,
    by: uuid.UUID | None,
    now: datetime,
) -> bool:
    """Keep a certificate; False when it was there."""
    added = await execute(
        tx,
        "INSERT INTO device_certificate (id, device_no, fingerprint, serial, issuer, own,"
        " not_before, not_after, created_at, created_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (fingerprint) DO NOTHING",
        (
            certificate_id, device_no, fingerprint, serial, issuer, own, not_before, not_after,
            now, by,
        ),
    )  # fmt: skip
    return added == 1


async def of_device(tx: Tx, device_no: int, limit: int = 50) -> list[CertificateRow]:
    """Return the device's certificates, newest first."""
    return await fetch_all(
        tx,
        CertificateRow,
        "SELECT c.id, c.device_no, c.serial, c.issuer, c.own, c.not_before, c.not_after,"
        " c.created_at, u.display_name AS created_by, c.revoked_at, c.revoke_reason"
        " FROM device_certificate c LEFT JOIN user_account u ON u.id = c.created_by"
        " WHERE c.device_no = %s ORDER BY c.created_at DESC, c.id DESC LIMIT %s",
        (device_no, limit),
    )


async def revoke(
    tx: Tx,
    device_no: int,
    serial: str | None,
    reason: str,
    *,
    by: uuid.UUID | None,
    now: datetime,
) -> int:
    """End a certificate of the device, or with `serial` None all of them; tell the brokers."""
    ended = await execute(
        tx,
        "UPDATE device_certificate SET revoked_at = %s, revoked_by = %s, revoke_reason = %s"
        " WHERE device_no = %s AND (%s::text IS NULL OR serial = %s) AND revoked_at IS NULL",
        (now, by, reason, device_no, serial, serial),
    )
    if ended:
        await tx.execute(
            "SELECT pg_notify('credential', id) FROM device WHERE no = %s", (device_no,)
        )
    return ended


async def revoked(tx: Tx, now: datetime) -> list[RevokedSerial]:
    """Return our own certificates that are revoked and would count otherwise."""
    return await fetch_all(
        tx,
        RevokedSerial,
        "SELECT serial, revoked_at, revoke_reason AS reason FROM device_certificate"
        " WHERE own AND revoked_at IS NOT NULL AND not_after > %s ORDER BY revoked_at, serial",
        (now,),
    )


async def device_of_serial(tx: Tx, serial: str) -> int | None:
    """Return whose a serial number is."""
    found: int | None = await fetch_value(
        tx, "SELECT device_no FROM device_certificate WHERE serial = %s LIMIT 1", (serial,)
    )
    return found
