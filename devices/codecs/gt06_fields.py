"""Fields that GT06 (Concox) packets share: the GPS block, the state byte, the alarm code.

Times are taken as UTC, which the makers set by default.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from devices.alarms import AlarmKind
from devices.codecs.binary import Reader, moment
from devices.messages import AlarmSignal, CommandAck, Position, Scalar

_ALARM_CODES: dict[int, tuple[AlarmKind, bool]] = {
    0x01: (AlarmKind.SOS, True),
    0x04: (AlarmKind.GEOFENCE_EXIT, False),
    0x05: (AlarmKind.GEOFENCE_EXIT, True),
    0x0E: (AlarmKind.LOW_BATTERY, True),
    0x0F: (AlarmKind.LOW_BATTERY, True),
    0x13: (AlarmKind.TAMPER, True),
    0x18: (AlarmKind.TAKEN_OFF, True),
    0x19: (AlarmKind.LOW_BATTERY, True),
    0x23: (AlarmKind.FALL, True),
    0x25: (AlarmKind.TAMPER, True),
    0x32: (AlarmKind.TAMPER, True),
}
_STATE_CODES = {0x02: "power_cut", 0x03: "vibration", 0x09: "moved", 0x11: "power_off"}
# Bits 3 to 5 of the state byte, which every heartbeat repeats.
_STANDING: dict[int, AlarmKind] = {
    3: AlarmKind.LOW_BATTERY,
    4: AlarmKind.SOS,
    7: AlarmKind.TAKEN_OFF,
}
_DEGREE = 1_800_000
FULL_LEVEL = 6


@dataclass(slots=True)
class Found:
    """What a packet says."""

    at: datetime | None = None
    position: Position | None = None
    battery: float | None = None
    charging: bool | None = None
    late: bool = False
    ack: CommandAck | None = None
    readings: dict[str, float] = field(default_factory=dict)
    alarms: dict[AlarmKind, AlarmSignal] = field(default_factory=dict)
    states: dict[str, Scalar] = field(default_factory=dict)


def read_moment(reader: Reader) -> datetime | None:
    """Year of the century, month, day, hour, minute, second, a byte each."""
    return moment([reader.uint(1) for _ in range(6)], UTC)


def read_gps(found: Found, reader: Reader, *, satellites: bool = True, speed: bool = True) -> None:
    """Satellites, latitude, longitude in 1/30,000 of a minute, km/h, course and hemispheres."""
    if satellites:
        reader.take(1)
    lat, lon = reader.uint(4) / _DEGREE, reader.uint(4) / _DEGREE
    kmh = float(reader.uint(1)) if speed else None
    flags = reader.uint(2)
    lat = lat if flags >> 10 & 1 else -lat
    lon = -lon if flags >> 11 & 1 else lon
    if abs(lat) > 90 or abs(lon) > 180:
        return
    valid = bool(flags >> 12 & 1) and (lat, lon) != (0, 0)
    course = float(flags & 0x3FF)
    found.position = Position(
        lat,
        lon,
        at=found.at,
        valid=valid,
        speed_kmh=kmh,
        course_deg=course if course <= 360 else None,
    )


def read_state(found: Found, state: int) -> None:
    """The state byte: bit 2 charging, bits 3 to 5 a standing alarm."""
    found.charging = bool(state >> 2 & 1)
    kind = _STANDING.get(state >> 3 & 0b111)
    if kind is not None:
        found.alarms[kind] = AlarmSignal(kind, True, f"state {state:02X}", level=True)
    elif state >> 3 & 0b111 == 2:
        found.states["power_cut"] = True


def read_level(found: Found, level: int) -> None:
    """Six levels of voltage as percent; what is more is no level."""
    if level <= FULL_LEVEL:
        found.battery = float(level * 100 // FULL_LEVEL)


def read_charge(found: Found, value: int) -> None:
    """Six levels, or percent where the number is higher."""
    if value <= FULL_LEVEL:
        read_level(found, value)
    elif value <= 100:
        found.battery = float(value)


def signed_word(word: int) -> int:
    """The highest bit is the sign, the rest the number."""
    return -(word & 0x7FFF) if word >> 15 else word


def read_alarm(found: Found, code: int, *, level: bool = False) -> None:
    """An alarm code: this packet is the activation, or (`level`) repeats it while it lasts."""
    known = _ALARM_CODES.get(code)
    if known is not None:
        kind, active = known
        found.alarms[kind] = AlarmSignal(kind, active, f"code {code:02X}", level=level)
    elif code in _STATE_CODES:
        found.states[_STATE_CODES[code]] = True
    elif code:
        found.states["alarm_code"] = code
