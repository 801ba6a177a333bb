"""zigbee2mqtt: the JSON that a Zigbee bridge publishes for each of its sensors and buttons.

A report is `zigbee2mqtt/<friendly name>` (the name may contain slashes), its reachability
`…/availability`. zigbee2mqtt keeps the last state of a device and repeats all of it in every
report, only `action` comes once: what a state means (which action is a call for help) is the
model's and stands in its profile. Source: the project's page "MQTT Topics and Messages".

A command is what the model's profile says (`forms`), published to `…/set`. The bridge delivers it
over the air by itself and answers nothing; that it could not stands in its log (`bridge/logging`),
and a siren that keeps the state `alarm` says it there.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from devices.codecs.fields import (
    MAX_PAYLOAD,
    JsonObject,
    clean,
    from_iso,
    from_millis,
    load_json,
    load_object,
    topic_of,
)
from devices.codecs.properties import battery_status, readings_of, states_of
from devices.downlink import NOT_DELIVERED, CommandName, CommandRequest, Downlink, worded
from devices.messages import (
    PLATFORM_SAYS,
    Codec,
    CodecError,
    CommandAck,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
)

BASE_TOPIC = "zigbee2mqtt"
_MAX_NAME = 200

_NUMBERS: Mapping[str, str] = {
    "battery": "battery",
    "temperature": "ambient_temperature",
    "humidity": "humidity",
    "illuminance": "illuminance",
    "illuminance_lux": "illuminance",
    "linkquality": "linkquality",
    "heart_rate": "heart_rate",
    "breathing_rate": "respiratory_rate",
    "respiratory_rate": "respiratory_rate",
}
_SWITCHES: Mapping[str, tuple[str, bool]] = {
    # property → metric, and the value of the property that reads as 1
    "occupancy": ("motion", True),
    "presence": ("motion", True),
    "contact": ("door_open", False),
    "opening": ("door_open", True),
    "bed_occupied": ("bed_occupied", True),
    "smoke": ("smoke", True),
    "gas": ("gas", True),
    "carbon_monoxide": ("gas", True),
    "water_leak": ("water_leak", True),
}
_EVENTS = frozenset({"action", "click"})
_NOT_STATES = frozenset({"last_seen", "linkquality", "voltage", "elapsed"})
# The option "output: attribute" publishes each property under a topic of its own.
_ATTRIBUTES = frozenset({*_NUMBERS, *_SWITCHES, *_EVENTS, "sos", "tamper", "battery_low", "status"})
_BRIDGE_TOPICS = frozenset(
    {"state", "info", "health", "devices", "groups", "definitions", "extensions", "converters"}
    | {"logging", "log", "event", "config", "request", "response", "networkmap", "group"}
)
_RING_SECONDS = 30
_RINGS = frozenset({CommandName.RING})
_NOT_DELIVERED = re.compile(
    r"Publish 'set' '(?:warning|alarm|duration)' to '(?P<to>[^']+)' failed: "
    r"|Entity '(?P<unknown>[^']+)' is unknown"
)
_RAW_TEXT = re.compile(r"[A-Za-z0-9_.:+ -]{1,64}")


def decode(frame: Frame) -> Decoded:
    """Decode one report or availability message. `Message.device` is the friendly name.

    Nothing comes of the bridge's own topics but its log, of `…/set` and `…/get`, and of the empty
    payload that clears a retained message. CodecError reasons: unknown_topic, bad_device_id,
    oversized, malformed_json, not_an_object, bad_value.
    """
    segments = _segments(frame.topic)
    if len(frame.payload) > MAX_PAYLOAD and not _is_bridge(segments):
        raise CodecError("oversized", f"{len(frame.payload)} bytes are too many for a report")
    if _is_bridge(segments):
        return _logged(segments, frame)
    if _is_request(segments) or not frame.payload:
        return Decoded()
    if segments[-1] == "availability" and len(segments) > 1:
        return _availability("/".join(segments[:-1]), frame)
    attribute = _attribute(segments, frame.payload)
    if attribute is not None:
        return _report("/".join(segments[:-1]), attribute, frame)
    return _report("/".join(segments), load_object(frame.payload), frame)


def _segments(topic: str) -> list[str]:
    base, *segments = topic.split("/")
    if base != BASE_TOPIC or not segments or not all(segments):
        raise CodecError("unknown_topic", f"the topic is not {BASE_TOPIC}/<friendly name>")
    name = "/".join(segments)
    if len(name) > _MAX_NAME or clean(name) != name:
        raise CodecError("bad_device_id", "the friendly name is too long or has control characters")
    return segments


def _is_bridge(segments: list[str]) -> bool:
    """`bridge/…`, also below a longer base topic such as zigbee2mqtt/<gateway>/bridge/state."""
    if segments[0] == "bridge":
        return True
    return any(
        name == "bridge" and following in _BRIDGE_TOPICS for name, following in pairwise(segments)
    )


def _is_request(segments: list[str]) -> bool:
    """`…/set`, `…/get` and `…/set/<attribute>`: what somebody asks of the device."""
    return any(name in {"set", "get"} for name in segments[1:][-2:])


def _logged(segments: list[str], frame: Frame) -> Decoded:
    """A command that the bridge could not deliver, in its own words."""
    if segments[-2:] != ["bridge", "logging"] or frame.retained or b"'" not in frame.payload:
        return Decoded()
    try:
        entry = load_object(frame.payload)
    except CodecError:
        return Decoded()
    text = entry.get("message")
    found = _NOT_DELIVERED.search(text[:1000]) if isinstance(text, str) else None
    if found is None or entry.get("level") not in ("error", "warning"):
        return Decoded()
    device = clean("/".join([*segments[:-2], found["to"] or found["unknown"]]))[:_MAX_NAME]
    detail = NOT_DELIVERED + clean(found.string[found.start() :])[:200]
    ack = CommandAck("", ok=False, detail=detail, names=_RINGS)
    flags = frozenset({Flag.TIME_MISSING})
    return Decoded((Message(device, PLATFORM_SAYS, ack=ack, flags=flags),), device=device)


def _availability(device: str, frame: Frame) -> Decoded:
    text = frame.payload.decode("utf-8", "replace").strip()
    state: Any = text
    if text.startswith(("{", '"')):
        state = load_json(frame.payload)
        if isinstance(state, dict):
            state = state.get("state")
    if state not in ("online", "offline"):  # a list, if it came as one, is not hashable
        raise CodecError("bad_value", "availability must be online or offline")
    status = DeviceStatus(online=state == "online")
    # Published retained, and still true when a new subscriber gets it: not a replay.
    message = Message(device, "status", status=status, flags=frozenset({Flag.TIME_MISSING}))
    return Decoded((message,), device=device)


def _attribute(segments: list[str], payload: bytes) -> dict[str, Any] | None:
    """The one property of an attribute topic, None when the payload is an ordinary report."""
    if len(segments) < 2 or segments[-1] not in _ATTRIBUTES or payload.lstrip()[:1] == b"{":
        return None
    try:
        value = load_json(payload)
    except CodecError:
        value = payload.decode("utf-8", "replace")
        if _RAW_TEXT.fullmatch(value) is None:
            raise
    return {segments[-1]: value}


def _report(device: str, properties: JsonObject, frame: Frame) -> Decoded:
    flags: set[Flag] = set()
    warnings: list[str] = []
    at = _last_seen(properties.get("last_seen"), warnings)
    if at is None:
        flags.add(Flag.TIME_MISSING)
    states = states_of(properties, skip=_NOT_STATES, numbers=_NUMBERS, warnings=warnings)
    if "click" in states:
        # What old versions call an action; the profiles know the new word.
        states.setdefault("action", states["click"])
    if frame.retained:
        flags.add(Flag.REPLAYED)
        if old := _EVENTS.intersection(states):
            # A press that the broker kept for new subscribers was answered long ago.
            states = {name: value for name, value in states.items() if name not in old}
            warnings.append("retained: an action in a retained message is not of now")
    rings = properties.get("alarm") in (True, "ON") and not frame.retained
    message = Message(
        device=device,
        kind="vitals",
        at=at,
        readings=readings_of(properties, _NUMBERS, _SWITCHES),
        status=battery_status(properties.get("battery")),
        ack=CommandAck("", ok=True, names=_RINGS) if rings else None,
        states=MappingProxyType(states),
        flags=frozenset(flags),
    )
    return Decoded((message,), (), tuple(warnings), device)


def _last_seen(value: Any, warnings: list[str]) -> datetime | None:
    """`last_seen` as ISO_8601, ISO_8601_local or epoch (milliseconds); never a reason to refuse."""
    try:
        if isinstance(value, str):
            return from_iso(value, "last_seen")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return from_millis(int(value), "last_seen")
    except (CodecError, ValueError, OverflowError):
        warnings.append("bad_time: last_seen cannot be read")
    return None


def encode(request: CommandRequest) -> Downlink:
    """A command in the model's words; a siren sounds for 30 seconds unless told otherwise.

    CodecError reasons: unknown_command, bad_device_id.
    """
    if not request.form:
        text = f"{request.profile} has no words for {request.name}"
        raise CodecError("unknown_command", text)
    values = {"seconds": request.args.get("seconds", _RING_SECONDS)}
    topic = topic_of(BASE_TOPIC, request.address, "set")
    return Downlink(worded(request.form, **values).encode(), topic)


CODEC = Codec(
    name="zigbee2mqtt",
    title="zigbee2mqtt (JSON / MQTT)",
    decode=decode,
    express_topics=(f"{BASE_TOPIC}/#",),
    commands=_RINGS,
    encode=encode,
    through_gateway=True,
    down_topics=(f"{BASE_TOPIC}/#",),
    keeps=True,
)
