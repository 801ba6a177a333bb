"""Home Assistant's MQTT discovery: what an installation announces of its entities.

`<prefix>/<component>/[<node>/]<object>/config` is one entity, or with the component `device` all of
a device's at once (`components`). Names of fields may be shortened, topics may begin or end with
`~`. Source: the integration's page "MQTT Discovery". Only what can matter to an elder is read:
sensors, binary sensors, events and device triggers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from devices.codecs.fields import JsonObject, clean
from devices.codecs.homeassistant.value_template import Template, parse_template
from devices.messages import CodecError, Scalar

COMPONENTS = frozenset({"binary_sensor", "sensor", "event", "device_automation"})
"""Components that become entities of ours."""
OTHER_COMPONENTS = frozenset(
    {"alarm_control_panel", "button", "camera", "climate", "cover", "device_tracker", "fan"}
    | {"humidifier", "image", "lawn_mower", "light", "lock", "notify", "number", "scene", "select"}
    | {"siren", "switch", "tag", "text", "update", "vacuum", "valve", "water_heater"}
)
"""Components that we know of and have no use for."""
MAX_ENTITIES = 100
"""Most entities of one device."""

_SHORT: Mapping[str, str] = MappingProxyType(
    {
        "atype": "automation_type", "avty": "availability", "avty_t": "availability_topic",
        "avty_tpl": "availability_template", "cmps": "components", "dev": "device",
        "dev_cla": "device_class", "evt_typ": "event_types", "p": "platform", "pl": "payload",
        "pl_avail": "payload_available", "pl_not_avail": "payload_not_available",
        "pl_off": "payload_off", "pl_on": "payload_on", "stat_t": "state_topic",
        "stype": "subtype", "t": "topic", "uniq_id": "unique_id",
        "unit_of_meas": "unit_of_measurement", "val_tpl": "value_template",
    }
)  # fmt: skip
_SHORT_DEVICE: Mapping[str, str] = MappingProxyType(
    {"cns": "connections", "ids": "identifiers", "mdl": "model", "mdl_id": "model_id",
     "mf": "manufacturer"}
)  # fmt: skip
_TOPICS = ("state_topic", "topic", "availability_topic")
_MAX_TOPIC = 256
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of an installation. Topics are those within it, templates as they came."""

    component: str
    topic: str
    name: str = ""
    device_class: str = ""
    unit: str = ""
    template: str = ""
    payload_on: str = "ON"
    payload_off: str = "OFF"
    kind: str = ""
    subkind: str = ""
    availability_topic: str = ""
    availability_template: str = ""
    payload_available: str = "online"
    payload_not_available: str = "offline"

    def plain(self) -> dict[str, Scalar]:
        """The fields that are not as usual, for a row or a line of JSON."""
        usual = {each.name: each.default for each in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}


def entity_of(plain: Mapping[str, Any]) -> Entity:
    """An entity of what `plain` gave. Raises TypeError for what it never gave."""
    return Entity(**{name: str(value) for name, value in plain.items()})


@dataclass(frozen=True, slots=True)
class Announced:
    """What one message announces: a device and its entities by key, None for one that is gone."""

    device: str
    name: str
    manufacturer: str
    model: str
    entities: Mapping[str, Entity | None]
    warnings: tuple[str, ...] = ()


def read_config(levels: list[str], config: JsonObject) -> Announced:
    """Read a config message; `levels` are its topic's from the component to the object.

    CodecError reasons: bad_value, missing_field.
    """
    base = config.get("~")
    config = _long(config, _SHORT)
    component, key = levels[0], "/".join(levels)
    device = _device(config, "/".join(levels[1:]))
    warnings: list[str] = []
    if component == "device":
        entities = dict(_components(key, config, base, warnings))
    elif component in COMPONENTS:
        entities = {key: _entity(component, config)}
    else:
        entities = {}
    for each in entities.values():
        warnings.extend(_odd_templates(each))
    return Announced(*device, MappingProxyType(entities), tuple(warnings[:20]))


def _long(config: JsonObject, names: Mapping[str, str]) -> dict[str, Any]:
    """The document with names in full, and topics with their base put in for `~`."""
    full = {names.get(name, name): value for name, value in config.items()}
    base = full.pop("~", None)
    if isinstance(base, str):
        for name in _TOPICS:
            if name in full:
                full[name] = _based(full[name], base)
        given = full.get("availability")
        for each in given if isinstance(given, list) else ():
            if isinstance(each, dict):
                each.update({"topic": _based(each.get("topic", each.get("t")), base)})
    return full


def _based(topic: Any, base: str) -> Any:
    if not isinstance(topic, str) or not topic:
        return topic
    if topic[0] == "~":
        return base + topic[1:]
    return topic[:-1] + base if topic[-1] == "~" else topic


def _device(config: JsonObject, otherwise: str) -> tuple[str, str, str, str]:
    """Key, name, maker and model; an entity without a device is one of its own."""
    given = config.get("device")
    device = _long(given, _SHORT_DEVICE) if isinstance(given, dict) else {}
    identifiers = device.get("identifiers")
    first = identifiers[0] if isinstance(identifiers, list) and identifiers else identifiers
    connections = device.get("connections")
    if first is None and isinstance(connections, list) and connections:
        pair = connections[0]
        first = pair[-1] if isinstance(pair, list) and pair else None
    key = _text(first) or _text(config.get("unique_id")) or clean(otherwise)[:_MAX_TEXT]
    name = _text(device.get("name")) or _text(config.get("name"))
    return key, name, _text(device.get("manufacturer")), _text(device.get("model"))


def _components(
    key: str, config: JsonObject, base: Any, warnings: list[str]
) -> Iterator[tuple[str, Entity | None]]:
    """The entities of a device; what they share stands in the message itself."""
    components = config.get("components")
    if not isinstance(components, dict):
        raise CodecError("missing_field", "components is missing")
    if len(components) > MAX_ENTITIES:
        warnings.append(f"more than {MAX_ENTITIES} entities: the rest is left out")
    shared = {name: config[name] for name in ("state_topic", *_SHARED) if name in config}
    for name, given in list(components.items())[:MAX_ENTITIES]:
        if not isinstance(given, dict):
            continue
        own = _long({"~": base, **given}, _SHORT)
        component = own.get("platform")
        if set(own) - {"platform"} == set():
            # Only the platform: the entity is taken back.
            yield f"{key}/{clean(name)[:_MAX_TEXT]}", None
        elif isinstance(component, str) and component in COMPONENTS:
            try:
                yield f"{key}/{clean(name)[:_MAX_TEXT]}", _entity(component, {**shared, **own})
            except CodecError as error:
                warnings.append(f"{error.reason}: {clean(name)[:_MAX_TEXT]}: {error}")


_SHARED = (
    "availability", "availability_topic", "availability_template", "payload_available",
    "payload_not_available",
)  # fmt: skip


def _entity(component: str, config: JsonObject) -> Entity:
    trigger = component == "device_automation"
    place = "topic" if trigger else "state_topic"
    topic = _topic(config.get(place))
    if not topic:
        raise CodecError("missing_field", f"{place} is missing")
    availability = _availability(config)
    payload_on = _text(config.get("payload" if trigger else "payload_on"))
    return Entity(
        component=component,
        topic=topic,
        name=_text(config.get("name")),
        device_class=_text(config.get("device_class")).lower(),
        unit=_text(config.get("unit_of_measurement")),
        template=_text(config.get("value_template"), 500),
        payload_on=payload_on if payload_on or trigger else "ON",
        payload_off=_text(config.get("payload_off")) or "OFF",
        kind=_text(config.get("type")) if trigger else "",
        subkind=_text(config.get("subtype")) if trigger else "",
        **availability,
    )


def _availability(config: JsonObject) -> dict[str, str]:
    """The first of several availability topics: they tell of the bridge, the last of the device."""
    given = config.get("availability")
    places = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    place = _long(places[-1], _SHORT) if places else {}
    topic = _topic(place.get("topic")) or _topic(config.get("availability_topic"))
    if not topic:
        return {}
    template = place.get("value_template", config.get("availability_template"))
    both = {**config, **place}
    return {
        "availability_topic": topic,
        "availability_template": _text(template, 500),
        "payload_available": _text(both.get("payload_available")) or "online",
        "payload_not_available": _text(both.get("payload_not_available")) or "offline",
    }


def _topic(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > _MAX_TOPIC:
        return ""
    if clean(value) != value or "+" in value or "#" in value:
        raise CodecError("bad_value", "a topic of the entity is none")
    return value


def _text(value: Any, limit: int = _MAX_TEXT) -> str:
    if isinstance(value, bool | str | int | float):
        return clean(str(value))[:limit]
    return ""


def _odd_templates(entity: Entity | None) -> Iterator[str]:
    """Sentences about templates that we cannot read: the entity is announced all the same."""
    for text in (entity.template, entity.availability_template) if entity else ():
        try:
            template_of(text)
        except CodecError as error:
            yield f"{error.reason}: {error}: {text[:80]}"


def template_of(text: str) -> Template | None:
    """The template, None where there is none. Reason: bad_template."""
    return parse_template(text) if text else None
