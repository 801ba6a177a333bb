"""What people do with dead letters: look at them, have them replayed, discard them. All audited."""

import uuid
from dataclasses import replace
from datetime import datetime

import structlog

from ingest.deadletters import store
from ingest.deadletters.allowance import Allowance
from ingest.deadletters.model import DeadLetter, Filters, Page, ReasonCount
from kernel import audit, outbox
from kernel.auth.model import Actor
from kernel.db import TRANSIENT_ERRORS, Database, Tx
from kernel.errors import Conflict, Invalid, NotFound

log = structlog.get_logger(__name__)
REPLAY_TOPIC = "ingest.replay_dead_letter"
"""Outbox topic: a worker takes the frame through the pipeline (`ingest/deadletters/replay.py`)."""
MOST_AT_ONCE = 1000
LONGEST_NOTE = 200


async def find(tx: Tx, filters: Filters, page: int = 1, *, per_page: int = 50) -> Page:
    """Return a page (from 1) of what the filters find, newest first."""
    letters = await store.search(tx, filters, page, per_page)
    return Page(letters, await store.count(tx, filters))


async def by_reason(tx: Tx, scope: str = "") -> list[ReasonCount]:
    """Return how many open dead letters each reason has within a division prefix."""
    return await store.reasons(tx, scope)


async def get(tx: Tx, letter_id: uuid.UUID) -> DeadLetter:
    """Return one dead letter. Raises NotFound."""
    letter = await store.get(tx, letter_id)
    if letter is None:
        raise NotFound("There is no such dead letter.", id=str(letter_id))
    return letter


async def read(tx: Tx, letter_id: uuid.UUID, *, actor: Actor, now: datetime) -> DeadLetter:
    """Return one dead letter of the actor's division with its payload; audited. Raises NotFound.

    A payload may hold what was measured of a person.
    """
    letter = await store.get(tx, letter_id, scope=actor.division)
    if letter is None:
        raise NotFound("There is no such dead letter.", id=str(letter_id))
    await _audit(tx, "dead_letter.viewed", letter, actor, now)
    return letter


async def request_replay(tx: Tx, letter_id: uuid.UUID, *, actor: Actor, now: datetime) -> None:
    """Have a worker take the frame through the pipeline again, after the transaction commits.

    Raises NotFound, and Conflict for one that is settled or of which only the beginning was kept.
    """
    letter = await _open(tx, letter_id, actor)
    if not letter.complete:
        raise Conflict(
            "Only the beginning of this frame was kept; it cannot be replayed.",
            kept=len(letter.payload),
            size=letter.payload_size,
        )
    await store.mark_requested(tx, letter_id, actor.user_id, now)
    await outbox.enqueue(tx, REPLAY_TOPIC, {"id": str(letter_id)})
    await _audit(tx, "dead_letter.replay_requested", letter, actor, now)


async def request_replay_of_all(
    tx: Tx, filters: Filters, *, actor: Actor, now: datetime, limit: int = MOST_AT_ONCE
) -> int:
    """Have the oldest open letters of a filter replayed, `limit` at most; return how many they are.

    Those of which only the beginning was kept, and those that wait for a replay, are left out.
    """
    within = replace(filters, status="open", scope=actor.division)
    letter_ids = await store.claim_replayable(tx, within, limit)
    await store.mark_all_requested(tx, letter_ids, actor.user_id, now)
    for letter_id in letter_ids:
        await outbox.enqueue(tx, REPLAY_TOPIC, {"id": str(letter_id)})
    await audit.record(
        tx,
        actor=actor,
        action="dead_letter.replay_requested",
        subject_type="dead_letter",
        subject_id="",
        division=actor.division,
        detail={
            "letters": len(letter_ids),
            "reason": filters.reason,
            "transport": filters.transport,
            # That one was searched for, and not what: it may be somebody's number.
            "text": bool(filters.text),
        },
        now=now,
    )
    return len(letter_ids)


async def discard(
    tx: Tx, letter_id: uuid.UUID, *, actor: Actor, now: datetime, note: str = ""
) -> None:
    """Put a dead letter away for good. Raises NotFound, Conflict for one that is settled.

    Raises Invalid when the note has more than LONGEST_NOTE characters.
    """
    if len(note) > LONGEST_NOTE:
        raise Invalid("The note is too long.", {"note": "too_long"})
    letter = await _open(tx, letter_id, actor)
    await store.mark_discarded(tx, letter_id, actor.user_id, note, now)
    await _audit(tx, "dead_letter.discarded", letter, actor, now)


async def note_not_kept(db: Database, allowance: Allowance, now: datetime) -> None:
    """Note what a listener has only counted since the last time: a row for each sender.

    Raises what the database raises when it is away; the counts then wait for the next time.
    """
    counts = allowance.take_counts()
    if not counts:
        return
    frames = sum(each.frames for each in counts)
    log.warning("ingest.dead_letters_not_kept", frames=frames, senders=len(counts))
    try:
        async with db.transaction() as tx:
            for draft, each in sorted(
                ((allowance.draft(each, now), each) for each in counts),
                key=lambda pair: pair[0].fingerprint,
            ):
                await store.note_not_kept(tx, draft, each.frames, each.size)
    except TRANSIENT_ERRORS:
        allowance.put_back(counts)
        raise


async def _open(tx: Tx, letter_id: uuid.UUID, actor: Actor) -> DeadLetter:
    letter = await store.get(tx, letter_id, lock=True, scope=actor.division)
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
