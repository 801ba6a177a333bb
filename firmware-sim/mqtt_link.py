"""A device's line to the broker: send queue, bounded window, buffer while offline, reconnecting.

A message counts as published when its PUBACK has come, not before. What was sent and not
acknowledged is sent again first after a reconnect, byte for byte; then the queue follows in order.
What is sent on a later connection than the one it was made on is marked `replayed`.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from mqtt_packets import (
    PUBACK,
    PUBLISH,
    REFUSALS,
    Incoming,
    Login,
    MqttError,
    Packet,
    puback,
    publish,
    read_puback,
    read_publish,
    subscribe,
)
from mqtt_session import Session
from sim_clock import now_ms
from wire_v1 import Envelope

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds between attempts, doubled each time
_LOGIN_REFUSED = frozenset({4, 5, 0x86, 0x87})  # wait the longest: it will not get better soon
STABLE_AFTER = 5.0  # a connection that lived so long (s) makes the next delay short again
CONNECT_TIMEOUT = 10.0


class Observer(Protocol):
    """Who keeps the books of what the lines do."""

    def sent(self, envelope: Envelope, *, replayed: bool) -> None:
        """Written to the broker for the first time, at `envelope.sent_at_ms`."""

    def acknowledged(self, envelope: Envelope) -> None:
        """The broker has it."""

    def rejected(self, envelope: Envelope, code: int) -> None:
        """The broker refused it (MQTT 5 reason code)."""

    def dropped(self, envelope: Envelope) -> None:
        """It fell out of a full buffer."""

    def up(self, client_id: str) -> None:
        """A line is up."""

    def down(self, client_id: str, why: str) -> None:
        """A line that was up is down."""

    def in_doubt(self, client_id: str) -> None:
        """An attempt was given up: the broker may have let the device in and miss it now."""

    def notice(self, text: str) -> None:
        """Something that a person should know."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how lines use it.

    `window` is the most messages in flight for a device, `buffer` the most that wait for the
    broker. `gate` keeps the number of simultaneous connection attempts below the broker's backlog.
    """

    host: str
    port: int
    level: int
    observer: Observer
    window: int = 16
    buffer: int = 10_000
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(50))


class MqttLink:
    """One device's line. `on_up` is called on every new connection, `on_command` for PUBLISH."""

    def __init__(
        self, broker: Broker, login: Login, command_topic: str, rng: random.Random
    ) -> None:
        self._broker = broker
        self._login = login
        self._command_topic = command_topic
        self._rng = rng
        self._session: Session | None = None
        self._queue: deque[Envelope] = deque()
        self._flying: dict[int, Envelope] = {}
        self._packet_id = 0
        self._epoch = 0
        self._window = broker.window
        self._plugged = asyncio.Event()
        self._plugged.set()
        self._down = asyncio.Event()
        self._nudge = asyncio.Event()
        self._delay = FIRST_DELAY
        self._plug_timer: asyncio.TimerHandle | None = None
        self._finished = False
        self.on_up: Callable[[], None] = lambda: None
        self.on_command: Callable[[bytes], None] = lambda _payload: None

    @property
    def online(self) -> bool:
        """Whether the broker has accepted the device and the line is up."""
        return self._session is not None

    @property
    def waiting(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return len(self._queue) + len(self._flying)

    def offer(self, envelope: Envelope) -> None:
        """Send now, or keep it in order until the line is up and the window has room."""
        envelope.epoch = self._epoch
        if len(self._queue) >= self._broker.buffer:
            self._drop_one()
        self._queue.append(envelope)
        self._pump()

    def cut(self, seconds: float) -> None:
        """Pull the plug for `seconds`; the device goes on measuring into its buffer."""
        self._plugged.clear()
        if self._plug_timer is not None:
            self._plug_timer.cancel()
        self._plug_timer = asyncio.get_running_loop().call_later(seconds, self.plug)
        if self._session is not None:
            self._session.cut()

    def drop(self) -> None:
        """Lose the connection without a goodbye and come back by itself (a reboot)."""
        if self._session is not None:
            self._session.cut("the device restarted")

    def plug(self) -> None:
        """Put the plug back in; a line that waits for its next attempt tries at once."""
        self._plugged.set()
        self._nudge.set()

    def finish(self) -> None:
        """Say goodbye to the broker and stay away."""
        self._finished = True
        if self._plug_timer is not None:
            self._plug_timer.cancel()
        if self._session is not None:
            self._session.goodbye()

    async def run(self) -> None:
        """Keep the line up until `finish`."""
        loop = asyncio.get_running_loop()
        while not self._finished:
            await self._plugged.wait()
            if await self._attempt():
                began = loop.time()
                await self._down.wait()
                if loop.time() - began > STABLE_AFTER or not self._plugged.is_set():
                    self._delay = FIRST_DELAY
            if self._plugged.is_set() and not self._finished:
                await self._pause()

    async def _pause(self) -> None:
        """Wait before the next attempt, longer each time, with a random part."""
        self._nudge.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._delay * self._rng.uniform(0.5, 1.0)):
                await self._nudge.wait()
        self._delay = min(self._delay * 2, LONGEST_DELAY)

    async def _attempt(self) -> bool:
        """Connect once. On success the line is up when this returns."""
        loop = asyncio.get_running_loop()
        session = Session(self._login, self._take, self._lost)
        try:
            async with self._broker.gate, asyncio.timeout(CONNECT_TIMEOUT):
                await loop.create_connection(lambda: session, self._broker.host, self._broker.port)
                welcome = await session.welcome
        except (OSError, TimeoutError) as error:
            self._give_up(session)
            self._broker.observer.notice(f"Cannot reach the MQTT broker: {_words(error)}.")
            return False
        if welcome.code:
            session.cut()
            if welcome.code in _LOGIN_REFUSED:
                self._delay = LONGEST_DELAY
            reason = REFUSALS.get(welcome.code, f"reason 0x{welcome.code:02x}")
            self._broker.observer.notice(f"The MQTT broker refuses devices: {reason}.")
            return False
        self._window = min(self._broker.window, welcome.receive_maximum or 65_535)
        if session.ended or not self._plugged.is_set() or self._finished:
            self._give_up(session)
            return False
        self._begin(session)
        return True

    def _give_up(self, session: Session) -> None:
        session.cut()
        if session.began:
            self._broker.observer.in_doubt(self._login.client_id)

    def _begin(self, session: Session) -> None:
        self._session = session
        self._epoch += 1
        self._down.clear()
        level = self._login.level
        out = []
        if self._command_topic:
            out.append(subscribe(self._next_id(), self._command_topic, level=level))
        for packet_id, envelope in self._flying.items():
            out.append(publish(envelope.topic, envelope.payload, packet_id, dup=True, level=level))
        session.send(b"".join(out))
        self._broker.observer.up(self._login.client_id)
        self.on_up()
        self._pump()

    def _lost(self, why: str) -> None:
        if self._session is not None:
            self._session = None
            self._broker.observer.down(self._login.client_id, why)
        self._down.set()

    def _pump(self) -> None:
        """Send what the window has room for."""
        if self._session is None:
            return
        out = []
        while self._queue and len(self._flying) < self._window:
            envelope = self._queue.popleft()
            replayed = envelope.epoch != self._epoch
            payload = envelope.render(replayed=replayed)
            packet_id = self._next_id()
            self._flying[packet_id] = envelope
            envelope.sent_at_ms = now_ms()
            out.append(
                publish(envelope.topic, payload, packet_id, dup=False, level=self._login.level)
            )
            self._broker.observer.sent(envelope, replayed=replayed)
        if out:
            self._session.send(b"".join(out))

    def _take(self, packet: Packet) -> None:
        if packet.type == PUBACK:
            packet_id, code = read_puback(packet.body)
            envelope = self._flying.pop(packet_id, None)
            if envelope is not None and code >= 0x80:
                self._broker.observer.rejected(envelope, code)
            elif envelope is not None:
                self._broker.observer.acknowledged(envelope)
            self._pump()
        elif packet.type == PUBLISH:
            self._receive(read_publish(packet, self._login.level))

    def _receive(self, incoming: Incoming) -> None:
        if incoming.qos == 2:
            raise MqttError("a QoS 2 message on a QoS 1 subscription")
        if incoming.qos == 1 and self._session is not None:
            self._session.send(puback(incoming.packet_id))
        self.on_command(incoming.payload)

    def _drop_one(self) -> None:
        """The buffer is full: the oldest ordinary message goes; an alarm only when all are."""
        index = next((i for i, item in enumerate(self._queue) if not item.urgent), 0)
        self._broker.observer.dropped(self._queue[index])
        del self._queue[index]

    def _next_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in self._flying:
                return self._packet_id


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
