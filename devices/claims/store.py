"""SQL of claim codes."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from devices.claims.model import OpenClaim
from kernel.db import Tx, execute, fetch_one


async def replace(
    tx: Tx,
    codes: Sequence[tuple[uuid.UUID, int, bytes]],
    *,
    expires_at: datetime | None,
    by: uuid.UUID | None,
    now: datetime,
) -> None:
    """Keep fresh codes (id, device, HMAC); older open ones of the same devices end."""
    await execute(
        tx,
        "UPDATE device_claim SET ended_at = %s WHERE device_no = ANY(%s)"
        " AND claimed_at IS NULL AND ended_at IS NULL",
        (now, [device_no for _, device_no, _ in codes]),
    )
    await execute(
        tx,
        "INSERT INTO device_claim (id, device_no, code_index, created_at, created_by, expires_at)"
        " SELECT c.id, c.no, c.code, %s, %s, %s"
        " FROM unnest(%s::uuid[], %s::bigint[], %s::bytea[]) AS c (id, no, code)",
        (
            now,
            by,
            expires_at,
            [claim_id for claim_id, _, _ in codes],
            [device_no for _, device_no, _ in codes],
            [index for _, _, index in codes],
        ),
    )


async def find(tx: Tx, code_index: bytes) -> OpenClaim | None:
    """Return the claim of a code."""
    return await fetch_one(
        tx,
        OpenClaim,
        "SELECT device_no, expires_at, claimed_at, ended_at FROM device_claim"
        " WHERE code_index = %s",
        (code_index,),
    )


async def use(tx: Tx, code_index: bytes, by: uuid.UUID | None, now: datetime) -> bool:
    """Use a code up; False when somebody was faster, or it has expired."""
    used = await execute(
        tx,
        "UPDATE device_claim SET claimed_at = %s, claimed_by = %s WHERE code_index = %s"
        " AND claimed_at IS NULL AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > %s)",
        (now, by, code_index, now),
    )
    return used == 1
