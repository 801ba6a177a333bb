"""An attempt takes its place before it is looked at and is forgiven when it succeeds.

So a hundred guesses at the same moment are not a hundred guesses (as kernel/auth/attempts.py).
Where nobody can guess, failures alone are counted (`check`, `count`): there, a hundred who know
come at the same moment.
"""

from datetime import datetime, timedelta

from devices.attempts import store
from devices.attempts.model import Limit
from kernel.db import Database, Tx
from kernel.errors import RateLimited

KEPT = timedelta(days=1)


async def take_place(tx: Tx, limit: Limit, party: str, now: datetime) -> int:
    """Count an attempt; return its number. Raises RateLimited without counting it.

    The caller commits it whatever comes of it: in a transaction of its own.
    """
    await store.one_at_a_time(tx, limit.kind, party)
    if await store.failures(tx, limit.kind, party, now - limit.window) >= limit.most:
        raise _limited(limit)
    return await store.insert(tx, limit.kind, party, now)


async def check(tx: Tx, limit: Limit, party: str, now: datetime) -> None:
    """Raise RateLimited when a party has failed too often."""
    if await store.failures(tx, limit.kind, party, now - limit.window) >= limit.most:
        raise _limited(limit)


async def count(tx: Tx, limit: Limit, party: str, now: datetime) -> None:
    """Count a failure."""
    await store.insert(tx, limit.kind, party, now)


def _limited(limit: Limit) -> RateLimited:
    return RateLimited(
        "Too many wrong codes; wait some minutes.",
        retry_after=int(limit.window.total_seconds()),
    )


async def forgive(tx: Tx, attempt: int) -> None:
    """The attempt succeeded: it does not count."""
    await store.succeed(tx, attempt)


async def prune(db: Database, now: datetime) -> None:
    """Job: forget attempts after a day."""
    async with db.transaction() as tx:
        await store.forget(tx, now - KEPT)
