"""SCAIP (CLC/TS 50134-9, SS 91100): a social alarm controller's message, XML in SIP or HTTP.

A request `mrq` has `ref` (echoed in the answer `mrs`), `cid` (the controller), `mty` (ME an event,
also when it is absent; PI a heartbeat), `dty` and `did` (kind and number of the device that raised
it), `stc` (status), `lco` (place) and `crd` (where the voice call will come from, within 60 s).
"""

import re
from html import unescape
from types import MappingProxyType
from xml.sax.saxutils import escape

from devices.alarms import AlarmKind
from devices.codecs.fields import clean
from devices.messages import AlarmSignal, Codec, CodecError, Decoded, Flag, Frame, Message, Scalar

MAX_FRAME = 8 * 1024
"""Largest request in bytes."""

_REQUEST = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?<mrq(?:\s[^<>]*)?>(.*)</mrq>\s*", re.DOTALL)
_ELEMENT = re.compile(r"\s*<([a-z]{2,8})(?:\s[^<>]*)?>([^<>]*)</\1>|\s*<([a-z]{2,8})\s*/>")
_STATUS_ALARM = 10
_SHOWN = ("dty", "did", "stc", "lco", "crd", "tdc", "ico")


def decode(frame: Frame) -> Decoded:
    """Decode one request; `Message.device` is the controller's `cid`. The answer takes the call.

    CodecError reasons: oversized, not_a_frame, missing_field.
    """
    if len(frame.payload) > MAX_FRAME:
        raise CodecError("oversized", f"{len(frame.payload)} bytes are more than {MAX_FRAME}")
    fields = _fields(frame.payload.decode("utf-8", "replace"))
    controller = clean(fields.get("cid", ""))[:64]
    if not controller:
        raise CodecError("missing_field", "cid is missing")
    reference = escape(clean(fields.get("ref", ""))[:64])
    answer = f"<mrs><ref>{reference}</ref><snu>0</snu></mrs>".encode()
    message = _message(controller, fields)
    return Decoded((message,), (answer,), device=controller)


def _fields(text: str) -> dict[str, str]:
    """The elements of a flat document. Declarations of entities and nesting are refused."""
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
    detail = " ".join(f"{name}={value}" for name, value in states.items())[:200]
    if status.isdecimal() and int(status) == _STATUS_ALARM:
        alarms: tuple[AlarmSignal, ...] = (AlarmSignal(AlarmKind.SOS, True, detail),)
    else:
        # Other codes are the maker's: what they mean is for the profile to say.
        alarms, states["alarm_unspecified"] = (), True
    return Message(controller, "alarm", alarms=alarms, states=MappingProxyType(states), flags=flags)


CODEC = Codec(name="scaip", title="SCAIP (TS 50134-9)", decode=decode)
