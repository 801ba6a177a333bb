"""The embedded MQTT broker: amqtt, with our registry as its door-keeper and a mended delivery.

How it delivers is in `delivery.py` (ADR 0004). What the broker holds is in memory only: production
uses Mosquitto with persistent storage.
"""

import asyncio
import hmac
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import amqtt.broker
import structlog
from amqtt.contexts import Action, BaseContext, BrokerConfig
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from app.embedded.delivery import AWAY, KeepingBroker, KeepingHandler, session_name
from app.embedded.tls import TlsContext, TlsListener
from devices.certificates import service as certificates
from devices.credentials import service as credentials
from devices.credentials.model import PROTOCOL_PREFIX, Grant
from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS, Database, Tx

log = structlog.get_logger(__name__)
# Within this time a connection that was let in before a revocation has taken its place.
SETTLED_SECONDS = 5.0
REFRESH_SECONDS = 10.0
_MOST_SAID, _LONGEST_SAID = 1_000, 200


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker listens, and the one user who may read everything: our own ingest.

    `subscribers` maps the client ids of that user to the filters that they will subscribe to.
    """

    host: str
    port: int
    service_user: str
    service_password: str = field(repr=False)
    subscribers: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    tls: TlsListener | None = None


async def grant_of(conn: Tx, session: Session, *, adopt: bool) -> Grant | None:
    """Ask the registry what a device may do: by its certificate, or by its name and password."""
    username = session.username or ""
    shown = session.ssl_object.getpeercert(binary_form=True) if session.ssl_object else None
    if shown is None:
        return await credentials.authenticate(conn, username, session.password or "")
    grant = await certificates.recognise(conn, shown, utcnow(), adopt=adopt)
    return grant if grant is not None and username in ("", grant.device_id) else None


class RegistryDoor(BaseAuthPlugin, BaseTopicPlugin):
    """Lets devices in by our own registry, each under its own topics only."""

    @dataclass
    class Config:
        """The plugin's settings, as amqtt wants them."""

        database_url: str = ""
        service_user: str = ""
        service_password: str = ""
        adopt_certificates: bool = False

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._db: Database | None = None
        self._opening = asyncio.Lock()
        self._grants: dict[str, Grant] = {}
        self._said: set[tuple[str, str, str]] = set()

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
        """Check who it is: our ingest by the settings, a device by the registry.

        A device shows a client certificate (TLS has checked its chain) or a user name and password.
        With a certificate the user name may be left out; another device's is refused.
        """
        username, password = session.username or "", session.password or ""
        if self._is_service(session):
            return hmac.compare_digest(password.encode(), self.config.service_password.encode())
        try:
            db = await self._database()
            async with db.connection() as conn:
                grant = await grant_of(conn, session, adopt=self.config.adopt_certificates)
        except TRANSIENT_ERRORS as error:
            # Nobody new is let in while the registry cannot be asked; devices try again.
            log.warning("broker.registry_away", error=type(error).__name__)
            session.attributes[AWAY] = True
            return False
        if grant is None:
            log.info("broker.refused", username=username[:64])
            return False
        session.username = grant.device_id
        self._grants[grant.device_id] = grant
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
        publishes = action == Action.PUBLISH
        may = grant.may_publish(topic) if publishes else grant.may_subscribe(topic)
        if not may:
            self._say_refused(grant, topic, "publish" if publishes else "subscribe")
        return may

    def _say_refused(self, grant: Grant, topic: str, action: str) -> None:
        """Tell the log once: MQTT 3.1.1 has no answer that would tell the device."""
        refused = (grant.device_id, topic[:_LONGEST_SAID], action)
        if refused in self._said:
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said.add(refused)
        own = [f"{PROTOCOL_PREFIX}/{grant.device_id}", *grant.base_topics]
        log.warning(
            "broker.topic_refused", device=refused[0], topic=refused[1], action=action, may_use=own
        )


class DoorBroker(KeepingBroker):
    """Asks the door once, before there is a session, and takes its TLS from us."""

    tls: TlsContext | None = None

    def _create_ssl_context(self, listener: object) -> ssl.SSLContext:
        del listener
        if self.tls is None:
            raise RuntimeError("a listener wants TLS, and there is no context for it")
        return self.tls.context

    async def _authenticate(self, session: Session, listener: object) -> bool:
        # `KeepingHandler` has asked. A session that is taken up again would be judged by the
        # certificate of the connection before.
        del session, listener
        return True

    async def _handle_client_session(
        self, reader: Any, writer: Any, client_session: Session, handler: Any, *others: Any
    ) -> None:
        # amqtt passes a last will on without asking: anybody could leave an alarm, or a command, in
        # the name of another device.
        if client_session.will_flag and not await self._may_leave(client_session):
            log.warning("broker.will_refused", device=client_session.username)
            client_session.will_flag = False
        await super()._handle_client_session(reader, writer, client_session, handler, *others)

    async def _may_leave(self, session: Session) -> bool:
        topic = session.will_topic or ""
        if not topic or topic.startswith("$") or "+" in topic or "#" in topic:
            return False
        return await self._topic_filtering(session, topic, Action.PUBLISH)


class EmbeddedBroker:
    """The broker of `silverline up`: one asyncio server, on loopback unless told otherwise."""

    def __init__(self, settings: BrokerSettings, database_url: str) -> None:
        self._settings = settings
        self._database_url = database_url
        self._broker: DoorBroker | None = None
        self._watches: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen. Raises OSError when a port is taken or a file of TLS is missing, ssl.SSLError."""
        amqtt.broker.BrokerProtocolHandler = KeepingHandler
        tls = self._settings.tls
        context = TlsContext(tls) if tls else None
        listeners = {"default": _listener(self._settings.host, self._settings.port)}
        if tls is not None:
            listeners["tls"] = _listener(tls.host, tls.port) | {"ssl": True}
        config: dict[str, Any] = {
            "listeners": listeners,
            "plugins": {
                "app.embedded.broker.RegistryDoor": {
                    "database_url": self._database_url,
                    "service_user": self._settings.service_user,
                    "service_password": self._settings.service_password,
                    "adopt_certificates": tls is not None and tls.adopt,
                }
            },
        }
        user = self._settings.service_user
        expected = {
            session_name(user, client_id): filters
            for client_id, filters in self._settings.subscribers.items()
        }
        self._broker = DoorBroker(BrokerConfig.from_dict(config), expected, user)
        self._broker.tls = context
        await self._broker.start()
        self._watch(self._drop_revoked(), "broker-revocations")
        if context is not None:
            self._watch(self._keep_fresh(), "broker-tls")

    def _watch(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._watches.append(task)
        task.add_done_callback(self._watches.remove)

    async def stop(self) -> None:
        """Stop listening, hand over to ingest what devices have sent, close every connection."""
        while watches := list(self._watches):
            # Before Python 3.12 a wait_for whose wish has just come true swallows the cancellation.
            for watch in watches:
                watch.cancel()
            await asyncio.wait(watches, timeout=0.1)
        if self._broker:
            await self._broker.shutdown()

    async def _drop_revoked(self) -> None:
        """Close the connection of a device whose credential was revoked or rotated."""
        # Whoever listens must not give up because the registry is away when we start.
        db = await Database.open(self._database_url, max_size=1, wait=False)
        try:
            while True:
                try:
                    async with db.dedicated() as conn:
                        await conn.execute("LISTEN credential")
                        await self._look_again(db)
                        async for notice in conn.notifies():
                            now = asyncio.get_running_loop().time()
                            await self._drop(notice.payload, now)
                            self._watch(self._drop_late(notice.payload, now), "broker-late-drop")
                except TRANSIENT_ERRORS as error:
                    log.warning("broker.revocations_lost", error=type(error).__name__)
                    await asyncio.sleep(1.0)
        finally:
            await db.close()

    async def _look_again(self, db: Database) -> None:
        """Drop who no longer counts: what was revoked while we did not listen, nobody told us."""
        if self._broker is None:
            return
        for session, handler in list(self._broker._sessions.values()):
            came_as = getattr(handler, "came_as", None)
            if came_as is None or session.username == self._settings.service_user:
                continue
            async with db.connection() as conn:
                counts = await grant_of(conn, came_as, adopt=False) is not None
            if not counts and session.transitions.state == "connected":
                log.info("broker.dropped", device=session.username)
                await handler.handle_connection_closed()

    async def _drop_late(self, device_id: str, revoked_at: float) -> None:
        """Drop who was let in just before and had no place yet when it was revoked."""
        await asyncio.sleep(SETTLED_SECONDS)
        await self._drop(device_id, revoked_at)

    async def _drop(self, device_id: str, revoked_at: float) -> None:
        if self._broker is None:
            return
        for session, handler in list(self._broker._sessions.values()):
            asked_at = getattr(handler, "asked_at", 0.0)
            connected = session.transitions.state == "connected"
            if session.username == device_id and connected and asked_at <= revoked_at:
                log.info("broker.dropped", device=device_id)
                await handler.handle_connection_closed()

    def refresh_tls(self) -> bool:
        """Read the files of TLS again that have changed; True when one had."""
        changed = bool(self._broker and self._broker.tls and self._broker.tls.refresh())
        if changed:
            log.info("broker.tls_refreshed")
        return changed

    async def _keep_fresh(self) -> None:
        """Read certificates and the list of revoked ones again when they change."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                self.refresh_tls()
            except (OSError, ssl.SSLError) as error:
                log.error("broker.tls_not_refreshed", error=str(error))


def _listener(host: str, port: int) -> dict[str, Any]:
    return {"type": "tcp", "bind": f"{host}:{port}", "max_connections": 5000}
