"""Bluetooth gateways that read health devices: a characteristic and its value, over MQTT.

Blood pressure meters, oximeters, thermometers, glucose meters and scales do not advertise what they
measured: a gateway connects and passes the characteristic's bytes on (`values.py`). Topics are
`gatt/<gateway>`, `…/<MAC>` and `…/<MAC>/<characteristic>`, and `gatt/<gateway>/status` (online or
offline). The payload is a JSON object or a list of them with `mac`, `characteristic` and `value`
(hexadecimal, base64 or a list of bytes), as far as the topic does not say them; below a
characteristic also its plain bytes or their hexadecimal. Gateways differ in the names of the
fields: the common ones are known.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from devices.codecs.binary import Reader
from devices.codecs.fields import (
    JsonObject,
    clean,
    dump_json,
    from_iso,
    from_millis,
    from_seconds,
    load_json,
)
from devices.codecs.gatt.values import CHARACTERISTICS, UNUSED
from devices.messages import (
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
    Reject,
)

MAX_VALUE = 512
"""Longest value of a characteristic in bytes (Bluetooth core 5.4, vol. 3 F 3.2.9)."""
MAX_VALUES = 200
"""Most values of one message."""

_UUID = re.compile(
    r"(?:0x)?(?:0000)?(?P<short>[0-9a-f]{4})(?:-?0000-?1000-?8000-?00805f9b34fb)?", re.IGNORECASE
)
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}")
_HEX = re.compile(r"(?:0x)?((?:[0-9A-Fa-f]{2}[ ,:-]?)+)")
_LISTS = ("values", "notifications", "records", "data", "devices")
_DEVICE = ("mac", "device", "address", "addr", "id", "device_mac", "deviceMac", "bdaddr", "peer")
_CHARACTERISTIC = (
    "characteristic", "uuid", "char", "characteristic_uuid", "characteristicUuid", "char_uuid",
    "charUuid", "chara",
)  # fmt: skip
_VALUE = ("value", "data", "read", "hex", "payload", "raw", "notify")
_TIME = ("t", "ts", "timestamp", "time")
_WILLS = frozenset({"status", "state", "lwt", "availability"})
_MILLIS_FROM = 100_000_000_000


@dataclass(frozen=True, slots=True)
class _Place:
    """What the topic says; an empty word says nothing."""

    gateway: str = ""
    device: str = ""
    characteristic: str = ""


def decode(frame: Frame) -> Decoded:
    """Decode one report; `Message.device` is the MAC in capitals without colons.

    Without a topic of the gateway the JSON has to say everything; a topic that is only a
    characteristic (`2A35`) stands for a value without a device. A value that cannot be read is a
    reject where others can. CodecError reasons: unknown_topic, oversized, malformed_json,
    not_an_object, missing_field, bad_type, bad_value, bad_device_id, truncated.
    """
    levels = frame.topic.split("/")
    if len(levels) == 3 and levels[0] == "gatt" and levels[2].lower() in _WILLS:
        return _reachability(levels[1], frame.payload)
    place = _place(frame)
    if place.characteristic and not _looks_like_json(frame.payload):
        if len(frame.payload) > 4 * MAX_VALUE:
            raise CodecError("oversized", f"{len(frame.payload)} bytes are no such value")
        return decode_value(place.device, place.characteristic, _raw(frame.payload))
    if not frame.topic and not _looks_like_json(frame.payload):
        text = "whose value is it? Give the characteristic as the topic: 2A35, or gatt/…/<MAC>/2A35"
        raise CodecError("missing_field", text)
    report = load_json(frame.payload)
    reports = _reports(report)
    if reports is None:
        return _report(place, report)
    return _several(place, reports)


def _place(frame: Frame) -> _Place:
    if not frame.topic:
        return _Place(device=frame.device)
    levels = frame.topic.split("/")
    if len(levels) == 1 and short_uuid(levels[0]) is not None:
        return _Place(device=frame.device, characteristic=levels[0])
    if levels[0] != "gatt" or not 2 <= len(levels) <= 5 or not all(levels):
        raise CodecError("unknown_topic", "the topic is not gatt/<gateway>/<MAC>/<characteristic>")
    device = address(levels[2]) if len(levels) > 2 else ""
    characteristic = levels[-1] if len(levels) > 3 else ""
    return _Place(levels[1], device, characteristic)


def _looks_like_json(payload: bytes) -> bool:
    """An object or a list to the end: a value may begin with these bytes too (5B is 91 %)."""
    text = payload.strip()
    return len(text) > 1 and text[:1] + text[-1:] in (b"{}", b"[]")


def _reachability(gateway: str, payload: bytes) -> Decoded:
    """The gateway's own last will and its opposite."""
    word = payload.decode("utf-8", "replace").strip().strip('"').lower()
    if word not in ("online", "offline"):
        raise CodecError("bad_value", "a gateway is online or offline")
    flags = frozenset({Flag.TIME_MISSING})
    device = address(gateway)
    message = Message(device, "status", status=DeviceStatus(online=word == "online"), flags=flags)
    return Decoded((message,), device=device)


def _reports(report: Any) -> list[Any] | None:
    """The elements of a list of reports, None for a single one."""
    if isinstance(report, list):
        return report
    if not isinstance(report, dict):
        raise CodecError("not_an_object", "the payload must be a JSON object or a list of them")
    for name in _LISTS:
        inner = report.get(name)
        if isinstance(inner, list) and inner and all(isinstance(each, dict) for each in inner):
            common = {key: value for key, value in report.items() if key != name}
            return [common | each for each in inner]
    return None


def _several(place: _Place, reports: list[Any]) -> Decoded:
    messages: list[Message] = []
    rejects: list[Reject] = []
    warnings: list[str] = []
    for report in reports[:MAX_VALUES]:
        try:
            found = _report(place, report)
        except CodecError as error:
            rejects.append(Reject(dump_json([report]), error.reason, str(error)))
            continue
        messages.extend(found.messages)
        warnings.extend(found.warnings)
    if len(reports) > MAX_VALUES:
        rest = dump_json(reports[MAX_VALUES:])
        rejects.append(Reject(rest, "bad_value", f"more than {MAX_VALUES} values in one message"))
    return Decoded(tuple(messages), (), tuple(warnings[:20]), place.device, tuple(rejects))


def _report(place: _Place, report: Any) -> Decoded:
    if not isinstance(report, dict):
        raise CodecError("not_an_object", "a report must be a JSON object")
    device = place.device or address(_first(report, _DEVICE, str) or "")
    characteristic = place.characteristic or _first(report, _CHARACTERISTIC, str)
    if not characteristic:
        raise CodecError("missing_field", "characteristic is missing")
    value = _first(report, _VALUE, (str, list))
    if value is None:
        raise CodecError("missing_field", "value is missing")
    data = _bytes_of(value)
    return decode_value(device, characteristic, data, heard_at=_time(report), rssi=_rssi(report))


def decode_value(
    device: str,
    characteristic: str,
    data: bytes,
    *,
    heard_at: datetime | None = None,
    rssi: float | None = None,
) -> Decoded:
    """Read one value. `heard_at` counts where the value has no time of its own.

    CodecError reasons: bad_value, truncated.
    """
    number = short_uuid(characteristic)
    handler = CHARACTERISTICS.get(number or 0)
    if handler is None:
        if number is None or number not in UNUSED:
            name = clean(characteristic)[:40]
            raise CodecError("bad_value", f"characteristic {name} is none that we know")
        return Decoded(warnings=(f"characteristic {number:04X} is not used",), device=device)
    if len(data) > MAX_VALUE:
        raise CodecError("bad_value", f"a characteristic has at most {MAX_VALUE} bytes")
    found = handler(Reader(data))
    at = found.at or heard_at
    battery = found.readings.get("battery")
    known = battery is not None or rssi is not None
    message = Message(
        device=device,
        kind="vitals" if number != 0x2A19 else "status",
        at=at,
        readings=tuple(Reading(metric, value) for metric, value in found.readings.items()),
        status=DeviceStatus(battery_percent=battery, rssi_dbm=rssi) if known else None,
        states=MappingProxyType(found.states),
        flags=frozenset(found.flags if at else found.flags | {Flag.TIME_MISSING}),
    )
    return Decoded((message,), (), tuple(found.warnings), device)


def short_uuid(text: str) -> int | None:
    """The 16 bits of an adopted characteristic's UUID, None for a maker's own."""
    match = _UUID.fullmatch(text.strip())
    return int(match["short"], 16) if match else None


def address(text: str) -> str:
    """A MAC address in capitals without colons, or another identifier as it is. bad_device_id."""
    if _MAC.fullmatch(text):
        return text.replace(":", "").replace("-", "").upper()
    if not text or len(text) > 64 or clean(text) != text:
        raise CodecError("bad_device_id", "the report names no device")
    return text


def _first(report: JsonObject, names: tuple[str, ...], kind: type | tuple[type, ...]) -> Any:
    return next((report[name] for name in names if isinstance(report.get(name), kind)), None)


def _bytes_of(value: Any) -> bytes:
    """Hexadecimal, base64, or a list of bytes. Reason: bad_value."""
    if isinstance(value, list):
        if all(isinstance(each, int) and 0 <= each <= 255 for each in value):
            return bytes(value)
        raise CodecError("bad_value", "value has something other than bytes")
    text = str(value).strip()
    if match := _HEX.fullmatch(text) if len(text) <= 4 * MAX_VALUE else None:
        return bytes.fromhex(re.sub(r"[^0-9A-Fa-f]", "", match[1]))
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise CodecError("bad_value", "value is neither hexadecimal nor base64") from error


def _raw(payload: bytes) -> bytes:
    """The bytes below a characteristic's topic, or their hexadecimal."""
    text = payload.strip()
    if len(text) >= 4 and (match := _HEX.fullmatch(text.decode("ascii", "replace"))):
        return bytes.fromhex(re.sub(r"[^0-9A-Fa-f]", "", match[1]))
    return payload


def _time(report: Mapping[str, Any]) -> datetime | None:
    """When the gateway heard it: ISO 8601 or Unix seconds or milliseconds; never a refusal."""
    value = _first(report, _TIME, (str, int, float))
    try:
        if isinstance(value, str):
            return from_iso(value, "t")
        if isinstance(value, bool) or value is None:
            return None
        large = value >= _MILLIS_FROM
        return from_millis(int(value)) if large else from_seconds(value, "t")
    except CodecError:
        return None


def _rssi(report: JsonObject) -> float | None:
    value = _first(report, ("rssi",), (int, float))
    return None if value is None or not -150 <= value <= 0 else float(value)


CODEC = Codec(
    name="gatt",
    title="Bluetooth GATT gateway (blood pressure, oximeter, thermometer, glucose, …)",
    decode=decode,
    topics=("gatt/#",),
)
