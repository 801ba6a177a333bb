"""Fields that GT06 (Concox) packets share: the GPS block, the state byte, the alarm code.

Times are taken as UTC, which the makers set by default, unless the login named another zone.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

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
    0x15: (AlarmKind.LOW_BATTERY, True),
    0x18: (AlarmKind.TAKEN_OFF, True),
    0x19: (AlarmKind.LOW_BATTERY, True),
    0x23: (AlarmKind.FALL, True),
    0x25: (AlarmKind.TAMPER, True),
    0x32: (AlarmKind.TAMPER, True),
}
# Codes that say nothing of a person: `alarm_code` keeps the number beside the word.
_STATE_CODES = {
    0x02: "power_cut",
    0x03: "vibration",
    0x06: "overspeed",
    0x09: "moved",
    0x0A: "satellites_lost",
    0x0B: "satellites_found",
    0x0C: "power_on",
    0x0D: "first_fix",
    0x10: "sim_changed",
    0x11: "power_off",
    0x12: "airplane_mode",
    0x14: "door",
    0x16: "sound",
    0x1A: "harsh_braking",
    0x1B: "harsh_cornering",
    0x20: "sleep",
    0x26: "harsh_acceleration",
    0x27: "harsh_braking",
    0x28: "harsh_braking",
    0x29: "harsh_acceleration",
    0x2A: "harsh_cornering",
    0x2B: "harsh_cornering",
    0x2C: "collision",
    0x2E: "harsh_cornering",
    0x30: "harsh_braking",
}
_IGNITION = {0xFE: True, 0xFF: False}
# Bits 3 to 5 of the state byte, which every heartbeat repeats.
_STANDING: dict[int, AlarmKind] = {
    3: AlarmKind.LOW_BATTERY,
    4: AlarmKind.SOS,
    7: AlarmKind.TAKEN_OFF,
}
_STANDING_STATES = {1: "vibration", 2: "power_cut", 6: "fence"}
_DEGREE = 1_800_000
FULL_LEVEL = 6
HEARTBEAT_ALARMS = frozenset({0x01, 0x0E, 0x0F, 0x13, 0x23})
"""What a heartbeat may say for as long as it lasts."""


@dataclass(slots=True)
class Found:
    """What a packet says. `zone` is that of its times, `nothing` that it is not to be stored."""

    zone: tzinfo = UTC
    at: datetime | None = None
    position: Position | None = None
    altitude_m: float | None = None
    accuracy_m: float | None = None
    battery: float | None = None
    charging: bool | None = None
    late: bool = False
    nothing: bool = False
    ack: CommandAck | None = None
    readings: dict[str, float] = field(default_factory=dict)
    alarms: dict[AlarmKind, AlarmSignal] = field(default_factory=dict)
    states: dict[str, Scalar] = field(default_factory=dict)


def read_moment(reader: Reader, zone: tzinfo = UTC) -> datetime | None:
    """Year of the century, month, day, hour, minute, second, a byte each."""
    return moment([reader.uint(1) for _ in range(6)], zone)


def read_fix(found: Found, reader: Reader) -> None:
    """The time, then the GPS block."""
    found.at = read_moment(reader, found.zone)
    read_gps(found, reader)


def read_gps(
    found: Found,
    reader: Reader,
    *,
    satellites: bool = True,
    speed: bool = True,
    camera: bool = False,
) -> None:
    """Satellites, latitude, longitude in 1/30,000 of a minute, km/h, course and hemispheres.

    Cameras write the course before the speed, which has two bytes.
    """
    if satellites:
        found.states["satellites"] = reader.uint(1) & 0xF
    lat, lon = reader.uint(4) / _DEGREE, reader.uint(4) / _DEGREE
    kmh = float(reader.uint(1)) if speed and not camera else None
    flags = reader.uint(2)
    kmh = float(reader.uint(2)) if camera else kmh
    if flags >> 14 & 1:
        found.states["ignition"] = bool(flags >> 15)
    lat = lat if flags >> 10 & 1 else 0.0 - lat
    lon = 0.0 - lon if flags >> 11 & 1 else lon
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
    """The state byte: armed, ignition, charging, bits 3 to 5 a standing alarm, bit 7 cut off."""
    found.states["ignition"] = bool(state >> 1 & 1)
    found.charging = bool(state >> 2 & 1)
    for bit, name in ((0, "armed"), (7, "blocked")):
        if state >> bit & 1:
            found.states[name] = True
    standing = state >> 3 & 0b111
    kind = _STANDING.get(standing)
    if kind is not None:
        found.alarms[kind] = AlarmSignal(kind, True, f"state {state:02X}", level=True)
    elif standing in _STANDING_STATES:
        found.states[_STANDING_STATES[standing]] = True


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


def read_percent(found: Found, percent: int) -> None:
    """A battery in percent; more than 100 is none."""
    if percent <= 100:
        found.battery = float(percent)


def read_odometer(found: Found, metres: int) -> None:
    """Metres, as kilometres."""
    found.states["odometer_km"] = metres / 1000


def read_alarm(found: Found, code: int, *, level: bool = False) -> None:
    """An alarm code: this packet is the activation, or (`level`) repeats it while it lasts."""
    known = _ALARM_CODES.get(code)
    if known is not None:
        kind, active = known
        found.alarms[kind] = AlarmSignal(kind, active, f"code {code:02X}", level=level)
    elif code:
        found.states["alarm_code"] = code
        if code in _IGNITION:
            found.states["ignition"] = _IGNITION[code]
        elif code in _STATE_CODES:
            found.states[_STATE_CODES[code]] = True
