"""JSON routes of incidents, mounted under /api.

Every change names the version that its person saw and answers `{"incident": …}` as it is then; a
loser gets 409 with `facts` by, at, status and version. Outside of the actor's division is 404.
"""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from hotline.board import store as board
from hotline.board.model import HistoryFilter
from hotline.contacts import service as contacts
from hotline.dispatch import service as dispatches
from hotline.dispatch import store as dispatch_store
from hotline.incidents import service
from hotline.incidents import store as incidents
from hotline.incidents.guidance import QUESTIONS
from hotline.incidents.model import Incident, Resolution
from hotline.responders import service as responders
from kernel import audit
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.db import Tx
from kernel.errors import Invalid, NotFound
from kernel.web import WebContext, get_context, get_now

router = APIRouter(prefix="/incidents", tags=["incidents"])
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Reader = Annotated[Actor, Depends(requires(Permission.INCIDENT_READ))]
Handler = Annotated[Actor, Depends(requires(Permission.INCIDENT_HANDLE))]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Seen(_Body):
    """The version that the person saw."""

    version: int


class DispatchBody(Seen):
    """Whom to send."""

    responder_id: uuid.UUID


class OnSceneBody(Seen):
    """Who is there, in words."""

    note: str = Field("", max_length=2000)


class ResolveBody(Seen):
    """What it turned out to be, and why."""

    resolution: Resolution
    reason: str = Field(max_length=2000)


class ReopenBody(Seen):
    """Why it is opened again."""

    reason: str = Field(max_length=2000)


class HandOverBody(Seen):
    """The account that takes it."""

    to: uuid.UUID


class NoteBody(_Body):
    """A line for the timeline."""

    text: str = Field(max_length=2000)


class CallBody(_Body):
    """Whom to call: the elder, one contact, or the contacts in their order."""

    who: Literal["elder", "contact", "next"]
    contact_id: uuid.UUID | None = None


class TextBody(_Body):
    """Which contact to text."""

    contact_id: uuid.UUID


def as_json(value: Any, status: int = 200) -> Response:
    """Answer with JSON; times are UTC with Z. Bytes (encrypted fields) cannot be in it."""
    return Response(
        orjson.dumps(value, option=orjson.OPT_UTC_Z),
        status,
        {"Cache-Control": "no-store"},
        "application/json",
    )


def _changed(incident: Incident, **more: Any) -> Response:
    return as_json({"incident": incident, **more})


@router.get("")
async def queue(
    ctx: Context,
    actor: Reader,
    grouped: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """Return what is not resolved, loudest first."""
    async with ctx.db.connection() as conn:
        rows = await board.queue(conn, actor.division, limit, group=grouped)
    return as_json({"items": rows})


@router.get("/history")
async def history(
    ctx: Context,
    actor: Reader,
    wanted: Annotated[HistoryFilter, Depends()],
    sort: str = "-opened_at",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Return a page of all incidents that fit, and the count."""
    async with ctx.db.connection() as conn:
        rows, total = await board.history(
            conn, actor.division, wanted, sort=sort, limit=limit, offset=offset
        )
    return as_json({"items": rows, "total": total})


@router.get("/stats")
async def stats(
    ctx: Context, actor: Reader, since: datetime, until: datetime, now: Now
) -> Response:
    """Return the figures of [since, until); times need a zone."""
    if since.tzinfo is None or until.tzinfo is None:
        raise Invalid("a time needs its zone", {"since": "with zone", "until": "with zone"})
    async with ctx.db.connection() as conn:
        return as_json(await board.stats(conn, actor.division, since, until, now))


@router.get("/{incident_id}")
async def read(incident_id: uuid.UUID, ctx: Context, actor: Reader, now: Now) -> Response:
    """Return one incident with everything that hangs on it; the reading is audited."""
    async with ctx.db.transaction() as tx:
        page = await board.incident_page(tx, incident_id, actor.division)
        if page is None:
            raise NotFound("there is no such incident")
        await audit_reading(tx, page.incident, actor, now)
    return as_json(page)


async def audit_reading(tx: Tx, incident: Incident, actor: Actor, now: datetime) -> None:
    """Write down that somebody has looked at an incident and so at an elder."""
    await audit.record(
        tx,
        actor=actor,
        action="incident.read",
        subject_type="incident",
        subject_id=str(incident.id),
        division=incident.division_code,
        detail={
            "number": incident.number,
            "elder_id": str(incident.elder_id) if incident.elder_id else None,
        },
        now=now,
    )


@router.get("/{incident_id}/guidance")
async def guidance(incident_id: uuid.UUID, ctx: Context, actor: Reader) -> Response:
    """Return the questions to ask, in Chinese."""
    async with ctx.db.connection() as conn:
        incident = await _get(conn, incident_id, actor)
    return as_json({"items": QUESTIONS[incident.kind]})


@router.get("/{incident_id}/responders")
async def suggestions(incident_id: uuid.UUID, ctx: Context, actor: Handler, now: Now) -> Response:
    """Return who could be sent, best first, with the reasons."""
    async with ctx.db.connection() as conn:
        incident = await _get(conn, incident_id, actor)
        return as_json({"items": await responders.suggestions(conn, incident, now)})


@router.get("/{incident_id}/photos/{photo_id}")
async def photo(
    incident_id: uuid.UUID, photo_id: uuid.UUID, ctx: Context, actor: Reader, now: Now
) -> Response:
    """Return a responder's photo; the reading is audited."""
    async with ctx.db.transaction() as tx:
        incident = await _get(tx, incident_id, actor)
        found = await dispatch_store.photo_bytes(tx, incident.id, photo_id)
        if found is None:
            raise NotFound("there is no such photo")
        await audit_reading(tx, incident, actor, now)
    image = ctx.cipher.decrypt_bytes(dispatches.PHOTO, found[1])
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": "inline",
    }
    return Response(image, 200, headers, found[0])


async def _get(tx: Tx, incident_id: uuid.UUID, actor: Actor) -> Incident:
    incident = await incidents.get(tx, incident_id, actor.division)
    if incident is None:
        raise NotFound("there is no such incident")
    return incident


@router.post("/{incident_id}/acknowledge")
async def acknowledge(
    incident_id: uuid.UUID, body: Seen, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Claim it."""
    async with ctx.db.transaction() as tx:
        done = await service.acknowledge(tx, incident_id, body.version, actor, now)
    return _changed(done)


@router.post("/{incident_id}/release")
async def release(
    incident_id: uuid.UUID, body: Seen, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Give the claim back."""
    async with ctx.db.transaction() as tx:
        done = await service.release(tx, incident_id, body.version, actor, now)
    return _changed(done)


@router.post("/{incident_id}/hand_over")
async def hand_over(
    incident_id: uuid.UUID, body: HandOverBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Give it to another operator."""
    async with ctx.db.transaction() as tx:
        done = await service.hand_over(tx, incident_id, body.version, body.to, actor, now)
    return _changed(done)


@router.get("/{incident_id}/operators")
async def operators(incident_id: uuid.UUID, ctx: Context, actor: Handler) -> Response:
    """Return who could take it over."""
    async with ctx.db.connection() as conn:
        incident = await _get(conn, incident_id, actor)
        return as_json({"items": await service.takers(conn, incident)})


@router.post("/{incident_id}/dispatch")
async def dispatch(
    incident_id: uuid.UUID, body: DispatchBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Send a responder, who gets a text with a link."""
    outgoing = dispatches.Outgoing(ctx.cipher, ctx.public_url)
    async with ctx.db.transaction() as tx:
        done, dispatch_id = await dispatches.send(
            tx, incident_id, body.version, body.responder_id, outgoing, actor, now
        )
    return _changed(done, dispatch_id=dispatch_id)


@router.post("/{incident_id}/dispatches/{dispatch_id}/withdraw")
async def withdraw(
    incident_id: uuid.UUID,
    dispatch_id: uuid.UUID,
    body: Seen,
    ctx: Context,
    actor: Handler,
    now: Now,
) -> Response:
    """Take a responder back."""
    async with ctx.db.transaction() as tx:
        done = await dispatches.withdraw(tx, incident_id, body.version, dispatch_id, actor, now)
    return _changed(done)


@router.post("/{incident_id}/on_scene")
async def on_scene(
    incident_id: uuid.UUID, body: OnSceneBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Somebody is there."""
    async with ctx.db.transaction() as tx:
        done = await service.on_scene(tx, incident_id, body.version, body.note, actor, now)
    return _changed(done)


@router.post("/{incident_id}/resolve")
async def resolve(
    incident_id: uuid.UUID, body: ResolveBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Close it with what it turned out to be."""
    async with ctx.db.transaction() as tx:
        done = await service.resolve(
            tx, incident_id, body.version, body.resolution, body.reason, actor, now
        )
    return _changed(done)


@router.post("/{incident_id}/reopen")
async def reopen(
    incident_id: uuid.UUID, body: ReopenBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Open it again."""
    async with ctx.db.transaction() as tx:
        done = await service.reopen(tx, incident_id, body.version, body.reason, actor, now)
    return _changed(done)


@router.post("/{incident_id}/note")
async def note(
    incident_id: uuid.UUID, body: NoteBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Write on the timeline."""
    async with ctx.db.transaction() as tx:
        done = await service.add_note(tx, incident_id, body.text, actor, now)
    return _changed(done)


@router.post("/{incident_id}/call")
async def call(
    incident_id: uuid.UUID, body: CallBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Call the elder, a contact, or the contacts one after the other."""
    async with ctx.db.transaction() as tx:
        if body.who == "elder":
            attempt = await contacts.call_elder(tx, incident_id, actor, now)
        elif body.who == "next":
            attempt = await contacts.call_contacts_in_order(tx, incident_id, actor, now)
        elif body.contact_id is not None:
            attempt = await contacts.call_contact(tx, incident_id, body.contact_id, actor, now)
        else:
            raise Invalid("which contact?", {"contact_id": "is needed"})
        incident = await _get(tx, incident_id, actor)
    return _changed(incident, attempt_id=attempt)


@router.post("/{incident_id}/text")
async def text(
    incident_id: uuid.UUID, body: TextBody, ctx: Context, actor: Handler, now: Now
) -> Response:
    """Text a contact in fixed words."""
    async with ctx.db.transaction() as tx:
        attempt = await contacts.text_contact(tx, incident_id, body.contact_id, actor, now)
        incident = await _get(tx, incident_id, actor)
    return _changed(incident, attempt_id=attempt)
