"""ChirpStack v4: events of LoRaWAN devices, JSON over MQTT.

`application/<id>/device/<DevEUI>/event/<up|status|join|…>`. Source: ChirpStack's documentation,
"Event types". The decoder of a payload is found by the tag `decoder` or by the name of the device
profile; see lorawan.py. Commands go to `…/command/down` ("MQTT integration") and wait in the
device's queue under our own id, which `ack`, `txack` and `log` name again.
"""

import re
from datetime import UTC
from typing import Any

from devices.codecs.fields import JsonObject, clean, dump_json, load_json, load_object, topic_of
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
from devices.codecs.properties import battery_status, number_of
from devices.downlink import (
    NOT_DELIVERED,
    TRANSMITTED,
    UNCONFIRMED,
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
    Reading,
)

_TOPIC = re.compile(r"application/([^/]+)/device/([^/]+)/(?:event|command)/([a-z]+)")
_EUI = re.compile(r"[0-9a-f]{16}")
_QUEUE = frozenset({"ack", "txack", "log"})
# Why the server has thrown a command away.
_DISCARDED = frozenset({"DOWNLINK_PAYLOAD_SIZE", "EXPIRED"})


def decode(frame: Frame) -> Decoded:
    """Decode one event; `Message.device` is the DevEUI in small letters.

    up, status, join, location and what is said of commands become messages, the others come to
    nothing. CodecError reasons: unknown_topic, bad_device_id, oversized, malformed_json,
    not_an_object, bad_type, bad_value.
    """
    match = _TOPIC.fullmatch(frame.topic)
    if match is None:
        raise CodecError("unknown_topic", "the topic is not application/…/device/…/event/…")
    device, kind = address(match[2], "the DevEUI").lower(), match[3]
    if kind in _QUEUE:
        return _said_of_command(device, kind, load_object(frame.payload))
    if kind not in ("up", "status", "join", "location"):
        return Decoded(device=device)
    event = load_object(frame.payload)
    decoded = _up(device, event) if kind == "up" else _said(device, kind, event)
    return kept_in(match[1], decoded)


def _said(device: str, kind: str, event: JsonObject) -> Decoded:
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


def _said_of_command(device: str, kind: str, event: JsonObject) -> Decoded:
    """What became of a command: confirmed or not, sent by a gateway, or thrown away."""
    given: JsonObject = event
    if kind == "log":
        context = event.get("context")
        given = context if isinstance(context, dict) else {}
    item = given.get("queue_item_id" if kind == "log" else "queueItemId")
    if not isinstance(item, str) or not item:
        return Decoded(device=device)
    ack: CommandAck | None = CommandAck(clean(item)[:64], ok=True, detail=TRANSMITTED, final=False)
    if kind == "ack":
        ack = _confirmed(clean(item)[:64], event.get("acknowledged"))
    elif kind == "log":
        ack = _discarded(clean(item)[:64], event)
    if ack is None:
        return Decoded(device=device)
    flags = frozenset({Flag.TIME_MISSING})
    word = "ack" if kind == "ack" and ack.ok else PLATFORM_SAYS
    return Decoded((Message(device, word, ack=ack, flags=flags),), device=device)


def _confirmed(item: str, confirmed: Any) -> CommandAck | None:
    if not isinstance(confirmed, bool):
        return None
    return CommandAck(item, ok=confirmed, detail="" if confirmed else NOT_DELIVERED + UNCONFIRMED)


def _discarded(item: str, event: JsonObject) -> CommandAck | None:
    code, text = event.get("code"), event.get("description")
    if not isinstance(code, str) or code not in _DISCARDED:
        return None
    said = clean(text)[:200] if isinstance(text, str) else code
    return CommandAck(item, ok=False, detail=NOT_DELIVERED + said)


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
    messages, odd = uplink(device, at, _object(event), data, decoder, signal)
    return Decoded(messages, (), (*warnings, *odd), device)


def _object(event: JsonObject) -> Any:
    """What the server's decoder made of it; version 3 has it as text."""
    text = event.get("objectJSON")
    if isinstance(text, str) and text:
        try:
            return load_json(text.encode())
        except CodecError:
            return None
    return event.get("object")


def encode(request: CommandRequest) -> Downlink:
    """A command for the device's queue, which the server empties when the device listens.

    `expiresAt` is for ChirpStack 4.12 and later; older ones leave it out. Raises NotNow and
    CodecError (bad_device_id, unknown_command, interval).
    """
    # A sensor of the other server is not known here by its name, and waits for its first word.
    place = place_of(request)
    device = request.address.lower()
    if _EUI.fullmatch(device) is None:
        raise CodecError("bad_device_id", "the name in the protocol must be the DevEUI")
    port, data = payload_of(request)
    body = {
        "devEui": device,
        "confirmed": request.name is not CommandName.REBOOT,
        "fPort": port,
        "data": data,
        "id": str(request.id),
        "expiresAt": request.expires_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
    topic = topic_of("application", place, "device", device, "command", "down")
    return Downlink(dump_json(body), topic)


CODEC = Codec(
    name="chirpstack",
    title="ChirpStack v4 (JSON / MQTT)",
    decode=decode,
    express_topics=("application/+/device/+/event/+",),
    commands=COMMANDS,
    encode=encode,
    through_gateway=True,
    down_topics=("application/+/device/+/command/down",),
    keeps=True,
    intervals=INTERVALS,
)
