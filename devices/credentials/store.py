"""SQL of device credentials."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from devices.credentials.model import CredentialRow
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True, slots=True)
class LiveCredential:
    """The live credential of a user name, with what is needed to judge it."""

    device_no: int
    device_id: str
    profile: str
    state: str
    secret_hash: bytes


async def live_credential(tx: Tx, username: str) -> LiveCredential | None:
    """Return the credential that is not revoked, or None."""
    return await fetch_one(
        tx,
        LiveCredential,
        "SELECT c.device_no, d.id AS device_id, d.profile, d.state, c.secret_hash"
        " FROM device_credential c JOIN device d ON d.no = c.device_no"
        " WHERE c.username = %s AND c.revoked_at IS NULL",
        (username,),
    )


async def device_id_of(tx: Tx, device_no: int) -> str | None:
    """Return the id of a device, with its row locked."""
    found: str | None = await fetch_value(
        tx, "SELECT id FROM device WHERE no = %s FOR UPDATE", (device_no,)
    )
    return found


async def latest_access(tx: Tx, device_id: str) -> LiveCredential | None:
    """Return the live credential of a device in service, by the device's id."""
    found = await live_credential(tx, device_id)
    return found if found is not None and found.state != "retired" else None


async def certified_profile(tx: Tx, device_id: str) -> str | None:
    """Return the model of a device in service that has a client certificate which counts."""
    found: str | None = await fetch_value(
        tx,
        "SELECT d.profile FROM device d WHERE d.id = %s AND d.state <> 'retired' AND EXISTS ("
        " SELECT FROM device_certificate c WHERE c.device_no = d.no AND c.revoked_at IS NULL"
        " AND c.not_after > now())",
        (device_id,),
    )
    return found


async def revoke(tx: Tx, device_no: int, now: datetime) -> int:
    """End every live credential of the device and tell the brokers when this commits."""
    ended = await execute(
        tx,
        "UPDATE device_credential SET revoked_at = %s WHERE device_no = %s AND revoked_at IS NULL",
        (now, device_no),
    )
    if ended:
        await tx.execute(
            "SELECT pg_notify('credential', id) FROM device WHERE no = %s", (device_no,)
        )
    return ended


async def insert(
    tx: Tx,
    credential_id: uuid.UUID,
    device_no: int,
    username: str,
    secret_hash: bytes,
    now: datetime,
    created_by: uuid.UUID | None,
) -> None:
    """Keep a credential."""
    await execute(
        tx,
        "INSERT INTO device_credential"
        " (id, device_no, username, secret_hash, created_at, created_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (credential_id, device_no, username, secret_hash, now, created_by),
    )


async def insert_many(
    tx: Tx,
    rows: Sequence[tuple[uuid.UUID, int, str, bytes]],
    now: datetime,
    created_by: uuid.UUID | None,
) -> None:
    """Keep many: id, device, user name, hash."""
    await execute(
        tx,
        "INSERT INTO device_credential"
        " (id, device_no, username, secret_hash, created_at, created_by)"
        " SELECT c.id, c.no, c.username, c.hash, %s, %s"
        " FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])"
        " AS c (id, no, username, hash)",
        (
            now,
            created_by,
            [row[0] for row in rows],
            [row[1] for row in rows],
            [row[2] for row in rows],
            [row[3] for row in rows],
        ),
    )


async def history(tx: Tx, device_no: int, limit: int = 10) -> list[CredentialRow]:
    """Return the device's credentials, newest first."""
    return await fetch_all(
        tx,
        CredentialRow,
        "SELECT c.id, c.username, c.created_at, u.display_name AS created_by, c.revoked_at"
        " FROM device_credential c LEFT JOIN user_account u ON u.id = c.created_by"
        " WHERE c.device_no = %s ORDER BY c.created_at DESC, c.id DESC LIMIT %s",
        (device_no, limit),
    )


async def live_id(tx: Tx, device_no: int) -> uuid.UUID | None:
    """Return which credential of the device is live."""
    found: uuid.UUID | None = await fetch_value(
        tx,
        "SELECT id FROM device_credential WHERE device_no = %s AND revoked_at IS NULL",
        (device_no,),
    )
    return found
