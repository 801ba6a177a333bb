"""What Bluetooth's health characteristics say: blood pressure, oxygen, temperature, glucose, …

Bluetooth SIG: Blood Pressure, Pulse Oximeter, Health Thermometer, Glucose, Heart Rate, Weight
Scale, Body Composition, Battery and Environmental Sensing services; units and optional fields as
the flags of each value say. What a device could not measure is no reading: the state `measurement`
says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from devices.codecs.binary import Reader
from devices.codecs.gatt.ieee11073 import Special, read_date_time, read_float, read_sfloat
from devices.codecs.units import KG_PER_POUND, KPA_IN_MMHG, MG_PER_MMOL, celsius
from devices.messages import Flag, Scalar

_UNSUCCESSFUL = 0xFFFF

_PRESSURE_BITS = ("body_movement", "cuff_loose", "irregular_pulse", "", "", "improper_position")
_OXIMETER_BITS: Mapping[int, str] = {
    6: "early_estimate",
    12: "calibration_ongoing",
    14: "questionable",
}
_OXIMETER_SENSOR_BITS: Mapping[int, str] = {
    1: "equipment_malfunction",
    3: "inadequate_signal",
    4: "poor_signal",
    5: "low_perfusion",
    6: "erratic_signal",
    7: "nonpulsatile",
    8: "questionable_pulse",
    10: "sensor_fault",
    11: "sensor_off",
    13: "sensor_displaced",
    14: "sensor_malfunction",
    15: "sensor_disconnected",
}
_THERMOMETER_PLACES = (
    "", "armpit", "body", "ear", "finger", "gastrointestinal", "mouth", "rectum", "toe", "tympanum",
)  # fmt: skip
_GLUCOSE_SAMPLES = (
    "", "capillary_whole_blood", "capillary_plasma", "venous_whole_blood", "venous_plasma",
    "arterial_whole_blood", "arterial_plasma", "undetermined_whole_blood", "undetermined_plasma",
    "interstitial_fluid", "control_solution",
)  # fmt: skip
_GLUCOSE_PLACES = {1: "finger", 2: "alternate_site", 3: "earlobe", 4: "control_solution"}
_GLUCOSE_BITS = (
    "device_battery_low", "sensor_malfunction", "sample_too_small", "strip_error", "wrong_strip",
    "result_too_high", "result_too_low", "too_warm", "too_cold", "read_interrupted",
    "device_fault", "time_fault",
)  # fmt: skip
_MEALS = ("", "before_meal", "after_meal", "fasting", "casual", "bedtime")


@dataclass(slots=True)
class Value:
    """What one value of a characteristic says; readings in the units of the metric catalogue."""

    at: datetime | None = None
    readings: dict[str, float] = field(default_factory=dict)
    states: dict[str, Scalar] = field(default_factory=dict)
    flags: set[Flag] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def read(self, metric: str, value: float | Special, digits: int = 2) -> None:
        """Note a reading; what is no number becomes a warning."""
        if isinstance(value, Special):
            self.warnings.append(f"{metric} is {value}: not measured")
        else:
            self.readings[metric] = round(value, digits)

    def note(self, name: str, value: float | Special, digits: int = 2) -> None:
        """Note a number that is no metric of the catalogue."""
        if not isinstance(value, Special):
            self.states[name] = round(value, digits)

    def failed(self) -> None:
        """Say that there is no result."""
        self.readings.clear()
        self.states["measurement"] = "failed"


def _bits(word: int, names: tuple[str, ...]) -> dict[str, Scalar]:
    return {name: True for bit, name in enumerate(names) if name and word >> bit & 1}


def _blood_pressure(data: Reader) -> Value:
    """0x2A35: systolic, diastolic, mean; time, pulse, user, status as the flags say."""
    found, flags = Value(), data.uint(1)
    pressures = [read_sfloat(data) for _ in range(3)]
    if flags & 1:
        pressures = [p if isinstance(p, Special) else p * KPA_IN_MMHG for p in pressures]
    found.read("bp_systolic", pressures[0])
    found.read("bp_diastolic", pressures[1])
    found.note("mean_arterial_pressure", pressures[2])
    if flags & 2:
        found.at = read_date_time(data)
    if flags & 4:
        found.read("heart_rate", read_sfloat(data))
    if flags & 8:
        _user(found, data)
    if flags & 16:
        found.states |= _bits(data.uint_le(2), _PRESSURE_BITS)
    if "bp_systolic" not in found.readings and "bp_diastolic" not in found.readings:
        found.failed()
    return found


def _user(found: Value, data: Reader) -> None:
    """The user index; 255 is an unknown user."""
    user = data.uint(1)
    if user != 0xFF:
        found.states["user_id"] = user


def _spot_oximeter(data: Reader) -> Value:
    """0x2A5E: one measurement."""
    found, flags = Value(), data.uint(1)
    found.read("spo2", read_sfloat(data))
    found.read("heart_rate", read_sfloat(data))
    if flags & 1:
        found.at = read_date_time(data)
        if flags & 16:
            found.at = None
            found.warnings.append("bad_time: the device says that its clock is not set")
    _oximeter_tail(found, data, flags >> 1)
    return found


def _continuous_oximeter(data: Reader) -> Value:
    """0x2A5F: normal values, then fast and slow ones, which are averaged otherwise."""
    found, flags = Value(), data.uint(1)
    found.read("spo2", read_sfloat(data))
    found.read("heart_rate", read_sfloat(data))
    for bit in (1, 2):
        if flags & bit:
            data.take(4)
    _oximeter_tail(found, data, flags >> 2)
    return found


def _oximeter_tail(found: Value, data: Reader, flags: int) -> None:
    """Status (1), sensor status (2), pulse amplitude index (4)."""
    status = data.uint_le(2) if flags & 1 else 0
    sensor = data.uint_le(3) if flags & 2 else 0
    if flags & 4:
        found.note("pulse_amplitude_index", read_sfloat(data))
    found.states |= {name: True for bit, name in _OXIMETER_BITS.items() if status >> bit & 1}
    found.states |= {name: True for bit, name in _OXIMETER_SENSOR_BITS.items() if sensor >> bit & 1}
    if status >> 9 & 1:
        found.flags.add(Flag.REPLAYED)
    if status >> 10 & 0b11:
        found.flags.add(Flag.TEST)
    # 13 unavailable, 15 invalid: what stands in the fields is not a measurement.
    if status >> 13 & 1 or status >> 15 & 1 or not found.readings:
        found.failed()


def _thermometer(data: Reader) -> Value:
    """0x2A1C: degrees Celsius or Fahrenheit; time and place of measurement."""
    found, flags = Value(), data.uint(1)
    degrees = read_float(data)
    if flags & 1 and not isinstance(degrees, Special):
        degrees = celsius(degrees)
    found.read("body_temperature", degrees)
    if flags & 2:
        found.at = read_date_time(data)
    if flags & 4:
        place = data.uint(1)
        if 0 < place < len(_THERMOMETER_PLACES):
            found.states["site"] = _THERMOMETER_PLACES[place]
    if not found.readings:
        found.failed()
    return found


def _glucose(data: Reader) -> Value:
    """0x2A18: the time is the base time and an offset in minutes, which the user changes."""
    found, flags = Value(), data.uint(1)
    found.states["sequence"] = data.uint_le(2)
    found.at = read_date_time(data)
    if flags & 1:
        offset = data.sint_le(2)
        if found.at is not None:
            found.at = _later(found.at, offset)
    if flags & 2:
        _concentration(found, read_sfloat(data), moles=bool(flags & 4))
        sample = data.uint(1)
        kind, place = sample & 0x0F, sample >> 4
        if 0 < kind < len(_GLUCOSE_SAMPLES):
            found.states["sample"] = _GLUCOSE_SAMPLES[kind]
        if place in _GLUCOSE_PLACES:
            found.states["site"] = _GLUCOSE_PLACES[place]
        if kind == 10 or place == 4:
            # A control solution from a bottle tells of the meter, not of the elder.
            found.flags.add(Flag.TEST)
    if flags & 8:
        found.states |= _bits(data.uint_le(2), _GLUCOSE_BITS)
    if "glucose" not in found.readings:
        found.failed()
    return found


def _later(at: datetime, minutes: int) -> datetime | None:
    try:
        return at + timedelta(minutes=minutes)
    except OverflowError:
        return None


def _concentration(found: Value, value: float | Special, *, moles: bool) -> None:
    """mol/L, or kg/L, as mmol/L."""
    if not isinstance(value, Special):
        value = value * 1_000 if moles else value * 100_000 / MG_PER_MMOL
    found.read("glucose", value)


def _glucose_context(data: Reader) -> Value:
    """0x2A34: of the measurement with the same sequence number; only the meal is told."""
    found, flags = Value(), data.uint(1)
    found.states["sequence"] = data.uint_le(2)
    if flags & 0x80:
        data.take(1)
    if flags & 1:
        data.take(3)
    if flags & 2:
        meal = data.uint(1)
        if 0 < meal < len(_MEALS):
            found.states["meal"] = _MEALS[meal]
    return found


def _heart_rate(data: Reader) -> Value:
    """0x2A37: beats a minute; with a sensor that has lost the skin there is no reading."""
    found, flags = Value(), data.uint(1)
    rate = data.uint_le(2 if flags & 1 else 1)
    if flags & 4:
        found.states["skin_contact"] = bool(flags & 2)
    if rate == 0 or flags & 0b110 == 0b100:
        found.failed()
    else:
        found.readings["heart_rate"] = float(rate)
    return found


def _weight(data: Reader) -> Value:
    """0x2A9D: steps of 5 g, or of 0.01 lb."""
    found, flags = Value(), data.uint(1)
    _mass(found, data.uint_le(2), pounds=bool(flags & 1))
    if flags & 2:
        found.at = read_date_time(data)
    if flags & 4:
        _user(found, data)
    if flags & 8:
        _body(found, data.uint_le(2), data.uint_le(2), inches=bool(flags & 1))
    return found


def _mass(found: Value, steps: int, *, pounds: bool) -> None:
    if steps == _UNSUCCESSFUL:
        found.failed()
    else:
        found.read("weight", steps * 0.01 * KG_PER_POUND if pounds else steps * 0.005, 3)


def _body(found: Value, bmi: int, height: int, *, inches: bool) -> None:
    if bmi:
        found.states["bmi"] = bmi / 10
    if height:
        found.states["height_cm"] = round(height * 0.254 if inches else height / 10, 1)


def _body_composition(data: Reader) -> Value:
    """0x2A9C: body fat in tenths of a percent, and what the flags announce."""
    found, flags = Value(), data.uint_le(2)
    fat = data.uint_le(2)
    if fat == _UNSUCCESSFUL:
        found.failed()
        return found
    found.states["body_fat_percent"] = fat / 10
    if flags & 2:
        found.at = read_date_time(data)
    if flags & 4:
        _user(found, data)
    kilo = 0.01 * KG_PER_POUND if flags & 1 else 0.005
    fields = (
        ("basal_metabolism_kj", 1), ("muscle_percent", 0.1), ("muscle_kg", kilo),
        ("fat_free_kg", kilo), ("soft_lean_kg", kilo), ("body_water_kg", kilo),
        ("impedance_ohm", 0.1),
    )  # fmt: skip
    for bit, (name, step) in enumerate(fields, 3):
        if flags >> bit & 1:
            found.states[name] = round(data.uint_le(2) * step, 2)
    if flags >> 10 & 1:
        _mass(found, data.uint_le(2), pounds=bool(flags & 1))
    return found


def _battery(data: Reader) -> Value:
    found, percent = Value(), data.uint(1)
    if percent <= 100:
        found.readings["battery"] = float(percent)
    return found


def _temperature(data: Reader) -> Value:
    """0x2A6E: hundredths of a degree; of the room, the body has 0x2A1C."""
    found, value = Value(), data.sint_le(2)
    if value != -0x8000:
        found.readings["ambient_temperature"] = value / 100
    return found


def _humidity(data: Reader) -> Value:
    found, value = Value(), data.uint_le(2)
    if value != _UNSUCCESSFUL:
        found.readings["humidity"] = value / 100
    return found


CHARACTERISTICS: Mapping[int, Callable[[Reader], Value]] = MappingProxyType(
    {
        0x2A18: _glucose,
        0x2A19: _battery,
        0x2A1C: _thermometer,
        0x2A34: _glucose_context,
        0x2A35: _blood_pressure,
        0x2A37: _heart_rate,
        0x2A5E: _spot_oximeter,
        0x2A5F: _continuous_oximeter,
        0x2A6E: _temperature,
        0x2A6F: _humidity,
        0x2A9C: _body_composition,
        0x2A9D: _weight,
    }
)
"""What each characteristic is read by. CodecError (truncated) where a value ends too soon."""

UNUSED = frozenset(
    {0x2A1D, 0x2A1E, 0x2A21, 0x2A24, 0x2A25, 0x2A26, 0x2A27, 0x2A28, 0x2A29, 0x2A2A, 0x2A2B}
    | {0x2A36, 0x2A38, 0x2A49, 0x2A50, 0x2A51, 0x2A52, 0x2A60, 0x2A99, 0x2A9B, 0x2A9E, 0x2A9F}
)
"""Characteristics of the same services without results: features, names, intermediate values."""
