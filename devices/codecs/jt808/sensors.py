"""Items of JT/T 808 reports that sensors send: temperature, humidity, light, air, motion, tags.

The first of several sensors is the reading; each of them is a state of its own.
"""

from devices.codecs.binary import Reader
from devices.codecs.jt808 import vehicle
from devices.codecs.jt808.report import Location, read_percent, read_text

_MOVED = 2
_TAG = 11


def read_tags(found: Location, data: Reader) -> None:
    """0xE6: sensor tags of 11 bytes, of which the first one is the reading; or a sentence."""
    if data.peek(7) == b"$OBD-RT":
        vehicle.read_sentence(found, data.rest().decode("ascii", "replace"))
    while data.left >= _TAG:
        place = data.uint(1)
        found.state(f"tag{place}_mac", data.take(6).hex())
        degrees, humidity = _byte_and_part(data), _byte_and_part(data)
        _also(found, "ambient_temperature", place, degrees)
        _also(found, "humidity", place, humidity)


def _also(found: Location, metric: str, place: int, value: float) -> None:
    """A value of one of several sensors: the first is the reading, each a state of its own."""
    found.readings.setdefault(metric, value)
    name = "temperature" if metric == "ambient_temperature" else metric
    found.state(f"{name}_{place}", value)


def _byte_and_part(data: Reader) -> float:
    whole, part = data.sint(1), data.uint(1)
    return round((abs(whole) + part / 255) * (-1 if whole < 0 else 1), 3)


def read_external(found: Location, data: Reader) -> None:
    """0xEA: sensors on the cable, each with number and length."""
    if data.left <= 2:
        return
    data.take(1)
    while data.left >= 2:
        number, value = data.uint(1), Reader(data.take(data.uint(1)))
        if number == 0x13:
            found.readings["illuminance"] = float(value.uint(2))
        elif number == 0x11:
            found.state("external_alarms", value.uint(2))
        elif number == 0x14:
            found.state("air_pressure", value.uint(2))
        elif number == 0x15:
            found.readings["humidity"] = value.uint(2) / 10
        elif number == 0x16:
            found.readings["ambient_temperature"] = round(value.uint(2) / 10 - 50, 1)


def read_illuminance(found: Location, data: Reader) -> None:
    """0xF5, two bytes: lux."""
    if data.left == 2:
        found.readings["illuminance"] = float(data.uint(2))


def read_temperatures(found: Location, data: Reader) -> None:
    """Tenths of a degree, highest bit the sign, 0xFFFF no sensor; the first one is the reading."""
    if data.left not in (2, 16):
        return
    for place in range(1, data.left // 2 + 1):
        value = data.uint(2)
        if value != 0xFFFF:
            degrees = (value & 0x7FFF) / 10
            _also(found, "ambient_temperature", place, -degrees if value >> 15 else degrees)


def read_environment(found: Location, data: Reader) -> None:
    """0xF6 of sensor tags: an event and a mask of what follows; 8 digits are an IMEI."""
    imei = data.peek(8).hex()
    if data.left == 8 and imei.isdigit() and imei[0] == "0":
        found.states["imei"] = data.digits(8)[1:]
        return
    if data.left == 2:
        found.state("air_pressure", data.uint(2))
        return
    event = data.uint(1)
    found.states["event"] = event
    if event == _MOVED:
        found.states["moving"] = True
    mask = data.uint(1)
    if mask & 1:
        found.state("light", data.uint(2))
    if mask & 2:
        found.readings["ambient_temperature"] = data.sint(2) / 10
    if mask & 4:
        found.readings["humidity"] = data.sint(2) / 10
    if mask & 8:
        found.state("acceleration", f"[{data.sint(2)},{data.sint(2)},{data.sint(2)}]")


def read_identity(found: Location, data: Reader) -> None:
    """0xF8 of sensor tags: a kind, IMEI, number of the SIM card, model; or a temperature."""
    if data.left >= 19:
        data.take(1)
        found.states["imei"] = data.take(8).hex()[1:]
        found.states["iccid"] = data.take(10).hex()
        if model := data.rest():
            found.state("model", read_text(model))
    elif data.left == 2:
        _also(found, "ambient_temperature", 2, round(data.uint(2) / 10 - 50, 1))


def read_humidity_or_battery(found: Location, data: Reader) -> None:
    """0xF7: tenths of a percent; with four bytes and more mV, charging, battery in percent."""
    if data.left == 2:
        found.readings["humidity"] = data.uint(2) / 10
    elif data.left >= 4:
        found.states["battery_v"] = data.uint(4) / 1000
        if data.left:
            found.charging = data.uint(1) in (2, 3)
        if data.left:
            read_percent(found, data.uint(1))
