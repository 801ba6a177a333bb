"""The embedded MQTT broker: amqtt, with our registry as its door-keeper and a mended delivery.

amqtt forgets a QoS 1 message when the subscriber has not acknowledged within five seconds or its
connection drops in between. Our ingest acknowledges after its commit, which may take as long as a
database is away, so `KeepingHandler` keeps a message until it is acknowledged and sends it again on
the next connection (ADR 0004). What the broker holds is in memory only: production uses Mosquitto
with persistent storage.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import amqtt.broker
import structlog
from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.contexts import Action, BaseContext, BrokerConfig
from amqtt.errors import AMQTTError, MQTTError
from amqtt.mqtt.constants import QOS_1
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import OutgoingApplicationMessage, Session

from devices.credentials import service as credentials
from devices.credentials.model import Grant
from kernel.db import TRANSIENT_ERRORS, Database

log = structlog.get_logger(__name__)
WINDOW = 512


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker listens, and the one user who may read everything: our own ingest."""

    host: str
    port: int
    service_user: str
    service_password: str = field(repr=False)


class KeepingHandler(BrokerProtocolHandler):
    """Keeps every QoS 1 message until the subscriber has acknowledged it (MQTT 3.1.1, 4.4)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._window = asyncio.Semaphore(WINDOW)
        self._redelivery: asyncio.Task[None] | None = None

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
        if (
            session is None
            or session.clean_session
            or not isinstance(app_message, OutgoingApplicationMessage)
            or app_message.packet_id is None
        ):
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
    """Sends what waited for a subscriber without making its connection wait for the answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._subscriptions = _Snapshots()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve a connection; one that breaks off in the middle is nobody's error."""
        try:
            await super().stream_connected(reader, writer, listener_name)
        except OSError as error:
            log.info("broker.connection_broke", error=type(error).__name__)

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


class RegistryDoor(BaseAuthPlugin, BaseTopicPlugin):
    """Lets devices in by our own registry, each under its own topics only."""

    @dataclass
    class Config:
        """The plugin's settings, as amqtt wants them."""

        database_url: str = ""
        service_user: str = ""
        service_password: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._db: Database | None = None
        self._opening = asyncio.Lock()
        self._grants: dict[str, Grant] = {}

    async def _database(self) -> Database:
        async with self._opening:
            if self._db is None:
                self._db = await Database.open(self.config.database_url, max_size=3)
            return self._db

    async def close(self) -> None:
        """Give the connections back."""
        if self._db is not None:
            await self._db.close()

    def _is_service(self, session: Session) -> bool:
        return session.username == self.config.service_user

    async def authenticate(self, *, session: Session) -> bool | None:
        """Check user name and password: our ingest by the settings, a device by the registry."""
        username, password = session.username or "", session.password or ""
        if self._is_service(session):
            return hmac.compare_digest(password.encode(), self.config.service_password.encode())
        try:
            db = await self._database()
            async with db.connection() as conn:
                grant = await credentials.authenticate(conn, username, password)
        except TRANSIENT_ERRORS as error:
            # Nobody new is let in while the registry cannot be asked; devices try again.
            log.warning("broker.registry_away", error=type(error).__name__)
            return False
        if grant is None:
            log.info("broker.refused", username=username[:64])
            return False
        self._grants[username] = grant
        return True

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        """Judge one publish or subscription."""
        if session is None or topic is None:
            return False
        if self._is_service(session) or action == Action.RECEIVE:
            return True
        grant = self._grants.get(session.username or "")
        if grant is None:
            return False
        if action == Action.PUBLISH:
            return grant.may_publish(topic)
        return grant.may_subscribe(topic)


class EmbeddedBroker:
    """The broker of `silverline up`: one asyncio server, on loopback unless told otherwise."""

    def __init__(self, settings: BrokerSettings, database_url: str) -> None:
        self._settings = settings
        self._database_url = database_url
        self._broker: Broker | None = None
        self._revocations: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        amqtt.broker.BrokerProtocolHandler = KeepingHandler
        config: dict[str, Any] = {
            "listeners": {
                "default": {
                    "type": "tcp",
                    "bind": f"{self._settings.host}:{self._settings.port}",
                    "max_connections": 5000,
                }
            },
            "plugins": {
                "app.embedded.broker.RegistryDoor": {
                    "database_url": self._database_url,
                    "service_user": self._settings.service_user,
                    "service_password": self._settings.service_password,
                }
            },
        }
        self._broker = KeepingBroker(BrokerConfig.from_dict(config))
        await self._broker.start()
        self._revocations = asyncio.create_task(self._drop_revoked(), name="broker-revocations")

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._revocations:
            self._revocations.cancel()
            await asyncio.gather(self._revocations, return_exceptions=True)
        if self._broker:
            await self._broker.shutdown()

    async def _drop_revoked(self) -> None:
        """Close the connection of a device whose credential was revoked or rotated."""
        db = await Database.open(self._database_url, max_size=1)
        try:
            while True:
                try:
                    async with db.dedicated() as conn:
                        await conn.execute("LISTEN credential")
                        async for notice in conn.notifies():
                            await self._drop(notice.payload)
                except TRANSIENT_ERRORS as error:
                    log.warning("broker.revocations_lost", error=type(error).__name__)
                    await asyncio.sleep(1.0)
        finally:
            await db.close()

    async def _drop(self, device_id: str) -> None:
        if self._broker is None:
            return
        for session, handler in list(self._broker._sessions.values()):
            if session.username == device_id:
                log.info("broker.dropped", device=device_id)
                await handler.handle_connection_closed()
