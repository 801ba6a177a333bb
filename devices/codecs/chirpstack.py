"""ChirpStack v4: events of LoRaWAN devices, JSON over MQTT.

`application/<id>/device/<DevEUI>/event/<up|status|join|…>`. Source: ChirpStack's documentation,
"Event types". The decoder of a payload is found by the tag `decoder` or by the name of the device
profile; see lorawan.py.
"""

import re

from devices.codecs.fields import JsonObject, load_object
from devices.codecs.lorawan import address, decoder_for, payload_bytes, server_time, uplink
from devices.codecs.properties import battery_status, number_of
from devices.messages import (
    Codec,
    CodecError,
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

    up, status and join become messages, the others come to nothing. CodecError reasons:
    unknown_topic, bad_device_id, oversized, malformed_json, not_an_object, bad_type, bad_value.
    """
    match = _TOPIC.fullmatch(frame.topic)
    if match is None:
        raise CodecError("unknown_topic", "the topic is not application/…/device/…/event/…")
    device, kind = address(match[1], "the DevEUI").lower(), match[2]
    if kind not in ("up", "status", "join"):
        return Decoded(device=device)
    event = load_object(frame.payload)
    if kind == "up":
        return _up(device, event)
    warnings: list[str] = []
    at = server_time(event.get("time"), warnings)
    readings: tuple[Reading, ...] = ()
    status = DeviceStatus(online=True)
    level = number_of(event.get("batteryLevel"))
    if kind == "status" and level is not None and not event.get("batteryLevelUnavailable"):
        readings = (Reading("battery", level),)
        status = battery_status(level) or status
    flags = frozenset() if at else frozenset({Flag.TIME_MISSING})
    message = Message(device, "status", at=at, readings=readings, status=status, flags=flags)
    return Decoded((message,), (), tuple(warnings), device)


def _up(device: str, event: JsonObject) -> Decoded:
    warnings: list[str] = []
    at = server_time(event.get("time"), warnings)
    info = event.get("deviceInfo")
    info = info if isinstance(info, dict) else {}
    tags = info.get("tags")
    hint = tags.get("decoder") if isinstance(tags, dict) else None
    decoder = decoder_for(hint, info.get("deviceProfileName"))
    data = payload_bytes(event.get("data"), "data")
    message, odd = uplink(device, at, event.get("object"), data, decoder)
    return Decoded((message,), (), (*warnings, *odd), device)


CODEC = Codec(
    name="chirpstack",
    title="ChirpStack v4 (JSON / MQTT)",
    decode=decode,
    express_topics=("application/+/device/+/event/+",),
)
