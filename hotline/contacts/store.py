"""SQL of calls and texts, and of whom they can go to."""

import uuid
from datetime import datetime
from typing import LiteralString

from hotline.contacts.machine import FINAL
from hotline.contacts.model import Attempt, AttemptStatus, Channel, Purpose, Target
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value

_SELECT: LiteralString = """
    SELECT id, incident_id, channel, purpose, to_name, to_enc, contact_id, dispatch_id,
        duty_phone_id, position, body_enc, status, carrier_id, digits, created_at, answered_at,
        ended_at, error
    FROM contact_attempt
"""


async def insert(
    tx: Tx,
    attempt_id: uuid.UUID,
    incident_id: uuid.UUID | None,
    channel: Channel,
    purpose: Purpose,
    target: Target,
    *,
    body_enc: bytes | None,
    created_by: uuid.UUID | None,
    now: datetime,
) -> None:
    """Record that somebody is to be reached."""
    await execute(
        tx,
        """
        INSERT INTO contact_attempt (id, incident_id, channel, purpose, to_name, to_enc, contact_id,
            dispatch_id, duty_phone_id, position, body_enc, status, created_at, created_by,
            to_index)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'queued', %s, %s, %s)
        """,
        (
            attempt_id,
            incident_id,
            channel,
            purpose,
            target.name,
            target.phone_enc,
            target.contact_id,
            target.dispatch_id,
            target.duty_phone_id,
            target.position,
            body_enc,
            now,
            created_by,
            target.phone_index,
        ),
    )


async def get(tx: Tx, attempt_id: uuid.UUID) -> Attempt | None:
    """Return one attempt."""
    return await fetch_one(tx, Attempt, _SELECT + " WHERE id = %s", (attempt_id,))


async def lock(tx: Tx, attempt_id: uuid.UUID) -> Attempt | None:
    """Return one attempt and hold it; its incident must be held before."""
    return await fetch_one(tx, Attempt, _SELECT + " WHERE id = %s FOR UPDATE", (attempt_id,))


async def of_incident(tx: Tx, incident_id: uuid.UUID) -> list[Attempt]:
    """Return the attempts of an incident, oldest first."""
    return await fetch_all(
        tx, Attempt, _SELECT + " WHERE incident_id = %s ORDER BY created_at, id", (incident_id,)
    )


_IN_SCOPE: LiteralString = """ AND EXISTS (SELECT 1 FROM incident i
    WHERE i.id = contact_attempt.incident_id AND starts_with(i.division_code, %s))"""


async def within(tx: Tx, attempt_id: uuid.UUID, scope: str) -> Attempt | None:
    """Return one attempt of an incident within the division prefix."""
    return await fetch_one(tx, Attempt, _SELECT + " WHERE id = %s" + _IN_SCOPE, (attempt_id, scope))


async def recent(tx: Tx, since: datetime, scope: str) -> list[Attempt]:
    """Return the attempts since a moment, newest first (the demonstration's telephone)."""
    return await fetch_all(
        tx,
        Attempt,
        _SELECT + " WHERE created_at >= %s" + _IN_SCOPE + " ORDER BY created_at DESC, id DESC"
        " LIMIT 100",
        (since, scope),
    )


async def save_progress(
    tx: Tx,
    attempt_id: uuid.UUID,
    status: AttemptStatus,
    *,
    digits: str | None,
    error: str | None,
    now: datetime,
) -> None:
    """Write what the carrier reported."""
    await execute(
        tx,
        """
        UPDATE contact_attempt SET status = %(status)s, digits = coalesce(digits, %(digits)s),
            error = coalesce(%(error)s, error),
            answered_at = CASE WHEN %(status)s IN ('in_progress', 'completed')
                THEN coalesce(answered_at, %(now)s) ELSE answered_at END,
            ended_at = CASE WHEN %(final)s THEN coalesce(ended_at, %(now)s) END
        WHERE id = %(id)s
        """,
        {
            "id": attempt_id,
            "status": status.value,
            "digits": digits,
            "error": error,
            "final": status in FINAL,
            "now": now,
        },
    )


async def save_carrier_id(tx: Tx, attempt_id: uuid.UUID, carrier_id: str) -> None:
    """Write under which id the carrier knows it."""
    await execute(
        tx, "UPDATE contact_attempt SET carrier_id = %s WHERE id = %s", (carrier_id, attempt_id)
    )


async def forget_bodies(tx: Tx, dispatch_id: uuid.UUID) -> None:
    """Drop the texts that hold the link of a dispatch that is over."""
    await execute(
        tx, "UPDATE contact_attempt SET body_enc = NULL WHERE dispatch_id = %s", (dispatch_id,)
    )


async def chain_in_progress(tx: Tx, incident_id: uuid.UUID) -> bool:
    """True while a call of the contact chain is under way."""
    found = await fetch_one(
        tx,
        Attempt,
        _SELECT + " WHERE incident_id = %s AND purpose = 'chain' AND ended_at IS NULL LIMIT 1",
        (incident_id,),
    )
    return found is not None


async def elder_phone(tx: Tx, elder_id: uuid.UUID) -> Target | None:
    """Return the elder's first number."""
    return await fetch_one(
        tx,
        Target,
        "SELECT e.name, p.phone_enc FROM elder_phone p JOIN elder e ON e.id = p.elder_id"
        " WHERE p.elder_id = %s ORDER BY p.position LIMIT 1",
        (elder_id,),
    )


_CONTACT: LiteralString = "SELECT name, phone_enc, id AS contact_id, position FROM elder_contact"


async def contact(tx: Tx, elder_id: uuid.UUID, contact_id: uuid.UUID) -> Target | None:
    """Return one of the elder's contacts."""
    return await fetch_one(
        tx, Target, _CONTACT + " WHERE elder_id = %s AND id = %s", (elder_id, contact_id)
    )


async def contact_after(tx: Tx, elder_id: uuid.UUID, position: int) -> Target | None:
    """Return the contact that is next after a place in the order (0 gives the first)."""
    return await fetch_one(
        tx,
        Target,
        _CONTACT + " WHERE elder_id = %s AND position > %s ORDER BY position LIMIT 1",
        (elder_id, position),
    )


async def lock_number(tx: Tx, phone_index: bytes) -> None:
    """Let nobody else decide about calls to this number until the transaction ends."""
    await execute(
        tx,
        "SELECT pg_advisory_xact_lock(hashtextextended('duty ' || encode(%s, 'hex'), 0))",
        (phone_index,),
    )


async def duty_call_about(tx: Tx, phone_index: bytes, since: datetime) -> uuid.UUID | None:
    """Return the incident of the duty call to this number that began after `since` and is not over.

    None when the number is free.
    """
    found: uuid.UUID | None = await fetch_value(
        tx,
        "SELECT incident_id FROM contact_attempt WHERE purpose = 'duty' AND channel = 'call'"
        " AND to_index = %s AND created_at > %s AND ended_at IS NULL ORDER BY created_at LIMIT 1",
        (phone_index, since),
    )
    return found


async def duty_texted_since(tx: Tx, phone_index: bytes, since: datetime) -> bool:
    """True when a duty text went to this number after `since`."""
    return bool(
        await fetch_value(
            tx,
            "SELECT EXISTS (SELECT 1 FROM contact_attempt WHERE purpose = 'duty'"
            " AND channel = 'sms' AND to_index = %s AND created_at > %s AND status <> 'failed')",
            (phone_index, since),
        )
    )


async def unclaimed_besides(tx: Tx, incident_id: uuid.UUID, duty_phone_id: uuid.UUID | None) -> int:
    """Return how many other grave incidents of a duty phone's area nobody has claimed.

    The area is the phone's division without those below it that have duty phones of their own;
    without an id, what no duty phone covers.
    """
    return int(
        await fetch_value(
            tx,
            """
            SELECT count(*) FROM incident i
            WHERE i.status = 'open' AND NOT i.test AND i.severity IN ('critical', 'major')
                AND i.id <> %(incident)s
                AND (SELECT q.division FROM duty_phone q
                        WHERE i.division_code LIKE q.division || '%%'
                        ORDER BY length(q.division) DESC LIMIT 1)
                    IS NOT DISTINCT FROM (SELECT division FROM duty_phone WHERE id = %(phone)s)
            """,
            {"incident": incident_id, "phone": duty_phone_id},
        )
    )
