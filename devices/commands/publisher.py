"""The way down: one lasting connection to the broker, QoS 1, and whether it arrived there.

paho would keep what it could not send and send it after a reconnect, perhaps hours later, when the
command has expired. So a connection that ends takes what it carried with it, and who asked for it
is told; the queue in the database tries again.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from kernel.ids import new_id

log = structlog.get_logger(__name__)
_NOBODY = 0x10
"""MQTT 5, 3.4.2.1: the broker took the message and has nobody to give it to: it throws it away."""


class DownlinkError(Exception):
    """The broker did not take the message, or for nobody; the text says why."""


@dataclass(frozen=True, slots=True)
class DownlinkSettings:
    """How to reach the broker as our own user. Times in seconds."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    tls: bool = False
    ca_file: str = ""
    mqtt5: bool = False
    keepalive: int = 30
    timeout_seconds: float = 10.0


class _Line:
    """One connection. Everything except paho's callbacks runs on the event loop."""

    def __init__(self, settings: DownlinkSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self.alive = True
        version = MQTTProtocolVersion.MQTTv5 if settings.mqtt5 else MQTTProtocolVersion.MQTTv311
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            f"silverline-commands-{socket.gethostname()}-{os.getpid()}-{new_id().hex[-6:]}",
            protocol=version,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(settings.username, settings.password)
        if settings.tls:
            context = ssl.create_default_context(cafile=settings.ca_file or None)
            self._client.tls_set_context(context)
        self._client.on_connect = self._connected
        self._client.on_publish = self._published
        self._client.on_disconnect = self._disconnected

    # On paho's thread.

    def _on_loop(self, call: Callable[..., None], *args: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *args)

    def _connected(self, _c: Any, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        self._on_loop(self._answer, self._accepted, str(reason) if reason.is_failure else "")

    def _published(self, _c: Any, _u: Any, mid: int, reason: Any, _p: Any) -> None:
        lost = reason.is_failure or reason.value == _NOBODY
        self._on_loop(self._acknowledged, mid, str(reason) if lost else "")

    def _disconnected(self, _c: Any, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        self._on_loop(self._ended, str(reason))

    # On the event loop.

    @staticmethod
    def _answer(future: "asyncio.Future[None]", refused: str) -> None:
        if future.done():
            return
        if refused:
            future.set_exception(DownlinkError(f"the broker refused: {refused}"))
        else:
            future.set_result(None)

    def _acknowledged(self, mid: int, refused: str) -> None:
        future = self._waiting.pop(mid, None)
        if future is not None:
            self._answer(future, refused)

    def _ended(self, reason: str) -> None:
        self.alive = False
        waiting, self._waiting = self._waiting, {}
        for future in (self._accepted, *waiting.values()):
            if not future.done():
                future.set_exception(DownlinkError(f"the connection ended: {reason}"))
                # Nobody may be waiting for it any more.
                future.exception()

    async def open(self) -> None:
        """Connect and log in. Raises OSError, TimeoutError, DownlinkError."""
        settings = self._settings
        async with asyncio.timeout(settings.timeout_seconds):
            await asyncio.to_thread(
                self._client.connect, settings.host, settings.port, settings.keepalive
            )
            self._client.loop_start()
            await self._accepted

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send and wait for PUBACK. Raises DownlinkError, TimeoutError."""
        info = self._client.publish(topic, payload, qos=1)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._ended(mqtt.error_string(info.rc))
            raise DownlinkError(f"not sent: {mqtt.error_string(info.rc)}")
        taken = self._waiting[info.mid] = self._loop.create_future()
        async with asyncio.timeout(self._settings.timeout_seconds):
            await taken

    async def close(self) -> None:
        """Say goodbye and end paho's thread."""
        self._ended("closed by us")
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


class CommandPublisher:
    """Publishes commands on one connection, made when it is first needed and after each end."""

    def __init__(self, settings: DownlinkSettings) -> None:
        self._settings = settings
        self._line: _Line | None = None
        self._opening = asyncio.Lock()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Return when the broker has the message. Raises DownlinkError when it may not have it."""
        line: _Line | None = None
        try:
            line = await self._ready()
            await line.publish(topic, payload)
        except (OSError, ValueError) as error:
            # TimeoutError is an OSError: a broker that does not answer gets a new connection.
            if line is not None:
                await self._drop(line)
            raise DownlinkError(f"the broker does not answer: {error}") from error

    async def _ready(self) -> _Line:
        async with self._opening:
            if self._line is not None and self._line.alive:
                return self._line
            if self._line is not None:
                await self._line.close()
            self._line = None
            line = _Line(self._settings)
            try:
                await line.open()
            except BaseException:
                await line.close()
                raise
            log.info("commands.connected")
            self._line = line
            return line

    async def _drop(self, line: _Line) -> None:
        async with self._opening:
            if self._line is line:
                self._line = None
        await line.close()

    async def close(self) -> None:
        """Leave the broker."""
        if self._line is not None:
            await self._line.close()
            self._line = None
