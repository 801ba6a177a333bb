"""The live feed: NOTIFY inside the transaction, LISTEN in each web process, SSE to the browsers.

An event carries ids, never personal data, and tells a browser what to re-render. Nobody resumes a
feed by number: after any gap (our connection to the database, a slow browser) the subscriber gets
`resync` and re-renders what it shows.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from prometheus_client import Gauge

from kernel.db import Database, Tx

log = structlog.get_logger(__name__)
CHANNEL = "live"
RESYNC = "resync"
CLOSING = "closing"
QUEUE_LIMIT = 256

_subscribers = Gauge("silverline_live_subscribers", "Browsers on the live feed of this process")


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """`event` names what happened; `division` is the 12-digit code of its place, "" is all."""

    event: str
    division: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


async def publish(tx: Tx, event: str, *, division: str, data: Mapping[str, Any]) -> None:
    """Send an event when the transaction commits. The JSON must stay under NOTIFY's 8,000 bytes."""
    payload = json.dumps({"event": event, "division": division, "data": data}, ensure_ascii=False)
    await tx.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))


class LiveHub:
    """Listens on one connection and gives each event to the subscribers of its division."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._queues: dict[asyncio.Queue[LiveEvent], str] = {}
        self._task: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()
        self.closing = False

    async def start(self) -> None:
        """Begin to listen; returns at once, `listening` is set when the feed is up."""
        self._task = asyncio.create_task(self._run(), name="live-hub")

    def close(self) -> None:
        """Tell every subscriber, present and later, to end: this process is about to stop."""
        self.closing = True
        self.dispatch(LiveEvent(CLOSING))

    async def stop(self) -> None:
        """End the listener."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @asynccontextmanager
    async def subscribe(self, division_prefix: str) -> AsyncIterator[asyncio.Queue[LiveEvent]]:
        """Yield a queue that gets the events at or below the division prefix ("" is everything)."""
        queue: asyncio.Queue[LiveEvent] = asyncio.Queue(QUEUE_LIMIT)
        self._queues[queue] = division_prefix
        _subscribers.inc()
        try:
            yield queue
        finally:
            del self._queues[queue]
            _subscribers.dec()

    def dispatch(self, event: LiveEvent) -> None:
        """Give an event to every subscriber that it concerns."""
        for queue, prefix in list(self._queues.items()):
            if event.division and not event.division.startswith(prefix):
                continue
            if queue.full():
                # A browser that does not read: everything it has waiting becomes one resync.
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(LiveEvent(RESYNC))
            else:
                queue.put_nowait(event)

    def _receive(self, payload: str) -> None:
        # Anybody on the database may NOTIFY: what is not ours must not end the feed.
        try:
            body = json.loads(payload)
            event = LiveEvent(str(body["event"]), str(body["division"]), dict(body["data"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            log.warning("live.unreadable", size=len(payload))
            return
        self.dispatch(event)

    async def _run(self) -> None:
        while True:
            try:
                async with self._db.dedicated() as conn:
                    await conn.execute("LISTEN live")
                    self.listening.set()
                    # Whoever subscribed before this moment may have missed something.
                    self.dispatch(LiveEvent(RESYNC))
                    async for notice in conn.notifies():
                        self._receive(notice.payload)
            except (psycopg.Error, OSError) as error:
                log.warning("live.listener_lost", error=type(error).__name__)
            # Whatever else it is: a feed that is deaf and says that it hears is the worst of all.
            except Exception:
                log.exception("live.listener_failed")
            finally:
                self.listening.clear()
            await asyncio.sleep(0.5)
