"""amqtt, mended where it loses messages: what it acknowledges reaches the subscriber (ADR 0004).

amqtt acknowledges a message and then queues it on the publisher's connection: what is still queued
when the device leaves is gone. It forgets a message that the subscriber has not acknowledged within
five seconds, or when its connection drops. It does not know a subscriber that has not been there
since the broker's own start. And it looks for a session before it asks who is there.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.errors import AMQTTError, MQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, SERVER_UNAVAILABLE, ConnackPacket
from amqtt.mqtt.constants import QOS_1
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.session import IncomingApplicationMessage, OutgoingApplicationMessage, Session

log = structlog.get_logger(__name__)
WINDOW = 512
HAND_OVER_SECONDS = 5.0
AWAY = "silverline.registry_away"
"""Attribute of a session that was refused because the registry could not be asked."""


def session_name(username: str, client_id: str) -> str:
    """The broker's name of a session: nobody can take over what another user has."""
    return f"{username}/{client_id}"


class KeepingHandler(BrokerProtocolHandler):
    """Keeps every QoS 1 message until the subscriber has acknowledged it (MQTT 3.1.1, 4.4)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._window = asyncio.Semaphore(WINDOW)
        self._redelivery: asyncio.Task[None] | None = None
        self._in_turn = asyncio.Lock()
        # When the door was asked, by the loop's clock: what was revoked later was not known then.
        self.asked_at = 0.0
        # Who it said it was, in the session that it came with: one that it takes up keeps its own.
        self.came_as: Session | None = None
        self.pass_on: Callable[[IncomingApplicationMessage], Awaitable[bool]] | None = None

    @classmethod
    async def init_from_connect(
        cls, reader: Any, writer: Any, plugins_manager: Any, loop: Any = None
    ) -> tuple["KeepingHandler", Session]:
        """Read CONNECT and ask the door. Raises MQTTError for whoever is not let in.

        amqtt asks later: whoever merely claimed the name of a session had already ended it.
        """
        handler, session = await super().init_from_connect(reader, writer, plugins_manager, loop)
        handler.asked_at = asyncio.get_running_loop().time()
        handler.came_as = session
        answers = await plugins_manager.map_plugin_auth(session=session)
        if not answers or not all(answers.values()):
            # A device that is told that its secret is wrong stays away for long: not when nobody
            # could look it up (MQTT 3.1.1, table 3.1).
            away = session.attributes.get(AWAY, False)
            code = SERVER_UNAVAILABLE if away else NOT_AUTHORIZED
            await ConnackPacket.build(0, code).to_stream(writer)
            raise MQTTError("refused")
        session.client_id = session_name(session.username or "", session.client_id or "")
        return handler, session

    async def start(self) -> None:
        """Begin to read. A session that was taken over is this connection's from here on."""
        if self.session is not None and self.session.transitions.state != "connected":
            self.session.transitions.connect()
        await super().start()

    async def mqtt_publish(
        self,
        topic: str,
        data: bytes | bytearray,
        qos: int | None,
        retain: bool,
        ack_timeout: int | None = None,
    ) -> OutgoingApplicationMessage:
        """Send and wait for the answer; what cannot be sent waits for the next connection."""
        session = self.session
        if qos != QOS_1 or session is None or session.clean_session:
            return await super().mqtt_publish(topic, data, qos, retain, ack_timeout)
        try:
            async with self._window:
                return await super().mqtt_publish(topic, data, qos, retain, None)
        except (asyncio.CancelledError, AMQTTError, MQTTError, OSError) as error:
            if not getattr(error, "kept", False):
                await session.retained_messages.put(
                    RetainedApplicationMessage(None, topic, data, qos)
                )
            if isinstance(error, asyncio.CancelledError):
                raise
            return OutgoingApplicationMessage(None, topic, qos, data, retain)

    async def _handle_qos1_message_flow(self, app_message: Any) -> None:
        session = self.session
        if isinstance(app_message, IncomingApplicationMessage):
            await self._take(app_message)
            return
        if session is None or session.clean_session or app_message.packet_id is None:
            await super()._handle_qos1_message_flow(app_message)
            return
        packet_id = app_message.packet_id
        again = packet_id in session.inflight_out
        session.inflight_out[packet_id] = app_message
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._puback_waiters[packet_id] = waiter
        try:
            await self._send_packet(app_message.build_publish_packet(dup=again))
            app_message.puback_packet = await waiter
        except (asyncio.CancelledError, AMQTTError, MQTTError, OSError) as error:
            # Stays in inflight_out: `_retry_deliveries` of the next connection sends it again.
            error.kept = True  # type: ignore[union-attr]
            raise
        finally:
            self._puback_waiters.pop(packet_id, None)
        session.inflight_out.pop(packet_id, None)

    async def _take(self, message: IncomingApplicationMessage) -> None:
        """Pass a message on, then acknowledge it; one after the other, in their order."""
        async with self._in_turn:
            if self.pass_on is None or message.packet_id is None:
                return
            if not await self.pass_on(message):
                await self.handle_connection_closed()
                return
            message.puback_packet = PubackPacket.build(message.packet_id)
            await self._send_packet(message.puback_packet)

    async def _retry_deliveries(self) -> None:
        session = self.session
        if session is None or session.clean_session:
            await super()._retry_deliveries()
            return
        waiting = list(session.inflight_out.values())
        # amqtt waits here until all are acknowledged, before the client may send anything.
        self._redelivery = asyncio.create_task(self._redeliver(waiting))

    async def _redeliver(self, waiting: list[OutgoingApplicationMessage]) -> None:
        async def one(message: OutgoingApplicationMessage) -> None:
            with contextlib.suppress(AMQTTError, MQTTError, OSError):
                async with self._window:
                    await self._handle_message_flow(message)

        await asyncio.gather(*(one(message) for message in waiting), return_exceptions=True)

    async def stop(self) -> None:
        """End the connection; what it had in flight stays in the session."""
        if self._redelivery is not None:
            self._redelivery.cancel()
        reader = self._reader_task
        while reader is not None and reader is not asyncio.current_task() and not reader.done():
            # Before Python 3.12 a wait_for whose data has just come swallows the cancellation: the
            # reader of a busy device went on, and amqtt waited for its end for ever.
            reader.cancel()
            await asyncio.wait([reader], timeout=0.1)
        await super().stop()


class _Snapshots(dict[str, Any]):
    """A table that may change while somebody walks through it.

    amqtt walks through its subscriptions with awaits in between; a device that subscribed meanwhile
    ended the walk with an error, and the message that was on its way was lost.
    """

    def items(self) -> Any:
        return list(super().items())

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().keys()))


class KeepingBroker(Broker):
    """Knows from its start who will subscribe to what, and hands over before it ends.

    `expected` maps the names of sessions to their filters: what devices send before that subscriber
    has connected is kept for it.
    """

    def __init__(
        self, config: Any, expected: Mapping[str, Sequence[str]], service_user: str
    ) -> None:
        super().__init__(config)
        self._subscriptions = _Snapshots()
        self._expected = expected
        self._service_user = service_user

    async def _start_listeners(self) -> None:
        for name, filters in self._expected.items():
            handler, session = self.create_offline_session(name)
            session.username = self._service_user
            session.clean_session = False
            self._sessions[name] = (session, handler)
            for each in filters:
                await self.add_subscription((each, QOS_1), session)
        await super()._start_listeners()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve a connection; one that breaks off in the middle is nobody's error."""
        try:
            await super().stream_connected(reader, writer, listener_name)
        except OSError as error:
            log.info("broker.connection_broke", error=type(error).__name__)

    async def _handle_client_session(
        self, reader: Any, writer: Any, client_session: Session, handler: Any, *others: Any
    ) -> None:
        async def pass_on(message: IncomingApplicationMessage) -> bool:
            ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            ready.set_result(message)
            return await self._handle_message_delivery(client_session, handler, ready)

        handler.pass_on = pass_on
        await super()._handle_client_session(reader, writer, client_session, handler, *others)

    async def _handle_disconnect(
        self, client_session: Session, handler: Any, disconnect_waiter: asyncio.Future[Any]
    ) -> None:
        if not self._taken_over(client_session, handler):
            await super()._handle_disconnect(client_session, handler, disconnect_waiter)
        if self._taken_over(client_session, handler):
            # The session lives on in a newer connection: whatever the old one said of its end.
            await self._stop_handler(handler)
            if client_session.transitions.state != "connected":
                client_session.transitions.connect()
                await self._publish_session_retained_messages(client_session)

    def _taken_over(self, session: Session, handler: Any) -> bool:
        _, current = self._sessions.get(session.client_id or "", (None, None))
        return current is not None and current is not handler

    async def _publish_session_retained_messages(self, session: Session) -> None:
        handler = self._get_handler(session)
        if handler is None:
            return
        while not session.retained_messages.empty():
            kept = session.retained_messages.get_nowait()
            # retain is for the last known state of a topic; a message that merely waited for its
            # subscriber is news (MQTT 3.1.1, 3.3.1.3).
            sending = handler.mqtt_publish(kept.topic, kept.data, kept.qos, retain=False)
            self._tasks_queue.append(asyncio.ensure_future(sending))

    async def shutdown(self) -> None:
        """Take nothing more from devices, hand over what was taken, then end."""
        for server in self._servers.values():
            if server.instance is not None:
                server.instance.close()
        devices = [(s, handler) for s, handler in self._sessions.values() if s.clean_session]
        for session, _ in devices:
            # That we end says nothing about the device.
            session.will_flag = False
        await asyncio.gather(*(self._stop_handler(handler) for _, handler in devices))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_SECONDS):
                while self._on_its_way():  # noqa: ASYNC110 - amqtt has no event for it
                    await asyncio.sleep(0.01)
        await super().shutdown()

    def _on_its_way(self) -> bool:
        if not self._broadcast_queue.empty():
            return True
        return any(
            session.inflight_out or not session.retained_messages.empty()
            for session, _ in self._sessions.values()
            if session.transitions.state == "connected" and not session.clean_session
        ) or any(not task.done() for task in self._tasks_queue)
