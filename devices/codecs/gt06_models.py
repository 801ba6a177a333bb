"""GT06 packets of particular models, told apart by length: more behind the cell, wide cells, both.

Newer models measure the battery in percent instead of six levels, and write cells of 4G with
eight bytes more. What only vehicles have (mileage, driver, oil) is left out.
"""

from devices.codecs.binary import Reader
from devices.codecs.gt06_fields import (
    Found,
    read_alarm,
    read_charge,
    read_gps,
    read_moment,
    read_state,
)
from devices.messages import CodecError

_EVENT_ALARMS = {0x12: 0x18, 0x15: 0x05, 0x1A: 0x19, 0x21: 0x02, 0x23: 0x13}
_4G = 3
"""Cells of this kind and above have long numbers."""


def skip_cell(reader: Reader, *, wide: bool = False, wide_network: bool = False) -> None:
    """Country, network, area, cell: 8 bytes, or 15 with `wide` numbers; the highest bit of the
    country says that the network's number has two bytes."""
    country = reader.uint(2)
    reader.take(2 if country >> 15 or wide_network else 1)
    reader.take(12 if wide else 5)


def read_behind_cell(found: Found, reader: Reader) -> None:
    """0x12: what is behind the cell of some models, by its length."""
    if reader.left == 2:
        mask = reader.uint(2)
        found.states["ignition"] = bool(mask >> 15 & 1)
        if mask >> 12 & 1:
            degrees = float(mask & 0x1FF)
            found.readings["ambient_temperature"] = -degrees if mask >> 9 & 1 else degrees
    elif reader.left in (5, 12):
        oil_and_temperature = reader.left == 12
        read_state(found, reader.uint(1))
        found.states["power_v"] = reader.uint(2) / 100
        reader.take(1)
        if oil_and_temperature:
            read_alarm(found, reader.uint(1))
            reader.take(2)
            degrees = reader.uint(1)
            found.readings["ambient_temperature"] = float(
                -(degrees & 0x7F) if degrees >> 7 else degrees
            )


def is_named_twice_timed(content: bytes) -> bool:
    """Whether a 0x22 has its source, the IMEI and the device's time before that of the fix."""
    return (
        len(content) >= 55
        and content[1:9].hex().isdigit()
        and read_moment(Reader(content[9:15])) is not None
        and read_moment(Reader(content[15:21])) is not None
    )


def read_named_position(content: bytes) -> Found:
    """0x22 of NT and VL models: source, IMEI, device's time, position, cell, state, voltages."""
    found, reader = Found(), Reader(content[9:])
    device_time = read_moment(reader)
    found.at = read_moment(reader) or device_time
    read_gps(found, reader)
    reader.take(min(reader.uint(1), reader.left))
    if reader.left >= 5:
        read_state(found, reader.uint(1))
        found.states["power_v"] = reader.uint(2) / 100
        found.states["battery_v"] = reader.uint(1) / 10
        reader.take(1)
        if reader.left >= 2:
            _alarm_and_language(found, reader)
    return found


def _alarm_and_language(found: Found, reader: Reader) -> None:
    """The upper half of the language makes other alarms of the same codes."""
    code = reader.uint(1)
    upper = reader.uint(1) >> 4 if reader.left else 0
    if upper:
        found.states["alarm_code"] = upper << 8 | code
    else:
        read_alarm(found, code)


def _standing(found: Found, reader: Reader) -> None:
    """State, battery, signal, alarm, language."""
    read_state(found, reader.uint(1))
    read_charge(found, reader.uint(1))
    reader.take(1)
    _alarm_and_language(found, reader)


def read_wide_report(content: bytes) -> Found:
    """0xA2 with a position: 4G cell, network, state, supply, battery, signal, alarm, language."""
    found, reader = Found(), Reader(content)
    found.at = read_moment(reader)
    read_gps(found, reader)
    if reader.left >= 24:
        skip_cell(reader, wide=True)
        reader.take(1)
        read_state(found, reader.uint(1))
        supply = reader.uint(2)
        if supply:
            found.states["power_v"] = supply / 100
        read_charge(found, reader.uint(1))
        reader.take(1)
        _alarm_and_language(found, reader)
    return found


def read_cell_alarm_4g(content: bytes) -> Found:
    """0xA5: a 4G cell, then as the end of an alarm."""
    found, reader = Found(), Reader(content)
    skip_cell(reader, wide=True)
    _standing(found, reader)
    return found


def read_wifi_alarm(content: bytes) -> Found:
    """0xA9: time, cells and WiFi in sight, alarm, language."""
    found, reader = Found(), Reader(content)
    found.at = read_moment(reader)
    found.states["cells_in_sight"] = True
    country = reader.uint(2)
    reader.take(2 if country >> 15 else 1)
    wide = reader.uint(1) > 0
    reader.take(reader.uint(1) * (13 if wide else 6) + 1)
    reader.take(reader.uint(1) * 7)
    _alarm_and_language(found, reader)
    return found


def read_alarm_with_modules(content: bytes) -> Found:
    """0x39: position, cell with its kind, state, battery, alarm, language, then modules."""
    found, reader = Found(), Reader(content)
    found.at = read_moment(reader)
    read_gps(found, reader)
    wide = reader.uint(1) >= _4G
    skip_cell(reader, wide=wide)
    reader.take(2 if wide else 1)
    _standing(found, reader)
    while reader.left >= 3:
        number, length = reader.uint(2), reader.uint(1)
        value = Reader(reader.take(min(length, reader.left)))
        if number == 0x18 and value.left == 2:
            found.states["battery_v"] = value.uint(2) / 100
        elif number == 0x6A and value.left == 1:
            read_percent(found, value.uint(1))
    return found


def read_percent(found: Found, percent: int) -> None:
    """A battery in percent; more than 100 is none."""
    if percent <= 100:
        found.battery = float(percent)


def read_uploaded_position(content: bytes) -> Found:
    """0x38: position, why it was sent, whether late."""
    found, reader = Found(), Reader(content)
    found.at = read_moment(reader)
    read_gps(found, reader)
    if reader.left >= 2:
        reader.take(1)
        found.late = reader.uint(1) > 0
    return found


def read_supplied_position(content: bytes) -> Found:
    """0x24 with a position: cell, ignition, voltages of supply and battery."""
    found, reader = Found(), Reader(content)
    found.at = read_moment(reader)
    read_gps(found, reader)
    skip_cell(reader)
    found.states["ignition"] = reader.uint(1) > 0
    found.states["power_v"] = reader.uint(2) / 100
    found.states["battery_v"] = reader.uint(2) / 100
    return found


def read_card_position(content: bytes) -> Found:
    """0x17 with a position: cell, then the number of a card."""
    found, reader = Found(), Reader(content)
    found.at = read_moment(reader)
    read_gps(found, reader)
    skip_cell(reader)
    found.states["card"] = reader.take(8).hex()
    return found


def read_short_status(content: bytes) -> Found:
    """0xA3 without a position: as a heartbeat."""
    found = Found()
    _standing(found, Reader(content))
    return found


def read_long_alarm(found: Found, reader: Reader) -> None:
    """7979 33 behind the position: cell with its length, signal, more cells, WiFi, a code."""
    try:
        length = reader.uint(1)
        if length:
            reader.take(max(length - 1, 8) + 1)
        reader.take(reader.uint(1))
        reader.take(reader.uint(1))
        code = reader.uint(1)
    except CodecError:
        return
    if code in (0xA2, 0xA3):
        read_alarm(found, 0x19)
    elif code == 0xA5:
        found.states["door"] = True
    elif code:
        found.states["alarm_code"] = code


def read_event(found: Found, event: int) -> None:
    """Module 0x34 of 7979 70: what happened."""
    if event == 0x10:
        found.states["door"] = True
    elif event == 0x20:
        found.states["vibration"] = True
    elif event in _EVENT_ALARMS:
        read_alarm(found, _EVENT_ALARMS[event])


def read_climate(found: Found, rest: bytes) -> None:
    """7979 94 1E: temperature and humidity of four bytes each."""
    reader = Reader(rest)
    found.readings["ambient_temperature"] = reader.sint(4) / 10
    found.readings["humidity"] = reader.sint(4) / 10
