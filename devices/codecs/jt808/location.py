"""Body of a JT/T 808 location report (0x0200): alarms, state, position; then `items.py`.

JT/T 808-2019 section 8.12. Times are China Standard Time.
"""

from datetime import UTC, datetime

from devices.alarms import AlarmKind
from devices.codecs.binary import CHINA, Reader, moment
from devices.codecs.jt808.items import read_items, tiles
from devices.codecs.jt808.locks import read_padlock_tail
from devices.codecs.jt808.report import Location, read_percent, read_signal
from devices.codecs.radio import Cell
from devices.messages import AlarmSignal, CodecError, Position

_FIXED_TAIL = 18

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
_LOCK = 3
_STATE_BITS = {
    1: "overspeed",
    4: "fault",
    5: "antenna_cut",
    6: "antenna_short",
    8: "power_cut",
    9: "fault",
    10: "fault",
    11: "fault",
    15: "vibration",
    28: "moved",
    29: "collision",
    30: "rollover",
    31: "door_alarm",
}
_DOORS = 0b11111 << 13
_CHARGING = 26


def read_location(body: bytes) -> Location:
    """Read a report's body. CodecError (truncated) only for the fixed part of 28 bytes."""
    reader = Reader(body)
    found = Location()
    _alarm_word(found, reader.uint(4))
    status = reader.uint(4)
    lat, lon = reader.uint(4) / 1e6, reader.uint(4) / 1e6
    found.altitude_m = float(reader.sint(2))
    speed, course = reader.uint(2) / 10, reader.uint(2)
    found.at = read_time(reader.take(6))
    read_status(found, status)
    found.position = read_position(status, lat, lon, found.at, (speed, course))
    if reader.left == _FIXED_TAIL and not tiles(body[-_FIXED_TAIL:]):
        _fixed_tail(found, reader)
    else:
        read_items(found, reader)
    return found


def read_time(data: bytes) -> datetime | None:
    """YYMMDDhhmmss in BCD, China Standard Time, as UTC; None when it is no time."""
    text = data.hex()
    if len(text) != 12 or not text.isdigit():
        return None
    return moment([int(text[place : place + 2]) for place in range(0, 12, 2)], CHINA)


def read_status(found: Location, status: int) -> None:
    """The state word (table 24): ignition, cut off, doors; some makers add charging."""
    found.states["ignition"] = bool(status & 1)
    if status >> 10 & 0b11:
        found.states["blocked"] = True
    if status & _DOORS:
        found.states["door"] = True
    if status >> _CHARGING & 1:
        found.charging = True


def read_position(
    status: int,
    lat: float,
    lon: float,
    at: datetime | None,
    motion: tuple[float | None, float | None] = (None, None),
) -> Position | None:
    """A fix whose state word says the hemispheres and whether it is one."""
    lat = 0.0 - lat if status >> 2 & 1 else lat
    lon = 0.0 - lon if status >> 3 & 1 else lon
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
    if word:
        found.states["alarm_word"] = f"{word:08X}"


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
    lat, lon = (lat if flags & 2 else 0.0 - lat), (lon if flags & 4 else 0.0 - lon)
    if abs(lat) <= 90 and abs(lon) <= 180:
        valid = bool(flags & 1) and (lat, lon) != (0, 0)
        found.position = Position(
            lat, lon, at=found.at, valid=valid, speed_kmh=speed, course_deg=course
        )
    read_signal(found, reader.uint(1))
    found.states["satellites"] = reader.uint(1)
    found.states["odometer_km"] = float(reader.uint(4))
    battery = reader.uint(1)
    read_percent(found, battery)
    if battery in (0xAA, 0xAB):
        found.charging = True
    number, area = reader.uint(4), reader.uint(2)
    if number and area:
        found.cells.append(Cell(0, 0, area, number))
    product, status, alarm = reader.uint(1), reader.uint(2), reader.uint(2)
    found.states["status"] = status
    _short_alarms(found, product, alarm)
    if product == _LOCK and status >> 5 & 1:
        found.states["blocked"] = True
    read_padlock_tail(found, reader)
    found.radio()
    return found


def _minutes(digits: str, degrees: int) -> float:
    return int(digits[:degrees]) + int(digits[degrees:]) / 10_000 / 60


def _short_alarms(found: Location, product: int, alarm: int) -> None:
    detail = f"alarm {alarm:04X}"
    low = alarm & 1 if product in (1, 2) else alarm & 0b1010 if product == _LOCK else 0
    if low:
        found.raise_alarm(AlarmKind.LOW_BATTERY, detail, level=True)
    if product != _LOCK:
        return
    for bit, name in ((0, "overspeed"), (2, "vibration")):
        if alarm >> bit & 1:
            found.states[name] = True
    kind = AlarmKind.GEOFENCE_EXIT
    if alarm >> 6 & 1:
        found.raise_alarm(kind, detail, level=True)
    elif alarm >> 5 & 1:
        found.alarms[kind] = AlarmSignal(kind, False, detail, level=True)


def _fixed_tail(found: Location, reader: Reader) -> None:
    """18 bytes of some vehicle locators instead of items: mileage, voltage, area, signal."""
    reader.take(4)
    found.states["odometer_km"] = float(reader.uint(4))
    found.states["battery_v"] = reader.uint(2) / 10
    reader.take(4)
    read_signal(found, reader.uint(1))
