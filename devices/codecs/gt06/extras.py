"""GT06: heartbeats in their forms, texts, cameras, and reports that are lists of modules.

What they hold differs from maker to maker and is told apart by length. Voltages are states: the
metric catalogue knows the battery in percent only.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from devices.codecs.binary import Reader, signed_word
from devices.codecs.fields import clean
from devices.codecs.gt06.cells import read_cell
from devices.codecs.gt06.fields import (
    FULL_LEVEL,
    HEARTBEAT_ALARMS,
    Found,
    read_alarm,
    read_charge,
    read_gps,
    read_moment,
    read_odometer,
    read_state,
)
from devices.codecs.gt06.models import read_event, read_modules
from devices.messages import CodecError, Position

_TEXT_POSITION = re.compile(
    r"Current position! *Lat: *([NS])(\d+\.\d+), *Lon: *([EW])(\d+\.\d+), *"
    r"Course: *(\d+(?:\.\d+)?), *Speed: *(\d+(?:\.\d+)?), *"
    r"DateTime: *(\d{4}-\d\d-\d\d) +(\d\d:\d\d:\d\d)",
    re.ASCII,
)
_CARD_IN_TEXT = re.compile(r"<ICCID:(\d{19,20})", re.ASCII)
_MOST_BARS, _LOUDEST = 5, 100
_UNKNOWN = 0x7FFF
_OBD_WIDE = 14
_OBD_WIDER = 16
_TEMPERATURE_MODE = 4
# Codes of module 0x2B in the words of the alarm packet.
_MODULE_ALARMS = {0x11: 0x19, 0x12: 0x0E, 0x13: 0x02, 0x14: 0x13}
_CAMERA_EVENTS = {
    0x76: "temperature_alarm",
    0x80: "vibration",
    0x87: "overspeed",
    0x88: "power_cut",
    0x90: "harsh_acceleration",
    0x91: "harsh_braking",
    0x92: "harsh_cornering",
    0x93: "collision",
}


def read_heartbeat(found: Found, reader: Reader) -> None:
    """0x13: state, voltage level, signal, language; or voltage of two bytes; or 14 and 16 bytes."""
    if not reader.left:
        return
    length = reader.left
    read_state(found, reader.uint(1))
    if length in (_OBD_WIDE, _OBD_WIDER):
        _wide_heartbeat(found, reader)
        return
    tail = reader.take(min(reader.left, 5))
    if not len(tail) >= 2:
        return
    level = tail[0] <= FULL_LEVEL and tail[1] <= _LOUDEST
    if level or (tail[0] <= 100 and tail[1] <= _MOST_BARS):
        read_charge(found, tail[0])
        found.states["signal_level"] = tail[1]
        if len(tail) == 4 and tail[2] == 0xF0:
            found.states["power_v"] = tail[3] / 10
        elif len(tail) == 4:
            _extension(found, tail)
    else:
        found.states["power_v"] = int.from_bytes(tail[:2], "big") / 100


def _extension(found: Found, tail: bytes) -> None:
    """An alarm that lasts; or a supply, of which some write tenths in twelve bits."""
    if tail[2] in HEARTBEAT_ALARMS:
        read_alarm(found, tail[2], level=True)
    elif tail[2] >> 4:
        found.states["power_v"] = (int.from_bytes(tail[2:], "big") & 0xFFF) / 10
    elif tail[2]:
        found.states["extension"] = tail[2]


def _wide_heartbeat(found: Found, reader: Reader) -> None:
    """Signal and satellites, alarm, language, battery in percent, mode, voltage, reserved, times,
    the terminal's temperature."""
    last = reader.left == _OBD_WIDER - 1
    signal = reader.uint(2)
    found.states["satellites"] = (signal >> 10 & 0x1F) + (signal >> 5 & 0x1F)
    found.states["signal_level"] = signal & 0x1F
    read_alarm(found, reader.uint(1), level=True)
    reader.take(1)
    percent, mode = reader.uint(1), reader.uint(1)
    found.states["mode"] = mode
    voltage = reader.uint(2) / 100
    if voltage:
        # Without a voltage the percentage is a 1 that means nothing.
        found.states["power_v"] = voltage
        found.battery = float(percent) if percent <= 100 else None
    reader.take(5 if last else 3)
    if mode == _TEMPERATURE_MODE:
        found.readings["ambient_temperature"] = signed_word(reader.uint(2)) / 10


def read_long_heartbeat(found: Found, reader: Reader) -> None:
    """0x23: state, voltage of the battery, signal."""
    if reader.left:
        read_state(found, reader.uint(1))
    if reader.left >= 3:
        found.states["battery_v"] = reader.uint(2) / 100
        found.states["signal_level"] = reader.uint(1)


def read_states(found: Found, reader: Reader) -> None:
    """0x36: as a heartbeat, then modules with a length of one byte."""
    read_heartbeat(found, Reader(reader.take(min(5, reader.left))))
    read_modules(found, reader)


def _modules(reader: Reader) -> Iterator[tuple[int, Reader]]:
    """Number and content of each module; the last one may be cut off."""
    while reader.left >= 4:
        number, length = reader.uint(2), reader.uint(2)
        yield number, Reader(reader.take(min(length, reader.left)))


def read_report(found: Found, reader: Reader) -> None:
    """7979 70: modules of a position, an alarm, a Bluetooth sensor, the terminal."""
    for number, value in _modules(reader):
        try:
            _module(found, number, value)
        except CodecError:
            # Cut off: the modules before it still count.
            return


def _module(found: Found, number: int, value: Reader) -> None:
    if number == 0x33 and value.left >= 18:
        found.at = unix(value.uint(4)) or found.at
        found.states["satellites"] = value.uint(1)
        found.altitude_m = float(value.sint(2))
        read_gps(found, value, satellites=False)
    elif number == 0x2C and value.left == 4:
        found.at = found.at or unix(value.uint(4))
    elif number == 0x2B and value.left:
        code = value.uint(1)
        if code:
            found.states["event"] = code
        read_alarm(found, _MODULE_ALARMS.get(code, 0))
    elif number == 0x34 and value.left:
        read_event(found, value.uint(1))
    elif number == 0x7F and value.left >= 13:
        _tag(found, value)
    elif number == 0x11 and value.left >= 9:
        read_cell(found, value, wide_network=True)
    else:
        _plain_module(found, number, value)


def _plain_module(found: Found, number: int, value: Reader) -> None:
    if number == 0x03 and value.left >= 10:
        found.states["iccid"] = value.take(10).hex().rstrip("f")
    elif number == 0x09:
        found.states["satellites"] = value.uint(1)
    elif number == 0x0A:
        found.states["satellites_visible"] = value.uint(1)
    elif number == 0x18 and value.left == 2:
        found.states["battery_v"] = value.uint(2) / 100
    elif number == 0x28:
        found.states["hdop"] = value.uint(1) / 10
    elif number == 0x2A:
        inputs = value.uint(1)
        found.states["door"], found.states["tamper"] = inputs & 0xF > 0, inputs >> 4 > 0
    elif number == 0x2E and value.left == 4:
        read_odometer(found, value.uint(4))


def _tag(found: Found, value: Reader) -> None:
    """Address, voltage in mV, percent, tenths of a degree and of a percent, state."""
    found.states["tag1_mac"] = value.take(6).hex()
    millivolts = value.uint(2)
    if millivolts != _UNKNOWN:
        found.states["tag1_battery_v"] = millivolts / 1000
    found.states["tag1_battery"] = value.uint(1)
    found.readings["ambient_temperature"] = value.sint(2) / 10
    found.readings["humidity"] = value.uint(2) / 10


def unix(seconds: int) -> datetime | None:
    """Seconds since 1970, 0 for no time."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def read_text(found: Found, text: str) -> None:
    """0x15 and 7979 21: the outcome of a command, or a position in words."""
    match = _TEXT_POSITION.match(text)
    if match is None:
        found.states["result"] = clean(text)[:200]
        if (card := _CARD_IN_TEXT.search(text)) is not None:
            found.states["iccid"] = card[1]
        return
    lat, lon = float(match[2]), float(match[4])
    lat, lon = -lat if match[1] == "S" else lat, -lon if match[3] == "W" else lon
    try:
        local = datetime.fromisoformat(f"{match[7]}T{match[8]}")
        found.at = local.replace(tzinfo=found.zone).astimezone(UTC)
    except (ValueError, OverflowError):
        found.at = None
    if abs(lat) <= 90 and abs(lon) <= 180:
        course = float(match[5]) % 360
        found.position = Position(
            lat, lon, at=found.at, speed_kmh=float(match[6]), course_deg=course
        )


def read_camera_alarm(found: Found, reader: Reader) -> None:
    """0x95: time, position without satellites and speed, alarm code; or time and code only.

    Behind FFFF and a byte: time, satellites, position, speed, supply, code. Names of recordings
    follow.
    """
    camera = reader.left >= 3 and reader.peek(2) == b"\xff\xff"
    if camera:
        reader.take(3)
    found.at = read_moment(reader, found.zone)
    positioned = reader.left > 10
    if positioned:
        read_gps(found, reader, satellites=camera, speed=False, camera=camera)
        if camera and (supply := reader.uint(2)):
            found.states["power_v"] = supply / 10
    if not reader.left:
        return
    code = reader.uint(1)
    if code == 1 and positioned:
        read_alarm(found, code)
    elif code:
        found.states["alarm_code"] = code
        found.states[_CAMERA_EVENTS.get(code, "camera_event")] = True
    reader.take(min(2, reader.left))
    if files := clean(reader.rest().decode("ascii", "replace")):
        found.states["files"] = files[:200]
