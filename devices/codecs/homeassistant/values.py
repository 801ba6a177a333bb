"""What a state of a Home Assistant entity says, by its device class, its unit and its name."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from devices.codecs.fields import clean
from devices.codecs.homeassistant.config import Entity
from devices.codecs.homeassistant.value_template import MISSING
from devices.codecs.properties import battery_status
from devices.codecs.units import KG_PER_POUND, KPA_IN_MMHG, MG_PER_MMOL, celsius
from devices.messages import DeviceStatus, Message, Reading, Scalar

_BINARY: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # device class of a binary sensor → state, and the metric that is 1 while it is on
        "smoke": ("smoke", "smoke"),
        "gas": ("gas", "gas"),
        "carbon_monoxide": ("gas", "gas"),
        "moisture": ("water_leak", "water_leak"),
        "door": ("open", "door_open"),
        "garage_door": ("open", "door_open"),
        "window": ("open", "door_open"),
        "opening": ("open", "door_open"),
        "motion": ("motion", "motion"),
        "moving": ("motion", "motion"),
        "occupancy": ("occupancy", "motion"),
        "presence": ("presence", "motion"),
        "safety": ("safety", ""),
        "problem": ("problem", ""),
        "tamper": ("tamper", ""),
        "vibration": ("vibration", ""),
        "battery": ("battery_low", ""),
    }
)
_SENSOR: Mapping[str, str] = MappingProxyType(
    {
        "battery": "battery",
        "humidity": "humidity",
        "illuminance": "illuminance",
        "signal_strength": "signal",
        "weight": "weight",
        "blood_glucose_concentration": "glucose",
    }
)
# By the words of a name where the device class says nothing: the first that fits.
_NAMES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"heart.?rate|pulse|心率|脉搏"), "heart_rate"),
    (re.compile(r"spo2|oxygen|oximet|血氧"), "spo2"),
    (re.compile(r"systolic|收缩压|高压"), "bp_systolic"),
    (re.compile(r"diastolic|舒张压|低压"), "bp_diastolic"),
    (re.compile(r"respirat|breath|呼吸"), "respiratory_rate"),
    (re.compile(r"glucose|血糖"), "glucose"),
    (re.compile(r"steps?\b|步数"), "steps"),
    (re.compile(r"link.?quality|链路"), "linkquality"),
    (re.compile(r"battery|电量"), "battery"),
    (re.compile(r"humidity|湿度"), "humidity"),
    (re.compile(r"illuminance|照度"), "illuminance"),
)
_BODY = re.compile(r"body|fever|体温")
_PLAUSIBLE_UNITS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "heart_rate": frozenset({"bpm", "/min", "次/分", ""}),
        "spo2": frozenset({"%", ""}),
        "respiratory_rate": frozenset({"bpm", "/min", "rpm", "brpm", "次/分", ""}),
        "battery": frozenset({"%", ""}),
        "humidity": frozenset({"%", ""}),
        "illuminance": frozenset({"lx", ""}),
        "signal": frozenset({"dbm"}),
        "linkquality": frozenset({"lqi", ""}),
    }
)
_FACTORS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "weight": {"kg": 1.0, "g": 0.001, "lb": KG_PER_POUND, "lbs": KG_PER_POUND, "斤": 0.5},
        "glucose": {"mmol/l": 1.0, "mg/dl": 1 / MG_PER_MMOL},
        "bp_systolic": {"mmhg": 1.0, "kpa": KPA_IN_MMHG},
        "bp_diastolic": {"mmhg": 1.0, "kpa": KPA_IN_MMHG},
    }
)


def metric_of_class(device_class: str) -> str:
    """The metric of a binary sensor's class; empty where it has none."""
    return _BINARY.get(device_class, ("", ""))[1]


def metric_of(entity: Entity) -> str:
    """The metric that a sensor measures in a unit that we know; empty where it is none of ours."""
    name, unit = f"{entity.name} {entity.topic}".lower(), entity.unit.lower()
    if entity.device_class == "temperature":
        known = unit.removeprefix("°") in ("c", "f", "℃", "℉")
        return ("body_temperature" if _BODY.search(name) else "ambient_temperature") * known
    metric = _SENSOR.get(entity.device_class, "")
    if not metric and not entity.device_class:
        metric = next((each for pattern, each in _NAMES if pattern.search(name)), "")
    units: Any = _PLAUSIBLE_UNITS.get(metric, _FACTORS.get(metric))
    return metric if units is None or unit in units else ""


def message_of(device: str, entity: Entity, value: Any) -> Message | None:
    """The message of one state; None where there is none (unknown, unavailable, missing)."""
    if value is MISSING or value is None or str(value).lower() in ("unknown", "unavailable", ""):
        return None
    if entity.component == "binary_sensor":
        return _binary(device, entity, value)
    if entity.component == "sensor":
        return _sensor(device, entity, value)
    if entity.component == "device_automation":
        return _trigger(device, entity, value)
    return _event(device, value)


def availability_of(device: str, entity: Entity, value: Any) -> Message | None:
    """Whether the installation reaches the device."""
    words = {entity.payload_available.lower(): True, entity.payload_not_available.lower(): False}
    online = words.get(str(value).strip().lower())
    if online is None:
        return None
    return Message(device, "status", status=DeviceStatus(online=online))


def _binary(device: str, entity: Entity, value: Any) -> Message | None:
    word = str(value).strip().lower()
    words = {entity.payload_on.lower(): True, entity.payload_off.lower(): False}
    on = words.get(word)
    if on is None:
        return None
    if entity.device_class == "connectivity":
        return Message(device, "status", status=DeviceStatus(online=on))
    state, metric = _BINARY.get(entity.device_class, (_state_name(entity), ""))
    readings = (Reading(metric, 1.0 if on else 0.0),) if metric else ()
    return Message(device, "vitals", readings=readings, states=MappingProxyType({state: on}))


def _sensor(device: str, entity: Entity, value: Any) -> Message | None:
    metric, number = metric_of(entity), _number(value)
    if not metric or number is None:
        text: Scalar = value if isinstance(value, bool | int | float) else clean(str(value))[:200]
        states: dict[str, Scalar] = {_state_name(entity): text}
        return Message(device, "vitals", states=MappingProxyType(states))
    unit = entity.unit.lower().removeprefix("°")
    if metric.endswith("temperature") and unit in ("f", "℉"):
        number = celsius(number)
    number = round(number * _FACTORS.get(metric, {}).get(unit, 1.0), 3)
    status = battery_status(number) if metric == "battery" else None
    return Message(device, "vitals", readings=(Reading(metric, number),), status=status)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(str(value)[:40])
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None


def _trigger(device: str, entity: Entity, value: Any) -> Message | None:
    """A device trigger fires when its topic carries its payload, any one if it names none."""
    if entity.payload_on and str(value).strip() != entity.payload_on:
        return None
    states: dict[str, Scalar] = {"action": entity.kind or entity.payload_on or "trigger"}
    if entity.subkind:
        states["button"] = entity.subkind
    return Message(device, "vitals", states=MappingProxyType(states))


def _event(device: str, value: Any) -> Message | None:
    """An event is a JSON object with `event_type`."""
    kind = value.get("event_type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind:
        return None
    states: dict[str, Scalar] = {"action": clean(kind)[:64]}
    return Message(device, "vitals", states=MappingProxyType(states))


def _state_name(entity: Entity) -> str:
    """What an entity without a device class of ours is called: its name, else its topic's end."""
    name = entity.device_class or entity.name or entity.topic.rstrip("/").split("/")[-1]
    return clean(name)[:64] or "state"
