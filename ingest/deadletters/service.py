"""What people do with dead letters: look at them, have them replayed, discard them. All audited."""

import uuid
from datetime import datetime

from ingest.deadletters import store
from ingest.deadletters.model import DeadLetter, Filters, Page, ReasonCount
from kernel import audit, outbox
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, NotFound

REPLAY_TOPIC = "ingest.replay_dead_letter"
"""Outbox topic: a worker takes the frame through the pipeline (`ingest/deadletters/replay.py`)."""


async def find(tx: Tx, filters: Filters, page: int = 1, *, per_page: int = 50) -> Page:
    """Return a page (from 1) of what the filters find, newest first."""
    letters = await store.search(tx, filters, page, per_page)
    return Page(letters, await store.count(tx, filters))


async def by_reason(tx: Tx) -> list[ReasonCount]:
    """Return how many open dead letters each reason has."""
    return await store.reasons(tx)


async def count_open(tx: Tx) -> int:
    """Return how many dead letters wait for somebody."""
    return await store.count(tx, Filters())


async def get(tx: Tx, letter_id: uuid.UUID) -> DeadLetter:
    """Return one dead letter. Raises NotFound."""
    letter = await store.get(tx, letter_id)
    if letter is None:
        raise NotFound("There is no such dead letter.", id=str(letter_id))
    return letter


async def request_replay(tx: Tx, letter_id: uuid.UUID, *, actor: Actor, now: datetime) -> None:
    """Have a worker take the frame through the pipeline again, after the transaction commits.

    Raises NotFound, and Conflict for one that is settled or of which only the beginning was kept.
    """
    letter = await _open(tx, letter_id)
    if not letter.complete:
        raise Conflict(
            "Only the beginning of this frame was kept; it cannot be replayed.",
            kept=len(letter.payload),
            size=letter.payload_size,
        )
    await store.mark_requested(tx, letter_id, actor.user_id, now)
    await outbox.enqueue(tx, REPLAY_TOPIC, {"id": str(letter_id)})
    await _audit(tx, "dead_letter.replay_requested", letter, actor, now)


async def discard(tx: Tx, letter_id: uuid.UUID, *, actor: Actor, now: datetime) -> None:
    """Put a dead letter away for good. Raises NotFound, Conflict for one that is settled."""
    letter = await _open(tx, letter_id)
    await store.mark_discarded(tx, letter_id, actor.user_id, now)
    await _audit(tx, "dead_letter.discarded", letter, actor, now)


async def _open(tx: Tx, letter_id: uuid.UUID) -> DeadLetter:
    letter = await store.get(tx, letter_id, lock=True)
    if letter is None:
        raise NotFound("There is no such dead letter.", id=str(letter_id))
    if letter.status not in {"open", "requested"}:
        raise Conflict("This dead letter is settled already.", status=letter.status)
    return letter


async def _audit(tx: Tx, action: str, letter: DeadLetter, actor: Actor, now: datetime) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="dead_letter",
        subject_id=str(letter.id),
        division="",
        detail={"reason": letter.reason, "occurrences": letter.occurrences},
        now=now,
    )
