"""SQL of escalation: deadlines of incidents, policies by division, the duty phones."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from devices.alarms import Severity
from hotline.escalation.model import Deadline, DeadlineKind, DutyPhone
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value
from kernel.ids import new_id


async def add_deadline(
    tx: Tx,
    incident_id: uuid.UUID,
    kind: DeadlineKind,
    due_at: datetime,
    *,
    step: int = 0,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Have something happen at `due_at`."""
    await execute(
        tx,
        "INSERT INTO incident_deadline (id, incident_id, kind, step, due_at, data)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (new_id(), incident_id, kind, step, due_at, Jsonb(dict(data or {}))),
    )


async def cancel_deadlines(
    tx: Tx, incident_id: uuid.UUID, kinds: list[DeadlineKind], now: datetime
) -> None:
    """Take back what has not happened yet."""
    await execute(
        tx,
        "UPDATE incident_deadline SET cancelled_at = %s WHERE incident_id = %s AND kind = ANY(%s)"
        " AND done_at IS NULL AND cancelled_at IS NULL",
        (now, incident_id, [kind.value for kind in kinds]),
    )


_DEADLINE: LiteralString = (
    "SELECT id, incident_id, kind, step, due_at, data, attempts FROM incident_deadline"
)


async def due_of(tx: Tx, incident_id: uuid.UUID, now: datetime) -> Deadline | None:
    """Return the oldest due deadline of an incident that is held by the transaction."""
    return await fetch_one(
        tx,
        Deadline,
        _DEADLINE + " WHERE incident_id = %s AND due_at <= %s AND done_at IS NULL"
        " AND cancelled_at IS NULL ORDER BY due_at, step LIMIT 1 FOR UPDATE",
        (incident_id, now),
    )


async def pending_deadlines(tx: Tx, incident_id: uuid.UUID) -> list[Deadline]:
    """Return what is still to happen, soonest first."""
    return await fetch_all(
        tx,
        Deadline,
        _DEADLINE + " WHERE incident_id = %s AND done_at IS NULL AND cancelled_at IS NULL"
        " ORDER BY due_at, step",
        (incident_id,),
    )


async def waits_for(tx: Tx, incident_id: uuid.UUID, number: str) -> bool:
    """True while the incident waits for the duty phone with this blind index (hexadecimal)."""
    return bool(
        await fetch_value(
            tx,
            "SELECT EXISTS (SELECT 1 FROM incident_deadline WHERE incident_id = %s"
            " AND data ->> 'waiting_for' = %s AND done_at IS NULL AND cancelled_at IS NULL)",
            (incident_id, number),
        )
    )


async def others_before(
    tx: Tx, incident_id: uuid.UUID, severity: Severity, number: str, since: str, now: datetime
) -> bool:
    """True when another incident waits for this duty phone and comes first.

    Critical ones come first, then who has waited longer. One whose handling failed has been put
    off and keeps nobody waiting.
    """
    return bool(
        await fetch_value(
            tx,
            """
            SELECT EXISTS (
                SELECT 1 FROM incident_deadline d JOIN incident i ON i.id = d.incident_id
                WHERE d.data ->> 'waiting_for' = %(number)s AND d.incident_id <> %(id)s
                    AND d.done_at IS NULL AND d.cancelled_at IS NULL AND i.status = 'open'
                    AND d.due_at < %(now)s + interval '20 seconds'
                    AND (i.severity <> 'critical', (d.data ->> 'waiting_since')::timestamptz, i.id)
                        < (%(severity)s <> 'critical', %(since)s::timestamptz, %(id)s))
            """,
            {
                "number": number,
                "id": incident_id,
                "severity": severity.value,
                "since": since,
                "now": now,
            },
        )
    )


async def finish_deadline(tx: Tx, deadline_id: uuid.UUID, now: datetime) -> None:
    """Mark a deadline as done."""
    await execute(tx, "UPDATE incident_deadline SET done_at = %s WHERE id = %s", (now, deadline_id))


async def postpone_deadline(tx: Tx, deadline_id: uuid.UUID, due_at: datetime, error: str) -> None:
    """Keep a deadline whose handling failed, for another try."""
    await execute(
        tx,
        "UPDATE incident_deadline SET due_at = %s, attempts = attempts + 1, error = %s"
        " WHERE id = %s AND done_at IS NULL",
        (due_at, error[:2000], deadline_id),
    )


async def policy_json(tx: Tx, division_code: str, severity: Severity) -> Mapping[str, Any] | None:
    """Return the policy of the longest division prefix, None when none is configured."""
    return await fetch_value(  # type: ignore[no-any-return]
        tx,
        "SELECT policy FROM escalation_policy WHERE severity = %s AND %s LIKE division || '%%'"
        " ORDER BY length(division) DESC LIMIT 1",
        (severity, division_code),
    )


async def save_policy(
    tx: Tx, division: str, severity: Severity, policy: Mapping[str, Any], now: datetime
) -> None:
    """Insert or replace the policy of a division prefix."""
    await execute(
        tx,
        "INSERT INTO escalation_policy (id, division, severity, policy, updated_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (division, severity)"
        " DO UPDATE SET policy = excluded.policy, updated_at = excluded.updated_at,"
        " version = escalation_policy.version + 1",
        (new_id(), division, severity, Jsonb(dict(policy)), now),
    )


_DUTY: LiteralString = (
    "SELECT id, division, position, name, phone_enc, phone_index, user_id, version FROM duty_phone"
)


async def duty_phones(tx: Tx, division_code: str) -> list[DutyPhone]:
    """Return the duty phones of the longest division prefix that has any, in their order."""
    return await fetch_all(
        tx,
        DutyPhone,
        _DUTY  # noqa: S608 - our own constants
        + """ WHERE division = (SELECT division FROM duty_phone WHERE %(code)s LIKE division || '%%'
                ORDER BY length(division) DESC LIMIT 1) ORDER BY position""",
        {"code": division_code},
    )


async def duty_phone(tx: Tx, duty_phone_id: uuid.UUID) -> DutyPhone | None:
    """Return one duty phone."""
    return await fetch_one(tx, DutyPhone, _DUTY + " WHERE id = %s", (duty_phone_id,))


async def save_duty_phone(
    tx: Tx,
    *,
    division: str,
    position: int,
    name: str,
    phone_enc: bytes,
    phone_index: bytes,
    user_id: uuid.UUID | None,
) -> None:
    """Insert or replace the duty phone at a position of a division prefix."""
    await execute(
        tx,
        "INSERT INTO duty_phone (id, division, position, name, phone_enc, phone_index, user_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (division, position) DO UPDATE"
        " SET name = excluded.name, phone_enc = excluded.phone_enc,"
        " phone_index = excluded.phone_index, user_id = excluded.user_id,"
        " version = duty_phone.version + 1",
        (new_id(), division, position, name, phone_enc, phone_index, user_id),
    )
