"""Protocol v1, our own: JSON over MQTT, as written down in docs/protocol.md.

Strict about what a message says, lenient about what accompanies an alarm: an alarm is never
refused for a bad position, a bad time or a detail that is too long. Fields that v1 does not know
are ignored, so that a device may be newer than the server.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from devices.alarms import AlarmKind
from devices.codecs.fields import (
    JsonObject,
    as_bool,
    as_integer,
    as_number,
    as_text,
    clean,
    dump_json,
    from_millis,
    load_object,
    require,
    within,
)
from devices.downlink import CommandName, CommandRequest, Downlink
from devices.messages import (
    AlarmSignal,
    Codec,
    CodecError,
    CommandAck,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Position,
    Reading,
    Reject,
    UpdateProgress,
)
from devices.metrics import METRICS

MAX_BATCH = 500
"""Most elements of one gateway batch."""
MAX_SEQ = 2**63 - 1
MAX_SID = 16
_MAX_DETAIL = 200
_MAX_COMMAND_ID = 64
_MAX_FIRMWARE = 64
_MAX_WARNINGS = 20
_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TOPIC = re.compile(r"silverline/v1/([^/]*)/([a-z]+)")
UPDATE_STATES = ("downloading", "downloaded", "failed")
_SOURCES = frozenset({"gnss", "wifi", "cell", "manual"})


@dataclass(frozen=True, slots=True)
class _Body:
    """The part of a message that its kind decides, as fields of Message, and what was odd."""

    fields: dict[str, Any]
    flags: frozenset[Flag] = frozenset()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What is known of a message before its payload is read."""

    device: str
    kind: str
    retained: bool
    via: str = ""


def decode(frame: Frame) -> Decoded:
    """Decode one message or one gateway batch; the topic says of whom and what kind.

    CodecError reasons: unknown_topic, bad_device_id, oversized, malformed_json, not_an_object,
    missing_field, bad_type, bad_value, bad_time, unknown_metric, unknown_alarm, batch_too_large,
    batch_empty. In a batch the good elements are decoded and the bad ones are `rejects`.
    """
    device, kind = _address(frame.topic)
    envelope = _Envelope(device, kind, frame.retained)
    payload = load_object(frame.payload)
    if "batch" in payload:
        return _batch(envelope, payload["batch"])
    message, warnings = _message(envelope, payload)
    return Decoded((message,), (), warnings, device)


def _address(topic: str) -> tuple[str, str]:
    match = _TOPIC.fullmatch(topic)
    if match is None or match[2] not in _BODIES:
        raise CodecError("unknown_topic", "the topic is none of silverline/v1/{device}/{kind}")
    return _device_id(match[1]), match[2]


def _device_id(value: Any) -> str:
    if not isinstance(value, str) or _DEVICE_ID.fullmatch(value) is None:
        raise CodecError(
            "bad_device_id", "a device id has 1 to 64 letters, digits, _ or -, no _ or - first"
        )
    return value


def _batch(gateway: _Envelope, elements: Any) -> Decoded:
    if not isinstance(elements, list):
        raise CodecError("bad_type", "batch must be an array")
    if not elements:
        raise CodecError("batch_empty", "the batch has no elements")
    if len(elements) > MAX_BATCH:
        raise CodecError(
            "batch_too_large", f"{len(elements)} elements are more than the {MAX_BATCH} allowed"
        )
    messages: list[Message] = []
    rejects: list[Reject] = []
    warnings: list[str] = []
    for index, element in enumerate(elements):
        try:
            message, odd = _element(gateway, element)
        except CodecError as error:
            payload = dump_json({"batch": [element]})
            rejects.append(Reject(payload, error.reason, f"element {index}: {error}"))
        else:
            messages.append(message)
            warnings.extend(odd)
    if rejects and len(elements) == 1:
        raise CodecError(rejects[0].reason, rejects[0].text)
    odd = tuple(warnings[:_MAX_WARNINGS])
    return Decoded(tuple(messages), (), odd, gateway.device, tuple(rejects))


def _element(gateway: _Envelope, element: Any) -> tuple[Message, tuple[str, ...]]:
    if not isinstance(element, dict):
        raise CodecError("not_an_object", "an element of a batch must be a JSON object")
    if "batch" in element:
        raise CodecError("bad_value", "a batch cannot hold a batch")
    named = element.get("device")
    if named is None:
        return _message(gateway, element)
    return _message(replace(gateway, device=_device_id(named), via=gateway.device), element)


def _message(envelope: _Envelope, fields: JsonObject) -> tuple[Message, tuple[str, ...]]:
    last_will = envelope.kind == "status" and fields.get("online") is False
    seq = _sequence(fields, needed=not last_will)
    session = fields.get("sid")
    at, odd_time = _time(fields.get("t"), lenient=envelope.kind == "alarm")
    body = _BODIES[envelope.kind](fields)
    flags = set(body.flags)
    for name, flag in (("replayed", Flag.REPLAYED), ("test", Flag.TEST)):
        if fields.get(name) is not None and as_bool(fields[name], name):
            flags.add(flag)
    if at is None:
        # The broker publishes a last will written long before; a device may have lost its clock.
        flags.add(Flag.TIME_MISSING)
    warnings = body.warnings + odd_time
    if envelope.retained:
        # v1 devices never publish retained: what the broker hands out again is not of now.
        flags.add(Flag.REPLAYED)
        warnings = (*warnings, "retained: a device must not set the retain flag")
    message = Message(
        device=envelope.device,
        kind=envelope.kind,
        seq=seq,
        session=None if session is None else as_text(session, "sid", MAX_SID),
        at=at,
        flags=frozenset(flags),
        via=envelope.via,
        **body.fields,
    )
    return message, warnings[:_MAX_WARNINGS]


def _sequence(fields: JsonObject, *, needed: bool) -> int | None:
    seq = fields.get("seq")
    if seq is None:
        if needed:
            raise CodecError("missing_field", "seq is missing")
        return None
    number = as_integer(seq, "seq")
    if not 0 <= number <= MAX_SEQ:
        raise CodecError("bad_value", "seq must be a whole number from 0 to 2^63-1")
    return number


def _time(value: Any, *, lenient: bool) -> tuple[datetime | None, tuple[str, ...]]:
    if value is None:
        return None, ()
    try:
        return from_millis(as_integer(value, "t")), ()
    except CodecError as error:
        if not lenient:
            raise
        return None, (f"{error.reason}: {error}",)


def _vitals(fields: JsonObject) -> _Body:
    vitals = require(fields, "vitals")
    if not isinstance(vitals, dict):
        raise CodecError("bad_type", "vitals must be an object of metric codes and numbers")
    if not vitals:
        raise CodecError("missing_field", "vitals is empty")
    readings: list[Reading] = []
    warnings: list[str] = []
    for code, value in vitals.items():
        if code not in METRICS:
            warnings.append(f"unknown_metric: {clean(code[:40])}")
        else:
            readings.append(Reading(code, as_number(value, f"vitals.{code}")))
    if not readings:
        raise CodecError("unknown_metric", "none of the metrics in vitals is known")
    return _Body({"readings": tuple(readings)}, warnings=tuple(warnings))


def _alarm(fields: JsonObject) -> _Body:
    name, active = require(fields, "alarm"), fields.get("active")
    if not isinstance(name, str):
        raise CodecError("bad_type", "alarm must be text")
    try:
        kind = AlarmKind(name)
    except ValueError as error:
        raise CodecError("unknown_alarm", "alarm is not a kind of alarm that v1 knows") from error
    detail, odd_detail = _alarm_detail(fields.get("detail"))
    position, odd_position = _alarm_position(fields.get("position"))
    signal = AlarmSignal(kind, True if active is None else as_bool(active, "active"), detail)
    return _Body(
        {"alarms": (signal,), "position": position},
        frozenset({Flag.POSITION_INVALID} if odd_position else ()),
        odd_detail + odd_position,
    )


def _alarm_detail(value: Any) -> tuple[str, tuple[str, ...]]:
    if value is None:
        return "", ()
    try:
        return as_text(value, "detail", _MAX_DETAIL), ()
    except CodecError as error:
        kept = clean(value[:_MAX_DETAIL]) if isinstance(value, str) else ""
        return kept, (f"{error.reason}: {error}",)


def _alarm_position(value: Any) -> tuple[Position | None, tuple[str, ...]]:
    if value is None:
        return None, ()
    try:
        if not isinstance(value, dict):
            raise CodecError("bad_type", "position must be an object")
        return _position(value), ()
    except CodecError as error:
        return None, (f"{error.reason}: {error}",)


def _location(fields: JsonObject) -> _Body:
    return _Body({"position": _position(fields)})


def _position(fields: JsonObject) -> Position:
    """WGS-84 degrees; accuracy in metres, speed in km/h, course in degrees from north."""
    source = fields.get("source")
    if source is not None and (not isinstance(source, str) or source not in _SOURCES):
        raise CodecError("bad_value", "source must be one of gnss, wifi, cell, manual")
    return Position(
        lat=within(as_number(require(fields, "lat"), "lat"), "lat", -90, 90),
        lon=within(as_number(require(fields, "lon"), "lon"), "lon", -180, 180),
        accuracy_m=_optional_number(fields, "accuracy", 0, 1e6),
        speed_kmh=_optional_number(fields, "speed", 0, 2_000),
        course_deg=_optional_number(fields, "course", 0, 360),
        source=source or "gnss",
    )


def _optional_number(fields: JsonObject, name: str, low: float, high: float) -> float | None:
    value = fields.get(name)
    return None if value is None else within(as_number(value, name), name, low, high)


def _status(fields: JsonObject) -> _Body:
    online, charging = fields.get("online"), fields.get("charging")
    firmware = fields.get("firmware")
    update = fields.get("update")
    status = DeviceStatus(
        online=None if online is None else as_bool(online, "online"),
        battery_percent=_optional_number(fields, "battery", 0, 100),
        firmware=None if firmware is None else as_text(firmware, "firmware", _MAX_FIRMWARE),
        rssi_dbm=_optional_number(fields, "rssi", -200, 50),
        charging=None if charging is None else as_bool(charging, "charging"),
        update=None if update is None else _update(update),
    )
    if status == DeviceStatus():
        raise CodecError("missing_field", "a status has at least one of its fields")
    return _Body({"status": status})


def _update(value: Any) -> UpdateProgress:
    """How far an update is; the command's name, a state, a whole number of per cent."""
    if not isinstance(value, dict):
        raise CodecError("bad_type", "update must be an object")
    command = as_text(require(value, "command"), "update.command", _MAX_COMMAND_ID)
    state, percent = require(value, "state"), value.get("percent")
    if not isinstance(state, str) or state not in UPDATE_STATES:
        raise CodecError("bad_value", f"update.state must be one of {', '.join(UPDATE_STATES)}")
    detail = value.get("detail")
    number = 0 if percent is None else as_integer(percent, "update.percent")
    return UpdateProgress(
        command_id=command,
        state=state,
        percent=int(within(number, "update.percent", 0, 100)),
        detail="" if detail is None else as_text(detail, "update.detail", _MAX_DETAIL),
    )


def _ack(fields: JsonObject) -> _Body:
    command = as_text(require(fields, "command"), "command", _MAX_COMMAND_ID)
    if not command:
        raise CodecError("missing_field", "command is empty")
    detail = fields.get("detail")
    ack = CommandAck(
        command_id=command,
        ok=as_bool(require(fields, "ok"), "ok"),
        detail="" if detail is None else as_text(detail, "detail", _MAX_DETAIL),
    )
    return _Body({"ack": ack})


_BODIES: dict[str, Callable[[JsonObject], _Body]] = {
    "vitals": _vitals,
    "alarm": _alarm,
    "status": _status,
    "location": _location,
    "ack": _ack,
}


def encode_command(request: CommandRequest) -> Downlink:
    """A command (topic `…/command`, QoS 1, not retained), under our own id of the device.

    CodecError: bad_device_id, bad_value (arguments that are not JSON).
    """
    body = {
        "id": str(request.id),
        "name": request.name.value,
        "args": dict(request.args),
        "expires": int(request.expires_at.timestamp() * 1000),
    }
    try:
        payload = orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise CodecError("bad_value", f"args are not JSON: {error}") from error
    return Downlink(payload, f"silverline/v1/{_device_id(request.device_id)}/command")


CODEC = Codec(
    name="silverline_v1",
    title="Silverline v1 (JSON / MQTT)",
    decode=decode,
    topics=(
        "silverline/v1/+/vitals",
        "silverline/v1/+/status",
        "silverline/v1/+/location",
        "silverline/v1/+/ack",
    ),
    express_topics=("silverline/v1/+/alarm",),
    commands=frozenset(CommandName),
    encode=encode_command,
    down_topics=("silverline/v1/+/command",),
)
