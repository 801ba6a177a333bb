"""SQL of the dead letters."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import LiteralString

from ingest.deadletters.model import DeadLetter, Draft, Filters, ReasonCount
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value
from kernel.ids import new_id

SAME_WITHIN = timedelta(hours=1)

_SELECT: LiteralString = (
    "SELECT id, received_at, last_at, transport, codec, topic, address, payload, payload_size,"
    " reason, detail, occurrences, replay_requested_at, replayed_at, replayed_by, replay_note,"
    " discarded_at, discarded_by FROM dead_letter"
)
_COUNT: LiteralString = "SELECT count(*) FROM dead_letter"
_WHERE: LiteralString = """
    WHERE (%(reason)s = '' OR reason = %(reason)s)
      AND (%(text)s = '' OR position(lower(%(text)s) IN lower(topic || ' ' || address)) > 0)
      AND CASE %(status)s
          WHEN 'open' THEN replayed_at IS NULL AND discarded_at IS NULL
          WHEN 'requested' THEN replay_requested_at IS NOT NULL AND replayed_at IS NULL
              AND discarded_at IS NULL
          WHEN 'replayed' THEN replayed_at IS NOT NULL
          WHEN 'discarded' THEN discarded_at IS NOT NULL
          ELSE true END
"""


async def keep(tx: Tx, drafts: Sequence[Draft]) -> None:
    """Keep frames; the same one within an hour of its first is counted, not multiplied."""
    counted: dict[uuid.UUID, tuple[Draft, int]] = {}
    for draft in drafts:
        first, count = counted.get(draft.fingerprint, (draft, 0))
        counted[draft.fingerprint] = (first, count + 1)
    # In one order, so that two processes cannot wait for each other's rows.
    for fingerprint in sorted(counted):
        draft, count = counted[fingerprint]
        if not await _count_again(tx, fingerprint, draft, count):
            await _insert(tx, fingerprint, draft, count)


async def _count_again(tx: Tx, fingerprint: uuid.UUID, draft: Draft, count: int) -> bool:
    updated = await execute(
        tx,
        """
        UPDATE dead_letter SET occurrences = occurrences + %(count)s,
            last_at = greatest(last_at, %(at)s)
        WHERE id = (SELECT id FROM dead_letter
                    WHERE fingerprint = %(fingerprint)s AND received_at > %(since)s
                      AND replayed_at IS NULL AND discarded_at IS NULL
                    ORDER BY received_at LIMIT 1 FOR UPDATE)
        """,
        {
            "count": count,
            "at": draft.received_at,
            "fingerprint": fingerprint,
            "since": draft.received_at - SAME_WITHIN,
        },
    )
    return updated > 0


async def _insert(tx: Tx, fingerprint: uuid.UUID, draft: Draft, count: int) -> None:
    kept = draft.storable()
    await execute(
        tx,
        "INSERT INTO dead_letter (id, received_at, last_at, fingerprint, transport, codec, topic,"
        " address, payload, payload_size, reason, detail, occurrences)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            new_id(), kept.received_at, kept.received_at, fingerprint, kept.transport, kept.codec,
            kept.topic, kept.address, kept.payload, len(draft.payload), kept.reason, kept.detail,
            count,
        ),
    )  # fmt: skip


async def get(tx: Tx, letter_id: uuid.UUID, *, lock: bool = False) -> DeadLetter | None:
    """Return one dead letter; `lock` keeps others from changing it until the transaction ends."""
    locked: LiteralString = " FOR UPDATE" if lock else ""
    return await fetch_one(tx, DeadLetter, _SELECT + " WHERE id = %s" + locked, (letter_id,))


async def search(tx: Tx, filters: Filters, page: int, per_page: int) -> list[DeadLetter]:
    """Return a page (from 1) of what the filters find, newest first."""
    return await fetch_all(
        tx,
        DeadLetter,
        _SELECT + _WHERE + " ORDER BY last_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s",
        _params(filters) | {"limit": per_page, "offset": (max(1, page) - 1) * per_page},
    )


async def count(tx: Tx, filters: Filters) -> int:
    """Return how many the filters find."""
    found = await fetch_value(tx, _COUNT + _WHERE, _params(filters))
    return int(found)


def _params(filters: Filters) -> dict[str, str | int]:
    return {"reason": filters.reason, "text": filters.text, "status": filters.status}


async def reasons(tx: Tx) -> list[ReasonCount]:
    """Return the open dead letters by reason, the most frequent first."""
    return await fetch_all(
        tx,
        ReasonCount,
        "SELECT reason, count(*) AS letters, sum(occurrences)::bigint AS occurrences"
        " FROM dead_letter WHERE replayed_at IS NULL AND discarded_at IS NULL"
        " GROUP BY reason ORDER BY occurrences DESC, reason",
    )


async def mark_requested(
    tx: Tx, letter_id: uuid.UUID, user: uuid.UUID | None, now: datetime
) -> None:
    """Note that somebody wants it replayed."""
    await execute(
        tx,
        "UPDATE dead_letter SET replay_requested_at = %s, replayed_by = %s, replay_note = NULL"
        " WHERE id = %s",
        (now, user, letter_id),
    )


async def mark_replayed(tx: Tx, letter_id: uuid.UUID, note: str, now: datetime) -> None:
    """Note that a replay used the frame."""
    await execute(
        tx,
        "UPDATE dead_letter SET replayed_at = %s, replay_note = %s WHERE id = %s",
        (now, note, letter_id),
    )


async def mark_still_dead(tx: Tx, letter_id: uuid.UUID, reason: str, note: str) -> None:
    """Note that a replay could not use the frame either, and why."""
    await execute(
        tx,
        "UPDATE dead_letter SET replay_requested_at = NULL, reason = %s, replay_note = %s"
        " WHERE id = %s",
        (reason, note, letter_id),
    )


async def mark_discarded(
    tx: Tx, letter_id: uuid.UUID, user: uuid.UUID | None, now: datetime
) -> None:
    """Put it away for good."""
    await execute(
        tx,
        "UPDATE dead_letter SET discarded_at = %s, discarded_by = %s, replay_requested_at = NULL"
        " WHERE id = %s",
        (now, user, letter_id),
    )


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete what was settled before a moment, and return how many; open ones stay."""
    return await execute(
        tx,
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter"
        " WHERE coalesce(discarded_at, replayed_at) < %s LIMIT %s)",
        (before, limit),
    )
