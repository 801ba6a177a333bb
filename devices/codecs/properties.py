"""From named properties of a JSON report to readings and states, and the status of a battery."""

from collections.abc import Container, Mapping
from typing import Any

from devices.codecs.fields import JsonObject, clean
from devices.messages import DeviceStatus, Reading, Scalar

MAX_STATES = 64
"""Most states of one message; more is not a report of a sensor."""
_MAX_NAME = 64
_MAX_TEXT = 200

Numbers = Mapping[str, str]
"""Property → metric."""
Switches = Mapping[str, tuple[str, bool]]
"""Property → metric, and the value of the property that reads as 1."""


def number_of(value: Any) -> float | None:
    """A JSON number, which a boolean is not; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def readings_of(
    properties: JsonObject, numbers: Numbers, switches: Switches
) -> tuple[Reading, ...]:
    """The readings among the properties; of two for one metric the later number counts, and 1."""
    values: dict[str, float] = {}
    for name, metric in numbers.items():
        number = number_of(properties.get(name))
        if number is not None:
            values[metric] = number
    for name, (metric, on) in switches.items():
        value = properties.get(name)
        if isinstance(value, bool):
            values[metric] = max(values.get(metric, 0.0), 1.0 if value is on else 0.0)
    return tuple(Reading(metric, value) for metric, value in values.items())


def battery_status(value: Any, *, charging: bool | None = None) -> DeviceStatus | None:
    """A status with the battery in percent, None when there is nothing to say."""
    percent = number_of(value)
    if percent is not None and not 0 <= percent <= 100:
        percent = None
    if percent is None and charging is None:
        return None
    return DeviceStatus(battery_percent=percent, charging=charging)


def states_of(
    properties: JsonObject, *, skip: Container[str], numbers: Container[str], warnings: list[str]
) -> dict[str, Scalar]:
    """Every scalar that is no mere number of the catalogue; empty texts are no states."""
    states: dict[str, Scalar] = {}
    for name, value in properties.items():
        if name in skip or not isinstance(value, str | bool | int | float) or value == "":
            continue
        if name in numbers and number_of(value) is not None:
            continue
        if len(states) == MAX_STATES:
            warnings.append(f"more than {MAX_STATES} states: the rest is left out")
            break
        text = clean(value[:_MAX_TEXT]) if isinstance(value, str) else value
        states[clean(name[:_MAX_NAME])] = text
    return states
