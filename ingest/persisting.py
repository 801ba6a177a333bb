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
_TRY_AT_ONCE = ("40001", "40P01")


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed later: the database is away or full or restarts."""
    if not isinstance(error, TRANSIENT_ERRORS):
        return False
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state is None or not state.startswith(_NEVER_ACCEPTED)


async def until_stored(action: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `action` until the database has taken it.

    Raises what is not the database's absence: the caller has to find the culprit in its data.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            result = await action(*args, **kwargs)
        except TRANSIENT_ERRORS as error:
            if not is_transient(error):
                raise
            _say_away(error)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
        else:
            metrics.DATABASE_UP.set(1)
            return result


def _say_away(error: Exception) -> None:
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state in _TRY_AT_ONCE:
        return
    metrics.DATABASE_UP.set(0)
    log.warning("ingest.database_away", error=type(error).__name__, sqlstate=state)
