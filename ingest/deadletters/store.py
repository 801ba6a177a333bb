"""SQL of the dead letters."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import LiteralString

from ingest.deadletters.model import DeadLetter, Draft, Filters, ReasonCount
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value
from kernel.ids import new_id

SAME_WITHIN = timedelta(hours=1)
_MAX_INT = 2**31 - 1

_SELECT: LiteralString = (
    "SELECT id, received_at, last_at, transport, codec, topic, address, payload, payload_size,"
    " reason, detail, occurrences, replay_requested_at, replayed_at, replayed_by, replay_note,"
    " discarded_at, discarded_by, discard_note FROM dead_letter l"
)
_COUNT: LiteralString = "SELECT count(*) FROM dead_letter l"
# The devices that a letter speaks of: that of its address, and the sender in a topic of ours.
_IN_SCOPE: LiteralString = """
    (%(scope)s = '' OR NOT EXISTS (
        SELECT FROM device d LEFT JOIN elder e ON e.id = d.elder_id
        WHERE (d.id = l.address
               OR starts_with(l.topic, 'silverline/v1/') AND d.id = split_part(l.topic, '/', 3)
               OR d.no = (SELECT a.device_no FROM device_alias a
                          WHERE a.codec = l.codec AND a.address = l.address))
          AND NOT starts_with(coalesce(e.division_code, d.division_code), %(scope)s)))
"""
_WHERE: LiteralString = (
    " WHERE"
    + _IN_SCOPE
    + """
      AND (%(reason)s = '' OR reason = %(reason)s)
      AND (%(transport)s = '' OR transport = %(transport)s)
      AND (%(text)s = '' OR position(lower(%(text)s) IN lower(topic || ' ' || address)) > 0)
      AND CASE %(status)s
          WHEN 'open' THEN replayed_at IS NULL AND discarded_at IS NULL
          WHEN 'requested' THEN replay_requested_at IS NOT NULL AND replayed_at IS NULL
              AND discarded_at IS NULL
          WHEN 'replayed' THEN replayed_at IS NOT NULL
          WHEN 'discarded' THEN discarded_at IS NOT NULL
          ELSE true END
"""
)


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
            await _insert(tx, fingerprint, draft, count, len(draft.payload))


async def note_not_kept(tx: Tx, draft: Draft, frames: int, size: int) -> None:
    """Note frames, and bytes in them, that were not kept: one row for each sender and hour."""
    if not await _count_again(tx, draft.fingerprint, draft, frames):
        await _insert(tx, draft.fingerprint, draft, frames, min(size, _MAX_INT))


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


async def _insert(
    tx: Tx, fingerprint: uuid.UUID, draft: Draft, count: int, payload_size: int
) -> None:
    kept = draft.storable()
    await execute(
        tx,
        "INSERT INTO dead_letter (id, received_at, last_at, fingerprint, transport, codec, topic,"
        " address, payload, payload_size, reason, detail, occurrences)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            new_id(), kept.received_at, kept.received_at, fingerprint, kept.transport, kept.codec,
            kept.topic, kept.address, kept.payload, payload_size, kept.reason, kept.detail,
            count,
        ),
    )  # fmt: skip


async def get(
    tx: Tx, letter_id: uuid.UUID, *, lock: bool = False, scope: str = ""
) -> DeadLetter | None:
    """Return one dead letter within a division prefix.

    `lock` keeps others from changing it until the transaction ends.
    """
    locked: LiteralString = " FOR UPDATE OF l" if lock else ""
    return await fetch_one(
        tx,
        DeadLetter,
        _SELECT + " WHERE id = %(id)s AND" + _IN_SCOPE + locked,
        {"id": letter_id, "scope": scope},
    )


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
    return {
        "reason": filters.reason,
        "text": filters.text,
        "status": filters.status,
        "transport": filters.transport,
        "scope": filters.scope,
    }


async def reasons(tx: Tx, scope: str = "") -> list[ReasonCount]:
    """Return the open dead letters by reason, the most frequent first."""
    return await fetch_all(
        tx,
        ReasonCount,
        "SELECT reason, count(*) AS letters, sum(occurrences)::bigint AS occurrences"  # noqa: S608
        " FROM dead_letter l WHERE replayed_at IS NULL AND discarded_at IS NULL AND"
        + _IN_SCOPE
        + " GROUP BY reason ORDER BY occurrences DESC, reason",
        {"scope": scope},
    )


async def claim_replayable(tx: Tx, filters: Filters, limit: int) -> list[uuid.UUID]:
    """Lock the oldest open letters of a filter that are whole and wait for no replay yet."""
    rows = await fetch_tuples(
        tx,
        "SELECT id FROM dead_letter l"  # noqa: S608 - literals of this module
        + _WHERE
        + " AND replayed_at IS NULL AND discarded_at IS NULL AND replay_requested_at IS NULL"
        " AND octet_length(payload) = payload_size"
        " ORDER BY received_at, id LIMIT %(limit)s FOR UPDATE OF l SKIP LOCKED",
        _params(filters) | {"limit": limit},
    )
    return [row[0] for row in rows]


async def mark_all_requested(
    tx: Tx, letter_ids: Sequence[uuid.UUID], user: uuid.UUID | None, now: datetime
) -> None:
    """Note that somebody wants all of these replayed."""
    await execute(
        tx,
        "UPDATE dead_letter SET replay_requested_at = %s, replayed_by = %s, replay_note = NULL"
        " WHERE id = ANY(%s)",
        (now, user, list(letter_ids)),
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
    tx: Tx, letter_id: uuid.UUID, user: uuid.UUID | None, note: str, now: datetime
) -> None:
    """Put it away for good."""
    await execute(
        tx,
        "UPDATE dead_letter SET discarded_at = %s, discarded_by = %s, discard_note = %s,"
        " replay_requested_at = NULL WHERE id = %s",
        (now, user, note or None, letter_id),
    )


async def person_name(tx: Tx, user_id: uuid.UUID) -> str:
    """Return the name of who replayed or discarded a letter."""
    found = await fetch_value(tx, "SELECT display_name FROM user_account WHERE id = %s", (user_id,))
    return str(found or "")


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete what was settled before a moment, and return how many; open ones stay."""
    return await execute(
        tx,
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter"
        " WHERE coalesce(discarded_at, replayed_at) < %s LIMIT %s)",
        (before, limit),
    )
