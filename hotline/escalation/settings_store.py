"""SQL of the administration of duty phones and escalation policies."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from devices.alarms import Severity
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value
from kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class PhoneRow:
    """A duty phone with the name of who claims by it."""

    id: uuid.UUID
    division: str
    position: int
    name: str
    phone_enc: bytes
    user_id: uuid.UUID | None
    claims_for: str | None
    version: int


@dataclass(frozen=True, slots=True)
class ConfiguredPolicy:
    """A policy of a division prefix, in the JSON form of `rules.Policy.dump`."""

    division: str
    severity: str
    policy: Mapping[str, Any]
    version: int
    updated_at: datetime


_PHONE: LiteralString = """
    SELECT p.id, p.division, p.position, p.name, p.phone_enc, p.user_id,
        u.display_name AS claims_for, p.version
    FROM duty_phone p LEFT JOIN user_account u ON u.id = p.user_id
"""


async def phones(tx: Tx, scope: str) -> list[PhoneRow]:
    """Return the duty phones of a division prefix."""
    return await fetch_all(
        tx,
        PhoneRow,
        _PHONE + " WHERE starts_with(p.division, %s) ORDER BY p.division, p.position",
        (scope,),
    )


async def phone(tx: Tx, phone_id: uuid.UUID, *, lock: bool = False) -> PhoneRow | None:
    """Return a duty phone; `lock` holds the row until the end of the transaction."""
    return await fetch_one(
        tx,
        PhoneRow,
        _PHONE + " WHERE p.id = %s" + (" FOR UPDATE OF p" if lock else ""),
        (phone_id,),
    )


async def save_phone(
    tx: Tx,
    phone_id: uuid.UUID,
    values: Mapping[str, Any],
    phone: tuple[bytes, bytes] | None,
    *,
    new: bool,
) -> None:
    """Insert or update a duty phone; None keeps the number. Raises UniqueViolation."""
    box, index = phone or (None, None)
    params = {"id": phone_id, "box": box, "index": index, **values}
    if new:
        await execute(
            tx,
            "INSERT INTO duty_phone (id, division, position, name, phone_enc, phone_index, user_id)"
            " VALUES (%(id)s, %(division)s, %(position)s, %(name)s, %(box)s, %(index)s, %(user)s)",
            params,
        )
        return
    await execute(
        tx,
        "UPDATE duty_phone SET division = %(division)s, position = %(position)s, name = %(name)s,"
        " phone_enc = coalesce(%(box)s, phone_enc), phone_index = coalesce(%(index)s, phone_index),"
        " user_id = %(user)s, version = version + 1 WHERE id = %(id)s",
        params,
    )


async def remove_phone(tx: Tx, phone_id: uuid.UUID) -> None:
    """Delete a duty phone."""
    await execute(tx, "DELETE FROM duty_phone WHERE id = %s", (phone_id,))


async def may_claim(
    tx: Tx, user_id: uuid.UUID, scope: str, division: str, roles: list[str]
) -> bool:
    """True for an account in use within `scope` with one of the roles that covers `division`."""
    return bool(
        await fetch_value(
            tx,
            "SELECT EXISTS (SELECT 1 FROM user_account WHERE id = %s AND disabled_at IS NULL"
            " AND starts_with(division, %s) AND starts_with(%s, division) AND roles && %s)",
            (user_id, scope, division, roles),
        )
    )


_POLICY: LiteralString = (
    "SELECT division, severity, policy, version, updated_at FROM escalation_policy"
)


async def policies(tx: Tx, scope: str) -> list[ConfiguredPolicy]:
    """Return the policies of a division prefix and those above it."""
    return await fetch_all(
        tx,
        ConfiguredPolicy,
        _POLICY + " WHERE starts_with(division, %(scope)s) OR starts_with(%(scope)s, division)"
        " ORDER BY division, array_position(ARRAY['critical', 'major', 'minor', 'technical'],"
        " severity)",
        {"scope": scope},
    )


async def policies_for(tx: Tx, division: str, severity: Severity) -> ConfiguredPolicy | None:
    """Return what counts for a division prefix: its own or the nearest above."""
    return await fetch_one(
        tx,
        ConfiguredPolicy,
        _POLICY + " WHERE severity = %s AND starts_with(%s, division)"
        " ORDER BY length(division) DESC LIMIT 1",
        (severity.value, division),
    )


async def save_policy(
    tx: Tx,
    division: str,
    severity: Severity,
    version: int,
    policy: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Insert (version 0) or replace a policy; False when somebody was faster."""
    params = {
        "id": new_id(),
        "division": division,
        "severity": severity.value,
        "policy": Jsonb(dict(policy)),
        "now": now,
        "version": version,
    }
    if version == 0:
        touched = await execute(
            tx,
            "INSERT INTO escalation_policy (id, division, severity, policy, updated_at)"
            " VALUES (%(id)s, %(division)s, %(severity)s, %(policy)s, %(now)s)"
            " ON CONFLICT (division, severity) DO NOTHING",
            params,
        )
    else:
        touched = await execute(
            tx,
            "UPDATE escalation_policy SET policy = %(policy)s, updated_at = %(now)s,"
            " version = version + 1 WHERE division = %(division)s AND severity = %(severity)s"
            " AND version = %(version)s",
            params,
        )
    return touched == 1


async def remove_policy(tx: Tx, division: str, severity: Severity, version: int) -> bool:
    """Delete a policy; False when somebody was faster."""
    touched = await execute(
        tx,
        "DELETE FROM escalation_policy WHERE division = %s AND severity = %s AND version = %s",
        (division, severity.value, version),
    )
    return touched == 1
