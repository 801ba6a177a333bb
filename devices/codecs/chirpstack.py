"""ChirpStack v4: events of LoRaWAN devices, JSON over MQTT.

`application/<id>/device/<DevEUI>/event/<up|status|join|…>`. Source: ChirpStack's documentation,
"Event types". The decoder of a payload is found by the tag `decoder` or by the name of the device
profile; see lorawan.py.
"""

import re
from typing import Any

from devices.codecs.fields import JsonObject, clean, load_json, load_object
from devices.codecs.lorawan import (
    address,
    decoder_for,
    loudest,
    payload_bytes,
    position_of,
    server_time,
    uplink,
)
from devices.codecs.properties import battery_status, number_of
from devices.messages import (
    Codec,
    CodecError,
    CommandAck,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
)

_TOPIC = re.compile(r"application/[^/]+/device/([^/]+)/(?:event|command)/([a-z]+)")


def decode(frame: Frame) -> Decoded:
    """Decode one event; `Message.device` is the DevEUI in small letters.

    up, status, join, location and ack become messages, the others come to nothing. CodecError
    reasons: unknown_topic, bad_device_id, oversized, malformed_json, not_an_object, bad_type,
    bad_value.
    """
    match = _TOPIC.fullmatch(frame.topic)
    if match is None:
        raise CodecError("unknown_topic", "the topic is not application/…/device/…/event/…")
    device, kind = address(match[1], "the DevEUI").lower(), match[2]
    if kind not in ("up", "status", "join", "location", "ack"):
        return Decoded(device=device)
    event = load_object(frame.payload)
    if kind == "up":
        return _up(device, event)
    if kind == "ack":
        return _ack(device, event)
    warnings: list[str] = []
    at = server_time(event.get("time"), warnings)
    flags = frozenset() if at else frozenset({Flag.TIME_MISSING})
    if kind == "location":
        position = position_of(event.get("location"), at)
        if position is None:
            raise CodecError("bad_value", "location has no latitude and longitude")
        message = Message(device, "location", at=at, position=position, flags=flags)
        return Decoded((message,), (), tuple(warnings), device)
    readings: tuple[Reading, ...] = ()
    status = DeviceStatus(online=True)
    level = number_of(event.get("batteryLevel"))
    if kind == "status" and level is not None and not event.get("batteryLevelUnavailable"):
        readings = (Reading("battery", level),)
        status = battery_status(level) or status
    message = Message(device, "status", at=at, readings=readings, status=status, flags=flags)
    return Decoded((message,), (), tuple(warnings), device)


def _ack(device: str, event: JsonObject) -> Decoded:
    """The device confirmed a downlink of ours, or did not."""
    item, confirmed = event.get("queueItemId"), event.get("acknowledged")
    if not isinstance(item, str) or not isinstance(confirmed, bool):
        return Decoded(device=device)
    flags = frozenset({Flag.TIME_MISSING})
    ack = CommandAck(clean(item)[:64], ok=confirmed)
    return Decoded((Message(device, "ack", ack=ack, flags=flags),), device=device)


def _up(device: str, event: JsonObject) -> Decoded:
    warnings: list[str] = []
    at = server_time(event.get("time"), warnings)
    info = event.get("deviceInfo")
    info = info if isinstance(info, dict) else {}
    tags = info.get("tags")
    hint = tags.get("decoder") if isinstance(tags, dict) else None
    decoder = decoder_for(hint, info.get("deviceProfileName"))
    data = payload_bytes(event.get("data"), "data")
    signal = loudest(event.get("rxInfo"))
    message, odd = uplink(device, at, _object(event), data, decoder, signal)
    return Decoded((message,), (), (*warnings, *odd), device)


def _object(event: JsonObject) -> Any:
    """What the server's decoder made of it; version 3 has it as text."""
    text = event.get("objectJSON")
    if isinstance(text, str) and text:
        try:
            return load_json(text.encode())
        except CodecError:
            return None
    return event.get("object")


CODEC = Codec(
    name="chirpstack",
    title="ChirpStack v4 (JSON / MQTT)",
    decode=decode,
    express_topics=("application/+/device/+/event/+",),
)
