"""Extra items of a JT/T 808 location report: number, length, value, one after the other.

JT/T 808-2019 table 27 for 0x01 to 0x31. Numbers from 0x33 up are the makers' own and mean different
things, told apart by length as far as that is possible. What speaks of a motor is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from devices.alarms import AlarmKind
from devices.codecs.binary import Reader, printable
from devices.codecs.fields import clean
from devices.messages import AlarmSignal, CodecError, Position, Scalar

_LOUDEST, _SILENT_DBM, _STEP_DBM = 31, -113, 2


@dataclass(slots=True)
class Location:
    """What a report says. Values in the units of the metric catalogue."""

    at: datetime | None = None
    position: Position | None = None
    readings: dict[str, float] = field(default_factory=dict)
    alarms: dict[AlarmKind, AlarmSignal] = field(default_factory=dict)
    states: dict[str, Scalar] = field(default_factory=dict)
    charging: bool | None = None
    rssi_dbm: float | None = None
    firmware: str | None = None
    warnings: list[str] = field(default_factory=list)

    def raise_alarm(self, kind: AlarmKind, detail: str, *, level: bool) -> None:
        """Note an alarm; an activation counts for more than a level."""
        known = self.alarms.get(kind)
        if known is None or known.level:
            self.alarms[kind] = AlarmSignal(kind, True, detail, level)


def read_items(found: Location, reader: Reader) -> None:
    """Read all items; one that cannot be read is a warning."""
    while reader.left >= 2:
        number, length = reader.uint(1), reader.uint(1)
        if length > reader.left:
            found.warnings.append(f"item {number:02X} is cut off")
            break
        _item(found, number, Reader(reader.take(length)))


def tiles(data: bytes) -> bool:
    """Whether the bytes are items to the end."""
    place = 0
    while place + 1 < len(data):
        place += 2 + data[place + 1]
    return place == len(data)


def read_signal(found: Location, loudness: int) -> None:
    """0 to 31 as modems count (3GPP TS 27.007, +CSQ), steps of 2 dB; 0 and 99 say nothing."""
    if 0 < loudness <= _LOUDEST:
        found.rssi_dbm = float(_SILENT_DBM + _STEP_DBM * loudness)


def _item(found: Location, number: int, data: Reader) -> None:
    handler = _ITEMS.get(number)
    if handler is None:
        return
    try:
        handler(found, data)
    except CodecError as error:
        # One maker's item in another maker's shape must not cost the report.
        found.warnings.append(f"item {number:02X}: {error}")


def read_percent(found: Location, value: float) -> None:
    """A battery, unless it is no percentage."""
    if 0 <= value <= 100:
        found.readings["battery"] = float(value)


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
    """0xE3: reserved, percent, voltage; vehicles say 0 % beside the voltage of the car."""
    if data.left >= 2:
        data.take(1)
        percent = data.uint(1)
        voltage = data.uint(2) / 100 if data.left >= 2 else 0.0
        if voltage:
            found.states["battery_v"] = voltage
        if percent or 0 < voltage < 5:
            read_percent(found, percent)


def _battery_or_more(found: Location, data: Reader) -> None:
    """0x06, 0xFE: percent; with two bytes a voltage; longer: a mark, then percent or alarms."""
    length = data.left
    if length == 1:
        read_percent(found, data.uint(1))
    elif length == 2:
        found.states["power_v"] = data.uint(2) / 10
    elif length != 4 and data.uint(1) != 0x7C:
        read_percent(found, data.uint(1))
    elif length > 4:
        while data.left >= 2:
            number, value = data.uint(1), Reader(data.take(data.uint(1)))
            if number == 1 and value.uint(4) >> 4 & 1:
                found.raise_alarm(AlarmKind.TAMPER, "item FE", level=True)


def _volts(name: str, size: int, divisor: float) -> Callable[[Location, Reader], None]:
    """A voltage of this size; with another one the number means something else."""

    def handle(found: Location, data: Reader) -> None:
        if data.left == size:
            found.states[name] = data.uint(size) / divisor

    return handle


def _battery_or_power(found: Location, data: Reader) -> None:
    """0xE1: percent, or with two bytes the voltage of the supply."""
    if data.left == 2:
        found.states["power_v"] = data.uint(2) / 10
    else:
        _battery(found, data)


def _supply(found: Location, data: Reader) -> None:
    """0xEE, 6 bytes: signal, supply, battery, satellites."""
    if data.left == 6:
        read_signal(found, data.uint(1))
        found.states["power_v"] = data.uint(2) / 1000
        found.states["battery_v"] = data.uint(2) / 1000


def _mileage(found: Location, data: Reader) -> None:
    found.states["odometer_km"] = data.uint(4) / 10


def _signal(found: Location, data: Reader) -> None:
    read_signal(found, data.uint(1))


def _satellites(found: Location, data: Reader) -> None:
    found.states["satellites"] = data.uint(1)


def _sim_card(found: Location, data: Reader) -> None:
    """0xCC: the number of the SIM card in ASCII."""
    content = data.rest()
    if len(content) == 20 and printable(content):
        found.states["iccid"] = content.decode("ascii")


def _firmware(found: Location, data: Reader) -> None:
    content = data.rest()
    if content and printable(content):
        found.firmware = content.decode("ascii")[:64]


def _tags(found: Location, data: Reader) -> None:
    """0xE6: sensor tags of 11 bytes; the first one counts."""
    if data.left and data.left % 11 == 0:
        data.take(7)
        found.readings["ambient_temperature"] = _byte_and_part(data)
        found.readings["humidity"] = _byte_and_part(data)


def _byte_and_part(data: Reader) -> float:
    whole, part = data.sint(1), data.uint(1)
    return round((abs(whole) + part / 255) * (-1 if whole < 0 else 1), 1)


def _external(found: Location, data: Reader) -> None:
    """0xEA: sensors on the cable, each with number and length."""
    if data.left <= 2:
        return
    data.take(1)
    while data.left >= 2:
        number, value = data.uint(1), Reader(data.take(data.uint(1)))
        if number == 0x13:
            found.readings["illuminance"] = float(value.uint(2))
        elif number == 0x15:
            found.readings["humidity"] = value.uint(2) / 10
        elif number == 0x16:
            found.readings["ambient_temperature"] = round(value.uint(2) / 10 - 50, 1)


def _illuminance(found: Location, data: Reader) -> None:
    if data.left == 2:
        found.readings["illuminance"] = float(data.uint(2))


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
        left, kind = data.uint(1) == 1, AlarmKind.GEOFENCE_EXIT
        found.alarms[kind] = AlarmSignal(kind, left, f"area {'left' if left else 'entered'}", True)


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

_EVENT_STATES = {0x0406: "vibration", 0x040C: "door", 0x0C0E: "power_cut", 0x0C10: "power_off"}


def _event(found: Location, data: Reader) -> None:
    """0xE8 (Jimi): an event, or with 0x2005 a list of states."""
    number = data.uint(2)
    if number == 0x0408:
        kind = AlarmKind.GEOFENCE_EXIT
        found.alarms[kind] = AlarmSignal(kind, False, "area entered")
    elif number in _EVENT_STATES:
        found.states[_EVENT_STATES[number]] = True
    elif number in _EVENTS:
        found.raise_alarm(_EVENTS[number], f"item E8 {number:04X}", level=False)
    elif number == 0x2003 and data.left >= 3:
        data.take(1)
        found.charging = data.uint(1) == 1
        sixths = data.uint(1)
        if 1 <= sixths <= 6:
            read_percent(found, sixths * 100 // 6)
    elif number == 0x2005:
        data.take(1)
        while data.left >= 3:
            state, value = data.uint(2), Reader(data.take(data.uint(1)))
            if state == 0x0003:
                read_percent(found, value.uint(1))
            elif state == 0x0004:
                found.charging = value.uint(1) == 0


def _nested(found: Location, data: Reader) -> None:
    """0xEB: length and number of two bytes each; or cells, or the name of a time zone."""
    content = data.rest()
    if content and printable(content):
        # It names the zone that the device shows; the report's time stays China's by the standard.
        found.states["timezone"] = clean(content.decode("ascii"))[:32]
        return
    if len(content) < 4 or int.from_bytes(content[:2], "big") > len(content):
        return
    reader = Reader(content)
    while reader.left >= 4:
        value = Reader(reader.take(reader.uint(2)))
        number = value.uint(2)
        if number in (0x00A8, 0x00E1):
            read_percent(found, value.uint(1))
        elif number == 0x0089:
            _switches(found, value.uint(4))
        elif number == 0x00C6 and value.uint(1) in (3, 4):
            found.raise_alarm(AlarmKind.LOW_BATTERY, "item EB C6", level=True)
        elif number == 0x00C5:
            moving = value.uint(4) >> 23 & 0b11
            if moving in (0, 1):
                found.states["moving"] = moving == 0
        elif number == 0x00CE:
            found.states["power_v"] = value.uint(2) / 100
        elif number == 0x002D:
            name, size = ("power_v", 4) if value.left == 4 else ("battery_v", 2)
            found.states[name] = value.uint(size) / 1000
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


def _identity(found: Location, data: Reader) -> None:
    """0xF8 of sensor tags: a kind, IMEI, number of the SIM card, name of the model."""
    if data.left >= 19:
        data.take(9)
        found.states["iccid"] = data.take(10).hex()


def _humidity_or_battery(found: Location, data: Reader) -> None:
    if data.left == 2:
        found.readings["humidity"] = data.uint(2) / 10
    elif data.left >= 4:
        found.states["battery_v"] = data.uint(4) / 1000
        if data.left:
            found.charging = data.uint(1) in (2, 3)
        if data.left:
            read_percent(found, data.uint(1))


_ITEMS: dict[int, Callable[[Location, Reader], None]] = {
    0x01: _mileage,
    0x06: _battery_or_more,
    0x12: _fence,
    0x30: _signal,
    0x31: _satellites,
    0x51: _temperatures,
    0x56: _battery_tenths,
    0x61: _volts("power_v", 2, 100),
    0x68: _battery_hundredths,
    0x69: _volts("battery_v", 2, 100),
    0x82: _volts("power_v", 2, 10),
    0xCC: _sim_card,
    0xD3: _volts("power_v", 2, 10),
    0xD4: _battery,
    0xD5: _volts("battery_v", 2, 100),
    0xE1: _battery_or_power,
    0xE3: _battery_voltage,
    0xE4: _battery_charger,
    0xE5: _motion,
    0xE6: _tags,
    0xE7: _vendor_alarm,
    0xE8: _event,
    0xE9: _battery,
    0xEA: _external,
    0xEB: _nested,
    0xEE: _supply,
    0xF1: _volts("power_v", 4, 1000),
    0xF2: _firmware,
    0xF5: _illuminance,
    0xF6: _environment,
    0xF7: _humidity_or_battery,
    0xF8: _identity,
    0xFE: _battery_or_more,
}
