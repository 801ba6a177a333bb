"""Effects leave through the outbox: a row in the same transaction as the change that wants them.

A worker takes rows `WHERE done_at IS NULL AND dead_at IS NULL` with FOR UPDATE SKIP LOCKED, claims
them for a while, runs the handler outside of any transaction and marks them. NOTIFY only wakes the
worker; it also polls. A claim is short and renewed while the handler runs: what a killed worker had
in hand is another's some seconds later. So a handler may run twice: it must be idempotent (the
item's id is its idempotency key).
"""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog
from prometheus_client import Counter
from psycopg.types.json import Jsonb

from kernel.db import TRANSIENT_ERRORS, Database, Tx, execute, fetch_all
from kernel.ids import new_id
from kernel.logs import describe

log = structlog.get_logger(__name__)
CHANNEL = "outbox"
MAX_ATTEMPTS = 12
# A call to the duty phone must not wait for a minute because its worker was killed.
CLAIM_SECONDS = 10
RENEW_SECONDS = 3.0
HANDLE_SECONDS = 48.0
POLL_SECONDS = 5.0
# Handlers in flight at once in a process. A slow one holds its own place only: an urgent call must
# not wait until a provider that hangs has timed out for somebody else's message.
PLACES = 20
STOP_SECONDS = 10.0

_handled = Counter(
    "silverline_outbox_total", "Outbox items by topic and result", ["topic", "result"]
)


class PermanentFailure(Exception):
    """Trying again cannot help; the item becomes dead at once and is shown to the administrator."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One effect. `attempts` counts this try."""

    id: uuid.UUID
    topic: str
    key: str | None
    payload: dict[str, Any]
    attempts: int


Handler = Callable[[OutboxItem], Awaitable[None]]


async def enqueue(
    tx: Tx,
    topic: str,
    payload: Mapping[str, Any],
    *,
    key: str | None = None,
    available_at: datetime | None = None,
) -> uuid.UUID | None:
    """Add an effect to the transaction. With `key`, a second item of the topic is not added.

    Returns the item's id, or None when the key was there already.
    """
    item_id = new_id()
    added = await execute(
        tx,
        "INSERT INTO outbox (id, topic, key, payload, available_at)"
        " VALUES (%s, %s, %s, %s, coalesce(%s, now()))"
        " ON CONFLICT (topic, key) WHERE key IS NOT NULL DO NOTHING",
        (item_id, topic, key, Jsonb(dict(payload)), available_at),
    )
    if not added:
        return None
    await tx.execute("SELECT pg_notify(%s, %s)", (CHANNEL, topic))
    return item_id


def backoff_seconds(attempts: int) -> float:
    """Return the pause after that many failed attempts: 1, 2, 4 … seconds, at most 600."""
    return float(min(600, 2 ** max(0, attempts - 1)))


class OutboxWorker:
    """Claims due items and gives each to the handler of its topic."""

    def __init__(self, db: Database, handlers: Mapping[str, Handler]) -> None:
        self._db = db
        self._handlers = handlers
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._wake = asyncio.Event()
        self._in_flight: dict[asyncio.Task[None], OutboxItem] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. A database that is away is waited for."""
        listener = asyncio.create_task(self._listen(), name="outbox-listener")
        renewal = asyncio.create_task(self._renew(), name="outbox-renewal")
        try:
            while not stop.is_set():
                # Cleared before the look, so that a wake during it is not lost.
                self._wake.clear()
                taken = await self._start_due()
                if taken == 0 or len(self._in_flight) >= PLACES:
                    await self._sleep(stop)
        finally:
            listener.cancel()
            await self._finish()
            renewal.cancel()
            await asyncio.gather(listener, renewal, return_exceptions=True)

    async def run_once(self) -> int:
        """Handle what is due now, as many as there are places; return how many were claimed."""
        items = await self._claim(PLACES)
        await asyncio.gather(*(self._handle(item) for item in items))
        return len(items)

    async def _start_due(self) -> int:
        try:
            items = await self._claim(PLACES - len(self._in_flight))
        except TRANSIENT_ERRORS as error:
            log.warning("outbox.database_away", error=type(error).__name__)
            await asyncio.sleep(1.0)
            return 0
        for item in items:
            task = asyncio.create_task(self._handle_safely(item))
            self._in_flight[task] = item
            task.add_done_callback(self._landed)
        return len(items)

    def _landed(self, task: asyncio.Task[None]) -> None:
        if len(self._in_flight) >= PLACES:
            self._wake.set()
        item = self._in_flight.pop(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("outbox.broken", topic=item.topic, id=str(item.id), error=describe(error))

    async def _handle_safely(self, item: OutboxItem) -> None:
        try:
            await self._handle(item)
        except TRANSIENT_ERRORS as error:
            # Its result could not be written down: the claim runs out and it is handled again.
            log.warning("outbox.database_away", topic=item.topic, error=type(error).__name__)

    async def _sleep(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(self._wake.wait()), asyncio.create_task(stop.wait())]
        try:
            await asyncio.wait(waits, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _finish(self) -> None:
        """Let what is in flight land; give back what does not in time."""
        if not self._in_flight:
            return
        left = dict(self._in_flight)
        _, late = await asyncio.wait(left, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            with contextlib.suppress(*TRANSIENT_ERRORS):
                async with self._db.transaction() as tx:
                    await execute(
                        tx,
                        "UPDATE outbox SET claimed_until = NULL"
                        " WHERE id = ANY(%s) AND done_at IS NULL AND claimed_by = %s",
                        ([left[task].id for task in late], self._name),
                    )

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(psycopg.Error):
                async with self._db.dedicated() as conn:
                    await conn.execute("LISTEN outbox")
                    self._wake.set()
                    async for _ in conn.notifies():
                        self._wake.set()
            await asyncio.sleep(1.0)

    async def _renew(self) -> None:
        """Hold on to what is in flight."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            held = [item.id for item in self._in_flight.values()]
            if not held:
                continue
            with contextlib.suppress(*TRANSIENT_ERRORS):
                async with self._db.transaction() as tx:
                    await execute(
                        tx,
                        "UPDATE outbox SET claimed_until = now() + make_interval(secs => %s)"
                        " WHERE id = ANY(%s) AND claimed_by = %s AND claimed_until IS NOT NULL"
                        " AND done_at IS NULL AND dead_at IS NULL",
                        (CLAIM_SECONDS, held, self._name),
                    )

    async def _claim(self, limit: int) -> list[OutboxItem]:
        if limit <= 0:
            return []
        async with self._db.transaction() as tx:
            return await fetch_all(
                tx,
                OutboxItem,
                """
                WITH due AS (
                    SELECT id FROM outbox
                    WHERE done_at IS NULL AND dead_at IS NULL AND available_at <= now()
                      AND (claimed_until IS NULL OR claimed_until < now())
                      AND topic = ANY(%(topics)s) AND id <> ALL(%(held)s::uuid[])
                    ORDER BY available_at LIMIT %(limit)s
                    FOR UPDATE SKIP LOCKED
                )
                UPDATE outbox o SET attempts = attempts + 1, claimed_by = %(name)s,
                    claimed_until = now() + make_interval(secs => %(claim)s)
                FROM due WHERE o.id = due.id
                RETURNING o.id, o.topic, o.key, o.payload, o.attempts
                """,
                {
                    "topics": list(self._handlers),
                    "limit": limit,
                    "name": self._name,
                    "claim": CLAIM_SECONDS,
                    # A claim that ran out while the database was away is still ours.
                    "held": [item.id for item in self._in_flight.values()],
                },
            )

    async def _handle(self, item: OutboxItem) -> None:
        if item.attempts > MAX_ATTEMPTS:
            # Every try before ended without a word: it takes the process down with it.
            await self._fail(item, RuntimeError("never finished"), dead=True)
            return
        try:
            async with asyncio.timeout(HANDLE_SECONDS):
                await self._handlers[item.topic](item)
        except PermanentFailure as error:
            await self._fail(item, error, dead=True)
        # A handler is somebody else's code: whatever it raises is kept on the row and retried.
        except Exception as error:  # noqa: BLE001
            await self._fail(item, error, dead=item.attempts >= MAX_ATTEMPTS)
        else:
            async with self._db.transaction() as tx:
                await execute(
                    tx,
                    "UPDATE outbox SET done_at = now(), claimed_until = NULL WHERE id = %s",
                    (item.id,),
                )
            _handled.labels(item.topic, "done").inc()

    async def _fail(self, item: OutboxItem, error: Exception, *, dead: bool) -> None:
        log.warning(
            "outbox.failed",
            topic=item.topic,
            id=str(item.id),
            attempts=item.attempts,
            dead=dead,
            error=type(error).__name__,
        )
        _handled.labels(item.topic, "dead" if dead else "retry").inc()
        async with self._db.transaction() as tx:
            await execute(
                tx,
                "UPDATE outbox SET claimed_until = NULL, last_error = %s,"
                " dead_at = CASE WHEN %s THEN now() END,"
                " available_at = now() + make_interval(secs => %s) WHERE id = %s",
                (
                    describe(error),
                    dead,
                    backoff_seconds(item.attempts),
                    item.id,
                ),
            )
