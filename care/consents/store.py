"""Consents in the database; a row is never changed but for its withdrawal."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from care.consents.model import Consent
from kernel.db import Tx, fetch_all, fetch_value


async def consents_of(tx: Tx, elder_id: uuid.UUID) -> list[Consent]:
    """Return every consent of an elder, withdrawn ones too, the newest first."""
    return await fetch_all(
        tx,
        Consent,
        "SELECT c.id, c.purpose, c.text_version, c.given_by, c.given_at, c.withdrawn_at,"
        " u.display_name AS recorded_by"
        " FROM elder_consent c LEFT JOIN user_account u ON u.id = c.recorded_by"
        " WHERE c.elder_id = %s ORDER BY c.given_at DESC, c.id DESC",
        (elder_id,),
    )


async def add(
    tx: Tx, consents: Sequence[tuple[uuid.UUID, Consent]], *, by: uuid.UUID | None
) -> None:
    """Insert consents of some elders."""
    async with tx.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO elder_consent (id, elder_id, purpose, text_version, given_by, given_at,"
            " withdrawn_at, recorded_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    consent.id,
                    elder_id,
                    consent.purpose,
                    consent.text_version,
                    consent.given_by,
                    consent.given_at,
                    consent.withdrawn_at,
                    by,
                )
                for elder_id, consent in consents
            ],
        )


async def is_given(tx: Tx, elder_id: uuid.UUID, purpose: str) -> bool:
    """True when a consent to the purpose stands and was not withdrawn."""
    found = await fetch_value(
        tx,
        "SELECT true FROM elder_consent"
        " WHERE elder_id = %s AND purpose = %s AND withdrawn_at IS NULL LIMIT 1",
        (elder_id, purpose),
    )
    return bool(found)


async def withdraw(tx: Tx, elder_id: uuid.UUID, consent_id: uuid.UUID, now: datetime) -> str | None:
    """End a consent and return its purpose; None when it is not there or was withdrawn before."""
    purpose = await fetch_value(
        tx,
        "UPDATE elder_consent SET withdrawn_at = %s"
        " WHERE id = %s AND elder_id = %s AND withdrawn_at IS NULL RETURNING purpose",
        (now, consent_id, elder_id),
    )
    return str(purpose) if purpose is not None else None
