"""Items of JT/T 808 reports that only vehicles have: OBD, fuel, tyres, driving, cameras.

They become states under plain names, because a locator of a bus that takes elders home is a device
of ours too; nothing is made of them. JT/T 808-2019 table 27, and what makers added.
"""

from collections.abc import Callable

from devices.codecs.binary import Reader, printable
from devices.codecs.jt808.report import Location, read_text, unread

_Handler = Callable[[Location, Reader], None]
_LABEL = 16
_DRIVING = {1: "harsh_acceleration", 2: "harsh_braking", 3: "harsh_cornering", 0x16: "collision"}
# Order of a sentence `$OBD-RT,…`.
_SENTENCE = (
    "power_v",
    "rpm",
    "vehicle_speed_kmh",
    "throttle",
    "engine_load",
    "coolant_temperature",
    "fuel_consumption_now",
    "fuel_consumption",
    "trip_km",
    "vehicle_odometer_km",
    "trip_fuel",
    "fuel_used",
)


def number(name: str, size: int, divisor: float = 1, offset: float = 0) -> _Handler:
    """A handler for one number of this size; with another one it means something else."""

    def handle(found: Location, data: Reader) -> None:
        if data.left != size:
            unread(found, f"{name}_raw", data)
            return
        value = data.uint(size)
        found.state(name, value if divisor == 1 and not offset else value / divisor + offset)

    return handle


def text(name: str) -> _Handler:
    """A handler for a text."""

    def handle(found: Location, data: Reader) -> None:
        if content := data.rest():
            found.state(name, read_text(content))

    return handle


def read_sim_card(found: Location, data: Reader) -> None:
    """The number of a SIM card in ASCII; other texts of these items are something else."""
    digits = data.peek(data.left).rstrip(b"\0")
    if len(digits) in (19, 20) and printable(digits):
        found.state("iccid", read_text(data.rest()).rstrip("Ff"))


def read_trouble_codes(found: Location, data: Reader) -> None:
    """Codes with commas between them."""
    found.state("trouble_codes", read_text(data.rest()).replace(",", " "))


def read_fuel(found: Location, data: Reader) -> None:
    """0x02: tenths of a litre; with the highest bit percent."""
    value = data.uint(2)
    found.state("fuel", value & 0x7FFF if value >> 15 else value / 10)


def read_analog(found: Location, data: Reader) -> None:
    """0x2B, 0xA7: two inputs in hundredths of a volt."""
    found.state("analog_1", data.uint(2) / 100)
    found.state("analog_2", data.uint(2) / 100)


def read_driving_alarms(found: Location, data: Reader) -> None:
    """0x57: how it is driven, switches, and a door."""
    word = data.uint(2)
    for bit, name in ((8, "harsh_acceleration"), (9, "harsh_braking"), (10, "harsh_cornering")):
        if word >> bit & 1:
            found.state(name, True)
    found.state("switches", data.uint(2))
    if data.left >= 4 and data.uint(4) >> 16 & 1:
        found.state("door_alarm", True)


def safety(name: str) -> _Handler:
    """A handler for alarms of assistance systems (T/JSATL 12): number, kind, and at the end the
    label by which their recordings are asked for.
    """

    def handle(found: Location, data: Reader) -> None:
        data.take(5)
        kind = data.uint(1)
        found.state(name, kind)
        if name == "driving_alarm" and kind in _DRIVING:
            found.state(_DRIVING[kind], True)
        rest = data.rest()
        if len(rest) >= _LABEL and any(rest[-_LABEL:]):
            found.state("alarm_label", rest[-_LABEL:].hex())

    return handle


def read_tyres(found: Location, data: Reader) -> None:
    """0x77: number, sensor, pressure in 1/40 bar, °C + 50, state."""
    while data.left >= 8:
        place = f"tire_{data.uint(1)}"
        found.state(f"{place}_sensor", data.take(3).hex())
        found.state(f"{place}_pressure", (data.uint(2) & 0x3FF) / 40)
        found.state(f"{place}_temperature", data.uint(1) - 50)
        found.state(f"{place}_status", data.uint(1))


def read_engine(found: Location, data: Reader) -> None:
    """0x91: voltage, revolutions, speed, throttle, load, coolant, consumption, fuel used."""
    found.state("battery_v", data.uint(2) / 10)
    found.state("rpm", data.uint(2))
    found.state("vehicle_speed_kmh", data.uint(1))
    found.state("throttle", data.uint(1) * 100 // 255)
    found.state("engine_load", data.uint(1) * 100 // 255)
    found.state("coolant_temperature", data.uint(1) - 40)
    data.take(2)
    found.state("fuel_consumption", data.uint(2) / 100)
    data.take(8)
    found.state("fuel_used", data.uint(2) / 100)


def read_sentence(found: Location, sentence: str) -> None:
    """`$OBD-RT,` and numbers with commas, of which any may be missing."""
    for name, field in zip(_SENTENCE, sentence.strip().split(",")[1:], strict=False):
        try:
            value = float(field)
        except ValueError:
            continue
        if abs(value) < 1e12:
            found.state(name, value)


_EXTENSION: dict[int, _Handler] = {
    0x01: number("odometer_km", 4, 10),
    0x02: number("fuel", 2, 10),
    0x03: number("vehicle_speed_kmh", 2, 10),
    0x61: number("power_v", 2, 100),
    0x69: number("battery_v", 2, 100),
    0x80: number("vehicle_speed_kmh", 1),
    0x81: number("rpm", 2),
    0x82: number("power_v", 2, 10),
    0x83: number("engine_load", 1),
    0x84: number("coolant_temperature", 1, 1, -40),
    0x85: number("fuel_consumption", 2),
    0x86: number("intake_temperature", 1, 1, -40),
    0x87: number("intake_flow", 2),
    0x88: number("intake_pressure", 1),
    0x89: number("throttle", 1),
    0x8A: number("ignition_advance", 1),
    0x8B: text("vin"),
    0x8C: number("vehicle_odometer_km", 4, 10),
    0x8D: number("trip_km", 2),
    0x8E: number("fuel", 1),
    0xA0: read_trouble_codes,
    0xCC: read_sim_card,
}


def is_extension(number_of_item: int) -> bool:
    """Whether an item has this meaning once 0x80 has said that values of the vehicle follow."""
    return number_of_item in _EXTENSION


def read_extension(found: Location, number_of_item: int, data: Reader) -> None:
    """An item behind 0x80."""
    _EXTENSION[number_of_item](found, data)


_OBD: dict[int, tuple[str, int, float, float]] = {
    0x0002: ("vehicle_speed_kmh", 2, 10, 0),
    0x0003: ("rpm", 2, 1, 0),
    0x0004: ("power_v", 2, 1000, 0),
    0x0005: ("vehicle_odometer_km", 4, 10, 0),
    0x0007: ("fuel_consumption", 2, 10, 0),
    0x0008: ("engine_load", 2, 10, 0),
    0x0009: ("coolant_temperature", 2, 1, -40),
    0x000B: ("intake_pressure", 2, 1, 0),
    0x000C: ("intake_temperature", 2, 1, -40),
    0x000D: ("intake_flow", 2, 1, 0),
    0x000E: ("throttle", 2, 2.55, 0),
    0x0100: ("trip_km", 2, 10, 0),
    0x0102: ("trip_fuel", 2, 10, 0),
    0x0112: ("harsh_acceleration_count", 2, 1, 0),
    0x0113: ("harsh_braking_count", 2, 1, 0),
    0x0114: ("harsh_cornering_count", 2, 1, 0),
}


def read_obd(found: Location, data: Reader) -> None:
    """0xF3: values with numbers of two bytes."""
    while data.left >= 3:
        code, value = data.uint(2), Reader(data.take(data.uint(1)))
        if code in _OBD:
            name, size, divisor, offset = _OBD[code]
            number(name, size, divisor, offset)(found, value)
        elif code == 0x0050 and value.left == 17:
            found.state("vin", read_text(value.rest()))
        else:
            unread(found, f"obd_{code:04x}", value)
