"""GT06 packets that later models added: states of the terminal, modules, texts, things plugged in.

What they hold differs from maker to maker and is told apart by length. Voltages are states: the
metric catalogue knows the battery in percent only.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from devices.codecs.binary import Reader, printable
from devices.codecs.fields import clean
from devices.codecs.gt06_fields import (
    FULL_LEVEL,
    Found,
    read_alarm,
    read_charge,
    read_gps,
    read_moment,
    read_state,
    signed_word,
)
from devices.codecs.gt06_models import read_climate, read_event, read_percent
from devices.messages import Position

_TEXT_POSITION = re.compile(
    r"Current position! *Lat: *([NS])(\d+\.\d+), *Lon: *([EW])(\d+\.\d+), *"
    r"Course: *(\d+(?:\.\d+)?), *Speed: *(\d+(?:\.\d+)?), *"
    r"DateTime: *(\d{4}-\d\d-\d\d) +(\d\d:\d\d:\d\d)",
    re.ASCII,
)
_BUTTON = re.compile(rb"BTBUTTON,([ -~]{1,32})")
# Codes of module 0x2B in the words of the alarm packet.
_HEARTBEAT_ALARMS = frozenset({0x01, 0x0E, 0x0F, 0x13, 0x23})
"""What a heartbeat may say for as long as it lasts."""
_MOST_BARS = 5
_MODULE_ALARMS = {0x11: 0x19, 0x13: 0x02, 0x14: 0x13}


def read_heartbeat(content: bytes) -> Found:
    """0x13: state, voltage level, signal, language; or voltage of two bytes; or 14 and 16 bytes."""
    found = Found()
    if not content:
        return found
    read_state(found, content[0])
    if len(content) in (14, 16):
        _wide_heartbeat(found, Reader(content[-9:]))
    elif 3 <= len(content) <= 6:
        if content[1] <= FULL_LEVEL or (content[1] <= 100 and content[2] <= _MOST_BARS):
            read_charge(found, content[1])
            if len(content) == 5 and content[3] == 0xF0:
                found.states["power_v"] = content[4] / 10
            elif len(content) == 5 and content[3] in _HEARTBEAT_ALARMS:
                read_alarm(found, content[3], level=True)
        else:
            found.states["power_v"] = int.from_bytes(content[1:3], "big") / 100
    return found


def _wide_heartbeat(found: Found, reader: Reader) -> None:
    """Battery in percent, mode, voltage, reserved, times, the terminal's temperature."""
    percent = reader.uint(1)
    reader.take(1)
    voltage = reader.uint(2) / 100
    if voltage:
        # Without a voltage the percentage is a 1 that means nothing.
        found.states["power_v"] = voltage
        found.battery = float(percent) if percent <= 100 else None
    reader.take(3)
    found.readings["ambient_temperature"] = signed_word(reader.uint(2)) / 10


def read_long_heartbeat(content: bytes) -> Found:
    """0x23: state, voltage of the battery, signal."""
    found = Found()
    if content:
        read_state(found, content[0])
    if len(content) >= 4:
        found.states["battery_v"] = int.from_bytes(content[1:3], "big") / 100
    return found


def read_states(content: bytes) -> Found:
    """0x36: as a heartbeat, then modules with a length of one byte."""
    found = read_heartbeat(content[:5])
    for number, value in _modules(Reader(content[5:]), 1):
        if number == 0x18 and value.left == 2:
            found.states["battery_v"] = value.uint(2) / 100
        elif number == 0x6A and value.left == 1:
            read_percent(found, value.uint(1))
    return found


def _modules(reader: Reader, width: int) -> Iterator[tuple[int, Reader]]:
    """Number and content of each module; the last one may be cut off."""
    while reader.left >= 2 + width:
        number, length = reader.uint(2), reader.uint(width)
        yield number, Reader(reader.take(min(length, reader.left)))


def read_modules(content: bytes) -> Found:
    """7979 70: modules of a position, an alarm, a Bluetooth sensor."""
    found = Found()
    for number, value in _modules(Reader(content), 2):
        if number == 0x33 and value.left >= 18:
            found.at = _unix(value.uint(4)) or found.at
            value.take(3)
            read_gps(found, value, satellites=False)
        elif number == 0x2C and value.left == 4:
            found.at = found.at or _unix(value.uint(4))
        elif number == 0x2B and value.left:
            read_alarm(found, _MODULE_ALARMS.get(value.uint(1), 0))
        elif number == 0x34 and value.left:
            read_event(found, value.uint(1))
        elif number == 0x18 and value.left == 2:
            found.states["battery_v"] = value.uint(2) / 100
        elif number == 0x7F and value.left >= 13:
            value.take(9)
            found.readings["ambient_temperature"] = value.sint(2) / 10
            found.readings["humidity"] = value.uint(2) / 10
        elif number == 0x03 and value.left >= 10:
            found.states["iccid"] = value.take(10).hex().rstrip("f")
    return found


def read_state_list(content: bytes) -> Found:
    """7979 F1: a time and states with numbers; 5 is the voltage."""
    reader = Reader(content)
    found = Found(at=_unix(reader.uint(4)))
    for number, value in _modules(reader, 1):
        if number == 5 and value.left == 2:
            found.states["power_v"] = value.uint(2) / 100
        elif number == 1 and value.left == 1:
            found.states["moving"] = value.uint(1) in (2, 4)
        elif number == 7 and value.left == 1:
            found.charging = value.uint(1) > 0
    return found


def read_bluetooth(content: bytes) -> Found:
    """7979 F2: a time, where, and what a Bluetooth device beside the terminal says: a button."""
    found = Found(at=_unix(Reader(content).uint(4)))
    match = _BUTTON.search(content)
    if match is not None:
        found.states["bluetooth_button"] = match[1].decode("ascii")
    found.states["packet"] = "1F2"
    return found


def _unix(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def read_information(content: bytes) -> Found:
    """7979 94: its first byte says what of."""
    found = Found()
    kind, rest = (content[0], content[1:]) if content else (-1, b"")
    if kind in (0x00, 0x0B) and len(rest) == 2:
        found.states["power_v"] = int.from_bytes(rest, "big") / 100
    elif kind == 0x04:
        found.states["result"] = clean(rest.decode("ascii", "replace"))[:200]
    elif kind == 0x05 and rest:
        if len(rest) >= 7:
            found.at = read_moment(Reader(rest))
        found.states["door"] = bool(rest[-1 if len(rest) < 7 else 6] & 1)
    elif kind == 0x0A and len(rest) >= 26:
        found.states["iccid"] = rest[16:26].hex().replace("f", "")
    elif kind == 0x1B:
        found.states["card"] = _readable(rest)
    elif kind == 0x1E and len(rest) == 8:
        read_climate(found, rest)
    else:
        found.states["packet"] = "194"
    return found


def read_serial(content: bytes) -> Found:
    """7979 9B: what came over the serial port, behind a byte that says from what."""
    return Found(states={"result": _readable(content[1:])})


def _readable(data: bytes) -> str:
    text = data.rstrip(b"\0\r\n")
    return text.decode("ascii")[:200] if text and printable(text) else data.hex()[:200]


def read_voltage(content: bytes) -> Found:
    """7878 94."""
    return Found(states={"power_v": int.from_bytes(content[:2], "big") / 100})


def read_text(content: bytes, *, encoding: str) -> Found:
    """0x15 and 7979 21: the outcome of a command, or a position in words."""
    found = Found()
    text = content.decode(encoding, "replace")
    match = _TEXT_POSITION.match(text)
    if match is None:
        found.states["result"] = clean(text)[:200]
        return found
    lat, lon = float(match[2]), float(match[4])
    lat, lon = -lat if match[1] == "S" else lat, -lon if match[3] == "W" else lon
    try:
        found.at = datetime.fromisoformat(f"{match[7]}T{match[8]}+00:00")
    except ValueError:
        found.at = None
    if abs(lat) <= 90 and abs(lon) <= 180:
        course = float(match[5]) % 360
        found.position = Position(
            lat, lon, at=found.at, speed_kmh=float(match[6]), course_deg=course
        )
    return found


def read_camera_alarm(content: bytes) -> Found:
    """0x95: time, position without satellites and speed, alarm code; or time and code only.

    Behind FFFF and a byte: time, satellites, position, altitude, speed, code.
    """
    found, reader = Found(), Reader(content)
    cameras = content[:2] == b"\xff\xff"
    if cameras:
        reader.take(3)
    found.at = read_moment(reader)
    if reader.left > 10:
        read_gps(found, reader, satellites=cameras, speed=False)
        if cameras:
            reader.take(2)
            supply = reader.uint(2)
            if supply:
                found.states["power_v"] = supply / 10
        _camera_event(found, reader.uint(1))
    elif reader.left:
        found.states["alarm_code"] = reader.uint(1)
    return found


def _camera_event(found: Found, code: int) -> None:
    """Codes of cameras are others than those of the alarm packet, but for the SOS."""
    if code == 1:
        read_alarm(found, code)
    elif code in (0x80, 0x88):
        found.states["vibration" if code == 0x80 else "power_cut"] = True
    elif code:
        found.states["alarm_code"] = code


def read_position_tail(found: Found, reader: Reader) -> None:
    """Behind the cell of 0x22, 0x2D, 0x37: ignition, why, whether sent late; with 12 more
    bytes mileage, travelling time, temperature and humidity."""
    found.states["ignition"] = reader.uint(1) > 0
    reader.take(1)
    found.late = reader.uint(1) > 0
    if reader.left == 12:
        reader.take(8)
        found.readings["ambient_temperature"] = signed_word(reader.uint(2)) / 100
        found.readings["humidity"] = reader.uint(2) / 100
