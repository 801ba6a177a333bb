"""Body of a JT/T 808 location report (0x0200): alarms, state, position, and the extra items.

JT/T 808-2019 section 8.12 for the fixed part; item numbers from 0xE0 up are the makers' own and
mean different things, told apart by length as far as that is possible. Times are China Standard
Time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from devices.alarms import AlarmKind
from devices.codecs.binary import CHINA, Reader, moment
from devices.messages import AlarmSignal, CodecError, Position, Scalar

# bit → kind. The platform's answer clears bit 0; the others stand as long as what they tell of.
_ALARM_BITS = {
    0: AlarmKind.SOS,
    7: AlarmKind.LOW_BATTERY,
    16: AlarmKind.TAMPER,
    17: AlarmKind.TAMPER,
    18: AlarmKind.LOW_BATTERY,
    20: AlarmKind.GEOFENCE_EXIT,
}
KNOT = 1.852
_STATE_BITS = {8: "power_cut", 15: "vibration", 28: "moved", 29: "collision", 30: "rollover"}


@dataclass(slots=True)
class Location:
    """What a report says. Values in the units of the metric catalogue."""

    at: datetime | None = None
    position: Position | None = None
    readings: dict[str, float] = field(default_factory=dict)
    alarms: dict[AlarmKind, AlarmSignal] = field(default_factory=dict)
    states: dict[str, Scalar] = field(default_factory=dict)
    charging: bool | None = None
    warnings: list[str] = field(default_factory=list)

    def raise_alarm(self, kind: AlarmKind, detail: str, *, level: bool) -> None:
        """Note an alarm; an activation counts for more than a level."""
        known = self.alarms.get(kind)
        if known is None or known.level:
            self.alarms[kind] = AlarmSignal(kind, True, detail, level)


def read_location(body: bytes) -> Location:
    """Read a report's body. CodecError (truncated) only for the fixed part of 28 bytes."""
    reader = Reader(body)
    found = Location()
    _alarm_word(found, reader.uint(4))
    status = reader.uint(4)
    lat, lon = reader.uint(4) / 1e6, reader.uint(4) / 1e6
    reader.take(2)
    speed, course = reader.uint(2) / 10, reader.uint(2)
    found.at = read_time(reader.take(6))
    found.states["ignition"] = bool(status & 1)
    found.position = _position(status, lat, lon, found.at, (speed, course))
    while reader.left >= 2:
        number, length = reader.uint(1), reader.uint(1)
        if length > reader.left:
            found.warnings.append(f"item {number:02X} is cut off")
            break
        _item(found, number, Reader(reader.take(length)))
    return found


def read_time(data: bytes) -> datetime | None:
    """YYMMDDhhmmss in BCD, China Standard Time, as UTC; None when it is no time."""
    text = data.hex()
    if not text.isdigit():
        return None
    return moment([int(text[place : place + 2]) for place in range(0, 12, 2)], CHINA)


def _position(
    status: int, lat: float, lon: float, at: datetime | None, motion: tuple[float, float]
) -> Position | None:
    lat = -lat if status >> 2 & 1 else lat
    lon = -lon if status >> 3 & 1 else lon
    if abs(lat) > 90 or abs(lon) > 180:
        return None
    valid = bool(status >> 1 & 1) and (lat, lon) != (0, 0)
    return Position(lat, lon, at=at, valid=valid, speed_kmh=motion[0], course_deg=motion[1])


def _alarm_word(found: Location, word: int) -> None:
    for bit, kind in _ALARM_BITS.items():
        if word >> bit & 1:
            found.raise_alarm(kind, f"alarm {word:08X}", level=bit != 0)
    for bit, name in _STATE_BITS.items():
        if word >> bit & 1:
            found.states[name] = True


def _item(found: Location, number: int, data: Reader) -> None:
    handler = _ITEMS.get(number)
    if handler is None:
        return
    try:
        handler(found, data)
    except CodecError as error:
        # One maker's item in another maker's shape must not cost the report.
        found.warnings.append(f"item {number:02X}: {error}")


def _percent(found: Location, value: float) -> None:
    if 0 <= value <= 100:
        found.readings["battery"] = float(value)


def _battery(found: Location, data: Reader) -> None:
    """One byte of percent, 255 while charging; longer items of these numbers are other things."""
    if data.left != 1:
        return
    value = data.uint(1)
    if value == 0xFF:
        found.charging = True
    _percent(found, value)


def _battery_tenths(found: Location, data: Reader) -> None:
    _percent(found, data.uint(1) * 10)


def _battery_hundredths(found: Location, data: Reader) -> None:
    if data.left == 2:
        _percent(found, data.uint(2) / 100)


def _battery_charger(found: Location, data: Reader) -> None:
    found.charging = data.uint(1) == 0
    _percent(found, data.uint(1))


def _battery_voltage(found: Location, data: Reader) -> None:
    """0xE3: reserved, percent, voltage; vehicles without a battery of their own say 0."""
    if data.left >= 2:
        data.take(1)
        percent = data.uint(1)
        _percent(found, percent or -1)


def _battery_or_more(found: Location, data: Reader) -> None:
    if data.left == 1:
        _percent(found, data.uint(1))


def _temperatures(found: Location, data: Reader) -> None:
    """Tenths of a degree, highest bit the sign, 0xFFFF no sensor; the first sensor counts."""
    if data.left not in (2, 16):
        return
    while data.left:
        value = data.uint(2)
        if value != 0xFFFF:
            degrees = (value & 0x7FFF) / 10
            found.readings["ambient_temperature"] = -degrees if value >> 15 else degrees
            return


def _fence(found: Location, data: Reader) -> None:
    """0x12: which area was entered (0) or left (1)."""
    if data.left == 6:
        data.take(5)
        if data.uint(1) == 0:
            detail = "area entered"
            kind = AlarmKind.GEOFENCE_EXIT
            found.alarms[kind] = AlarmSignal(kind, False, detail, level=True)


def _vendor_alarm(found: Location, data: Reader) -> None:
    """0xE7, 8 bytes: bits 1 to 3 of the first word are the SOS keys."""
    if data.left == 8 and data.uint(2) & 0b1110:
        found.raise_alarm(AlarmKind.SOS, "item E7", level=False)


_EVENTS = {
    0x0409: AlarmKind.GEOFENCE_EXIT,
    0x0C01: AlarmKind.SOS,
    0x0C02: AlarmKind.LOW_BATTERY,
    0x0C0F: AlarmKind.LOW_BATTERY,
    0x0C12: AlarmKind.TAMPER,
}


def _event(found: Location, data: Reader) -> None:
    """0xE8 (Jimi): an event, or with 0x2005 a list of states."""
    number = data.uint(2)
    if number in _EVENTS:
        found.raise_alarm(_EVENTS[number], f"item E8 {number:04X}", level=False)
    elif number == 0x2003 and data.left >= 3:
        data.take(1)
        found.charging = data.uint(1) == 1
        sixths = data.uint(1)
        if 1 <= sixths <= 6:
            _percent(found, sixths * 100 // 6)
    elif number == 0x2005:
        data.take(1)
        while data.left >= 3:
            kind, value = data.uint(2), Reader(data.take(data.uint(1)))
            if kind == 0x0003:
                _percent(found, value.uint(1))
            elif kind == 0x0004:
                found.charging = value.uint(1) == 0


def _nested(found: Location, data: Reader) -> None:
    """0xEB: length and number of two bytes each; or cells, or the name of a time zone."""
    content = data.rest()
    if len(content) < 4 or int.from_bytes(content[:2], "big") > len(content):
        return
    reader = Reader(content)
    while reader.left >= 4:
        value = Reader(reader.take(reader.uint(2)))
        number = value.uint(2)
        if number in (0x00A8, 0x00E1):
            _percent(found, value.uint(1))
        elif number == 0x0089:
            _switches(found, value.uint(4))
        elif number == 0x00C6 and value.uint(1) in (3, 4):
            found.raise_alarm(AlarmKind.LOW_BATTERY, "item EB C6", level=True)
        elif number == 0x00C5:
            moving = value.uint(4) >> 23 & 0b11
            if moving in (0, 1):
                found.states["moving"] = moving == 0
        elif number == 0x00B2:
            found.states["iccid"] = value.take(10).hex().rstrip("f")


def _switches(found: Location, word: int) -> None:
    """Negative logic: a bit that is 0 is the alarm."""
    if not word & 1:
        found.states["power_cut"] = True
    if not word >> 12 & 1:
        found.raise_alarm(AlarmKind.TAKEN_OFF, "item EB 89", level=True)


def _motion(found: Location, data: Reader) -> None:
    if data.left == 1:
        found.states["moving"] = data.uint(1) == 1


def _environment(found: Location, data: Reader) -> None:
    """0xF6 of sensor tags: an event and a mask of what follows; 8 bytes are an IMEI."""
    if data.left == 8:
        found.states["imei"] = data.digits(8)[1:]
        return
    if data.left == 2:
        return
    found.states["event"] = data.uint(1)
    mask = data.uint(1)
    if mask & 1:
        data.take(2)
    if mask & 2:
        found.readings["ambient_temperature"] = data.sint(2) / 10
    if mask & 4:
        found.readings["humidity"] = data.sint(2) / 10


def _humidity_or_battery(found: Location, data: Reader) -> None:
    if data.left == 2:
        found.readings["humidity"] = data.uint(2) / 10
    elif data.left >= 6:
        data.take(4)
        found.charging = data.uint(1) in (2, 3)
        _percent(found, data.uint(1))


_ITEMS: dict[int, Callable[[Location, Reader], None]] = {
    0x06: _battery_or_more,
    0x12: _fence,
    0x51: _temperatures,
    0x56: _battery_tenths,
    0x68: _battery_hundredths,
    0xD4: _battery,
    0xE1: _battery,
    0xE3: _battery_voltage,
    0xE4: _battery_charger,
    0xE5: _motion,
    0xE7: _vendor_alarm,
    0xE8: _event,
    0xE9: _battery,
    0xEB: _nested,
    0xF6: _environment,
    0xF7: _humidity_or_battery,
    0xFE: _battery_or_more,
}


def read_short_location(reader: Reader) -> Location:
    """0x5501 and 0x5502 (padlocks): DDMMYYhhmmss in UTC, degrees and minutes in BCD, knots."""
    found = Location()
    day, month, year, hour, minute, second = (int(reader.digits(1)) for _ in range(6))
    found.at = moment([year, month, day, hour, minute, second], UTC)
    lat = _minutes(reader.digits(4), 2)
    tail = reader.take(5).hex()
    if not tail[:9].isdigit():
        raise CodecError("bad_field", "the longitude has other digits")
    lon, flags = _minutes(tail[:9], 3), int(tail[9], 16)
    speed, course = int(reader.digits(1)) * KNOT, reader.uint(1) * 2
    lat, lon = (lat if flags & 2 else -lat), (lon if flags & 4 else -lon)
    if abs(lat) <= 90 and abs(lon) <= 180:
        valid = bool(flags & 1) and (lat, lon) != (0, 0)
        found.position = Position(
            lat, lon, at=found.at, valid=valid, speed_kmh=speed, course_deg=course
        )
    reader.take(6)
    battery = reader.uint(1)
    _percent(found, battery)
    if battery in (0xAA, 0xAB):
        found.charging = True
    reader.take(6)
    product, _, alarm = reader.uint(1), reader.uint(2), reader.uint(2)
    _short_alarms(found, product, alarm)
    return found


def _minutes(digits: str, degrees: int) -> float:
    return int(digits[:degrees]) + int(digits[degrees:]) / 10_000 / 60


def _short_alarms(found: Location, product: int, alarm: int) -> None:
    low = alarm & 1 if product in (1, 2) else alarm & 0b1010 if product == 3 else 0
    if low:
        found.raise_alarm(AlarmKind.LOW_BATTERY, f"alarm {alarm:04X}", level=True)
    if product == 3 and alarm >> 6 & 1:
        found.raise_alarm(AlarmKind.GEOFENCE_EXIT, f"alarm {alarm:04X}", level=True)
