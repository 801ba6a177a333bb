"""Extra items of a JT/T 808 location report: number, length, value, one after the other.

JT/T 808-2019 table 27 for 0x01 to 0x31. Numbers from 0x33 up are the makers' own and mean different
things, told apart by length as far as that is possible. What nobody knows is kept as it came, as a
state `item_…` in hexadecimal digits.
"""

from collections.abc import Callable

from devices.alarms import AlarmKind
from devices.codecs.binary import Reader, printable
from devices.codecs.jt808 import locks, nested, sensors, vehicle
from devices.codecs.jt808.report import (
    Location,
    read_percent,
    read_signal,
    read_text,
    unread,
)
from devices.codecs.radio import Cell, Wifi, dbm
from devices.messages import AlarmSignal, CodecError

_VEHICLE_FOLLOWS = 0x80
_LONGEST_BATTERY = 6
_CELL, _WIFI, _LONG_CELL, _SHORT_CELL = 13, 7, 12, 10


def read_items(found: Location, reader: Reader) -> None:
    """Read all items; one that cannot be read is a warning."""
    extended = False
    while reader.left >= 2:
        number, length = reader.uint(1), reader.uint(1)
        if length > reader.left:
            found.warnings.append(f"item {number:02X} is cut off")
            break
        data = Reader(reader.take(length))
        if number == _VEHICLE_FOLLOWS and length == 1:
            extended = True
        _item(found, number, data, extended=extended)
    found.radio()


def tiles(data: bytes) -> bool:
    """Whether the bytes are items to the end."""
    place = 0
    while place + 1 < len(data):
        place += 2 + data[place + 1]
    return place == len(data)


def _item(found: Location, number: int, data: Reader, *, extended: bool) -> None:
    name, length = f"item_{number:02x}", data.left
    handler = _ITEMS.get(number)
    try:
        if extended and vehicle.is_extension(number):
            vehicle.read_extension(found, number, data)
        elif handler is not None:
            handler(found, data)
    except CodecError as error:
        # One maker's item in another maker's shape must not cost the report.
        found.warnings.append(f"item {number:02X}: {error}")
    if data.left == length:
        unread(found, name, data)


def _battery(found: Location, data: Reader) -> None:
    """One byte of percent, 255 while charging; longer items of these numbers are other things."""
    if data.left != 1:
        return
    value = data.uint(1)
    if value == 0xFF:
        found.charging = True
    read_percent(found, value)


def _battery_tenths(found: Location, data: Reader) -> None:
    read_percent(found, data.uint(1) * 10)


def _battery_hundredths(found: Location, data: Reader) -> None:
    if data.left == 2:
        read_percent(found, data.uint(2) / 100)


def _battery_charger(found: Location, data: Reader) -> None:
    found.charging = data.uint(1) == 0
    read_percent(found, data.uint(1))


def _battery_voltage(found: Location, data: Reader) -> None:
    """0xE3: reserved, percent, voltage; vehicles say 0 % beside the voltage of the car. Longer
    ones are names.
    """
    if data.left > _LONGEST_BATTERY:
        found.state("name", read_text(data.rest()))
    elif data.left >= 2:
        data.take(1)
        percent = data.uint(1)
        voltage = data.uint(2) / 100 if data.left >= 2 else 0.0
        if voltage:
            found.states["battery_v"] = voltage
        if percent or 0 < voltage < 5:
            read_percent(found, percent)


def _battery_or_cabin(found: Location, data: Reader) -> None:
    """0x06: percent; with two bytes, by the standard, the temperature inside of the vehicle."""
    if data.left == 2:
        word = data.uint(2)
        degrees = float(word & 0x7FFF)
        found.readings["ambient_temperature"] = -degrees if word >> 15 else degrees
    elif data.left == 1:
        read_percent(found, data.uint(1))


def _battery_or_more(found: Location, data: Reader) -> None:
    """0xFE: percent; two bytes a voltage, four metres; longer: a mark, then percent or alarms."""
    length = data.left
    if length == 1:
        read_percent(found, data.uint(1))
    elif length == 2:
        found.states["power_v"] = data.uint(2) / 10
    elif length == 4:
        found.states["odometer_km"] = data.uint(4) / 1000
    elif length and data.uint(1) != 0x7C:
        read_percent(found, data.uint(1))
    else:
        while data.left >= 2:
            number, value = data.uint(1), Reader(data.take(data.uint(1)))
            if number == 1:
                _driving(found, value.uint(4))


def _driving(found: Location, word: int) -> None:
    for bit, name in enumerate(("acceleration", "braking", "cornering")):
        if word >> bit & 1:
            found.state(f"harsh_{name}", True)
    if word >> 3 & 1:
        found.state("collision", True)
    if word >> 4 & 1:
        found.raise_alarm(AlarmKind.TAMPER, "item FE", level=True)


def _volts(name: str, size: int, divisor: float) -> Callable[[Location, Reader], None]:
    """A voltage of this size; with another one the number means something else."""

    def handle(found: Location, data: Reader) -> None:
        if data.left == size:
            found.states[name] = data.uint(size) / divisor

    return handle


def _battery_or_power(found: Location, data: Reader) -> None:
    """0xE1: percent, with two bytes the voltage of the supply, four a driver, twelve a cell."""
    if data.left == 2:
        found.states["power_v"] = data.uint(2) / 10
    elif data.left == 4:
        found.state("card", str(data.uint(4)))
    elif data.left == _LONG_CELL:
        _one_cell(2, 3, 4)(found, data)
    else:
        _battery(found, data)


def _supply(found: Location, data: Reader) -> None:
    """0xEE, 6 bytes: signal, supply, battery, satellites; 10 bytes are a cell."""
    if data.left == 6:
        read_signal(found, data.uint(1))
        found.states["power_v"] = data.uint(2) / 1000
        found.states["battery_v"] = data.uint(2) / 1000
        found.states["satellites"] = data.uint(1)
    elif data.left == _SHORT_CELL:
        _one_cell(1, 2, 4)(found, data)


def _mileage(found: Location, data: Reader) -> None:
    found.states["odometer_km"] = data.uint(4) / 10


def _signal(found: Location, data: Reader) -> None:
    read_signal(found, data.uint(1))


def _satellites(found: Location, data: Reader) -> None:
    found.states["satellites"] = data.uint(1)


def _firmware(found: Location, data: Reader) -> None:
    content = data.rest()
    if content and printable(content):
        found.firmware = content.decode("ascii")[:64]


def _fence(found: Location, data: Reader) -> None:
    """0x12: which area was entered (0) or left (1)."""
    if data.left == 6:
        data.take(5)
        left, kind = data.uint(1) == 1, AlarmKind.GEOFENCE_EXIT
        found.alarms[kind] = AlarmSignal(kind, left, f"area {'left' if left else 'entered'}", True)


def _vendor_alarm(found: Location, data: Reader) -> None:
    """0xE7, 8 bytes: bits 1 to 3 of the first word are the SOS keys."""
    if data.left == 8:
        word = data.rest()
        if int.from_bytes(word[:2], "big") & 0b1110:
            found.raise_alarm(AlarmKind.SOS, "item E7", level=False)
        if any(word):
            found.state("alarm_bits", word.hex())


def _motion(found: Location, data: Reader) -> None:
    if data.left == 1:
        found.states["moving"] = data.uint(1) == 1


def _mode_or_lock(found: Location, data: Reader) -> None:
    """0x33: a mode; or the sentence of a padlock, with its battery in hundredths of a volt."""
    if data.left == 1:
        found.state("mode", data.uint(1))
        return
    text = read_text(data.rest())
    found.state("lock", text)
    hundredths = text[10:13]
    if text.startswith("*M00") and hundredths.isdigit():
        found.states["battery_v"] = int(hundredths) / 100


def _cells(found: Location, data: Reader) -> None:
    """0xF0: cells of 4G, 13 bytes each."""
    if data.left % _CELL:
        return
    while data.left:
        country, network = data.uint(2), data.uint(2)
        number, area = data.uint(4), data.uint(4)
        data.take(1)
        _seen(found, country, network, area, number)


def _seen(found: Location, country: int, network: int, area: int, number: int) -> None:
    if country and (area or number):
        found.cells.append(Cell(country, network, area, number))


def _one_cell(network: int, area: int, number: int) -> Callable[[Location, Reader], None]:
    """A handler for one cell: country, then fields of these sizes, then maybe its loudness."""

    def handle(found: Location, data: Reader) -> None:
        country = data.uint(2)
        _seen(found, country, data.uint(network), data.uint(area), data.uint(number))
        data.take(min(1, data.left))

    return handle


def _plain_cell(found: Location, data: Reader) -> None:
    """0xFF, 12 bytes."""
    if data.left == _LONG_CELL:
        _one_cell(2, 4, 4)(found, data)


def _counted_cells(found: Location, data: Reader) -> None:
    """0x53, 0x5D: a count, then cells of 8 or 10 bytes, each with its country."""
    count = data.peek(1)[0] if data.left else 0
    size, odd = divmod(data.left - 1, count) if count else (0, 1)
    if odd or size not in (8, 10):
        return
    data.take(1)
    for _ in range(count):
        country, network, area = data.uint(2), data.uint(1), data.uint(2)
        _seen(found, country, network, area, data.uint(size - 6))
        data.take(1)


def _wifi(found: Location, data: Reader) -> None:
    """0xEC, 0xF4: WiFi, 7 bytes each."""
    if data.left % _WIFI:
        return
    while data.left:
        found.wifi.append(Wifi(data.take(6), dbm(data.uint(1))))


def _user_status(found: Location, data: Reader) -> None:
    if data.uint(4) >> 3 & 1:
        found.state("vibration", True)


def _io(found: Location, data: Reader) -> None:
    """0x25 signals of the vehicle, 0x2A inputs: the bits as a number."""
    found.state("inputs" if data.left == 4 else "io", int.from_bytes(data.rest()[:4], "big"))


_ITEMS: dict[int, Callable[[Location, Reader], None]] = {
    0x01: _mileage,
    0x02: vehicle.read_fuel,
    0x03: vehicle.number("vehicle_speed_kmh", 2, 10),
    0x06: _battery_or_cabin,
    0x0B: locks.read_lock_command,
    0x12: _fence,
    0x14: vehicle.number("video_alarm", 4),
    **dict.fromkeys((0x25, 0x2A), _io),
    **dict.fromkeys((0x2B, 0xA7), vehicle.read_analog),
    0x30: _signal,
    0x31: _satellites,
    0x33: _mode_or_lock,
    0x51: sensors.read_temperatures,
    **dict.fromkeys((0x53, 0x5D), _counted_cells),
    0x56: _battery_tenths,
    0x57: vehicle.read_driving_alarms,
    0x60: locks.read_lock_event,
    0x61: _volts("power_v", 2, 100),
    0x63: locks.read_seals,
    0x64: vehicle.safety("assistance_alarm"),
    0x65: vehicle.safety("driver_alarm"),
    0x67: vehicle.text("password"),
    0x68: _battery_hundredths,
    0x69: _volts("battery_v", 2, 100),
    0x6C: vehicle.text("imei"),
    0x70: vehicle.safety("driving_alarm"),
    0x71: vehicle.read_sim_card,
    0x77: vehicle.read_tyres,
    0x82: _volts("power_v", 2, 10),
    0x91: vehicle.read_engine,
    0x94: vehicle.text("vin"),
    0xAC: vehicle.number("odometer_km", 4, 1000),
    0xBC: vehicle.text("driver"),
    0xBD: vehicle.text("card"),
    0xCC: vehicle.read_sim_card,
    0xD0: _user_status,
    0xD3: _volts("power_v", 2, 10),
    0xD4: _battery,
    0xD5: locks.read_locks,
    0xD6: vehicle.read_sim_card,
    0xDA: locks.read_string_lock,
    0xE1: _battery_or_power,
    0xE2: vehicle.number("fuel", 4, 10),
    0xE3: _battery_voltage,
    0xE4: _battery_charger,
    0xE5: _motion,
    0xE6: sensors.read_tags,
    0xE7: _vendor_alarm,
    0xE8: nested.read_event,
    0xE9: _battery,
    0xEA: sensors.read_external,
    0xEB: nested.read_nested,
    **dict.fromkeys((0xEC, 0xF4), _wifi),
    0xED: vehicle.text("card"),
    0xEE: _supply,
    0xF0: _cells,
    0xF1: _volts("power_v", 4, 1000),
    0xF2: _firmware,
    0xF3: vehicle.read_obd,
    0xF5: sensors.read_illuminance,
    0xF6: sensors.read_environment,
    0xF7: sensors.read_humidity_or_battery,
    0xF8: sensors.read_identity,
    0xFB: vehicle.text("container"),
    0xFC: vehicle.number("fence", 1),
    0xFE: _battery_or_more,
    0xFF: _plain_cell,
}
