"""SQL of responders."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from hotline.responders.model import Responder
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples
from kernel.ids import new_id

_SELECT: LiteralString = """
    SELECT r.id, r.user_id, r.name, r.phone_enc, r.skills, r.division_code, r.station, r.lat, r.lon,
        r.fix_at, r.on_duty,
        (SELECT count(*) FROM dispatch d WHERE d.responder_id = r.id
            AND d.status NOT IN ('completed', 'declined', 'withdrawn')) AS busy
    FROM responder r
"""


async def get(tx: Tx, responder_id: uuid.UUID) -> Responder | None:
    """Return a responder who is not disabled."""
    return await fetch_one(
        tx, Responder, _SELECT + " WHERE r.id = %s AND r.disabled_at IS NULL", (responder_id,)
    )


async def all_of(tx: Tx, division: str = "") -> list[Responder]:
    """Return the responders stationed in the division prefix, by name."""
    return await fetch_all(
        tx,
        Responder,
        _SELECT + " WHERE r.disabled_at IS NULL AND r.division_code LIKE %s || '%%'"
        " ORDER BY r.name, r.id",
        (division,),
    )


async def candidates(tx: Tx, incident_id: uuid.UUID, city: str) -> list[Responder]:
    """Return those on duty in the city (first four digits) who are not sent there already."""
    return await fetch_all(
        tx,
        Responder,
        _SELECT  # noqa: S608 - our own constants
        + """ WHERE r.disabled_at IS NULL AND r.on_duty AND r.division_code LIKE %s || '%%'
            AND NOT EXISTS (SELECT 1 FROM dispatch d WHERE d.responder_id = r.id
                AND d.incident_id = %s AND d.status NOT IN ('completed', 'declined', 'withdrawn'))
        """,
        (city, incident_id),
    )


async def insert(
    tx: Tx,
    *,
    name: str,
    phone_enc: bytes,
    phone_index: bytes,
    skills: Sequence[str],
    division_code: str,
    station: str,
    on_duty: bool,
    now: datetime,
    user_id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Add a responder and return the id."""
    responder_id = new_id()
    await execute(
        tx,
        "INSERT INTO responder (id, user_id, name, phone_enc, phone_index, skills, division_code,"
        " station, on_duty, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            responder_id,
            user_id,
            name,
            phone_enc,
            phone_index,
            [str(skill) for skill in skills],
            division_code,
            station,
            on_duty,
            now,
        ),
    )
    return responder_id


async def save_position(
    tx: Tx,
    responder_id: uuid.UUID,
    lat: float,
    lon: float,
    accuracy_m: float | None,
    at: datetime,
) -> bool:
    """Keep a fix unless a newer one is there; True when it was kept."""
    touched = await execute(
        tx,
        "UPDATE responder SET lat = %(lat)s, lon = %(lon)s, accuracy_m = %(accuracy)s,"
        " fix_at = %(at)s WHERE id = %(id)s AND (fix_at IS NULL OR fix_at <= %(at)s)",
        {"lat": lat, "lon": lon, "accuracy": accuracy_m, "at": at, "id": responder_id},
    )
    return touched == 1


async def home(tx: Tx, elder_id: uuid.UUID) -> tuple[float, float] | None:
    """Return latitude and longitude of an elder's home, None when they are not known."""
    rows = await fetch_tuples(
        tx, "SELECT lat, lon FROM elder WHERE id = %s AND lat IS NOT NULL", (elder_id,)
    )
    return (rows[0][0], rows[0][1]) if rows else None
