"""The Things Stack: uplinks of LoRaWAN devices, JSON over MQTT.

`v3/<application>@<tenant>/devices/<device id>/<up|join|…>`. Source: The Things Stack's
documentation, "MQTT" and "Data formats". The decoder of a payload is found by the brand in the
version identifiers; see lorawan.py.
"""

import re
from dataclasses import replace
from typing import Any

from devices.codecs.fields import JsonObject, load_object, require
from devices.codecs.lorawan import (
    address,
    decoder_for,
    loudest,
    payload_bytes,
    position_of,
    server_time,
    uplink,
)
from devices.messages import Codec, CodecError, Decoded, DeviceStatus, Flag, Frame, Message

_TOPIC = re.compile(r"v3/[^/]+/devices/([^/]+)/([a-z]+(?:/[a-z]+)?)")


def decode(frame: Frame) -> Decoded:
    """Decode one uplink, join or solved location; `Message.device` is the application's device id.

    Other topics come to nothing. CodecError reasons: unknown_topic, bad_device_id, oversized,
    malformed_json, not_an_object, missing_field, bad_type, bad_value.
    """
    match = _TOPIC.fullmatch(frame.topic)
    if match is None:
        raise CodecError("unknown_topic", "the topic is not v3/…/devices/…/…")
    device, kind = address(match[1], "the device id"), match[2]
    if kind not in ("up", "join", "location/solved"):
        return Decoded(device=device)
    event = load_object(frame.payload)
    if kind == "up":
        return _up(device, event)
    warnings: list[str] = []
    at = server_time(event.get("received_at"), warnings)
    flags = frozenset() if at else frozenset({Flag.TIME_MISSING})
    if kind == "location/solved":
        solved = event.get("location_solved")
        position = position_of(solved.get("location") if isinstance(solved, dict) else None, at)
        if position is None:
            raise CodecError("bad_value", "location_solved has no latitude and longitude")
        message = Message(device, "location", at=at, position=position, flags=flags)
        return Decoded((message,), (), tuple(warnings), device)
    message = Message(device, "status", at=at, status=DeviceStatus(online=True), flags=flags)
    return Decoded((message,), (), tuple(warnings), device)


def _up(device: str, event: JsonObject) -> Decoded:
    body = require(event, "uplink_message")
    if not isinstance(body, dict):
        raise CodecError("bad_type", "uplink_message must be an object")
    warnings: list[str] = []
    at = server_time(body.get("received_at") or event.get("received_at"), warnings)
    version = body.get("version_ids")
    brand = version.get("brand_id") if isinstance(version, dict) else None
    data = payload_bytes(body.get("frm_payload"), "frm_payload")
    decoded = _with_battery(body)
    signal = loudest(body.get("rx_metadata"))
    message, odd = uplink(device, at, decoded, data, decoder_for(brand), signal)
    if event.get("simulated") is True:
        message = replace(message, flags=message.flags | {Flag.TEST})
    return Decoded((message,), (), (*warnings, *odd), device)


def _with_battery(body: JsonObject) -> Any:
    """The server's object, with the battery that LoRaWAN itself reported (DevStatusAns)."""
    decoded, reported = body.get("decoded_payload"), body.get("last_battery_percentage")
    percent = reported.get("value") if isinstance(reported, dict) else None
    if percent is None or not isinstance(decoded, dict) or "battery" in decoded:
        return decoded
    return {**decoded, "battery": percent}


CODEC = Codec(
    name="tts",
    title="The Things Stack (JSON / MQTT)",
    decode=decode,
    express_topics=("v3/+/devices/+/up", "v3/+/devices/+/join", "v3/+/devices/+/location/solved"),
)
