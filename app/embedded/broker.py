"""The embedded MQTT broker: amqtt, with our registry as its door-keeper and a mended delivery.

How it delivers is in `delivery.py` (ADR 0004). What the broker holds is in memory only: production
uses Mosquitto with persistent storage.
"""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import amqtt.broker
import structlog
from amqtt.broker import Broker
from amqtt.contexts import Action, BaseContext, BrokerConfig
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from app.embedded.delivery import AWAY, KeepingBroker, KeepingHandler, session_name
from devices.credentials import service as credentials
from devices.credentials.model import Grant
from kernel.db import TRANSIENT_ERRORS, Database

log = structlog.get_logger(__name__)


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
            session.attributes[AWAY] = True
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
        user = self._settings.service_user
        expected = {
            session_name(user, client_id): filters
            for client_id, filters in self._settings.subscribers.items()
        }
        self._broker = KeepingBroker(BrokerConfig.from_dict(config), expected, user)
        await self._broker.start()
        self._revocations = asyncio.create_task(self._drop_revoked(), name="broker-revocations")

    async def stop(self) -> None:
        """Stop listening, hand over to ingest what devices have sent, close every connection."""
        while self._revocations is not None and not self._revocations.done():
            # Before Python 3.12 a wait_for whose wish has just come true swallows the cancellation.
            self._revocations.cancel()
            await asyncio.wait([self._revocations], timeout=0.1)
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
