"""Home Assistant: entities of an existing installation, adopted as devices, over MQTT.

An installation's broker is bridged to ours below `ha/<gateway>/`, with everything that it carries:
its announcements (`…/homeassistant/<component>/…/config`, see config.py) become
proposals, which a technician adopts or not (devices/discovery). States of adopted entities come
below their own topics and are read by what was announced; those of the others come to nothing.
What was adopted is put in from outside (`ADOPTED.replace`): the codec looks nothing up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from devices.codecs.fields import MAX_PAYLOAD, clean, load_json, load_object
from devices.codecs.homeassistant.config import (
    COMPONENTS,
    OTHER_COMPONENTS,
    Announced,
    Entity,
    read_config,
    template_of,
)
from devices.codecs.homeassistant.value_template import MISSING
from devices.codecs.homeassistant.values import availability_of, message_of, metric_of
from devices.messages import (
    Codec,
    CodecError,
    Decoded,
    Flag,
    Frame,
    Message,
    Proposal,
    Scalar,
)

BASE_TOPIC = "ha"
_MAX_ADDRESS = 120


@dataclass(frozen=True, slots=True)
class Adopted:
    """An entity of a device that was adopted; `device` is the key that it was announced under."""

    gateway: str
    device: str
    entity: Entity


class AdoptedEntities:
    """The adopted entities by installation and topic. Replaced as a whole, never changed."""

    def __init__(self, adopted: tuple[Adopted, ...] = ()) -> None:
        self._by_topic: Mapping[tuple[str, str], tuple[tuple[Adopted, bool], ...]]
        self.replace(adopted)

    def replace(self, adopted: tuple[Adopted, ...]) -> None:
        """Know these from now on, and no others."""
        found: dict[tuple[str, str], tuple[tuple[Adopted, bool], ...]] = {}
        for each in adopted:
            reachable = each.entity.availability_topic
            for topic, states in ((each.entity.topic, True), (reachable, False)):
                place = (each.gateway, topic)
                if topic:
                    found[place] = (*found.get(place, ()), (each, states))
        self._by_topic = MappingProxyType(found)

    def at(self, gateway: str, topic: str) -> tuple[tuple[Adopted, bool], ...]:
        """Entities whose state (True) or availability (False) this topic carries."""
        return self._by_topic.get((gateway, topic), ())


ADOPTED = AdoptedEntities()
"""What this process knows to be adopted; `devices.discovery.service.follow` keeps it up to date."""


def decode(frame: Frame) -> Decoded:
    """Decode an announcement, or a state of an adopted entity.

    `Message.device` is the address of the adopted device (`address`), the installation's id for an
    announcement. CodecError reasons: unknown_topic, oversized, malformed_json, not_an_object,
    bad_value, missing_field.
    """
    return decode_with(ADOPTED, frame)


def decode_with(adopted: AdoptedEntities, frame: Frame) -> Decoded:
    """Decode by these adopted entities."""
    if len(frame.payload) > MAX_PAYLOAD:
        raise CodecError("oversized", f"{len(frame.payload)} bytes are more than {MAX_PAYLOAD}")
    gateway, topic = _place(frame)
    levels = topic.split("/")
    announced = levels[-1] == "config" and len(levels) in (4, 5)
    if announced and levels[1] in COMPONENTS | OTHER_COMPONENTS | {"device"}:
        return _announcement(
            gateway, [clean(level)[:_MAX_ADDRESS] for level in levels[1:-1]], frame
        )
    return _states(adopted, gateway, topic, frame)


def _place(frame: Frame) -> tuple[str, str]:
    """The installation, and the topic within it. Without `ha/` it is the one that was named."""
    head, _, rest = frame.topic.partition("/")
    if not rest:
        raise CodecError("unknown_topic", f"the topic is not {BASE_TOPIC}/<gateway>/…")
    if head != BASE_TOPIC:
        return frame.device, frame.topic
    gateway, _, topic = rest.partition("/")
    if not gateway or not topic or clean(gateway) != gateway or len(gateway) > 64:
        raise CodecError("unknown_topic", f"the topic is not {BASE_TOPIC}/<gateway>/…")
    return gateway, topic


def _announcement(gateway: str, levels: list[str], frame: Frame) -> Decoded:
    key = "/".join(levels)[:200]
    if not frame.payload.strip():
        gone = Proposal(gateway, key, "", entity=None)
        return Decoded(_noted(gateway, key, {}), device=gateway, proposals=(gone,))
    found = read_config(levels, load_object(frame.payload))
    proposals = tuple(
        Proposal(
            gateway, name[:200], found.device, found.name, found.manufacturer, found.model,
            None if entity is None else MappingProxyType(entity.plain()),
        )
        for name, entity in found.entities.items()
    )  # fmt: skip
    messages = _noted(gateway, found.device, _summary(found))
    return Decoded(messages, (), found.warnings, gateway, proposals=proposals)


def _noted(gateway: str, device: str, states: Mapping[str, Scalar]) -> tuple[Message, ...]:
    """The installation said something: that it lives, and what it announced."""
    flags = frozenset({Flag.TIME_MISSING})
    said: dict[str, Scalar] = {"announced": device, **states}
    return (Message(gateway or device, "discovery", states=MappingProxyType(said), flags=flags),)


def _summary(found: Announced) -> dict[str, Scalar]:
    """For a person who looks at one message: what each entity is and what it measures."""
    said: dict[str, Scalar] = {"device": found.name or found.device}
    for key, entity in list(found.entities.items())[:20]:
        if entity is not None:
            words = (entity.component, entity.device_class, entity.unit, metric_of(entity))
            said[f"entity {key.rpartition('/')[2]}"[:64]] = " ".join(filter(None, words))
    return said


def _states(adopted: AdoptedEntities, gateway: str, topic: str, frame: Frame) -> Decoded:
    messages: list[Message] = []
    warnings: list[str] = []
    text = frame.payload.decode("utf-8", "replace").strip()
    for each, is_state in adopted.at(gateway, topic):
        entity = each.entity
        try:
            template = entity.template if is_state else entity.availability_template
            value = _value(template, text, frame.payload, json=entity.component == "event")
        except CodecError as error:
            warnings.append(f"{error.reason}: {error}")
            continue
        read = message_of if is_state else availability_of
        message = read(address(gateway, each.device), entity, value)
        if message is not None:
            messages.append(message)
    if not messages:
        return Decoded(warnings=tuple(warnings), device=gateway)
    return Decoded(tuple(_merged(messages, frame)), (), tuple(warnings), gateway)


def _value(template: str, text: str, payload: bytes, *, json: bool) -> Any:
    """What the template makes of the payload; the payload itself without one."""
    understood = template_of(template)
    document: Any = MISSING
    if json or understood is not None:
        try:
            document = load_json(payload)
        except CodecError:
            document = MISSING
    if understood is None:
        return document if json else text[:_MAX_ADDRESS]
    return understood.render(text, document)


def _merged(messages: list[Message], frame: Frame) -> Iterator[Message]:
    """One message for each device of what several of its entities read in the same payload."""
    by_device: dict[tuple[str, str], Message] = {}
    for message in messages:
        place = (message.device, message.kind)
        known = by_device.get(place)
        by_device[place] = message if known is None else _together(known, message)
    flags = {Flag.TIME_MISSING} | ({Flag.REPLAYED} if frame.retained else set())
    for message in by_device.values():
        states = message.states
        if frame.retained and "action" in states:
            # A press that the broker kept for new subscribers was answered long ago.
            states = MappingProxyType({n: v for n, v in states.items() if n != "action"})
        yield replace(message, states=states, flags=message.flags | flags)


def _together(known: Message, message: Message) -> Message:
    return replace(
        message,
        readings=(*known.readings, *message.readings),
        states=MappingProxyType({**known.states, **message.states}),
        status=message.status or known.status,
    )


def address(gateway: str, device: str) -> str:
    """Under which name an adopted device speaks: unique over installations, not too long."""
    name = f"{gateway}/{device}"
    if len(name) <= _MAX_ADDRESS:
        return name
    return f"{name[: _MAX_ADDRESS - 17]}~{blake2b(name.encode(), digest_size=8).hexdigest()}"


CODEC = Codec(
    name="homeassistant",
    title="Home Assistant, MQTT discovery (JSON / MQTT)",
    decode=decode,
    express_topics=(f"{BASE_TOPIC}/#",),
)
