"""The Things Stack: uplinks of LoRaWAN devices, JSON over MQTT.

`v3/<application>@<tenant>/devices/<device id>/<up|join|…>`. Source: The Things Stack's
documentation, "MQTT" and "Data formats". The decoder of a payload is found by the brand in the
version identifiers; see lorawan.py. Commands go to `…/down/push` with our id among the correlation
ids, which `down/ack`, `nack`, `sent` and `failed` repeat. What was not confirmed (nack) the server
puts into its queue again by itself.
"""

import re
from dataclasses import replace
from typing import Any

from devices.codecs.fields import JsonObject, clean, dump_json, load_object, require, topic_of
from devices.codecs.lorawan import (
    COMMANDS,
    INTERVALS,
    address,
    decoder_for,
    kept_in,
    loudest,
    payload_bytes,
    payload_of,
    place_of,
    position_of,
    server_time,
    uplink,
)
from devices.codecs.properties import number_of
from devices.downlink import (
    NOT_DELIVERED,
    REPEATED,
    TRANSMITTED,
    CommandName,
    CommandRequest,
    Downlink,
)
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

_TOPIC = re.compile(r"v3/([^/]+)/devices/([^/]+)/([a-z]+(?:/[a-z]+)?)")
_OURS = "silverline:"
_DOWN = {
    "down/ack": "downlink_ack",
    "down/nack": "downlink_nack",
    "down/sent": "downlink_sent",
    "down/failed": "downlink_failed",
}
_MOST_IDS = 64


def decode(frame: Frame) -> Decoded:
    """Decode an uplink, join, solved location or what is said of a command.

    `Message.device` is the application's device id. Other topics come to nothing. CodecError
    reasons: unknown_topic, bad_device_id, oversized, malformed_json, not_an_object, missing_field,
    bad_type, bad_value.
    """
    match = _TOPIC.fullmatch(frame.topic)
    if match is None:
        raise CodecError("unknown_topic", "the topic is not v3/…/devices/…/…")
    device, kind = address(match[2], "the device id"), match[3]
    if kind in _DOWN:
        return _said_of_command(device, kind, load_object(frame.payload))
    if kind not in ("up", "join", "location/solved"):
        return Decoded(device=device)
    event = load_object(frame.payload)
    decoded = _up(device, event) if kind == "up" else _said(device, kind, event)
    return kept_in(match[1], decoded)


def _said(device: str, kind: str, event: JsonObject) -> Decoded:
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
    version = version if isinstance(version, dict) else {}
    data = payload_bytes(body.get("frm_payload"), "frm_payload")
    decoder = decoder_for(version.get("brand_id"), version.get("model_id"))
    signal = loudest(body.get("rx_metadata"))
    decoded, battery = body.get("decoded_payload"), _battery(body)
    messages, odd = uplink(device, at, decoded, data, decoder, signal, battery)
    if event.get("simulated") is True:
        messages = tuple(replace(each, flags=each.flags | {Flag.TEST}) for each in messages)
    return Decoded(messages, (), (*warnings, *odd), device)


def _said_of_command(device: str, kind: str, event: JsonObject) -> Decoded:
    """What became of a command of ours: confirmed, to be sent again, sent, or given up."""
    inner = event.get(_DOWN[kind])
    given = inner if isinstance(inner, dict) else {}
    if kind == "down/failed":
        downlink = given.get("downlink")
        item = _ours(downlink if isinstance(downlink, dict) else {}) or _ours(event)
        ack = CommandAck(item, ok=False, detail=NOT_DELIVERED + _error(given.get("error")))
    else:
        item = _ours(given) or _ours(event)
        detail = {"down/nack": REPEATED, "down/sent": TRANSMITTED}.get(kind, "")
        ack = CommandAck(item, ok=True, detail=detail, final=kind == "down/ack")
    if not item:
        return Decoded(device=device)
    flags = frozenset({Flag.TIME_MISSING})
    word = "ack" if kind == "down/ack" else PLATFORM_SAYS
    return Decoded((Message(device, word, ack=ack, flags=flags),), device=device)


def _ours(given: JsonObject) -> str:
    """Our id among the correlation ids, empty for a command of somebody else's."""
    ids = given.get("correlation_ids")
    for each in ids[:_MOST_IDS] if isinstance(ids, list) else ():
        if isinstance(each, str) and each.startswith(_OURS):
            return clean(each.removeprefix(_OURS))[:64]
    return ""


def _error(error: Any) -> str:
    text = error.get("message_format") or error.get("name") if isinstance(error, dict) else None
    return clean(text)[:200] if isinstance(text, str) else ""


def _battery(body: JsonObject) -> float | None:
    """The battery that LoRaWAN itself reported (DevStatusAns), in percent."""
    reported = body.get("last_battery_percentage")
    return number_of(reported.get("value")) if isinstance(reported, dict) else None


def encode(request: CommandRequest) -> Downlink:
    """A command for the end of the device's queue, which the server empties when it listens.

    The server knows no end of it for class A devices. Raises NotNow and CodecError (bad_device_id,
    unknown_command, interval).
    """
    port, data = payload_of(request)
    downlink = {
        "f_port": port,
        "frm_payload": data,
        "confirmed": request.name is not CommandName.REBOOT,
        "priority": "NORMAL",
        "correlation_ids": [f"{_OURS}{request.id}"],
    }
    topic = topic_of("v3", place_of(request), "devices", request.address, "down", "push")
    return Downlink(dump_json({"downlinks": [downlink]}), topic)


CODEC = Codec(
    name="tts",
    title="The Things Stack (JSON / MQTT)",
    decode=decode,
    topics=tuple(f"v3/+/devices/+/{kind}" for kind in _DOWN),
    express_topics=("v3/+/devices/+/up", "v3/+/devices/+/join", "v3/+/devices/+/location/solved"),
    commands=COMMANDS,
    encode=encode,
    through_gateway=True,
    down_topics=("v3/+/devices/+/down/push",),
    keeps=True,
    intervals=INTERVALS,
)
