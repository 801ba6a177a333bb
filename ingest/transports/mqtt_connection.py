"""One connection to the broker: what MQTT asks of a subscriber, driven by the event loop.

Written by hand because reading is the whole work of this client (ADR 0013): packets are taken out
of large reads by `mqtt_packets.read` and handed on together, acknowledgements leave together. A
full lane pauses reading without missing the keep-alive; TCP then holds the broker back.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import structlog

from ingest import metrics
from ingest.transports import mqtt_packets as packets
from ingest.transports.mqtt_packets import Inbox, MalformedPacketError
from kernel.clock import monotonic

log = structlog.get_logger(__name__)
MAX_PACKET = 1024 * 1024
"""Larger messages are not sent to us by an MQTT 5 broker: nothing that we decode is near it."""
_SUBSCRIBE_ID = 1
AT_ONCE = 512
"""Messages handed on before the event loop gets its turn: some milliseconds of work."""


class Version(IntEnum):
    """The versions of MQTT that are spoken."""

    MQTT311 = 4
    MQTT5 = 5


@dataclass(frozen=True, slots=True)
class Link:
    """How to reach the broker and as whom. `receive_maximum` bounds what is in flight (MQTT 5)."""

    host: str
    port: int
    client_id: str
    username: str
    password: str
    tls: bool
    ca_file: str
    keepalive: int
    session_seconds: int
    receive_maximum: int


class Refused(ConnectionError):
    """The broker does not take us in. `other_version` says that another MQTT version may help."""

    def __init__(self, text: str, *, other_version: bool) -> None:
        super().__init__(text)
        self.other_version = other_version


class Ticket:
    """Messages that came together and are to be acknowledged together (QoS 1)."""

    __slots__ = ("done", "packet_ids")

    def __init__(self, packet_ids: Sequence[int]) -> None:
        self.packet_ids = packet_ids
        self.done = False


class Connection(asyncio.Protocol):
    """A live connection. `on_messages` gets what was read at once, with the ticket for all of it.

    `room` says how many messages may be handed on; with 0 the rest waits for `resume`.
    Acknowledgements go out in the order of the messages (MQTT 5, 4.6), whatever the order in which
    they are committed. `closed` is set to what ended the connection.
    `had_session`: the broker had kept the session of the connection before.
    """

    def __init__(
        self,
        link: Link,
        version: Version,
        on_messages: Callable[["Connection", Inbox, Ticket], None],
        room: Callable[[], int],
    ) -> None:
        self._link = link
        self._version = version
        self._on_messages = on_messages
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = 2
        self._feeding = False
        self._paused = False
        self._window: deque[Ticket] = deque()
        self._keepalive = link.keepalive
        self._sent_at = self._heard_at = monotonic()
        self._asked_at: float | None = None
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self.had_session = False

    async def open(self, filters: Sequence[str], seconds: float) -> None:
        """Connect, subscribe with QoS 1 and begin to read. Raises OSError, Refused.

        A broker that has not answered after some seconds may be waiting for the rest of a packet
        whose version it does not know.
        """
        link = self._link
        tls = ssl.create_default_context(cafile=link.ca_file or None) if link.tls else None
        try:
            async with asyncio.timeout(seconds):
                await self._loop.create_connection(lambda: self, link.host, link.port, ssl=tls)
                self._write(
                    packets.connect(
                        link.client_id,
                        link.username,
                        link.password,
                        link.keepalive,
                        modern=self.modern,
                        session_seconds=link.session_seconds,
                        receive_maximum=link.receive_maximum,
                        maximum_packet=MAX_PACKET,
                    )
                )
                await self._accepted
                self._write(packets.subscribe(_SUBSCRIBE_ID, filters, modern=self.modern))
                await self._subscribed
        except TimeoutError as error:
            self._end("no answer")
            raise Refused("the broker does not answer", other_version=True) from error
        except BaseException:
            self._end("refused")
            raise

    # What asyncio tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("not a stream")
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of any number of packets."""
        self._heard_at = monotonic()
        self._asked_at = None
        self._pieces.append(data)
        self._held += len(data)
        self._feed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._end(str(exc) if exc else "the broker hung up")

    # Reading.

    def _feed(self) -> None:
        """Hand on what is held, as far as there is room; then read on, or wait for room."""
        if self._feeding or self._paused or self.closed.done():
            return
        if self._held >= self._needed:
            try:
                self._hand_on()
            except MalformedPacketError as error:
                log.warning("ingest.malformed_packet", error=str(error))
                self._end("malformed packet")
                return
            except Exception:
                log.exception("ingest.reading_failed")
                self._end("fault")
                return
        if self._paused:
            return
        if self._held >= self._needed:
            # The limit was reached and not the end: others first.
            self._feeding = True
            self._hold_back()
            self._loop.call_soon(self._feed_on)
        elif self._transport is not None and not self.closed.done():
            self._transport.resume_reading()

    def _feed_on(self) -> None:
        self._feeding = False
        self._feed()

    def _hand_on(self) -> None:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        inbox = Inbox()
        limit = min(AT_ONCE, max(1, self._room()))
        with metrics.cpu("receive"):
            rest, self._needed = packets.read(data, 0, limit, self.modern, inbox)
        data = data[rest:]
        self._pieces, self._held = [data] if data else [], len(data)
        for kind, body in inbox.others:
            self._control(kind, body)
        if inbox.topics:
            if not self._subscribed.done():
                # A session that waited for us: its messages come before the answer to SUBSCRIBE,
                # which may lie behind more of them than there is room for.
                self._subscribed.set_result(None)
            ticket = Ticket([each for each in inbox.ids if each])
            if ticket.packet_ids:
                self._window.append(ticket)
            self._on_messages(self, inbox, ticket)

    def _control(self, kind: int, body: bytes) -> None:
        if kind == packets.CONNACK and not self._accepted.done():
            welcome = packets.read_connack(body, modern=self.modern)
            if welcome.refused:
                version_is_wrong = welcome.refused == packets.UNSUPPORTED_VERSION
                self._accepted.set_exception(
                    Refused(welcome.refused, other_version=version_is_wrong)
                )
                return
            self._keepalive = welcome.keepalive or self._keepalive
            self.had_session = welcome.session
            self._accepted.set_result(None)
        elif kind == packets.SUBACK:
            self._granted(packets.read_suback(body, modern=self.modern))
        elif kind == packets.DISCONNECT and self.modern:
            self._end(packets.read_disconnect(body))
        elif kind != packets.PINGRESP:
            raise MalformedPacketError(f"a subscriber is not sent packets of type {kind}")

    def _granted(self, refused: str) -> None:
        if self._subscribed.done():
            if refused:
                self._end(f"subscription refused: {refused}")
        elif refused:
            error = Refused(f"subscription refused: {refused}", other_version=False)
            self._subscribed.set_exception(error)
        else:
            self._subscribed.set_result(None)

    def _end(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.abort()
        early = Refused(f"connection closed: {reason}", other_version=True)
        for waiting in (self._accepted, self._subscribed):
            if not waiting.done():
                waiting.set_exception(early)
            if not waiting.cancelled():
                # Nobody may be waiting for it any more.
                waiting.exception()
        if not self.closed.done():
            self.closed.set_result(reason)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.closed.done():
            self._sent_at = monotonic()
            self._transport.write(data)

    def _hold_back(self) -> None:
        if self._transport is not None and not self.closed.done():
            self._transport.pause_reading()

    # What the lane asks for.

    @property
    def modern(self) -> bool:
        """Whether MQTT 5 is spoken, where the broker bounds what is in flight."""
        return self._version is Version.MQTT5

    def pause(self) -> None:
        """Hand on nothing more and stop reading; the connection stays."""
        self._paused = True
        self._hold_back()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            self._heard_at = monotonic()
            self._feed()

    def tick(self) -> None:
        """To be called about once a second: keeps the connection alive, notices a dead one."""
        now = monotonic()
        # While we do not read, the answer lies behind messages that wait for room.
        if (
            self._asked_at is not None
            and not self._paused
            and now - max(self._asked_at, self._heard_at) > self._keepalive
        ):
            self._end("no answer to a ping")
            return
        idle = now - (self._sent_at if self._paused else min(self._sent_at, self._heard_at))
        if self._keepalive and idle > self._keepalive / 2 and self._asked_at is None:
            self._asked_at = None if self._paused else now
            self._write(packets.PINGREQ_PACKET)

    def settle(self, ticket: Ticket) -> None:
        """The messages are committed: acknowledge them, as soon as all before them are."""
        ticket.done = True
        ready: list[int] = []
        while self._window and self._window[0].done:
            ready.extend(self._window.popleft().packet_ids)
        if ready:
            self._write(packets.pubacks(ready))

    def abort(self) -> None:
        """Drop the connection without a word, as the end of the process would."""
        self._end("aborted")

    async def close(self) -> None:
        """Say goodbye; the broker keeps the session."""
        if self.closed.done():
            return
        self._write(packets.DISCONNECT_PACKET)
        if self._transport is not None:
            self._transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self.closed)
        self._end("closed by us")
