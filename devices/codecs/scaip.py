"""SCAIP (CLC/TS 50134-9, SS 91100): a social alarm controller's message, XML in SIP or HTTP.

A request `mrq` has `ref` (echoed in the answer `mrs`), `cid` (the controller), `mty` (ME an event,
also when it is absent; PI a heartbeat), `pri` (priority), `dty`, `did`, `dco` and `dte` (kind,
number, part and name of the device that raised it), `stc` and `stt` (status), `lco`, `lva` and
`lte` (place: code, value, text; the value may be a geo URI, RFC 5870), `ico` and `ite`
(information), and `crd` (where the voice call will come from, within 60 s).
"""

import re
from enum import IntEnum
from html import unescape
from types import MappingProxyType
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from devices.alarms import AlarmKind
from devices.codecs.fields import clean
from devices.messages import (
    AlarmSignal,
    Codec,
    CodecError,
    Decoded,
    Flag,
    Frame,
    Message,
    Position,
    Scalar,
)

MAX_FRAME = 8 * 1024
"""Largest request in bytes."""

_REQUEST = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?<mrq(?:\s[^<>]*)?>(.*)</mrq>\s*", re.DOTALL)
_ELEMENT = re.compile(r"\s*<([a-z]{2,8})(?:\s[^<>]*)?>([^<>]*)</\1>|\s*<([a-z]{2,8})\s*/>")
_STATUS_ALARM = 10
# The string's end of a program in C comes along with some controllers' messages.
_AROUND = b" \t\r\n\0"
_SHOWN = (
    "pri", "dty", "did", "dco", "dte", "stc", "stt", "ste", "lco", "lva", "lte", "crd", "tdc",
    "ico", "ite",
)  # fmt: skip
_IN_DETAIL = frozenset({"dty", "did", "stc", "lco", "crd", "tdc", "ico"})
_GEO = re.compile(
    r"geo:(-?\d{1,2}(?:\.\d{1,10})?),(-?\d{1,3}(?:\.\d{1,10})?)(?:,-?\d{1,6}(?:\.\d{1,10})?)?"
    r"((?:;[a-z0-9-]{1,20}(?:=[A-Za-z0-9.%-]{1,40})?){0,8})",
    re.ASCII | re.IGNORECASE,
)
_UNCERTAINTY = re.compile(r";u=(\d{1,7}(?:\.\d{1,6})?)", re.ASCII | re.IGNORECASE)


class StatusNumber(IntEnum):
    """What an answer says of a request (`snu`)."""

    OK = 0
    MESSAGE_TOO_LONG = 1
    INVALID_FORMAT = 2
    WRONG_DATA_CONTENT = 3
    HOLD = 4
    NOT_TREATED = 5
    BUSY = 6
    MANDATORY_TAG_MISSING = 7


def decode(frame: Frame) -> Decoded:
    """Decode one request; `Message.device` is the controller's `cid`. The answer takes the call.

    CodecError reasons: oversized, not_a_frame, missing_field.
    """
    if len(frame.payload) > MAX_FRAME:
        raise CodecError("oversized", f"{len(frame.payload)} bytes are more than {MAX_FRAME}")
    fields = _fields(frame.payload)
    controller = clean(fields.get("cid", ""))[:64]
    if not controller:
        raise CodecError("missing_field", "cid is missing")
    message = _message(controller, fields)
    answer = _answer(fields, StatusNumber.OK)
    return Decoded((message,), (answer,), device=controller)


def refusal(payload: bytes, status: StatusNumber) -> bytes | None:
    """Return the answer to a request that is not taken; None where no request can be read in it.

    One without its controller says so, whatever the status.
    """
    try:
        fields = _fields(payload)
    except CodecError:
        return None
    if not clean(fields.get("cid", "")):
        status = StatusNumber.MANDATORY_TAG_MISSING
    return _answer(fields, status)


def _answer(fields: dict[str, str], status: StatusNumber) -> bytes:
    reference = escape(clean(fields.get("ref", ""))[:64])
    return f"<mrs><ref>{reference}</ref><snu>{status.value}</snu></mrs>".encode()


def _fields(payload: bytes) -> dict[str, str]:
    """The elements of a request. A document that declares entities is refused.

    What is nested in an element, a comment or a namespace must not keep an alarm from ringing; and
    some controllers write a bare `&`, which is no XML, into a text.
    """
    payload = payload.strip(_AROUND)
    if b"<!DOCTYPE" in payload or b"\0" in payload:
        raise CodecError("not_a_frame", "the body is not one mrq element")
    try:
        root = ElementTree.fromstring(payload)  # noqa: S314 - nothing can be declared
    except (ElementTree.ParseError, LookupError, ValueError):
        return _plain_fields(payload.decode("utf-8", "replace"))
    if _local(root.tag) != "mrq":
        raise CodecError("not_a_frame", "the body is not one mrq element")
    return {_local(each.tag): (each.text or "").strip() for each in root}


def _local(tag: str) -> str:
    """The name of an element without its namespace."""
    return tag.rpartition("}")[2].lower()


def _plain_fields(text: str) -> dict[str, str]:
    """The elements of a flat document that no XML parser takes."""
    match = _REQUEST.fullmatch(text)
    if match is None:
        raise CodecError("not_a_frame", "the body is not one mrq element")
    fields: dict[str, str] = {}
    place = 0
    content = match[1].rstrip()
    while place < len(content):
        element = _ELEMENT.match(content, place)
        if element is None:
            raise CodecError("not_a_frame", "mrq has something other than plain elements")
        fields[element[1] or element[3]] = unescape(element[2] or "").strip()
        place = element.end()
    return fields


def _message(controller: str, fields: dict[str, str]) -> Message:
    states: dict[str, Scalar] = {
        name: clean(fields[name])[:200] for name in _SHOWN if fields.get(name)
    }
    flags = frozenset({Flag.TIME_MISSING})
    if fields.get("mty", "ME").upper() == "PI":
        states = {name: value for name, value in states.items() if name != "crd"}
        return Message(controller, "status", states=MappingProxyType(states), flags=flags)
    status = fields.get("stc", "")
    detail = " ".join(f"{name}={value}" for name, value in states.items() if name in _IN_DETAIL)
    detail = detail[:200]
    if status.isdecimal() and int(status) == _STATUS_ALARM:
        alarms: tuple[AlarmSignal, ...] = (AlarmSignal(AlarmKind.SOS, True, detail),)
    else:
        # Other codes are the maker's: what they mean is for the profile to say.
        alarms, states["alarm_unspecified"] = (), True
    return Message(
        device=controller,
        kind="alarm",
        alarms=alarms,
        position=_position(fields),
        states=MappingProxyType(states),
        flags=flags,
    )


def _position(fields: dict[str, str]) -> Position | None:
    """The place of a mobile alarm, if one of the fields is a geo URI."""
    for name in ("lva", "lco", "lte"):
        match = _GEO.fullmatch(fields.get(name, "").strip())
        if match is not None and abs(float(match[1])) <= 90 and abs(float(match[2])) <= 180:
            uncertainty = _UNCERTAINTY.search(match[3])
            accuracy = float(uncertainty[1]) if uncertainty else None
            return Position(float(match[1]), float(match[2]), accuracy_m=accuracy)
    return None


CODEC = Codec(name="scaip", title="SCAIP (TS 50134-9)", decode=decode)
