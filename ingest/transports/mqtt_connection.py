"""One connection to the broker: paho as a parser and writer of packets, driven by the event loop.

paho's own thread is not used. A full lane must stop reading without missing the keep-alive, and a
message must reach the pipeline without changing threads; so the socket is watched by asyncio, and
reading is paused by no longer watching it. TCP then holds the broker back.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from kernel.clock import monotonic

log = structlog.get_logger(__name__)
MAX_PACKET = 1024 * 1024
"""Larger messages are not sent to us by an MQTT 5 broker: nothing that we decode is near it."""
_READS = 100
"""Packets read before the event loop gets its turn."""


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


class _Client(paho.Client):
    """paho with one thing more."""

    def ping_without_waiting(self) -> None:
        """Send PINGREQ; its answer lies behind messages that we do not read for now."""
        self._send_pingreq()
        self._ping_t = 0.0


class Ticket:
    """A received message that is to be acknowledged (QoS 1)."""

    __slots__ = ("done", "packet_id")

    def __init__(self, packet_id: int) -> None:
        self.packet_id = packet_id
        self.done = False


class Connection:
    """A live connection. `on_message` is called on the event loop with each message and its ticket.

    Acknowledgements go out in the order of the messages (MQTT 5, 4.6), whatever the order in which
    they are committed. `closed` is set to what ended the connection.
    """

    def __init__(
        self,
        link: Link,
        version: MQTTProtocolVersion,
        on_message: Callable[["Connection", paho.MQTTMessage, Ticket | None], None],
    ) -> None:
        self._link = link
        self._version = version
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client()
        self._window: deque[Ticket] = deque()
        self._received = 0
        self._reading = False
        self._last_ping = monotonic()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[str] = self._loop.create_future()

    def _make_client(self) -> _Client:
        modern = self._version == MQTTProtocolVersion.MQTTv5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            self._link.client_id,
            clean_session=None if modern else False,
            protocol=self._version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if self._link.username:
            client.username_pw_set(self._link.username, self._link.password)
        if self._link.tls:
            client.tls_set_context(ssl.create_default_context(cafile=self._link.ca_file or None))
        client.on_connect = self._connected
        client.on_subscribe = self._granted
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        client.on_socket_close = self._socket_closing
        return client

    async def open(self, filters: Sequence[str], seconds: float) -> None:
        """Connect, subscribe with QoS 1 and begin to read. Raises OSError, Refused.

        A broker that has not answered after some seconds may be waiting for the rest of a packet
        whose version it does not know.
        """
        try:
            async with asyncio.timeout(seconds):
                await asyncio.to_thread(self._connect)
                self._watch()
                await self._accepted
                self._subscribe(filters)
                await self._subscribed
        except TimeoutError as error:
            self._end("no answer")
            raise Refused("the broker does not answer", other_version=True) from error
        except BaseException:
            self._end("refused")
            raise

    def _connect(self) -> None:
        extra: dict[str, Any] = {}
        if self._version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._link.session_seconds
            properties.ReceiveMaximum = self._link.receive_maximum
            properties.MaximumPacketSize = MAX_PACKET
            extra = {"clean_start": False, "properties": properties}
        self._client.connect(self._link.host, self._link.port, self._link.keepalive, **extra)

    def _subscribe(self, filters: Sequence[str]) -> None:
        if self._version == MQTTProtocolVersion.MQTTv5:
            # Retained messages for a new subscription only, not at every reconnect.
            options = SubscribeOptions(
                qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            )
            self._client.subscribe([(each, options) for each in filters])
        else:
            self._client.subscribe([(each, 1) for each in filters])

    # What paho tells us, on the event loop.

    def _connected(
        self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._accepted.done():
            return
        if reason.is_failure:
            version_is_wrong = reason == "Unsupported protocol version"
            self._accepted.set_exception(Refused(str(reason), other_version=version_is_wrong))
        else:
            self._accepted.set_result(None)

    def _granted(
        self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if self._subscribed.done():
            return
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            error = Refused(f"subscription refused: {refused[0]}", other_version=False)
            self._subscribed.set_exception(error)
        else:
            self._subscribed.set_result(None)

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._received += 1
        ticket = None
        if message.qos > 0:
            ticket = Ticket(message.mid)
            self._window.append(ticket)
        self._on_message(self, message, ticket)

    def _disconnected(
        self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._end(str(reason))

    def _end(self, reason: str) -> None:
        sock = self._client.socket()
        if sock is not None:
            self._socket_closing(None, None, sock)
            sock.close()
        early = Refused(f"connection closed: {reason}", other_version=True)
        for waiting in (self._accepted, self._subscribed):
            if not waiting.done():
                waiting.set_exception(early)
            if not waiting.cancelled():
                # Nobody may be waiting for it any more.
                waiting.exception()
        if not self.closed.done():
            self.closed.set_result(reason)

    # The socket.

    def _watch(self) -> None:
        self._client.on_socket_register_write = self._want_write
        self._client.on_socket_unregister_write = self._no_more_to_write
        self.resume()
        if self._client.want_write():
            self._want_write(None, None, self._client.socket())

    def _socket_closing(self, _client: Any, _data: Any, sock: Any) -> None:
        self._reading = False
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _want_write(self, _client: Any, _data: Any, sock: Any) -> None:
        if sock is not None:
            self._loop.add_writer(sock, self._writable)

    def _no_more_to_write(self, _client: Any, _data: Any, sock: Any) -> None:
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_writer(sock)

    def _writable(self) -> None:
        self._check(self._client.loop_write())

    def _readable(self) -> None:
        try:
            self._read()
        except Exception:
            log.exception("ingest.reading_failed")
            self._end("fault")

    def _read(self) -> None:
        for _ in range(_READS):
            before = self._received
            if not self._check(self._client.loop_read()) or not self._reading:
                return
            sock = self._client.socket()
            # Decrypted bytes that already lie in the TLS layer do not make the socket readable.
            pending = sock.pending() if isinstance(sock, ssl.SSLSocket) else 0
            if self._received == before and not pending:
                return

    def _check(self, code: MQTTErrorCode) -> bool:
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._client.socket() is not None:
            return True
        self._end(paho.error_string(code))
        return False

    # What the lane asks for.

    @property
    def modern(self) -> bool:
        """Whether MQTT 5 is spoken, where the broker bounds what is in flight."""
        return self._version == MQTTProtocolVersion.MQTTv5

    def pause(self) -> None:
        """Stop reading; the connection stays."""
        sock = self._client.socket()
        if self._reading and sock is not None:
            self._reading = False
            self._loop.remove_reader(sock)

    def resume(self) -> None:
        """Read on."""
        sock = self._client.socket()
        if not self._reading and sock is not None and not self.closed.done():
            self._reading = True
            self._loop.add_reader(sock, self._readable)

    def tick(self) -> None:
        """To be called about once a second: keeps the connection alive, notices a dead one."""
        if self.closed.done():
            return
        if self._reading:
            self._check(self._client.loop_misc())
        elif monotonic() - self._last_ping > self._link.keepalive / 2:
            self._last_ping = monotonic()
            self._client.ping_without_waiting()

    def settle(self, ticket: Ticket) -> None:
        """The message is committed: acknowledge it, as soon as all before it are."""
        ticket.done = True
        while self._window and self._window[0].done:
            first = self._window.popleft()
            if not self.closed.done():
                self._client.ack(first.packet_id, 1)

    def abort(self) -> None:
        """Drop the connection without a word, as the end of the process would."""
        self._end("aborted")

    async def close(self) -> None:
        """Say goodbye; the broker keeps the session."""
        if self.closed.done():
            return
        self._client.disconnect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self.closed)
        self._end("closed by us")
