"""The ingest process: two lanes from the broker, TCP and SIP listeners, the writers behind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from ingest import metrics, store
from ingest.deadletters import service as deadletters
from ingest.downlink import CommandRelay
from ingest.lanes import AlarmDesk, BulkWriter, Lane
from ingest.persisting import is_transient, trouble
from ingest.pipeline import Pipeline
from ingest.raising import Cleared, React
from ingest.registry_cache import RegistryCache
from ingest.settings import IngestSettings
from ingest.telemetry.store import refresh_latest
from ingest.transports.mqtt import (
    Subscription,
    bulk_filters,
    express_filters,
    instance_name,
)
from ingest.transports.scaip import ScaipListener
from ingest.transports.tcp import TcpListener
from kernel.clock import monotonic, utcnow
from kernel.db import TRANSIENT_ERRORS, Database

__all__ = ["IngestRunner", "IngestSettings"]

log = structlog.get_logger(__name__)
_LISTENING_SECONDS = 5.0
_NOT_KEPT_SECONDS = 30.0
_GAP = timedelta(seconds=30)
_LATEST_LOST = timedelta(minutes=10)


class IngestRunner:
    """One ingest process. `react` and `cleared` are called in the transactions of alarms."""

    def __init__(
        self, settings: IngestSettings, db: Database, react: React, cleared: Cleared
    ) -> None:
        self._settings = settings
        self._db = db
        self.registry = RegistryCache(db)
        self.pipeline = Pipeline(db, self.registry, react, cleared)
        self._bulk = BulkWriter(self.pipeline, settings)
        self._alarms = AlarmDesk(db, self.pipeline, settings.express_workers)
        self.lanes = {
            name: Lane(name, self.pipeline, self._bulk, self._alarms, settings)
            for name in ("bulk", "express", "tcp", "sip")
        }
        self.subscriptions = [
            Subscription(settings, self.lanes["bulk"], bulk_filters()),
            Subscription(settings, self.lanes["express"], express_filters()),
        ]
        self.tcp = {
            codec: TcpListener(settings, codec, port, self.lanes["tcp"], self.registry)
            for codec, port in (("setracker", settings.tcp_port), *settings.tcp_extra)
            if port >= 0
        }
        self.relay = CommandRelay(db, self.tcp)
        self.scaip = ScaipListener(settings, settings.scaip_port, self.lanes["sip"], self.registry)
        self._listeners: list[TcpListener | ScaipListener] = [*self.tcp.values()]
        if settings.scaip_port >= 0:
            self._listeners.append(self.scaip)
        self._listening_since: datetime | None = None
        self._noted_at: datetime | None = None
        self._latest_due = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Ingest until `stop` is set; then finish what was taken in and leave.

        Raises PortTaken, in a group, when a port cannot be had.
        """
        async with asyncio.TaskGroup() as group:
            writers = [
                group.create_task(self._bulk.run()),
                group.create_task(self._alarms.run()),
                group.create_task(self.registry.listen()),
                *([group.create_task(self.relay.listen())] if self.tcp else []),
                group.create_task(self._regularly(_LISTENING_SECONDS, self._note_listening)),
                group.create_task(self._regularly(self._settings.latest_seconds, self._latest)),
                group.create_task(self._regularly(_NOT_KEPT_SECONDS, self._note_not_kept)),
                *(group.create_task(lane.run()) for lane in self.lanes.values()),
            ]
            await self._mend_latest()
            for listener in self._listeners:
                await listener.start()
            readers = [group.create_task(each.run()) for each in self.subscriptions]
            await stop.wait()
            for subscription in self.subscriptions:
                subscription.drain()
            await self._drain()
            for listener in self._listeners:
                await listener.stop()
            for subscription in self.subscriptions:
                await subscription.close()
            for task in (*readers, *writers):
                task.cancel()
        await self._last_notes()

    async def ready(self) -> str | None:
        """None when everything is up, else a sentence that says what is missing."""
        for subscription in self.subscriptions:
            if not subscription.connected:
                return f"the broker does not answer the {subscription.name} lane"
        try:
            await self._db.ping()
        except (*TRANSIENT_ERRORS, TimeoutError, OSError) as error:  # type: ignore[misc]
            return f"the database does not answer ({type(error).__name__})"
        # A database may answer and yet take nothing: its disk is full, it is a standby.
        return trouble()

    async def _drain(self) -> None:
        """Let everything that was taken in be committed; what is not comes again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                for lane in self.lanes.values():
                    await lane.drained()

    async def _regularly(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Exception as error:
                if not is_transient(error):
                    raise
                metrics.DATABASE_UP.set(0)
            await asyncio.sleep(seconds)

    async def _latest(self) -> None:
        if not len(self.pipeline.latest) or monotonic() < self._latest_due:
            await self.pipeline.latest.compact()
            return
        begun = monotonic()
        await self.pipeline.latest.flush(self._db)
        # A tenth of the time at most: where a backlog is caught up, what is stored is more urgent
        # than what is shown.
        self._latest_due = monotonic() + 9 * (monotonic() - begun)

    async def _last_notes(self) -> None:
        self._latest_due = 0.0
        try:
            await self._latest()
            await self._note_not_kept()
        except TRANSIENT_ERRORS:
            log.warning("ingest.latest_not_written")

    async def _note_not_kept(self) -> None:
        """Say how much of what nobody can use was not even kept, a row for each sender."""
        for listener in self._listeners:
            await deadletters.note_not_kept(self._db, listener.allowance, utcnow())

    async def _mend_latest(self) -> None:
        """What a process that was killed had not written yet."""
        try:
            async with self._db.transaction() as tx:
                await refresh_latest(tx, utcnow() - _LATEST_LOST)
        except TRANSIENT_ERRORS as error:
            log.warning("ingest.database_away", error=type(error).__name__)

    async def _note_listening(self) -> None:
        """Say since when we hear without a gap; the sweeps judge silence by it."""
        now = utcnow()
        heard = self._noted_at is not None and now - self._noted_at <= _GAP
        if not all(subscription.connected for subscription in self.subscriptions):
            self._listening_since = None
            return
        if self._listening_since is None or not heard:
            self._listening_since = now
        async with self._db.transaction() as tx:
            await store.note_listening(
                tx, instance_name(self._settings), self._listening_since, now
            )
        metrics.DATABASE_UP.set(1)
        self._noted_at = now
