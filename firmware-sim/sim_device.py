"""One simulated device that speaks MQTT: what its kind measures, its alarms, its commands."""

import asyncio
import json
import math
import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mqtt_link import MqttLink
from roster import Identity
from sim_clock import now_ms
from updating import Offer, UpdateFailed, fetch
from vital_signs import Illness, Person
from voices import FACTORY_FIRMWARE, Alarm, Fix, Health, Voice

LOCATED = frozenset({"watch", "pendant"})
_METRES_PER_DEGREE = 111_320.0
_BLOOD_PRESSURE_EVERY = 4  # a cuffless watch takes the pressure at every fourth measurement
_HELD_SECONDS = 30.0  # how long a state that goes with an alarm lasts when nothing else is said
_REMEMBERED_COMMANDS = 32
# Sensors of danger measure 0 while there is none; while there is, the alarm speaks for itself.
_DANGERS = {"smoke": "smoke", "gas": "gas", "leak": "water_leak"}
# States that a sensor reports in its ordinary measurements too, and so must agree with its alarm.
_ALARM_STATES = {
    ("bed_sensor", "bed_exit"): {"bed_occupied": 0.0},
    ("door", "door_open"): {"door_open": 1.0},
}


class Whereabouts:
    """Where a device is: at home with a few metres of noise, or on a walk out and back."""

    def __init__(self, lat: float, lon: float, rng: random.Random) -> None:
        self._lat, self._lon, self._rng = lat, lon, rng
        self._walk: tuple[int, int, float, float] | None = None  # start, end (ms), metres, bearing

    def walk(self, metres: float, seconds: float) -> None:
        """Go `metres` away and come back within `seconds`, beginning now."""
        start = now_ms()
        bearing = self._rng.uniform(0, 2 * math.pi)
        self._walk = (start, start + int(seconds * 1000), metres, bearing)

    def away(self) -> bool:
        """Whether a walk is under way."""
        return self._walk is not None and now_ms() < self._walk[1]

    def fix(self) -> Fix:
        """The position now, as a receiver sees it."""
        east, north = self._rng.gauss(0, 5), self._rng.gauss(0, 5)
        speed = 0.0
        if self._walk is not None and self.away():
            start, end, metres, bearing = self._walk
            part = (now_ms() - start) / (end - start)
            distance = metres * (1 - abs(2 * part - 1))
            east += distance * math.sin(bearing)
            north += distance * math.cos(bearing)
            speed = round(2 * metres / (end - start) * 3600, 1)
        lat = self._lat + north / _METRES_PER_DEGREE
        lon = self._lon + east / (_METRES_PER_DEGREE * math.cos(math.radians(self._lat)))
        accuracy = round(self._rng.uniform(6, 25), 1)
        source = "gnss" if speed or self._rng.random() < 0.4 else "wifi"
        return Fix(round(lat, 6), round(lon, 6), accuracy, source, speed)


class Device:
    """A device on MQTT, behind a line of its own or a gateway's.

    `every` maps vitals, status, location to seconds; the conductor reads it before each wait, so
    that the command `set_interval` works at once.
    """

    def __init__(
        self,
        identity: Identity,
        link: MqttLink,
        voice: Voice,
        every: Mapping[str, float],
        rng: random.Random,
    ) -> None:
        self.identity = identity
        self.link = link
        self.voice = voice
        self.every: dict[str, float] = dict(every)
        self._rng = rng
        self._person = Person(rng)
        self.whereabouts = Whereabouts(identity.lat, identity.lon, rng)
        self._battery = rng.uniform(60, 100)
        self._battery_at = now_ms()
        self._measured = rng.randrange(_BLOOD_PRESSURE_EVERY)
        self._active: set[str] = set()
        self._held: dict[str, tuple[float, int]] = {}  # metric → (value, until Unix ms)
        self._answered: OrderedDict[str, tuple[bool, str]] = OrderedDict()
        self.firmware = FACTORY_FIRMWARE
        self._updating: asyncio.Task[None] | None = None

    @property
    def online(self) -> bool:
        """Whether the line that it speaks through is up."""
        return self.link.online

    @property
    def seq(self) -> int | None:
        """The last sequence number said."""
        return self.voice.seq

    def cut(self, seconds: float) -> None:
        """Pull the plug of the line that the device speaks through: its own, or its gateway's."""
        self.link.cut(seconds)

    def knows(self, kind: str) -> bool:
        """Whether the device has a word for this kind of alarm."""
        return self.voice.can(kind)

    def measure(self) -> None:
        """Take a measurement and send it; kinds that measure nothing say nothing."""
        values = self._sample()
        now = now_ms()
        for metric, (value, until) in list(self._held.items()):
            if until <= now:
                del self._held[metric]
            else:
                values[metric] = value
        if values:
            self.voice.vitals(values)

    def report_status(self) -> None:
        """Say how the device itself is."""
        self.voice.status(self._health())

    def report_location(self) -> None:
        """Say where the device is, if it is of a kind that knows."""
        if self.identity.type in LOCATED:
            self.voice.location(self.whereabouts.fix())

    def hold(self, values: Mapping[str, float], seconds: float | None) -> None:
        """Measure these values instead of ordinary ones for `seconds` (None: from now on)."""
        until = now_ms() + int((seconds if seconds is not None else 1e9) * 1000)
        for metric, value in values.items():
            self._held[metric] = (value, until)
        if values:
            self.measure()

    def fall_ill(self, illness: Illness) -> None:
        """Whoever wears the device is ill from now on."""
        self._person.fall_ill(illness)

    def alarm(
        self, kind: str, *, active: bool = True, detail: str = "", test: bool = False
    ) -> None:
        """Raise or clear an alarm; the position goes with it where the device knows one."""
        (self._active.add if active else self._active.discard)(kind)
        state = _ALARM_STATES.get((self.identity.type, kind))
        if state is not None and active:
            self.hold(state, _HELD_SECONDS)
        fix = self.whereabouts.fix() if self.identity.type in LOCATED else None
        self.voice.alarm(Alarm(kind, active, detail, fix, test))

    def drain_battery(self, percent: float) -> None:
        """The battery is at `percent` now; says so."""
        self._battery, self._battery_at = percent, now_ms()
        self.report_status()

    def command(self, payload: bytes) -> None:
        """Do what the server asks and answer; a repeated command is answered, not repeated."""
        try:
            message = json.loads(payload)
            command = str(message["id"])
            name = str(message["name"])
            expires = int(message.get("expires") or 0)
            given = message.get("args")
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # without an id there is nothing to answer
        fresh = command not in self._answered
        if fresh:
            if expires and now_ms() > expires:
                self._answered[command] = (False, "expired")
            else:
                known = given if isinstance(given, dict) else {}
                self._answered[command] = (
                    self._take_update(command, known)
                    if name == "update"
                    else self._obey(name, known)
                )
            if len(self._answered) > _REMEMBERED_COMMANDS:
                self._answered.popitem(last=False)
        ok, detail = self._answered[command]
        self.voice.ack(command, ok, detail)
        if fresh and ok and name == "reboot":
            self.link.drop()

    def _obey(self, name: str, given: Mapping[str, object]) -> tuple[bool, str]:
        if name == "locate":
            if self.identity.type not in LOCATED:
                return False, "this device does not know where it is"
            self.report_location()
        elif name == "set_interval":
            seconds = given.get("seconds", given.get("vitals"))
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 1:
                return False, "an interval of at least 1 second is needed"
            self.every["vitals"] = float(seconds)
        elif name not in ("ring", "speak", "set_thresholds", "reboot"):
            return False, f"unknown command {name}"
        return True, ""

    def _take_update(self, command: str, given: dict[str, Any]) -> tuple[bool, str]:
        offer = Offer.of(command, given)
        if offer is None:
            return False, "not an update as the protocol has it"
        if offer.version == self.firmware:
            return True, "installed already"
        if self._updating is not None and not self._updating.done():
            return False, "busy with another update"
        self._updating = asyncio.get_running_loop().create_task(self._update(offer))
        return True, ""

    async def _update(self, offer: Offer) -> None:
        def report(state: str, percent: int, detail: str) -> None:
            self.voice.update(offer.command, state, percent, detail)

        try:
            await fetch(offer, report)
        except UpdateFailed as failure:
            report("failed", 0, str(failure))
            return
        self.firmware = offer.version
        # The first status after the restart has the new version in it.
        self.link.drop()

    def _sample(self) -> dict[str, float]:
        now, rng, person = now_ms(), self._rng, self._person
        match self.identity.type:
            case "watch":
                self._measured += 1
                pressure = self._measured % _BLOOD_PRESSURE_EVERY == 0
                return person.vitals(now, blood_pressure=pressure)
            case "bed_sensor":
                occupied = person.in_bed(now)
                values = {"bed_occupied": float(occupied)}
                return {**values, **person.resting(now)} if occupied else values
            case "motion" | "fall_detector":
                values = {"motion": float(person.moves(now))}
                if self.identity.type == "motion":
                    values["illuminance"] = (
                        rng.randint(2, 9) if person.in_bed(now) else rng.randint(80, 420)
                    )
                return values
            case "door":
                return {"door_open": 0.0}
            case "smoke" | "gas" | "leak" as kind:
                metric = _DANGERS[kind]
                values = {} if metric in self._active else {metric: 0.0}
                if kind == "smoke":
                    values["ambient_temperature"] = round(rng.gauss(21.5, 0.4), 1)
                return values
            case _:
                return {}

    def _health(self) -> Health:
        minutes = (now_ms() - self._battery_at) / 60_000
        battery = max(1, round(self._battery - 0.02 * minutes))
        return Health(battery=battery, rssi=round(self._rng.gauss(-68, 5)), firmware=self.firmware)
