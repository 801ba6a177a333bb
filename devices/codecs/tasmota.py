"""Tasmota: switches and sensors on ESP chips, JSON over MQTT.

`tele/<topic>/SENSOR` and the answer `stat/<topic>/STATUS10` carry sensors by name, `tele/…/LWT`
says Online or Offline. Numbers may come as strings. Times are local and without a zone unless the
device is told otherwise (SetOption52), so that one without a zone is not used.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from devices.codecs.fields import JsonObject, clean, load_object
from devices.codecs.properties import number_of
from devices.messages import (
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
    Scalar,
)

_METRICS: Mapping[str, str] = {
    "Temperature": "ambient_temperature",
    "Humidity": "humidity",
    "Illuminance": "illuminance",
    "BatteryPercentage": "battery",
}
_MAX_STATES = 32


def decode(frame: Frame) -> Decoded:
    """Decode one report; `Message.device` is Tasmota's topic of the device.

    Topics of commands and of states that are no sensors come to nothing. CodecError reasons:
    unknown_topic, oversized, malformed_json, not_an_object, bad_value.
    """
    prefix, _, rest = frame.topic.partition("/")
    device, _, leaf = rest.rpartition("/")
    device = clean(device)[:200]
    if prefix not in ("tele", "stat") or not device:
        raise CodecError("unknown_topic", "the topic is not tele/<topic>/… or stat/<topic>/…")
    if prefix == "tele" and leaf == "LWT":
        return Decoded((_reachability(device, frame.payload),), device=device)
    if (prefix, leaf) not in (("tele", "SENSOR"), ("stat", "STATUS10"), ("stat", "STATUS8")):
        return Decoded(device=device)
    report = load_object(frame.payload)
    sensors = report.get("StatusSNS", report)
    if not isinstance(sensors, dict):
        raise CodecError("bad_value", "StatusSNS must be an object")
    return Decoded((_sensors(device, sensors),), device=device)


def _reachability(device: str, payload: bytes) -> Message:
    state = payload.decode("utf-8", "replace").strip()
    if state not in ("Online", "Offline"):
        raise CodecError("bad_value", "LWT must be Online or Offline")
    flags = frozenset({Flag.TIME_MISSING})
    return Message(device, "status", status=DeviceStatus(online=state == "Online"), flags=flags)


def _sensors(device: str, report: JsonObject) -> Message:
    fahrenheit = report.get("TempUnit") == "F"
    values: dict[str, float] = {}
    for name, given in _leaves(report):
        metric, value = _METRICS.get(name), _number(given)
        if metric is None or value is None or metric in values:
            continue
        if metric == "ambient_temperature" and fahrenheit:
            value = round((value - 32) / 1.8, 2)
        values[metric] = value
    states = _states(report)
    at = _time(report.get("Time"))
    return Message(
        device=device,
        kind="vitals",
        at=at,
        readings=tuple(Reading(metric, value) for metric, value in values.items()),
        states=MappingProxyType(states),
        flags=frozenset() if at else frozenset({Flag.TIME_MISSING}),
    )


def _leaves(report: JsonObject) -> Iterator[tuple[str, Any]]:
    """Values of the sensors, which are objects one level down."""
    for sensor in report.values():
        if isinstance(sensor, dict):
            yield from sensor.items()


def _states(report: JsonObject) -> dict[str, Scalar]:
    """Switches and the like: scalars at the top."""
    plain = (
        (clean(name[:64]), clean(value[:200]))
        for name, value in report.items()
        if isinstance(value, str) and name not in ("Time", "TempUnit")
    )
    return dict(list(plain)[:_MAX_STATES])


def _number(value: Any) -> float | None:
    plain = number_of(value)
    if plain is not None:
        return plain
    if not isinstance(value, str) or len(value) > 20:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


CODEC = Codec(
    name="tasmota",
    title="Tasmota (JSON / MQTT)",
    decode=decode,
    topics=("tele/#", "stat/#"),
)
