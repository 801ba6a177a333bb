"""How a device words what it has to say: in protocol v1, or as zigbee2mqtt would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from outlets import Outlet
from sim_clock import now_ms
from wire_v1 import ALARM_KINDS, Body, Note

FACTORY_FIRMWARE = "1.4.2"
"""What every device is delivered with."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A position, WGS-84 degrees, accuracy in metres, speed in km/h."""

    lat: float
    lon: float
    accuracy: float
    source: str = "gnss"
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """State of the device itself: battery in percent, signal in dBm."""

    battery: int
    rssi: int
    firmware: str = FACTORY_FIRMWARE
    charging: bool = False


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as a device raises (`active`) or clears it."""

    kind: str
    active: bool = True
    detail: str = ""
    position: Fix | None = None
    test: bool = False


class Voice(Protocol):
    """What every device can say, whatever the protocol.

    The last number said is `seq`; `can` tells whether it has a word for a kind of alarm.
    """

    seq: int | None

    def can(self, kind: str) -> bool:
        """Whether there is a word for this kind of alarm."""

    def vitals(self, values: Mapping[str, float]) -> None:
        """Say measured values."""

    def alarm(self, alarm: Alarm) -> None:
        """Say that something is wrong, or no longer."""

    def status(self, health: Health) -> None:
        """Say how the device itself is."""

    def location(self, fix: Fix) -> None:
        """Say where the device is."""

    def ack(self, command: str, ok: bool, detail: str) -> None:
        """Answer a command."""

    def update(self, command: str, state: str, percent: int, detail: str) -> None:
        """Say how far a new firmware is."""


class V1Voice:
    """Protocol v1. `sid` names the run of the counter, which begins at 1."""

    def __init__(self, device: str, sid: str, outlet: Outlet) -> None:
        self._device = device
        self._sid = sid
        self._outlet = outlet
        self.seq: int | None = None

    def can(self, kind: str) -> bool:
        """Whether there is a word for this kind of alarm."""
        return kind in ALARM_KINDS

    def vitals(self, values: Mapping[str, float]) -> None:
        """Say measured values."""
        self._say("vitals", {"vitals": dict(values)}, metrics=tuple(values))

    def alarm(self, alarm: Alarm) -> None:
        """Say that something is wrong, or no longer."""
        body: Body = {"alarm": alarm.kind, "active": alarm.active}
        if alarm.detail:
            body["detail"] = alarm.detail
        if alarm.position is not None:
            fix = alarm.position
            body["position"] = {"lat": fix.lat, "lon": fix.lon, "accuracy": fix.accuracy}
        if alarm.test:
            body["test"] = True
        self._say("alarm", body, alarm=alarm)

    def status(self, health: Health) -> None:
        """Say how the device itself is."""
        body: Body = {
            "online": True,
            "battery": health.battery,
            "firmware": health.firmware,
            "rssi": health.rssi,
            "charging": health.charging,
        }
        # The server keeps these two as readings; the rest of a status is state.
        self._say("status", body, metrics=("battery", "signal"))

    def location(self, fix: Fix) -> None:
        """Say where the device is."""
        body: Body = {
            "lat": fix.lat,
            "lon": fix.lon,
            "accuracy": fix.accuracy,
            "source": fix.source,
            "speed": fix.speed,
        }
        self._say("location", body)

    def ack(self, command: str, ok: bool, detail: str) -> None:
        """Answer a command."""
        self._say("ack", {"command": command, "ok": ok, "detail": detail})

    def update(self, command: str, state: str, percent: int, detail: str) -> None:
        """Say how far a new firmware is."""
        body: Body = {"command": command, "state": state, "percent": percent}
        if detail:
            body["detail"] = detail
        self._say("status", {"update": body})

    def _say(
        self, kind: str, body: Body, *, metrics: tuple[str, ...] = (), alarm: Alarm | None = None
    ) -> None:
        self.seq = (self.seq or 0) + 1
        full = {"seq": self.seq, "sid": self._sid, "t": now_ms(), **body}
        active = alarm is None or alarm.active
        name = None if alarm is None else alarm.kind
        self._outlet.put(Note(self._device, kind, full, self.seq, metrics, name, active))


_ZIGBEE_SIGNS: dict[str, dict[str, Body]] = {
    # type → alarm kind → what the device's state says when it is active
    "pendant": {"sos": {"action": "single"}},
    "fall_detector": {"fall": {"fall_status": "fall_alarm"}},
    "smoke": {"smoke": {"smoke": True}},
    "gas": {"gas": {"gas": True}},
    "leak": {"water_leak": {"water_leak": True}},
}
_ZIGBEE_CALM: dict[str, Body] = {
    "fall_detector": {"fall_status": "normal"},
    "smoke": {"smoke": False},
    "gas": {"gas": False},
    "leak": {"water_leak": False},
}
# our metric → (zigbee2mqtt property, whether it is a truth value, whether it is inverted)
_ZIGBEE_PROPERTY = {
    "door_open": ("contact", True, True),
    "motion": ("occupancy", True, False),
    "bed_occupied": ("occupancy", True, False),
    "illuminance": ("illuminance", False, False),
    "smoke": ("smoke", True, False),
    "gas": ("gas", True, False),
    "water_leak": ("water_leak", True, False),
    "ambient_temperature": ("temperature", False, False),
    "humidity": ("humidity", False, False),
}
# zigbee2mqtt property → the metric under which a server stores it
_ZIGBEE_STORED = {
    "contact": "door_open",
    "occupancy": "motion",
    "illuminance": "illuminance",
    "temperature": "ambient_temperature",
    "humidity": "humidity",
    "smoke": "smoke",
    "gas": "gas",
    "water_leak": "water_leak",
    "battery": "battery",
    "linkquality": "linkquality",
}


class ZigbeeVoice:
    """zigbee2mqtt: one JSON state per message, no numbering, `last_seen` in epoch milliseconds.

    Like the real bridge it repeats a sensor's state in every report until it changes; only an
    `action` comes once.
    """

    seq: int | None = None

    def __init__(self, device: str, kind: str, outlet: Outlet) -> None:
        self._device = device
        self._signs = _ZIGBEE_SIGNS.get(kind, {})
        self._calm = _ZIGBEE_CALM.get(kind, {})
        self._state = dict(self._calm)
        self._outlet = outlet
        self._quality = 120

    def can(self, kind: str) -> bool:
        """Whether there is a word for this kind of alarm."""
        return kind in self._signs

    def vitals(self, values: Mapping[str, float]) -> None:
        """Say measured values."""
        state: Body = {}
        for metric, value in values.items():
            known = _ZIGBEE_PROPERTY.get(metric)
            if known is not None:
                name, truth, inverted = known
                state[name] = bool(value) != inverted if truth else value
        if state:
            self._say({**self._state, **state})

    def alarm(self, alarm: Alarm) -> None:
        """Say that something is wrong, or no longer."""
        sign = self._signs.get(alarm.kind)
        if sign is None or not (alarm.active or self._calm):
            return
        if self._calm:
            self._state = dict(sign if alarm.active else self._calm)
        self._say({**self._state, **(sign if alarm.active else {})}, alarm.kind, alarm.active)

    def status(self, health: Health) -> None:
        """Say how the device itself is."""
        self._quality = max(1, min(255, 255 + 2 * health.rssi))
        voltage = 2500 + 6 * health.battery
        self._say({**self._state, "battery": health.battery, "voltage": voltage})

    def location(self, fix: Fix) -> None:
        """Zigbee devices do not know where they are."""

    def ack(self, command: str, ok: bool, detail: str) -> None:
        """Commands of protocol v1 do not reach Zigbee devices."""

    def update(self, command: str, state: str, percent: int, detail: str) -> None:
        """Nor do their updates."""

    def _say(self, state: Body, alarm: str | None = None, active: bool = True) -> None:
        body = {**state, "linkquality": self._quality, "last_seen": now_ms()}
        metrics = tuple(_ZIGBEE_STORED[name] for name in body if name in _ZIGBEE_STORED)
        self._outlet.put(Note(self._device, "state", body, None, metrics, alarm, active))
