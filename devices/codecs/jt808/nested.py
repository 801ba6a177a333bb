"""Items of JT/T 808 reports that hold items themselves: 0xE8 and 0xEB.

Both are the makers' own. 0xEB is also a list of cells, or the name of a time zone.
"""

from collections.abc import Callable

from devices.alarms import AlarmKind
from devices.codecs.binary import Reader, printable
from devices.codecs.fields import clean
from devices.codecs.jt808.report import Location, read_percent, read_text, unread
from devices.codecs.radio import Cell, Wifi
from devices.messages import AlarmSignal

_EVENTS = {
    0x0409: AlarmKind.GEOFENCE_EXIT,
    0x0C01: AlarmKind.SOS,
    0x0C02: AlarmKind.LOW_BATTERY,
    0x0C0F: AlarmKind.LOW_BATTERY,
    0x0C12: AlarmKind.TAMPER,
}
_EVENT_STATES = {0x0406: "vibration", 0x040C: "door", 0x0C0E: "power_cut", 0x0C10: "power_off"}
_LOWEST_COUNTRY = 200


def read_event(found: Location, data: Reader) -> None:
    """0xE8 (Jimi): an event, or with 0x2005 a list of states; three bytes are those of a lock."""
    if data.left == 3:
        found.state("lock_status", data.uint(3))
        return
    number = data.uint(2)
    if number == 0x0408:
        kind = AlarmKind.GEOFENCE_EXIT
        found.alarms[kind] = AlarmSignal(kind, False, "area entered")
    elif number in _EVENT_STATES:
        found.state(_EVENT_STATES[number], True)
    elif number in _EVENTS:
        found.raise_alarm(_EVENTS[number], f"item E8 {number:04X}", level=False)
    elif number == 0x2003 and data.left >= 3:
        data.take(1)
        found.charging = data.uint(1) == 1
        sixths = data.uint(1)
        if 1 <= sixths <= 6:
            read_percent(found, sixths * 100 // 6)
    elif number == 0x2005:
        _states(found, data)
    else:
        found.state("event", number)
        unread(found, "event_data", data)


def _states(found: Location, data: Reader) -> None:
    data.take(1)
    while data.left >= 3:
        state, value = data.uint(2), Reader(data.take(data.uint(1)))
        if state == 0x0003:
            read_percent(found, value.uint(1))
        elif state == 0x0004:
            found.charging = value.uint(1) == 0
        else:
            unread(found, f"state_{state:04x}", value)


def read_nested(found: Location, data: Reader) -> None:
    """0xEB: length and number of two bytes each; or cells, or the name of a time zone."""
    content = data.rest()
    if content and printable(content):
        # It names the zone that the device shows; the report's time stays China's by the standard.
        found.state("timezone", clean(content.decode("ascii"))[:32])
    elif len(content) >= 4 and int.from_bytes(content[:2], "big") <= len(content):
        reader = Reader(content)
        while reader.left >= 4:
            value = Reader(reader.take(reader.uint(2)))
            number = value.uint(2)
            handler = _NESTED.get(number)
            if handler is None:
                unread(found, f"item_eb_{number:04x}", value)
            else:
                handler(found, value)
    elif (len(content) - 3) % 5 == 0 and int.from_bytes(content[:2], "big") > _LOWEST_COUNTRY:
        _cells(found, Reader(content))
    elif content:
        found.state("item_eb", content.hex()[:100])


def _cells(found: Location, reader: Reader) -> None:
    country, network = reader.uint(2), reader.uint(1)
    while reader.left >= 5:
        area, number = reader.uint(2), reader.uint(2)
        reader.take(1)
        if area or number:
            found.cells.append(Cell(country, network, area, number))


def _percent(found: Location, value: Reader) -> None:
    read_percent(found, value.uint(1))


def _switches(found: Location, value: Reader) -> None:
    """Negative logic: a bit that is 0 is the alarm."""
    word = value.uint(4)
    if not word & 1:
        found.state("power_cut", True)
    if not word >> 12 & 1:
        found.raise_alarm(AlarmKind.TAKEN_OFF, "item EB 89", level=True)


def _battery_alarm(found: Location, value: Reader) -> None:
    code = value.uint(1)
    found.state("battery_alarm", code)
    if code in (3, 4):
        found.raise_alarm(AlarmKind.LOW_BATTERY, "item EB C6", level=True)


def _moving(found: Location, value: Reader) -> None:
    moving = value.uint(4) >> 23 & 0b11
    if moving in (0, 1):
        found.state("moving", moving == 0)


def _power(found: Location, value: Reader) -> None:
    found.state("power_v", value.uint(2) / 100)


def _voltage(found: Location, value: Reader) -> None:
    name, size = ("power_v", 4) if value.left == 4 else ("battery_v", 2)
    found.state(name, value.uint(size) / 1000)


def _sim_card(found: Location, value: Reader) -> None:
    found.state("iccid", value.take(10).hex().rstrip("f"))


def _firmware(found: Location, value: Reader) -> None:
    content = value.rest()
    if content and printable(content):
        found.firmware = content.decode("ascii")[:64]


def _imei(found: Location, value: Reader) -> None:
    found.state("imei", read_text(value.rest()))


def _fuel(found: Location, value: Reader) -> None:
    """A gauge in tenths of a percent."""
    found.state("fuel_1", value.uint(2) / 10)


def _fuel_in_words(found: Location, value: Reader) -> None:
    """Another gauge, as text."""
    text = read_text(value.rest())
    try:
        found.state("fuel_2", float(text))
    except ValueError:
        found.state("fuel_2", text)


def _wifi(found: Location, value: Reader) -> None:
    """A count, then address and loudness as text, with commas."""
    value.take(1)
    parts = value.rest().decode("ascii", "replace").split(",")
    for address, loudness in zip(parts[::2], parts[1::2], strict=False):
        try:
            mac, dbm = bytes.fromhex(address.replace(":", "")), int(loudness)
        except ValueError:
            continue
        if len(mac) == 6 and -200 < dbm < 0:
            found.wifi.append(Wifi(mac, dbm))


def _cell(found: Location, value: Reader) -> None:
    cell = Cell(value.uint(2), value.uint(1), value.uint(2), value.uint(4))
    if cell.number:
        found.cells.append(cell)


_NESTED: dict[int, Callable[[Location, Reader], None]] = {
    0x0001: _fuel,
    0x0023: _fuel_in_words,
    0x002D: _voltage,
    0x0089: _switches,
    0x00A3: _firmware,
    0x00A8: _percent,
    0x00B2: _sim_card,
    0x00B9: _wifi,
    0x00C5: _moving,
    0x00C6: _battery_alarm,
    0x00CE: _power,
    0x00D5: _imei,
    0x00D8: _cell,
    0x00E1: _percent,
}
