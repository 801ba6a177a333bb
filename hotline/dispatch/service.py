"""Use cases of a dispatch: send, what the responder taps, withdraw; notes and photos.

The incident's row is locked before the dispatch's, the same order as everywhere.
"""

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from hotline.contacts import store as contacts
from hotline.contacts.model import BODY, Purpose, Target
from hotline.contacts.outgoing import queue_call, queue_text
from hotline.contacts.texts import dispatch_text
from hotline.dispatch import images, machine, store, tokens
from hotline.dispatch.model import Dispatch, DispatchAction, DispatchStatus
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.escalation.model import DeadlineKind
from hotline.incidents import machine as incident_machine
from hotline.incidents import store as incidents
from hotline.incidents.model import Action, Incident, Status
from hotline.incidents.steps import (
    check,
    lock,
    make_louder,
    move,
    needed_text,
    publish_change,
)
from hotline.responders import store as responders
from hotline.responders.rules import city_of
from kernel.auth.model import Actor
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound
from kernel.tokens import new_token, token_hash

MAX_PHOTOS = 20
PHOTO = "dispatch_photo"


class LinkDead(NotFound):
    """The link was never one, has expired or was taken back."""

    code = "link_dead"


class TooManyPhotos(Invalid):
    """There are as many photos as one dispatch may have."""

    code = "too_many_photos"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What sending needs from the process: the cipher, and where phones reach us."""

    cipher: FieldCipher
    public_url: str


async def send(
    tx: Tx,
    incident_id: uuid.UUID,
    version: int,
    responder_id: uuid.UUID,
    outgoing: Outgoing,
    actor: Actor,
    now: datetime,
) -> tuple[Incident, uuid.UUID]:
    """Send a responder: a dispatch, and a text with the link. Return incident and dispatch id.

    Raises NotFound for a responder who is gone or of another city than the incident's, Conflict
    when he is on the way already.
    """
    incident = await lock(tx, incident_id, actor)
    responder = await responders.get(tx, responder_id)
    if responder is None or city_of(responder.division_code) != city_of(incident.division_code):
        raise NotFound("there is no such responder")
    data = {"responder": responder.name, "responder_id": str(responder.id)}
    incident = await move(tx, incident, version, Action.DISPATCH, actor, now, data=data)
    token = new_token()
    dispatch_id = await store.insert(
        tx, incident.id, responder.id, token_hash=token_hash(token),
        expires_at=now + tokens.LIFETIME, dispatched_by=actor.user_id, now=now,
    )  # fmt: skip
    if dispatch_id is None:
        raise Conflict("this responder is on the way already", by=responder.name)
    target = Target(responder.name, responder.phone_enc, dispatch_id=dispatch_id)
    link = tokens.link(outgoing.public_url, token)
    await _text_link(tx, incident, target, link, outgoing, actor, now)
    answer_s = rules.parse_policy(incident.escalation_policy).answer_s
    await escalation.add_deadline(
        tx,
        incident.id,
        DeadlineKind.DISPATCH_ANSWER,
        now + timedelta(seconds=answer_s),
        data={"dispatch": str(dispatch_id), "seconds": answer_s},
    )
    return incident, dispatch_id


async def _text_link(
    tx: Tx,
    incident: Incident,
    target: Target,
    link: str,
    outgoing: Outgoing,
    actor: Actor,
    now: datetime,
) -> None:
    facts = await store.facts_of(tx, incident.id)
    if facts is None:
        raise NotFound("there is no such incident")
    # The link is the whole right: until it is sent it lies encrypted, with the attempt alone.
    body = outgoing.cipher.encrypt(BODY, dispatch_text(facts, link))
    await queue_text(tx, incident, Purpose.DISPATCH, target, actor, now, body_enc=body)


async def open_link(tx: Tx, token: str, now: datetime) -> Dispatch:
    """Return the dispatch of a link. Raises LinkDead with fact `why`: unknown, expired, or the
    status in which a dispatch has ended.
    """
    dispatch = await store.by_token(tx, token_hash(token))
    if dispatch is None:
        raise LinkDead("this link is not known", why="unknown")
    if dispatch.status in {DispatchStatus.WITHDRAWN, DispatchStatus.DECLINED}:
        raise LinkDead("this task is over", why=dispatch.status.value)
    if now >= dispatch.token_expires_at:
        raise LinkDead("this link has expired", why="expired")
    return dispatch


async def respond(
    tx: Tx,
    dispatch_id: uuid.UUID,
    action: DispatchAction,
    now: datetime,
    *,
    version: int | None = None,
    reason: str = "",
) -> Dispatch:
    """Take a step for the responder. A step that was taken before changes nothing.

    Raises Conflict when the step is not possible from here; facts say where the dispatch stands.
    """
    incident, dispatch = await _hold(tx, dispatch_id)
    if machine.already_done(dispatch.status, action):
        return dispatch
    if version is not None and version != dispatch.version:
        raise _not_possible(dispatch, action)
    return await _step(tx, incident, dispatch, action, responder_actor(dispatch), now, reason)


async def withdraw(
    tx: Tx,
    incident_id: uuid.UUID,
    version: int,
    dispatch_id: uuid.UUID,
    actor: Actor,
    now: datetime,
) -> Incident:
    """Take a responder back; he gets a text. `version` is the incident's."""
    incident = await lock(tx, incident_id, actor)
    await check(tx, incident, version, Action.STAND_DOWN, actor)
    dispatch = await store.lock(tx, dispatch_id)
    if dispatch is None or dispatch.incident_id != incident.id:
        raise NotFound("there is no such dispatch")
    await _step(tx, incident, dispatch, DispatchAction.WITHDRAW, actor, now, "")
    await _stand_down(tx, incident, dispatch, actor, now)
    return await publish_change(tx, incident.id)


async def withdraw_all(tx: Tx, incident: Incident, actor: Actor, now: datetime) -> None:
    """Take back whoever is not there yet: the held incident is resolved."""
    for dispatch in await store.of_incident(tx, incident.id):
        if dispatch.status in machine.NOT_THERE_YET:
            await _step(tx, incident, dispatch, DispatchAction.WITHDRAW, actor, now, "")
            await _stand_down(tx, incident, dispatch, actor, now)


async def add_note(tx: Tx, dispatch: Dispatch, text: str, now: datetime, *, key: str = "") -> None:
    """Write what the responder says on the timeline.

    `key` is made by the phone: a note that is sent again after a lost answer is there once.
    """
    data = {"text": needed_text(text, "text"), "dispatch": str(dispatch.id), "key": key[:64]}
    await _hold(tx, dispatch.id)
    if key and await incidents.has_note(tx, dispatch.incident_id, str(dispatch.id), key[:64]):
        return
    await incidents.add_event(
        tx,
        dispatch.incident_id,
        "dispatch.note",
        actor=responder_actor(dispatch),
        now=now,
        data=data,
    )
    await publish_change(tx, dispatch.incident_id)


async def add_photo(
    tx: Tx, cipher: FieldCipher, dispatch: Dispatch, image: bytes, now: datetime
) -> uuid.UUID | None:
    """Keep a photo, encrypted and without its metadata; None when it is there already.

    Raises Invalid for what is no JPEG, PNG or WebP of at most 6 MiB, or the twenty-first.
    """
    # Before anything is locked: six megabytes take a while, and not on the event loop.
    content_type, size, digest, sealed = await asyncio.to_thread(_sealed, cipher, image)
    # Held while it is counted: two uploads at the same moment must not both be the twentieth.
    await _hold(tx, dispatch.id)
    if await store.has_photo(tx, dispatch.id, digest):
        return None
    if await store.photo_count(tx, dispatch.id) >= MAX_PHOTOS:
        raise TooManyPhotos("there are enough photos", {"photo": f"at most {MAX_PHOTOS}"})
    photo_id = await store.insert_photo(tx, dispatch.id, content_type, size, digest, sealed, now)
    await incidents.add_event(
        tx, dispatch.incident_id, "dispatch.photo", actor=responder_actor(dispatch), now=now,
        data={"photo": str(photo_id), "dispatch": str(dispatch.id)},
    )  # fmt: skip
    await publish_change(tx, dispatch.incident_id)
    return photo_id


def _sealed(cipher: FieldCipher, image: bytes) -> tuple[str, int, bytes, bytes]:
    """Return content type, size, digest of what came, and the encrypted picture. Raises Invalid."""
    content_type, clean = images.clean(image)
    sealed = cipher.encrypt_bytes(PHOTO, clean)
    return content_type, len(clean), hashlib.sha256(image).digest(), sealed


async def unanswered(tx: Tx, incident: Incident, dispatch_id: uuid.UUID, now: datetime) -> None:
    """The responder has not accepted in time: everybody is told, and the responder is called."""
    dispatch = await store.lock(tx, dispatch_id)
    if dispatch is None or dispatch.status is not DispatchStatus.NOTIFIED:
        return
    await make_louder(
        tx, incident, "dispatch_unanswered", now, data={"responder": dispatch.responder_name}
    )
    target = await store.target_of(tx, dispatch.id)
    if target is not None:
        await queue_call(tx, incident, Purpose.DISPATCH, target, responder_actor(dispatch), now)


def responder_actor(dispatch: Dispatch) -> Actor:
    """Return the responder as somebody who acts: with a name and no rights."""
    return Actor(
        dispatch.responder_user_id,
        f"responder:{dispatch.responder_id}",
        dispatch.responder_name,
        frozenset(),
        "",
    )


async def _hold(tx: Tx, dispatch_id: uuid.UUID) -> tuple[Incident, Dispatch]:
    found = await store.get(tx, dispatch_id)
    incident = await incidents.lock(tx, found.incident_id) if found else None
    dispatch = await store.lock(tx, dispatch_id)
    if incident is None or dispatch is None:
        raise NotFound("there is no such dispatch")
    return incident, dispatch


def _not_possible(dispatch: Dispatch, action: DispatchAction) -> Conflict:
    return Conflict(
        f"cannot {action} a dispatch that is {dispatch.status}",
        status=dispatch.status.value,
        version=dispatch.version,
    )


async def _step(
    tx: Tx,
    incident: Incident,
    dispatch: Dispatch,
    action: DispatchAction,
    actor: Actor,
    now: datetime,
    reason: str,
) -> Dispatch:
    goal = machine.target(dispatch.status, action)
    if goal is None or not await store.move(
        tx, dispatch, action, goal,
        reason=reason, expires_at=now + tokens.AFTER_COMPLETION, now=now,
    ):  # fmt: skip
        raise _not_possible(dispatch, action)
    data = {"dispatch": str(dispatch.id), "responder": dispatch.responder_name}
    if reason:
        data["reason"] = reason
    await incidents.add_event(tx, incident.id, f"dispatch.{goal}", actor=actor, now=now, data=data)
    if goal in machine.FINAL:
        await contacts.forget_bodies(tx, dispatch.id)
    await _carry_over(tx, incident, action, goal, actor, now)
    after = await store.get(tx, dispatch.id)
    if after is None:
        raise NotFound("there is no such dispatch")
    return after


async def _carry_over(
    tx: Tx,
    incident: Incident,
    action: DispatchAction,
    goal: DispatchStatus,
    actor: Actor,
    now: datetime,
) -> None:
    """What a step of the dispatch means for the incident."""
    moved = machine.MOVES_INCIDENT.get(action)
    if moved is not None and incident_machine.target(incident.status, moved) is not None:
        await move(tx, incident, None, moved, actor, now)
        return
    nobody_left = goal in {DispatchStatus.DECLINED, DispatchStatus.WITHDRAWN} and not any(
        other.status not in machine.FINAL for other in await store.of_incident(tx, incident.id)
    )
    if nobody_left and incident.status is Status.DISPATCHED:
        incident = await move(tx, incident, None, Action.STAND_DOWN, actor, now)
    if goal is DispatchStatus.DECLINED:
        await make_louder(
            tx, incident, "dispatch_declined", now, data={"responder": actor.display_name}
        )
    else:
        await publish_change(tx, incident.id)


async def _stand_down(
    tx: Tx, incident: Incident, dispatch: Dispatch, actor: Actor, now: datetime
) -> None:
    target = await store.target_of(tx, dispatch.id)
    if target is not None:
        await queue_text(tx, incident, Purpose.STAND_DOWN, target, actor, now)
