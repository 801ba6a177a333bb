"""The vocabulary of alarms: what can go wrong, how loud it is, and to whom it belongs.

The same words are used by codecs (a device says so), by detection rules (readings say so), by
incidents (somebody must act) and by the interface. Severity follows ISA-18.2 / IEC 62682 in the
shape that the operators know: critical 紧急, major 重要, minor 一般, technical 技术.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """Loudness of an alarm, loudest first. `rank` sorts a queue (0 is loudest)."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    TECHNICAL = "technical"

    @property
    def rank(self) -> int:
        """0 is the loudest; sorts a queue."""
        return _RANK[self]


_RANK = {Severity.CRITICAL: 0, Severity.MAJOR: 1, Severity.MINOR: 2, Severity.TECHNICAL: 3}


class AlarmKind(StrEnum):
    """What an alarm is about. An elder has at most one open incident for each kind."""

    SOS = "sos"
    FALL = "fall"
    SMOKE = "smoke"
    GAS = "gas"
    WATER_LEAK = "water_leak"
    HEART_RATE_HIGH = "heart_rate_high"
    HEART_RATE_LOW = "heart_rate_low"
    SPO2_LOW = "spo2_low"
    BLOOD_PRESSURE_HIGH = "blood_pressure_high"
    BLOOD_PRESSURE_LOW = "blood_pressure_low"
    BODY_TEMPERATURE_HIGH = "body_temperature_high"
    BODY_TEMPERATURE_LOW = "body_temperature_low"
    RESPIRATORY_RATE_HIGH = "respiratory_rate_high"
    RESPIRATORY_RATE_LOW = "respiratory_rate_low"
    GLUCOSE_HIGH = "glucose_high"
    GLUCOSE_LOW = "glucose_low"
    DOOR_OPEN = "door_open"
    INACTIVITY = "inactivity"
    BED_EXIT = "bed_exit"
    GEOFENCE_EXIT = "geofence_exit"
    TAKEN_OFF = "taken_off"
    DEVICE_OFFLINE = "device_offline"
    LOW_BATTERY = "low_battery"
    TAMPER = "tamper"
    CLOCK_SKEW = "clock_skew"
    SELF_TEST_OVERDUE = "self_test_overdue"


@dataclass(frozen=True, slots=True)
class AlarmClass:
    """Default severity of a kind and whether it speaks of the device rather than of the elder."""

    severity: Severity
    technical: bool = False


ALARM_CLASSES: dict[AlarmKind, AlarmClass] = {
    AlarmKind.SOS: AlarmClass(Severity.CRITICAL),
    AlarmKind.FALL: AlarmClass(Severity.CRITICAL),
    AlarmKind.SMOKE: AlarmClass(Severity.CRITICAL),
    AlarmKind.GAS: AlarmClass(Severity.CRITICAL),
    AlarmKind.WATER_LEAK: AlarmClass(Severity.MAJOR),
    AlarmKind.HEART_RATE_HIGH: AlarmClass(Severity.MAJOR),
    AlarmKind.HEART_RATE_LOW: AlarmClass(Severity.MAJOR),
    AlarmKind.SPO2_LOW: AlarmClass(Severity.MAJOR),
    AlarmKind.BLOOD_PRESSURE_HIGH: AlarmClass(Severity.MAJOR),
    AlarmKind.BLOOD_PRESSURE_LOW: AlarmClass(Severity.MAJOR),
    AlarmKind.BODY_TEMPERATURE_HIGH: AlarmClass(Severity.MAJOR),
    AlarmKind.BODY_TEMPERATURE_LOW: AlarmClass(Severity.MAJOR),
    AlarmKind.RESPIRATORY_RATE_HIGH: AlarmClass(Severity.MAJOR),
    AlarmKind.RESPIRATORY_RATE_LOW: AlarmClass(Severity.MAJOR),
    AlarmKind.GLUCOSE_HIGH: AlarmClass(Severity.MAJOR),
    AlarmKind.GLUCOSE_LOW: AlarmClass(Severity.MAJOR),
    AlarmKind.DOOR_OPEN: AlarmClass(Severity.MAJOR),
    AlarmKind.INACTIVITY: AlarmClass(Severity.MAJOR),
    AlarmKind.BED_EXIT: AlarmClass(Severity.MINOR),
    AlarmKind.GEOFENCE_EXIT: AlarmClass(Severity.MAJOR),
    AlarmKind.TAKEN_OFF: AlarmClass(Severity.MINOR),
    AlarmKind.DEVICE_OFFLINE: AlarmClass(Severity.TECHNICAL, technical=True),
    AlarmKind.LOW_BATTERY: AlarmClass(Severity.TECHNICAL, technical=True),
    AlarmKind.TAMPER: AlarmClass(Severity.TECHNICAL, technical=True),
    AlarmKind.CLOCK_SKEW: AlarmClass(Severity.TECHNICAL, technical=True),
    AlarmKind.SELF_TEST_OVERDUE: AlarmClass(Severity.TECHNICAL, technical=True),
}


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """An alarm as it leaves ingest and enters a wing that reacts to it (bound in `app/wiring`).

    Its row in table `alarm` exists already, in the same transaction. `elder_id` is None for a
    device that is bound to nobody. Times are UTC; the position is WGS-84 with its age and accuracy.
    """

    id: uuid.UUID
    kind: AlarmKind
    severity: Severity
    source: str
    device_no: int | None
    device_id: str | None
    elder_id: uuid.UUID | None
    division_code: str
    received_at: datetime
    device_time: datetime | None = None
    test: bool = False
    lat: float | None = None
    lon: float | None = None
    position_at: datetime | None = None
    position_accuracy_m: float | None = None
    detail: Mapping[str, str | float | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClearedCondition:
    """A condition that is no longer: it marks the incident, it never closes it (ISA-18.2)."""

    kind: AlarmKind
    device_no: int | None
    elder_id: uuid.UUID | None
    at: datetime
