"""GT06: what a terminal tells of itself and of what is plugged into it, 7979 94 and its likes."""

import re

from devices.codecs.binary import Reader, printable
from devices.codecs.fields import clean
from devices.codecs.gt06.extras import unix
from devices.codecs.gt06.fields import Found, read_gps, read_moment
from devices.codecs.gt06.models import read_climate

_BUTTON = re.compile(rb"BTBUTTON,([ -~]{1,32})")
_OIL = re.compile(
    r"!AIOIL,\d+,\d+\.\d+,(?P<degrees>\d+\.\d+),[^,]+,\d{4},(?P<level>\d+\.\d+),", re.ASCII
)
_GPS_BLOCK = 12
_BEACON, _BATTERY = 0x000A, 0x000C


def read_information(found: Found, reader: Reader) -> None:
    """7979 94: its first byte says what of."""
    kind = reader.uint(1) if reader.left else -1
    content = reader.rest()
    rest = Reader(content)
    if kind in (0x00, 0x0B) and rest.left == 2:
        found.states["power_v"] = rest.uint(2) / 100
    elif kind == 0x0B and rest.left == 1:
        found.states["network_technology"] = "4G" if rest.uint(1) else "2G"
    elif kind == 0x04:
        found.states["result"] = clean(content.decode("ascii", "replace"))[:200]
    elif kind == 0x05 and content:
        _doors(found, rest)
    elif kind == 0x0A and rest.left >= 26:
        rest.take(16)
        found.states["iccid"] = rest.take(10).hex().replace("f", "")
    elif kind == 0x0D:
        _oil(found, content)
    elif kind == 0x1B:
        found.states["card"] = _card(content)
    elif kind == 0x1E and rest.left == 8:
        read_climate(found, rest)
    else:
        found.states["information"] = f"{kind & 0xFF:02X}{content.hex()}"[:200]


def _doors(found: Found, rest: Reader) -> None:
    """A time, or none, then inputs."""
    if rest.left >= 7:
        found.at = read_moment(rest, found.zone)
    else:
        rest.take(rest.left - 1)
    inputs = rest.uint(1)
    found.states["door"], found.states["input_1"] = bool(inputs & 1), bool(inputs >> 2 & 1)


def _oil(found: Found, content: bytes) -> None:
    """A sentence of a fuel gauge, with or without a time before it."""
    if content[:1] != b"!" and len(content) >= 6:
        found.at = read_moment(Reader(content), found.zone)
        content = content[6:]
    text = content.decode("ascii", "replace")
    match = _OIL.match(text)
    if match is None:
        found.states["result"] = clean(text)[:200]
        return
    found.readings["ambient_temperature"] = float(match["degrees"])
    found.states["fuel"] = float(match["level"])


def _card(content: bytes) -> str:
    """A text, or a card's number of four bytes between marks of its reader."""
    if len(content) == 8 and content[:1] == b"\x02":
        return content[2:6].hex()
    return _readable(content)


def _readable(data: bytes) -> str:
    text = data.rstrip(b"\0\r\n")
    return text.decode("ascii")[:200] if text and printable(text) else data.hex()[:200]


def read_serial(found: Found, reader: Reader) -> None:
    """7979 9B: what came over the serial port, behind a byte that says from what."""
    found.states["result"] = _readable(reader.rest()[1:])


def read_voltage(found: Found, reader: Reader) -> None:
    """7878 94."""
    found.states["power_v"] = reader.sint(2) / 100


def read_vehicle(found: Found, reader: Reader) -> None:
    """7979 8C: time, ignition, values of the vehicle as text, and a GPS block."""
    found.at = read_moment(reader, found.zone)
    found.states["ignition"] = reader.uint(1) > 0
    found.states["obd"] = clean(
        reader.take(max(reader.left - _GPS_BLOCK, 0)).decode("ascii", "replace")
    )[:400]
    if reader.left == _GPS_BLOCK:
        read_gps(found, reader)


def read_state_list(found: Found, reader: Reader) -> None:
    """7979 F1: a time and states with numbers; 5 is the voltage."""
    found.at = unix(reader.uint(4))
    while reader.left >= 3:
        number, length = reader.uint(2), reader.uint(1)
        value = Reader(reader.take(min(length, reader.left)))
        if number == 5 and value.left == 2:
            found.states["power_v"] = value.uint(2) / 100
        elif number == 1 and value.left == 1:
            found.states["moving"] = value.uint(1) in (2, 4)
        elif number == 7 and value.left == 1:
            found.charging = value.uint(1) > 0
        elif value.left:
            found.states[f"state_{number}"] = int.from_bytes(value.rest()[:8], "big")


def read_bluetooth(found: Found, reader: Reader) -> None:
    """7979 F2: a time, then what is beside the terminal: a Bluetooth button, a battery."""
    content = reader.peek(reader.left)
    found.at = unix(reader.uint(4))
    found.states["packet"] = "1F2"
    while reader.left >= 3:
        number = reader.uint(2)
        length = reader.uint(2 if number == _BEACON else 1)
        if length == 0 and reader.left:
            length = reader.uint(1)
        _peripheral(found, number, reader.take(min(length, reader.left)))
    if (match := _BUTTON.search(content)) is not None:
        found.states["bluetooth_button"] = match[1].decode("ascii")


def _peripheral(found: Found, number: int, content: bytes) -> None:
    value = Reader(content)
    if number == _BEACON and value.left >= 10:
        value.take(1)
        found.states["mac"] = value.take(6).hex()
        found.states["event"], found.states["event_data"] = value.uint(1), value.uint(1)
    elif number == _BATTERY and value.left >= 4:
        found.states["external_battery"] = value.uint(1)
        found.states["external_battery_charging"] = value.uint(1) > 0
        found.states["external_battery_cycles"] = value.uint(2)
    elif content:
        found.states[f"peripheral_{number:04x}"] = content.hex()[:100]
