"""A lane's subscription: stays connected, takes frames in, acknowledges after the commit."""

import asyncio
import os
import random
import socket
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from devices.codecs import CODECS, codec_for_topic
from devices.messages import Frame
from ingest import metrics
from ingest.identity import Arrival
from ingest.lanes import Lane
from ingest.settings import IngestSettings
from ingest.transports.mqtt_connection import Connection, Link, Refused, Ticket, Version
from ingest.transports.mqtt_packets import DUP, RETAINED, Inbox
from ingest.vitals.rules import belongs
from ingest.work import Delivery, Sheaf, Work, topic_text
from kernel.clock import monotonic, utcnow

log = structlog.get_logger(__name__)
# The longest pause is what alarms wait at the broker for when it comes back.
_PAUSES = (0.2, 3.0)
_VERSIONS = {
    "5": (Version.MQTT5,),
    "3.1.1": (Version.MQTT311,),
    "auto": (Version.MQTT5, Version.MQTT311),
}
_STABLE_SECONDS = 5.0
"""A connection that ends sooner is no success: two processes may go by the same name, and each
throws the other one out."""
_LARGEST_WINDOW = 65_535
_ANSWER_SECONDS = {True: 10.0, False: 3.0}
"""How long to wait for an answer to CONNECT, with a version that the broker is known to speak."""
_MISSES = 3
"""Failures after which a version that was spoken before is doubted: the broker was replaced."""


def bulk_filters() -> list[str]:
    """What the bulk lane subscribes: frames of which there are many and that hold no alarms."""
    return [each for codec in CODECS.values() for each in codec.topics]


def express_filters() -> list[str]:
    """What the express lane subscribes: alarms, and protocols that hide them in other frames."""
    return [each for codec in CODECS.values() for each in codec.express_topics]


def client_id(settings: IngestSettings, lane: str) -> str:
    """The name of a lane's session at the broker: the same after every restart of this process."""
    base = settings.client_id
    if not base:
        shared = f"-{socket.gethostname()}" if settings.mqtt_share_group else ""
        base = f"silverline-ingest{shared}"
    return f"{base}-{lane}"


class Subscription:
    """Keeps one lane connected to the broker; `attempts` and `connects` count."""

    def __init__(self, settings: IngestSettings, lane: Lane, filters: Sequence[str]) -> None:
        self.name = lane.name
        self._lane = lane
        group = settings.mqtt_share_group
        self._filters = [f"$share/{group}/{each}" if group else each for each in filters]
        self._versions = list(_VERSIONS[settings.mqtt_protocol])
        self._link = Link(
            host=settings.mqtt_host,
            port=settings.mqtt_port,
            client_id=client_id(settings, lane.name),
            username=settings.mqtt_username,
            password=settings.mqtt_password,
            tls=settings.mqtt_tls,
            ca_file=settings.mqtt_ca_file,
            keepalive=settings.mqtt_keepalive_seconds,
            session_seconds=settings.mqtt_session_seconds,
            receive_maximum=min(_LARGEST_WINDOW, settings.queue_frames),
        )
        self._proven = len(self._versions) == 1
        self._misses = 0
        self._draining = False
        self.connection: Connection | None = None
        self.connected = False
        self.connects = 0
        self.attempts = 0
        metrics.BROKER_UP.labels(lane.name).set(0)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause = _PAUSES[0]
        while True:
            self.attempts += 1
            try:
                connection = Connection(
                    self._link, self._versions[0], self._take_in, lambda: self._lane.room
                )
                self.connection = connection
                await connection.open(self._filters, _ANSWER_SECONDS[self._proven])
            except OSError as error:
                self._say_refused(error)
            else:
                self._proven, self._misses = True, 0
                if await self._stay(connection) >= _STABLE_SECONDS:
                    pause = _PAUSES[0]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - a delay
            pause = min(_PAUSES[1], pause * 2)

    def _say_refused(self, error: OSError) -> None:
        log.warning("ingest.broker_away", lane=self._lane.name, error=str(error))
        if not isinstance(error, Refused) or not error.other_version:
            return
        # Some brokers say that they do not know MQTT 5, others hang up or say nothing at all.
        self._misses += 1
        if not self._proven or self._misses >= _MISSES:
            self._versions.append(self._versions.pop(0))
            self._misses = 0

    async def _stay(self, connection: Connection) -> float:
        """Serve a connection until it ends; returns for how many seconds."""
        begun = monotonic()
        self._set_connected(True)
        self.connects += 1
        log.info("ingest.connected", lane=self._lane.name, mqtt5=connection.modern)
        if self.connects > 1 and not connection.had_session:
            # It had expired, or the broker keeps nothing over a restart: persistence is off.
            log.error("ingest.session_lost", lane=self._lane.name)
            metrics.SESSIONS_LOST.labels(self._lane.name).inc()
        try:
            while not connection.closed.done():
                connection.tick()
                await asyncio.wait([connection.closed], timeout=1.0)
        finally:
            self._set_connected(False)
        say = log.info if self._draining else log.warning
        say("ingest.disconnected", lane=self._lane.name, reason=connection.closed.result())
        return monotonic() - begun

    def _set_connected(self, connected: bool) -> None:
        self.connected = connected
        metrics.BROKER_UP.labels(self._lane.name).set(connected)

    def _take_in(self, connection: Connection, inbox: Inbox, ticket: Ticket) -> None:
        """Offer what was read together to the lane: vitals as one sheaf, anything else singly."""
        fitting = [belongs(*each) for each in zip(inbox.topics, inbox.flags, strict=True)]
        vitals = [index for index, fits in enumerate(fitting) if fits]
        others = [index for index, fits in enumerate(fitting) if not fits]
        open_items = len(others) + bool(vitals)
        received_at = utcnow()

        def settled() -> None:
            nonlocal open_items
            open_items -= 1
            if open_items == 0:
                connection.settle(ticket)

        if vitals:
            self._lane.offer_sheaf(self._sheaf(inbox, vitals, received_at, settled))
        for index in others:
            self._lane.offer(self._delivery(inbox, index, received_at, settled))
        if self._lane.full or self._draining:
            connection.pause()
            metrics.PAUSES.labels(self._lane.name).inc()
            self._lane.on_room(lambda: self._room(connection))

    def _sheaf(
        self, inbox: Inbox, wanted: list[int], at: datetime, settled: Callable[[], None]
    ) -> Sheaf:
        def done(sheaf: Sheaf) -> None:
            self._lane.settled_sheaf(sheaf)
            settled()

        return Sheaf(
            [inbox.topics[index] for index in wanted],
            [inbox.payloads[index] for index in wanted],
            [inbox.ids[index] for index in wanted],
            [inbox.flags[index] for index in wanted],
            at,
            done,
        )

    def _delivery(
        self, inbox: Inbox, index: int, at: datetime, settled: Callable[[], None]
    ) -> Delivery:
        flags, topic = inbox.flags[index], topic_text(inbox.topics[index])
        delivery: Delivery

        def done(_: Work) -> None:
            self._lane.settled(delivery)
            settled()

        delivery = Delivery(
            frame=Frame(inbox.payloads[index], topic, retained=bool(flags & RETAINED)),
            transport="mqtt",
            codec=codec_for_topic(topic),
            arrival=Arrival(at, inbox.ids[index], bool(flags & DUP)),
            settled=done,
        )
        return delivery

    def _room(self, connection: Connection) -> None:
        if not self._draining:
            connection.resume()

    def drain(self) -> None:
        """Take nothing more; what was taken can still be acknowledged."""
        self._draining = True
        if self.connection is not None:
            self.connection.pause()

    async def close(self) -> None:
        """Leave the broker, which keeps the session and what was not acknowledged."""
        if self.connection is not None:
            await self.connection.close()


def instance_name(settings: IngestSettings) -> str:
    """What this process is called where several say that they listen."""
    return f"{client_id(settings, 'lane')}@{socket.gethostname()}:{os.getpid()}"
