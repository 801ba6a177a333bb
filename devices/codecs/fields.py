"""Reading fields out of JSON payloads, strictly, with a stable reason for whatever is wrong.

Shared by the codecs whose frames are JSON. Every function raises CodecError and nothing else.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from devices.messages import CodecError

MAX_PAYLOAD = 64 * 1024
"""Largest payload of one MQTT message, in bytes."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_TOPIC = re.compile(r"[+#\x00-\x1f\x7f]")

JsonObject = Mapping[str, Any]


def load_object(payload: bytes, *, limit: int = MAX_PAYLOAD) -> dict[str, Any]:
    """Parse one JSON object. Reasons: oversized, malformed_json, not_an_object."""
    value = load_json(payload, limit=limit)
    if not isinstance(value, dict):
        raise CodecError("not_an_object", "the payload must be one JSON object")
    return value


def load_json(payload: bytes, *, limit: int = MAX_PAYLOAD) -> Any:
    """Parse one JSON value (RFC 8259: UTF-8, no NaN). Reasons: oversized, malformed_json."""
    if len(payload) > limit:
        raise CodecError("oversized", f"{len(payload)} bytes are more than the {limit} allowed")
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise CodecError("malformed_json", f"not JSON: {error}") from error


def dump_json(value: Any) -> bytes:
    """Write a part of a document again. malformed_json for what was read and cannot be written:
    the reader takes 1,024 levels of nesting, the writer 254.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise CodecError("malformed_json", "the document is nested too deeply") from error


def topic_of(*levels: str) -> str:
    """A topic to publish under; a part may have several levels itself (MQTT 3.1.1, section 4.7).

    Reason: bad_device_id.
    """
    topic = "/".join(levels)
    if not all(topic.split("/")) or _NO_TOPIC.search(topic):
        raise CodecError(
            "bad_device_id", f"the name in the protocol is no part of a topic: {topic}"
        )
    return topic


def as_number(value: Any, name: str) -> float:
    """A JSON number. A boolean is not one, nor is a number in quotes. Reason: bad_type."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CodecError("bad_type", f"{name} must be a number")
    return float(value)


def as_integer(value: Any, name: str) -> int:
    """A JSON number without a fraction part (`7` and `7.0` are the same number). bad_type."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise CodecError("bad_type", f"{name} must be a whole number")


def as_bool(value: Any, name: str) -> bool:
    """true or false. Reason: bad_type."""
    if not isinstance(value, bool):
        raise CodecError("bad_type", f"{name} must be true or false")
    return value


def as_text(value: Any, name: str, limit: int) -> str:
    """A string of at most `limit` characters, without control characters. bad_type, bad_value."""
    if not isinstance(value, str):
        raise CodecError("bad_type", f"{name} must be text")
    if len(value) > limit:
        raise CodecError("bad_value", f"{name} is longer than {limit} characters")
    return clean(value)


def clean(value: str) -> str:
    """Without control characters: PostgreSQL refuses NUL, and a log line is to stay one line."""
    return _CONTROL.sub(" ", value).strip()


def require(fields: JsonObject, name: str) -> Any:
    """The field, which must be there and not null. Reason: missing_field."""
    value = fields.get(name)
    if value is None:
        raise CodecError("missing_field", f"{name} is missing")
    return value


def within(value: float, name: str, low: float, high: float) -> float:
    """The value, which must lie in low…high. Reason: bad_value."""
    if not low <= value <= high:
        raise CodecError("bad_value", f"{name} must lie between {low:g} and {high:g}")
    return value


def from_millis(value: int, name: str = "t") -> datetime:
    """Unix milliseconds as UTC. Reason: bad_time where a calendar cannot hold it."""
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError as error:
        raise CodecError("bad_time", f"{name} is outside of the years 1 to 9999") from error


def from_seconds(value: float, name: str) -> datetime:
    """Unix seconds as UTC. Reason: bad_time where a calendar cannot hold it."""
    try:
        return _EPOCH + timedelta(seconds=value)
    except (OverflowError, ValueError) as error:
        raise CodecError("bad_time", f"{name} is outside of the years 1 to 9999") from error


def from_iso(value: str, name: str) -> datetime:
    """An ISO 8601 time as UTC; without a zone it is taken as UTC. Reason: bad_time."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CodecError("bad_time", f"{name} is not a time in ISO 8601") from error
