"""Which model fits what a found device announces, and what it could be called."""

import re
from collections.abc import Iterable

from devices.codecs.homeassistant.config import Entity
from devices.codecs.homeassistant.values import metric_of

LONGEST_ID = 40
_BY_CLASS = {
    "smoke": "ha-smoke",
    "gas": "ha-gas",
    "carbon_monoxide": "ha-gas",
    "moisture": "ha-leak",
    "safety": "ha-fall",
    "door": "ha-door",
    "garage_door": "ha-door",
    "window": "ha-door",
    "opening": "ha-door",
    "motion": "ha-motion",
    "moving": "ha-motion",
    "occupancy": "ha-motion",
    "presence": "ha-motion",
}
_HEALTH = frozenset(
    {"heart_rate", "spo2", "bp_systolic", "bp_diastolic", "body_temperature", "glucose", "weight"}
)
_NOT_ID = re.compile(r"[^A-Za-z0-9]+")


def profile_for(entities: Iterable[Entity]) -> str:
    """The profile of what matters most: danger, then a press, then the body, then life at home."""
    every = tuple(entities)
    classes = {each.device_class for each in every if each.component == "binary_sensor"}
    metrics = {metric_of(each) for each in every if each.component == "sensor"}
    dangers = [code for name, code in _BY_CLASS.items() if name in classes]
    if dangers and dangers[0] in ("ha-smoke", "ha-gas", "ha-leak", "ha-fall"):
        return dangers[0]
    if any(each.component in ("event", "device_automation") for each in every):
        return "ha-button"
    if metrics & _HEALTH:
        return "ha-health"
    return dangers[0] if dangers else "ha-climate"


def id_for(gateway_id: str, key: str, name: str) -> str:
    """An id that is likely to be free and tells where the device comes from."""
    words = [word for word in (_slug(name), _slug(key)) if word]
    return f"{gateway_id}-{words[0] if words else 'device'}"[:LONGEST_ID].strip("-")


def _slug(text: str) -> str:
    return _NOT_ID.sub("-", text.encode("ascii", "ignore").decode()).strip("-")
