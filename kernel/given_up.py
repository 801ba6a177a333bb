"""Effects that the workers have given up: looked at, tried again or discarded by an administrator.

They belong to no division: a topic that fails concerns the installation. The payload is never
shown, for what a handler needs to know need not be for everybody's eyes; it holds ids.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from kernel import audit
from kernel.auth.model import Actor
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value
from kernel.errors import Conflict, Invalid, NotFound
from kernel.outbox import CHANNEL

SUBJECT = "outbox"
LONGEST_REASON = 200
MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class GivenUp:
    """One effect that was tried `attempts` times; `error` is what its handler said last.

    `open` until somebody has discarded it.
    """

    id: uuid.UUID
    topic: str
    created_at: datetime
    dead_at: datetime
    attempts: int
    error: str
    open: bool


_SELECT: LiteralString = (
    "SELECT id, topic, created_at, dead_at, attempts, coalesce(last_error, '') AS error,"
    " done_at IS NULL AS open FROM outbox"
)
_WHERE: LiteralString = (
    " WHERE dead_at IS NOT NULL AND done_at IS NULL AND (%(topic)s = '' OR topic = %(topic)s)"
)
_COUNT: LiteralString = "SELECT count(*) FROM outbox"


async def page(
    tx: Tx, topic: str = "", number: int = 1, *, per_page: int = 50
) -> tuple[list[GivenUp], int]:
    """Return a page (from 1) of those of a topic, the latest first, and how many there are."""
    total = await fetch_value(tx, _COUNT + _WHERE, {"topic": topic})
    rows = await fetch_all(
        tx,
        GivenUp,
        _SELECT + _WHERE + " ORDER BY dead_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s",
        {"topic": topic, "limit": per_page, "offset": (max(1, number) - 1) * per_page},
    )
    return rows, int(total)


async def topics(tx: Tx) -> list[tuple[str, int]]:
    """Return the topics of which something was given up, and how much."""
    rows = await fetch_tuples(
        tx,
        "SELECT topic, count(*) FROM outbox" + _WHERE + " GROUP BY topic ORDER BY topic",  # noqa: S608
        {"topic": ""},
    )
    return [(row[0], int(row[1])) for row in rows]


async def get(tx: Tx, item_id: uuid.UUID) -> GivenUp:
    """Return one. Raises NotFound, also for one that a worker still has in hand."""
    found = await fetch_one(
        tx, GivenUp, _SELECT + " WHERE id = %s AND dead_at IS NOT NULL", (item_id,)
    )
    if found is None:
        raise NotFound("There is no such effect that was given up.", id=str(item_id))
    return found


async def retry(tx: Tx, item_id: uuid.UUID, *, reason: str, actor: Actor, now: datetime) -> None:
    """Give it to the workers again, with all its tries. Raises NotFound, Invalid, Conflict."""
    item = await get(tx, item_id)
    text = _checked(reason)
    await _settle(tx, item, "dead_at = NULL, attempts = 0, available_at = now()")
    await tx.execute("SELECT pg_notify(%s, %s)", (CHANNEL, item.topic))
    await _audit(tx, actor, "outbox.retried", item, text, now)


async def retry_all(tx: Tx, topic: str, *, reason: str, actor: Actor, now: datetime) -> int:
    """Give the oldest of a topic ("" is all) to the workers again; return how many they are.

    At most MOST_AT_ONCE. Raises Invalid without a reason.
    """
    text = _checked(reason)
    rows = await fetch_all(
        tx,
        GivenUp,
        _SELECT + _WHERE + " ORDER BY dead_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED",
        {"topic": topic, "limit": MOST_AT_ONCE},
    )
    for item in rows:
        await _settle(tx, item, "dead_at = NULL, attempts = 0, available_at = now()")
        await _audit(tx, actor, "outbox.retried", item, text, now)
    await tx.execute("SELECT pg_notify(%s, %s)", (CHANNEL, topic))
    return len(rows)


async def discard(tx: Tx, item_id: uuid.UUID, *, reason: str, actor: Actor, now: datetime) -> None:
    """Put it away: it will never be done. Raises NotFound, Invalid, Conflict."""
    item = await get(tx, item_id)
    text = _checked(reason)
    await _settle(tx, item, "done_at = now()")
    await _audit(tx, actor, "outbox.discarded", item, text, now)


def _checked(reason: str) -> str:
    text = reason.replace("\0", "").strip()
    if not text:
        raise Invalid("Say why.", {"reason": "required"})
    if len(text) > LONGEST_REASON:
        raise Invalid("The reason is too long.", {"reason": "too_long"})
    return text


async def _settle(tx: Tx, item: GivenUp, change: LiteralString) -> None:
    changed = await execute(
        tx,
        "UPDATE outbox SET " + change + " WHERE id = %s AND dead_at = %s AND done_at IS NULL",  # noqa: S608
        (item.id, item.dead_at),
    )
    if not changed:
        raise Conflict("Somebody else has dealt with this already.", id=str(item.id))


async def _audit(
    tx: Tx, actor: Actor, action: str, item: GivenUp, reason: str, now: datetime
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type=SUBJECT,
        subject_id=str(item.id),
        division="",
        detail={"topic": item.topic, "attempts": item.attempts, "reason": reason},
        now=now,
    )
