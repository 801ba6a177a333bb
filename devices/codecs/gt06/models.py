"""GT06 packets of particular models, told apart by length: more behind the cell, wide cells, both.

Newer models measure the battery in percent instead of six levels, and write cells of 4G with
eight bytes more.
"""

from devices.codecs.binary import Reader, signed_word
from devices.codecs.fields import clean
from devices.codecs.gt06.cells import (
    read_4g_cell,
    read_alarm_listing,
    read_block,
    read_cell,
    read_neighbours,
)
from devices.codecs.gt06.fields import (
    Found,
    read_alarm,
    read_charge,
    read_fix,
    read_level,
    read_moment,
    read_odometer,
    read_percent,
    read_state,
)
from devices.messages import CodecError

_4G = 3
"""Cells of this kind and above have long numbers."""
_EVENT_ALARMS = {0x12: 0x18, 0x15: 0x05, 0x1A: 0x19, 0x21: 0x02, 0x23: 0x13}
_ALARM_TAIL = 5
"""State, voltage level, signal, alarm, language."""


def read_report_tail(found: Found, reader: Reader, *, mode: str = "upload_mode") -> None:
    """Ignition, why it was sent, whether late; then maybe the mileage."""
    found.states["ignition"] = reader.uint(1) > 0
    found.states[mode] = reader.uint(1)
    found.late = reader.uint(1) > 0
    if reader.left == 4:
        read_odometer(found, reader.uint(4))


def read_behind_cell(found: Found, reader: Reader) -> None:
    """0x12: what is behind the cell of some models, by its length."""
    if reader.left == 2:
        _mask(found, reader.uint(2))
    elif reader.left in (5, 12):
        oil_and_temperature = reader.left == 12
        read_state(found, reader.uint(1))
        found.states["power_v"] = reader.uint(2) / 100
        found.states["signal_level"] = reader.uint(1)
        if oil_and_temperature:
            read_alarm(found, reader.uint(1))
            found.states["oil"] = reader.uint(2)
            degrees = reader.uint(1)
            found.readings["ambient_temperature"] = float(
                -(degrees & 0x7F) if degrees >> 7 else degrees
            )
            read_odometer(found, reader.uint(4) * 10)
    elif reader.left in (3, 7):
        read_report_tail(found, reader)
    elif reader.left == 4:
        read_odometer(found, reader.uint(4))
    elif reader.left >= 8:
        _card(found, reader)


def _mask(found: Found, mask: int) -> None:
    """Inputs, and a temperature or a voltage."""
    found.states["ignition"] = bool(mask >> 15 & 1)
    found.states["input_2"] = bool(mask >> 14 & 1)
    if mask >> 12 & 1:
        degrees = float(mask & 0x1FF)
        found.readings["ambient_temperature"] = -degrees if mask >> 9 & 1 else degrees
    else:
        found.states["analog_1"] = (mask & 0x3FF) / (1 if mask >> 13 & 1 else 10)


def _card(found: Found, reader: Reader) -> None:
    """Mileage, a driver's card with its length, an alarm, whether it was swiped, minutes driven."""
    read_odometer(found, reader.uint(4))
    length = min(reader.uint(1), reader.left)
    text = clean(reader.take(length).decode("ascii", "replace"))
    if text:
        found.states["card"] = text
    if reader.left >= 2:
        if reader.uint(1) not in (0, 0x30):
            found.states["card_alarm"] = True
        found.states["card_status"] = reader.uint(1)
    if reader.left == 2:
        found.states["driving_time"] = reader.uint(2)


def is_named_twice_timed(content: bytes) -> bool:
    """Whether a 0x22 has its source, the IMEI and the device's time before that of the fix."""
    return (
        len(content) >= 55
        and content[1:9].hex().isdigit()
        and read_moment(Reader(content[9:15])) is not None
        and read_moment(Reader(content[15:21])) is not None
    )


def read_named_position(found: Found, reader: Reader) -> None:
    """0x22 of NT and VL models: source, IMEI, device's time, position, cell, state, voltages,
    mileage in metres, minutes of work."""
    reader.take(9)
    device_time = read_moment(reader, found.zone)
    read_fix(found, reader)
    found.at = found.at or device_time
    # The length counts itself on some of them.
    length = reader.uint(1)
    read_block(found, reader.take(min(max(8, length - 1), reader.left)))
    if reader.left < _ALARM_TAIL:
        return
    read_state(found, reader.uint(1))
    found.states["power_v"] = reader.uint(2) / 100
    tenths = reader.uint(1)
    found.states["battery_v"] = tenths / 10
    found.states["signal_level"] = reader.uint(1)
    if reader.left >= 2:
        read_alarm_and_language(found, reader)
    if reader.left >= 6:
        read_odometer(found, reader.uint(3))
        found.states["hours"] = round(reader.uint(3) / 60, 2)


def read_alarm_and_language(found: Found, reader: Reader) -> None:
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
    found.states["signal_level"] = reader.uint(1)
    read_alarm_and_language(found, reader)


def read_wide_report(found: Found, reader: Reader) -> None:
    """0xA2 with a position: 4G cell, network, state, supply, battery, signal, alarm, language;
    then mileage in metres, seconds of work, the terminal's number, inputs."""
    read_fix(found, reader)
    if reader.left < 24:
        return
    read_4g_cell(found, reader)
    reader.take(1)
    read_state(found, reader.uint(1))
    supply = reader.uint(2)
    if supply:
        found.states["power_v"] = supply / 100
    read_charge(found, reader.uint(1))
    found.states["signal_level"] = reader.uint(1)
    read_alarm_and_language(found, reader)
    if reader.left >= 18:
        read_odometer(found, reader.uint(4))
        found.states["hours"] = round(reader.uint(4) / 3600, 2)
        reader.take(8)
        found.states["inputs"] = reader.uint(2)


def read_cell_alarm_4g(found: Found, reader: Reader) -> None:
    """0xA5: a 4G cell, then as the end of an alarm."""
    read_4g_cell(found, reader)
    _standing(found, reader)


def read_address_request(found: Found, reader: Reader) -> None:
    """0xA7: a 4G cell, the telephone number that wants to know the place, alarm, language."""
    read_4g_cell(found, reader)
    number = reader.take(min(21, reader.left)).rstrip(b"\0")
    found.states["phone"] = clean(number.decode("ascii", "replace"))
    if reader.left >= 2:
        read_alarm_and_language(found, reader)


def read_wifi_alarm(found: Found, reader: Reader) -> None:
    """0xA9: time, cells and WiFi in sight, alarm, language."""
    found.at = read_moment(reader, found.zone)
    read_alarm_listing(found, reader)
    read_alarm_and_language(found, reader)


def read_alarm_with_modules(found: Found, reader: Reader) -> None:
    """0x39: position, cell with its kind, state, battery, alarm, language, then modules."""
    read_fix(found, reader)
    _typed_cell(found, reader)
    _standing(found, reader)
    read_modules(found, reader)


def _typed_cell(found: Found, reader: Reader) -> None:
    """A cell behind its kind, before its loudness."""
    wide = reader.uint(1) >= _4G
    if wide:
        read_4g_cell(found, reader)
    else:
        read_cell(found, reader)
    reader.take(min(2 if wide else 1, reader.left))


def read_modules(found: Found, reader: Reader) -> None:
    """Modules with a number of two bytes and a length of one, behind what many packets say."""
    while reader.left >= 3:
        number, length = reader.uint(2), reader.uint(1)
        value = Reader(reader.take(min(length, reader.left)))
        if number == 0x18 and value.left == 2:
            found.states["battery_v"] = value.uint(2) / 100
        elif number == 0x27 and value.left == 2:
            found.states["power_v"] = value.uint(2) / 100
        elif number == 0x2E and value.left == 4:
            read_odometer(found, value.uint(4))
        elif number == 0x32 and value.left == 1:
            found.states["startup"] = value.uint(1)
        elif number == 0x3B and value.left == 2:
            found.accuracy_m = value.uint(2) / 100 or None
        elif number == 0x6A and value.left == 1:
            read_percent(found, value.uint(1))


def read_uploaded_position(found: Found, reader: Reader) -> None:
    """0x38: position, why it was sent, whether late; then a cell with its kind, and modules."""
    read_fix(found, reader)
    if reader.left >= 2:
        found.states["upload_mode"] = reader.uint(1)
        found.late = reader.uint(1) > 0
    if reader.left >= 10:
        _typed_cell(found, reader)
        read_modules(found, reader)


def read_supplied_position(found: Found, reader: Reader) -> None:
    """0x24 with a position: cell, ignition, voltages of supply and battery."""
    read_fix(found, reader)
    read_cell(found, reader)
    found.states["ignition"] = reader.uint(1) > 0
    found.states["power_v"] = reader.uint(2) / 100
    found.states["battery_v"] = reader.uint(2) / 100


def read_card_position(found: Found, reader: Reader) -> None:
    """0x17 with a position: cell, then the number of a card."""
    read_fix(found, reader)
    read_cell(found, reader)
    found.states["card"] = reader.take(8).hex()


def read_key_position(found: Found, reader: Reader) -> None:
    """0x61: IMEI, position, cell with a long number, the number of a driver's key."""
    reader.take(8)
    read_fix(found, reader)
    read_cell(found, reader, number=4)
    if reader.left >= 6:
        found.states["card"] = str(reader.uint(6))


def read_named_vehicle(found: Found, reader: Reader) -> None:
    """0x34 behind the position: mileage in metres, cell, driver, voltages, inputs."""
    reader.take(2)
    read_odometer(found, reader.uint(4))
    read_cell(found, reader, number=4)
    driver = reader.uint(4)
    if driver:
        found.states["card"] = str(driver)
    found.states["battery_v"] = reader.uint(2) / 100
    found.states["power_v"] = reader.uint(2) / 100
    ports = reader.uint(4)
    found.states["inputs"], found.states["outputs"] = reader.uint(1), reader.uint(1)
    for place in range(1, min(ports >> 20 & 0xF, reader.left // 2) + 1):
        found.states[f"analog_{place}"] = reader.uint(2) / 100


def read_short_status(found: Found, reader: Reader) -> None:
    """0xA3 without a position: as a heartbeat; or, with a 0 behind the state and one more byte,
    voltage level, percent, signal, language.
    """
    if reader.peek(2)[1:] != b"\0":
        _standing(found, reader)
        return
    read_state(found, reader.uint(1))
    reader.take(2)
    read_level(found, reader.uint(1))
    read_percent(found, reader.uint(1))
    found.states["signal_level"] = reader.uint(1)


def read_long_position(found: Found, reader: Reader, *, alarm: bool) -> None:
    """7979 32 and 33 behind the position: cell with its length, signal, more cells, WiFi, state."""
    try:
        cell = b""
        if length := reader.uint(1):
            cell = reader.take(max(length - 1, 8))
            found.states["signal_level"] = reader.uint(1)
        read_neighbours(found, cell, reader.take(reader.uint(1)), reader.take(reader.uint(1)))
        code = reader.uint(1)
    except CodecError:
        return
    if not alarm:
        found.states["status"] = code
    elif code in (0xA0, 0xA1):
        found.states["armed"] = code == 0xA0
    elif code in (0xA2, 0xA3):
        read_alarm(found, 0x19)
    elif code == 0xA5:
        found.states["door"] = True
    elif code:
        found.states["alarm_code"] = code


def read_event(found: Found, event: int) -> None:
    """Module 0x34 of 7979 70: what happened."""
    found.states["event"] = event
    if event == 0x10:
        found.states["door"] = True
    elif event == 0x20:
        found.states["vibration"] = True
    elif event in _EVENT_ALARMS:
        read_alarm(found, _EVENT_ALARMS[event])


def read_climate(found: Found, reader: Reader) -> None:
    """7979 94 1E: temperature and humidity of four bytes each."""
    found.readings["ambient_temperature"] = reader.sint(4) / 10
    found.readings["humidity"] = reader.sint(4) / 10


def read_climate_tail(found: Found, reader: Reader) -> None:
    """0x22 of some: mileage in metres, seconds of the journey, temperature and humidity."""
    read_odometer(found, reader.uint(4))
    found.states["driving_time"] = reader.uint(4)
    found.readings["ambient_temperature"] = signed_word(reader.uint(2)) / 100
    found.readings["humidity"] = reader.uint(2) / 100
