"""SQL of dispatches and their photos."""

import uuid
from datetime import datetime
from typing import LiteralString

from hotline.contacts.model import Target
from hotline.contacts.texts import Facts
from hotline.dispatch.model import Dispatch, DispatchAction, DispatchStatus, PhotoInfo
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples
from kernel.ids import new_id

_SELECT: LiteralString = """
    SELECT d.id, d.incident_id, d.responder_id, r.name AS responder_name,
        r.user_id AS responder_user_id, d.status, d.token_expires_at, d.dispatched_by,
        d.notified_at, d.accepted_at, d.en_route_at, d.on_scene_at, d.completed_at, d.declined_at,
        d.decline_reason, d.withdrawn_at, d.version
    FROM dispatch d JOIN responder r ON r.id = d.responder_id
"""


async def insert(
    tx: Tx,
    incident_id: uuid.UUID,
    responder_id: uuid.UUID,
    *,
    token_hash: bytes,
    expires_at: datetime,
    dispatched_by: uuid.UUID | None,
    now: datetime,
) -> uuid.UUID | None:
    """Insert a dispatch; None when the responder is sent to this incident already."""
    dispatch_id = new_id()
    added = await execute(
        tx,
        "INSERT INTO dispatch (id, incident_id, responder_id, status, token_hash,"
        " token_expires_at, dispatched_by, notified_at)"
        " VALUES (%s, %s, %s, 'notified', %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (dispatch_id, incident_id, responder_id, token_hash, expires_at, dispatched_by, now),
    )
    return dispatch_id if added else None


async def get(tx: Tx, dispatch_id: uuid.UUID) -> Dispatch | None:
    """Return one dispatch."""
    return await fetch_one(tx, Dispatch, _SELECT + " WHERE d.id = %s", (dispatch_id,))


async def lock(tx: Tx, dispatch_id: uuid.UUID) -> Dispatch | None:
    """Return one dispatch and hold it; its incident must be held before."""
    return await fetch_one(
        tx, Dispatch, _SELECT + " WHERE d.id = %s FOR UPDATE OF d", (dispatch_id,)
    )


async def by_token(tx: Tx, token_hash: bytes) -> Dispatch | None:
    """Return the dispatch of a link, dead or alive."""
    return await fetch_one(tx, Dispatch, _SELECT + " WHERE d.token_hash = %s", (token_hash,))


async def of_incident(tx: Tx, incident_id: uuid.UUID) -> list[Dispatch]:
    """Return the dispatches of an incident, oldest first."""
    return await fetch_all(
        tx, Dispatch, _SELECT + " WHERE d.incident_id = %s ORDER BY d.notified_at, d.id",
        (incident_id,),
    )  # fmt: skip


_STAMPS: dict[DispatchAction, LiteralString] = {
    DispatchAction.ACCEPT: ", accepted_at = %(now)s",
    DispatchAction.DEPART: ", accepted_at = coalesce(accepted_at, %(now)s), en_route_at = %(now)s",
    DispatchAction.ARRIVE: ", on_scene_at = %(now)s",
    DispatchAction.COMPLETE: """, completed_at = %(now)s,
        token_expires_at = least(token_expires_at, %(expires)s)""",
    DispatchAction.DECLINE: """, declined_at = %(now)s, decline_reason = %(reason)s,
        token_expires_at = least(token_expires_at, %(now)s)""",
    DispatchAction.WITHDRAW: """, withdrawn_at = %(now)s,
        token_expires_at = least(token_expires_at, %(now)s)""",
}


async def move(
    tx: Tx,
    dispatch: Dispatch,
    action: DispatchAction,
    goal: DispatchStatus,
    *,
    reason: str,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """Take a step if the version is still the dispatch's; False when it is not."""
    touched = await execute(
        tx,
        "UPDATE dispatch SET status = %(goal)s, version = version + 1"  # noqa: S608 - our own constants
        + _STAMPS[action]
        + " WHERE id = %(id)s AND version = %(version)s",
        {
            "id": dispatch.id,
            "version": dispatch.version,
            "goal": goal,
            "reason": reason,
            "expires": expires_at,
            "now": now,
        },
    )
    return touched == 1


async def target_of(tx: Tx, dispatch_id: uuid.UUID) -> Target | None:
    """Return the responder of a dispatch as somebody to call or text."""
    return await fetch_one(
        tx,
        Target,
        "SELECT r.name, r.phone_enc, d.id AS dispatch_id FROM dispatch d"
        " JOIN responder r ON r.id = d.responder_id WHERE d.id = %s",
        (dispatch_id,),
    )


async def facts_of(tx: Tx, incident_id: uuid.UUID) -> Facts | None:
    """Return what texts and calls about an incident may say; the place is county and township."""
    return await fetch_one(
        tx,
        Facts,
        """
        SELECT i.number, i.kind, i.severity, coalesce(e.name, '') AS elder_name,
            coalesce(county.name, '') || coalesce(town.name, '') AS place
        FROM incident i LEFT JOIN elder e ON e.id = i.elder_id
            LEFT JOIN division county ON county.code = left(i.division_code, 6) || '000000'
            LEFT JOIN division town ON town.code = left(i.division_code, 9) || '000'
                AND town.code <> county.code
        WHERE i.id = %s
        """,
        (incident_id,),
    )


async def insert_photo(
    tx: Tx,
    dispatch_id: uuid.UUID,
    content_type: str,
    size: int,
    digest: bytes,
    image_enc: bytes,
    now: datetime,
) -> uuid.UUID:
    """Keep a photo that the dispatch, which is held, does not have yet."""
    photo_id = new_id()
    await execute(
        tx,
        "INSERT INTO dispatch_photo (id, dispatch_id, at, content_type, size, digest, image_enc)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (photo_id, dispatch_id, now, content_type, size, digest, image_enc),
    )
    return photo_id


async def has_photo(tx: Tx, dispatch_id: uuid.UUID, digest: bytes) -> bool:
    """Return whether the same photo is there already: an upload that was repeated."""
    rows = await fetch_tuples(
        tx,
        "SELECT FROM dispatch_photo WHERE dispatch_id = %s AND digest = %s",
        (dispatch_id, digest),
    )
    return bool(rows)


_PHOTO: LiteralString = "SELECT p.id, p.dispatch_id, p.at, p.content_type, p.size"


async def photos(tx: Tx, incident_id: uuid.UUID) -> list[PhotoInfo]:
    """Return the photos of an incident, oldest first, without their bytes."""
    return await fetch_all(
        tx,
        PhotoInfo,
        _PHOTO + " FROM dispatch_photo p JOIN dispatch d ON d.id = p.dispatch_id"
        " WHERE d.incident_id = %s ORDER BY p.at, p.id",
        (incident_id,),
    )


async def photo_count(tx: Tx, dispatch_id: uuid.UUID) -> int:
    """Return how many photos a dispatch has."""
    rows = await fetch_tuples(
        tx, "SELECT count(*) FROM dispatch_photo WHERE dispatch_id = %s", (dispatch_id,)
    )
    return int(rows[0][0])


async def photo_bytes(
    tx: Tx, incident_id: uuid.UUID, photo_id: uuid.UUID
) -> tuple[str, bytes] | None:
    """Return content type and encrypted bytes of a photo of the incident."""
    rows = await fetch_tuples(
        tx,
        "SELECT p.content_type, p.image_enc FROM dispatch_photo p"
        " JOIN dispatch d ON d.id = p.dispatch_id WHERE p.id = %s AND d.incident_id = %s",
        (photo_id, incident_id),
    )
    return (rows[0][0], bytes(rows[0][1])) if rows else None
