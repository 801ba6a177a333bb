"""Places calls and texts: a row, a line on the timeline and an outbox item, in one transaction.

The outbox item holds only the reference; number and words are put together when it is handled.
"""

import uuid
from datetime import datetime, timedelta

from hotline.contacts import store
from hotline.contacts.model import Channel, Purpose, Target
from hotline.escalation import store as escalation
from hotline.escalation.model import DeadlineKind
from hotline.incidents import store as incidents
from hotline.incidents.model import Incident
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.ids import new_id
from kernel.outbox import enqueue

CALL_TOPIC = "carrier.call"
TEXT_TOPIC = "carrier.text"
# Longer than any phone rings. A carrier whose report was lost must not stop the chain.
ANSWER_SECONDS = 75


async def queue_call(
    tx: Tx, incident: Incident, purpose: Purpose, target: Target, actor: Actor, now: datetime
) -> uuid.UUID:
    """Call somebody about a held incident; return the reference."""
    attempt_id = new_id()
    await store.insert(
        tx, attempt_id, incident.id, Channel.CALL, purpose, target,
        body_enc=None, created_by=actor.user_id, now=now,
    )  # fmt: skip
    await enqueue(tx, CALL_TOPIC, {"attempt": str(attempt_id)}, key=str(attempt_id))
    await escalation.add_deadline(
        tx,
        incident.id,
        DeadlineKind.CALL_ANSWER,
        now + timedelta(seconds=ANSWER_SECONDS),
        data={"attempt": str(attempt_id)},
    )
    await _write(tx, incident, "contact.called", attempt_id, purpose, target, actor, now)
    return attempt_id


async def queue_text(
    tx: Tx,
    incident: Incident,
    purpose: Purpose,
    target: Target,
    actor: Actor,
    now: datetime,
    *,
    body_enc: bytes | None = None,
) -> uuid.UUID:
    """Text somebody about a held incident; without a body the purpose's own words are sent."""
    attempt_id = new_id()
    await store.insert(
        tx, attempt_id, incident.id, Channel.SMS, purpose, target,
        body_enc=body_enc, created_by=actor.user_id, now=now,
    )  # fmt: skip
    await enqueue(tx, TEXT_TOPIC, {"attempt": str(attempt_id)}, key=str(attempt_id))
    await _write(tx, incident, "contact.texted", attempt_id, purpose, target, actor, now)
    return attempt_id


async def _write(
    tx: Tx,
    incident: Incident,
    kind: str,
    attempt_id: uuid.UUID,
    purpose: Purpose,
    target: Target,
    actor: Actor,
    now: datetime,
) -> None:
    data = {"attempt": str(attempt_id), "purpose": purpose, "to": target.name}
    await incidents.add_event(tx, incident.id, kind, actor=actor, now=now, data=data)
