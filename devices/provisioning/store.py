"""SQL of batches and their devices."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from devices.provisioning.model import Batch
from kernel.db import Tx, execute, fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class Held:
    """A batch with the hash of its key, its row locked."""

    id: uuid.UUID
    batch: str
    profile: str
    division_code: str
    key_hash: bytes
    most: int
    used: int
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Before:
    """A device that has asked before."""

    device_no: int
    device_id: str
    state: str
    last_seen_at: datetime | None
    at: datetime


async def insert(
    tx: Tx,
    *,
    batch_id: uuid.UUID,
    batch: str,
    profile: str,
    division_code: str,
    key_hash: bytes,
    most: int,
    expires_at: datetime,
    by: uuid.UUID | None,
    now: datetime,
) -> bool:
    """Make a batch; False when there is, or was, one of this name."""
    added = await execute(
        tx,
        "INSERT INTO provisioning_key (id, batch, profile, division_code, key_hash, most,"
        " created_at, created_by, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (lower(batch)) DO NOTHING",
        (batch_id, batch, profile, division_code, key_hash, most, now, by, expires_at),
    )
    return added == 1


async def all_batches(tx: Tx, scope: str) -> list[Batch]:
    """Return the batches within a division prefix, newest first."""
    return await fetch_all(
        tx,
        Batch,
        "SELECT k.id, k.batch, k.profile, k.division_code, k.most, k.used, k.created_at,"
        " u.display_name AS created_by, k.expires_at, k.revoked_at"
        " FROM provisioning_key k LEFT JOIN user_account u ON u.id = k.created_by"
        " WHERE starts_with(k.division_code, %s) ORDER BY k.created_at DESC, k.id DESC LIMIT 200",
        (scope,),
    )


async def hold(tx: Tx, batch: str) -> Held | None:
    """Return a batch by its name; its devices come one after the other."""
    return await fetch_one(
        tx,
        Held,
        "SELECT id, batch, profile, division_code, key_hash, most, used, expires_at, revoked_at"
        " FROM provisioning_key WHERE lower(batch) = lower(%s) FOR UPDATE",
        (batch,),
    )


async def revoke(tx: Tx, batch_id: uuid.UUID, by: uuid.UUID | None, now: datetime) -> bool:
    """End a batch; False when it had ended."""
    ended = await execute(
        tx,
        "UPDATE provisioning_key SET revoked_at = %s, revoked_by = %s"
        " WHERE id = %s AND revoked_at IS NULL",
        (now, by, batch_id),
    )
    return ended == 1


async def before(tx: Tx, batch_id: uuid.UUID, hardware: str) -> Before | None:
    """Return the device of this hardware, if it has asked before."""
    return await fetch_one(
        tx,
        Before,
        "SELECT p.device_no, d.id AS device_id, d.state, d.last_seen_at, p.at"
        " FROM provisioned_device p JOIN device d ON d.no = p.device_no"
        " WHERE p.key_id = %s AND p.hardware = %s",
        (batch_id, hardware),
    )


async def add(tx: Tx, batch_id: uuid.UUID, hardware: str, device_no: int, now: datetime) -> None:
    """Note a device of the batch and count it."""
    await execute(
        tx,
        "INSERT INTO provisioned_device (key_id, hardware, device_no, at) VALUES (%s, %s, %s, %s)",
        (batch_id, hardware, device_no, now),
    )
    await execute(tx, "UPDATE provisioning_key SET used = used + 1 WHERE id = %s", (batch_id,))
