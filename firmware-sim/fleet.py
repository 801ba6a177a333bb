"""All devices of a run and their lines: built from the roster, connected, drained, dismissed."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mqtt_link import Broker, MqttLink
from mqtt_packets import Login
from mqtt_session import GOODBYE_SECONDS
from outlets import Batch, Bridge, Direct, Outlet
from roster import Identity
from scenario import Scenario
from setracker_watch import SetrackerWatch, TcpServer
from sim_device import Device, Whereabouts
from tally import Account, Tally
from vital_signs import Illness
from voices import V1Voice, ZigbeeVoice
from wire_v1 import WILL, topic

KEEPALIVE = 60  # seconds


class Line(Protocol):
    """A connection that keeps itself up."""

    def plug(self) -> None:
        """Put the plug back in."""

    def finish(self) -> None:
        """Say goodbye and stay away."""

    async def run(self) -> None:
        """Keep the connection up until `finish`."""


class Simulated(Protocol):
    """What a scenario and the control line can do with any device."""

    every: dict[str, float]
    whereabouts: Whereabouts

    @property
    def identity(self) -> Identity:
        """Who it is."""

    @property
    def online(self) -> bool:
        """Whether its line is up."""

    @property
    def seq(self) -> int | None:
        """The last sequence number said; None where the protocol has none."""

    def measure(self) -> None:
        """Take a measurement and send it."""

    def report_status(self) -> None:
        """Say how the device itself is."""

    def report_location(self) -> None:
        """Say where the device is."""

    def hold(self, values: Mapping[str, float], seconds: float | None) -> None:
        """Measure these values for `seconds` (None: from now on), beginning now."""

    def fall_ill(self, illness: Illness) -> None:
        """Whoever wears the device, or lies on it, is ill from now on."""

    def alarm(
        self, kind: str, *, active: bool = True, detail: str = "", test: bool = False
    ) -> None:
        """Raise or clear an alarm."""

    def knows(self, kind: str) -> bool:
        """Whether the device has a word for this kind of alarm."""

    def drain_battery(self, percent: float) -> None:
        """The battery is at `percent` now; says so."""

    def cut(self, seconds: float) -> None:
        """Pull the plug of the line for `seconds`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all devices of a run share. `sid` names the run of all sequence counters."""

    broker: Broker
    server: TcpServer
    tally: Tally
    scenario: Scenario
    seed: int
    sid: str


class Fleet:
    """The devices by id, in roster order."""

    def __init__(self, roster: Sequence[Identity], around: Surroundings) -> None:
        self._around = around
        self._links: dict[str, MqttLink] = {}
        self._batches: list[Batch] = []
        self._outlets: dict[str, Outlet] = {}
        self._watches: list[SetrackerWatch] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.devices: dict[str, Simulated] = {}
        for identity in sorted(roster, key=lambda identity: identity.type != "gateway"):
            if identity.type == "setracker":
                self._add_watch(identity)
            else:
                self._add_device(identity)
        self.devices = {identity.device_id: self.devices[identity.device_id] for identity in roster}
        around.tally.devices = len(roster)
        around.tally.lines = len(self._links)
        around.tally.tcp.devices = len(self._watches)

    def start(self) -> None:
        """Begin to connect every line."""
        for line in self._lines:
            self._tasks.append(asyncio.create_task(line.run()))

    async def until_connected(self, seconds: float) -> None:
        """Wait until every line is up, at most `seconds`."""
        await self._until(self._all_up, seconds)

    async def settle(self, seconds: float, hurry: asyncio.Event) -> None:
        """Wait until everything is acknowledged, at most `seconds` or until `hurry`."""
        for line in self._lines:
            line.plug()
        for batch in self._batches:
            batch.flush()
        for watch in self._watches:
            watch.report_status()  # its answer confirms all frames before it
        await self._until(lambda: not self.waiting or hurry.is_set(), seconds)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        changed = self._around.tally.changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    changed.clear()
                    await changed.wait()

    async def dismiss(self) -> None:
        """Say goodbye on every line, and wait until the broker has heard it."""
        for line in self._lines:
            line.finish()
        await self._until(lambda: not self._around.tally.online, GOODBYE_SECONDS + 1)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _lines(self) -> list[Line]:
        return [*self._links.values(), *self._watches]

    @property
    def waiting(self) -> int:
        """Messages and frames that nobody has acknowledged."""
        return self.mqtt_waiting + sum(watch.waiting for watch in self._watches)

    @property
    def mqtt_waiting(self) -> int:
        """Messages that the broker has not acknowledged."""
        return sum(link.waiting for link in self._links.values())

    @property
    def reached(self) -> int:
        """Devices that had a line at least once; a sub-device has its gateway's."""
        tally, count = self._around.tally, 0
        for device in self.devices.values():
            identity = device.identity
            line = identity.gateway or identity.device_id
            count += line in tally.connected or line in tally.tcp.connected
        return count

    def _all_up(self) -> bool:
        tally = self._around.tally
        up = len(tally.connected) + len(tally.tcp.connected)
        return up >= len(self._links) + len(self._watches)

    def _add_watch(self, identity: Identity) -> None:
        around = self._around
        watch = SetrackerWatch(
            identity, around.server, around.tally, self._every(identity), self._rng(identity)
        )
        self._watches.append(watch)
        self.devices[identity.device_id] = watch

    def _add_device(self, identity: Identity) -> None:
        around, name = self._around, identity.device_id
        gateway = None if identity.gateway is None else self.devices[identity.gateway].identity
        link = self._links[gateway.device_id] if gateway else self._add_link(identity)
        zigbee = gateway is not None and gateway.base_topic is not None
        outlet = self._outlets[gateway.device_id] if gateway else Direct(link)
        voice = (
            ZigbeeVoice(name, identity.type, outlet)
            if zigbee
            else V1Voice(name, around.sid, outlet)
        )
        device = Device(identity, link, voice, self._every(identity), self._rng(identity))
        self.devices[name] = device
        around.tally.by_device[name] = Account()
        if identity.type == "gateway":
            self._add_gateway(identity, link, device)
        elif gateway is None:
            link.on_up = device.report_status
            link.on_command = device.command

    def _add_gateway(self, identity: Identity, link: MqttLink, device: Device) -> None:
        name = identity.device_id
        if identity.base_topic is not None:
            bridge = Bridge(link, identity.base_topic)
            self._outlets[name] = bridge
            link.on_up = lambda: bridge.announce(name)
            # A bridge has no word of its own in protocol v1: its state is its topic bridge/state.
            device.every = dict.fromkeys(device.every, 1e9)
        else:
            batch = Batch(link, name, self._around.scenario.batch_seconds)
            self._batches.append(batch)
            self._outlets[name] = batch
            link.on_up = device.report_status
            link.on_command = device.command

    def _add_link(self, identity: Identity) -> MqttLink:
        name, broker = identity.device_id, self._around.broker
        bridge = identity.base_topic if identity.type == "gateway" else None
        login = Login(
            client_id=name,
            username=identity.username,
            password=identity.password,
            will_topic=f"{bridge}/bridge/state" if bridge else topic(name, "status"),
            will_payload=b'{"state":"offline"}' if bridge else WILL,
            keepalive=KEEPALIVE,
            level=broker.level,
        )
        command_topic = "" if bridge else topic(name, "command")
        link = MqttLink(broker, login, command_topic, random.Random(f"line:{name}"))
        self._links[name] = link
        return link

    def _every(self, identity: Identity) -> Mapping[str, float]:
        return self._around.scenario.every[identity.type]

    def _rng(self, identity: Identity) -> random.Random:
        return random.Random(f"{self._around.seed}:{identity.device_id}")
