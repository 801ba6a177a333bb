"""The telephone of the demonstration: what was called and texted, and picking up.

Only where the process runs in demo mode; everywhere else these routes do not exist (404).
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict

from hotline.contacts import store
from hotline.contacts.model import BODY, PHONE, Attempt, AttemptStatus, Channel
from hotline.contacts.service import attempt_progress
from hotline.incidents.api import as_json
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.crypto import FieldCipher
from kernel.errors import Conflict, NotFound
from kernel.web import WebContext, get_context, get_now

router = APIRouter(prefix="/demo/phone", tags=["demo"])
Context = Annotated[WebContext, Depends(get_context)]
Handler = Annotated[Actor, Depends(requires(Permission.INCIDENT_HANDLE))]
Now = Annotated[datetime, Depends(get_now)]
_SHOWN = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Ringing:
    """A call or text as the person sees it whose phone it is. `body` has a responder's link."""

    id: uuid.UUID
    channel: str
    purpose: str
    to_name: str
    to: str
    status: str
    digits: str | None
    body: str | None
    created_at: datetime
    can_answer: bool


class AnswerBody(BaseModel):
    """Which key is pressed, if any."""

    model_config = ConfigDict(extra="forbid")
    digits: Literal["1", "2", "3"] | None = None


def _demo(ctx: Context) -> WebContext:
    if not ctx.demo:
        raise NotFound("there is no such page")
    return ctx


Demo = Annotated[WebContext, Depends(_demo)]


@router.get("")
async def phone(ctx: Demo, actor: Handler, now: Now) -> Response:
    """Return the calls and texts of the last twelve hours, newest first."""
    async with ctx.db.connection() as conn:
        attempts = await store.recent(conn, now - _SHOWN, actor.division)
    return as_json({"items": [_ringing(attempt, ctx.cipher) for attempt in attempts]})


@router.post("/{attempt_id}/answer")
async def answer(
    attempt_id: uuid.UUID, body: AnswerBody, ctx: Demo, actor: Handler, now: Now
) -> Response:
    """Pick up, press a key, hang up: the same reports that a carrier makes."""
    async with ctx.db.transaction() as tx:
        attempt = await store.within(tx, attempt_id, actor.division)
        if attempt is None:
            raise NotFound("there is no such call")
        if not _can_answer(attempt):
            raise Conflict("it does not ring", status=attempt.status.value)
        reference = str(attempt_id)
        await attempt_progress(tx, reference, AttemptStatus.IN_PROGRESS, body.digits, now)
        await attempt_progress(tx, reference, AttemptStatus.COMPLETED, body.digits, now)
        after = await store.get(tx, attempt_id)
    if after is None:
        raise NotFound("there is no such call")
    return as_json({"attempt": _ringing(after, ctx.cipher)})


def _can_answer(attempt: Attempt) -> bool:
    ringing = {AttemptStatus.QUEUED, AttemptStatus.RINGING}
    return attempt.channel is Channel.CALL and attempt.status in ringing


def _ringing(attempt: Attempt, cipher: FieldCipher) -> Ringing:
    return Ringing(
        id=attempt.id,
        channel=attempt.channel,
        purpose=attempt.purpose,
        to_name=attempt.to_name,
        to=cipher.decrypt(PHONE, attempt.to_enc),
        status=attempt.status,
        digits=attempt.digits,
        body=cipher.decrypt(BODY, attempt.body_enc) if attempt.body_enc else None,
        created_at=attempt.created_at,
        can_answer=_can_answer(attempt),
    )
