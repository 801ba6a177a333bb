"""What the rules take and give: limits, inputs, states, events."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from devices.alarms import AlarmKind, Severity
from devices.messages import Position

Detail = Mapping[str, str | float | int | bool]
State = Mapping[str, Any]
"""One row of `detection_state`: plain JSON. None in its place means normal: no row."""


class Rule(StrEnum):
    """Names of the rules in `detection_state`; vitals, signals and baselines have a row each."""

    VITAL = "vital"
    SIGNAL = "signal"
    DOOR = "door_open"
    BED = "bed"
    GEOFENCE = "geofence"
    BATTERY = "low_battery"
    OFFLINE = "offline"
    INACTIVITY = "inactivity"
    BASELINE = "baseline"
    DRIFT = "drift"
    CLOCK = "clock_skew"

    def of(self, what: str) -> str:
        """The row's name for a rule that has one row for each metric or kind."""
        return f"{self}:{what}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one metric in its catalogue unit; all inclusive, None where there is none."""

    low_critical: float | None = None
    low_major: float | None = None
    high_major: float | None = None
    high_critical: float | None = None


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long something must last before it is an alarm.

    `readings` in a row on the same side, none of them more than `within` after the one before.
    """

    readings: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class VitalRule:
    """How one metric is watched. `margin` is how far inside the limit is normal again."""

    metric: str
    low: AlarmKind | None
    high: AlarmKind | None
    limits: Limits
    major: Persistence
    margin: float


@dataclass(frozen=True, slots=True)
class Fence:
    """A circle that the elder is not to leave: WGS-84 degrees, metres."""

    lat: float
    lon: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class ElderWatch:
    """How one elder is watched over: own limits where set, else the defaults."""

    limits: Mapping[str, Limits] = field(default_factory=dict)
    fence: Fence | None = None
    away_until: datetime | None = None
    door_major: timedelta | None = None
    door_critical: timedelta | None = None
    inactivity_day: timedelta | None = None
    inactivity_night: timedelta | None = None

    def away(self, now: datetime) -> bool:
        """True while the elder is known to be away from home."""
        return self.away_until is not None and self.away_until > now


NO_WATCH = ElderWatch()
"""Nothing but defaults."""


@dataclass(frozen=True, slots=True)
class Raise:
    """A rule wants an alarm."""

    kind: AlarmKind
    severity: Severity
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clear:
    """A condition that a rule had raised is no longer."""

    kind: AlarmKind


Event = Raise | Clear


@dataclass(frozen=True, slots=True)
class Result:
    """What a rule comes to: the state to keep (None: normal) and what happened."""

    state: State | None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """One plausible reading, with the time at which it counts (UTC)."""

    metric: str
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Observation:
    """All that the rules get to see of one message.

    `fresh` is False for what arrives too late to act on (`defaults.FRESH`): it is stored and no
    rule judges by it. Signals of the device itself are not part of this; they ring in any case.
    `clock_offset_s` is how far the device's clock was ahead when the message came, negative where
    it came late; None where it says nothing of the clock (no time, retained, out of a buffer).
    """

    device_no: int
    elder_id: uuid.UUID | None
    at: datetime
    fresh: bool
    readings: tuple[Measured, ...] = ()
    position: Position | None = None
    battery: float | None = None
    battery_low: bool | None = None
    low_battery_percent: float | None = None
    clock_offset_s: float | None = None
