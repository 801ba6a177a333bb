"""How ingest gets something into the database: it waits while the database is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import psycopg
import structlog

from ingest import metrics
from kernel.db import TRANSIENT_ERRORS

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# Class 54: the row is too large for a page or an index. psycopg counts it as operational, but the
# same data will never be accepted, however often it is offered.
_NEVER_ACCEPTED = ("54",)
# A failover under way: what answers is still a read-only standby.
_STANDBY = ("25006",)
_LOST_RACE = ("40001", "40P01")
_SAY_EVERY = 20
_DISK_FULL = "53100"

# Why each write that has to wait does: a word for the metrics.
_waiting: dict[object, str] = {}
_SENTENCES = {
    "disk_full": "the database's disk is full: nothing can be stored, the broker keeps what comes",
    "away": "the database does not take what comes",
}


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed later: the database is away or full or restarts."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state in _STANDBY:
        return True
    if not isinstance(error, TRANSIENT_ERRORS):
        return False
    return state is None or not state.startswith(_NEVER_ACCEPTED)


async def until_stored(action: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `action` until the database has taken it.

    Raises what is not the database's absence: the caller has to find the culprit in its data.
    """
    pause, attempt, token = _FIRST_PAUSE, 0, object()
    try:
        while True:
            try:
                result = await action(*args, **kwargs)
            except Exception as error:
                if not is_transient(error):
                    raise
                _say_away(error, attempt, token)
                attempt += 1
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            else:
                metrics.DATABASE_UP.set(1)
                return result
    finally:
        if _waiting.pop(token, None):
            _count_waiting()


def trouble() -> str | None:
    """Say why something waits to be stored; None when nothing does."""
    reasons = set(_waiting.values())
    return next((text for word, text in _SENTENCES.items() if word in reasons), None)


def _count_waiting() -> None:
    reasons = list(_waiting.values())
    for word in _SENTENCES:
        metrics.WAITING.labels(word).set(reasons.count(word))


async def until_kept(action: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `action`, which keeps a dead letter, until it succeeds, whatever is in its way.

    A dead letter holds nothing that a database could refuse, so its refusal means that the tables
    are missing or closed to us. To go on would be to lose frames: the stream stands still instead,
    the broker keeps what comes, and the log says what is wrong.
    """
    while True:
        try:
            return await until_stored(action, *args, **kwargs)
        except Exception:
            log.exception("ingest.dead_letter_refused")
            await asyncio.sleep(_LONGEST_PAUSE)


def _say_away(error: Exception, attempt: int, token: object) -> None:
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state in _LOST_RACE:
        return
    _waiting[token] = "disk_full" if state == _DISK_FULL else "away"
    _count_waiting()
    metrics.DATABASE_UP.set(0)
    if attempt % _SAY_EVERY == 0:
        log.warning("ingest.database_away", error=type(error).__name__, sqlstate=state)
