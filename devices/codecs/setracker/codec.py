"""Setracker ("3G") watches: text frames over TCP, `[MAKER*ID*LEN*CMD,…]`.

Spoken by most 4G SOS watches sold without a brand, also with a running number,
`[MAKER*ID*SEQ*LEN*CMD,…]`. LEN is hexadecimal and often wrong, so that frames are cut at their
brackets; inside of a frame `}` escapes `} [ ] , *` as `}` + 01…05. Times are UTC. The number SEQ
wraps and restarts, therefore it is echoed in answers and is no part of a message's identity.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

from devices.codecs.fields import clean
from devices.codecs.setracker import commands
from devices.codecs.setracker.fix import Fix, number, read_fix, status_alarms, status_states
from devices.downlink import CommandRequest, Downlink, NotNow
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
    Reading,
    Scalar,
)

MAX_FRAME = 64 * 1024
"""Longest frame in bytes; a stream that goes on without a closing bracket is given up."""

_HEADER = re.compile(rb"([A-Za-z0-9]{1,8})\*([A-Za-z0-9]{1,20})\*")
_INDEXED = re.compile(rb"([0-9A-Za-z]{1,8})\*(?P<length>[0-9A-Fa-f]{4})\*")
_PLAIN = re.compile(rb"(?P<length>[0-9A-Fa-f]{1,8})\*")
_OPENING = re.compile(rb"\[(?=[A-Za-z0-9]{1,8}\*)")
_BETWEEN = b"\r\n\0 "
_ESCAPES = {b"\x01": b"}", b"\x02": b"[", b"\x03": b"]", b"\x04": b",", b"\x05": b"*"}
_ESCAPED = re.compile(rb"\}([\x01-\x05])")
_HOTTEST_CELSIUS = 60
_COMMAND = re.compile(r"\s*[A-Za-z0-9_]{1,32}\s*", re.ASCII)

# Commands of ours that the watch repeats when it has carried them out.
_ECHOES = frozenset(
    {"CR", "FIND", "UPLOAD", "POWEROFF", "RESET", "FACTORY", "CENTER", "MONITOR", "CALL", "IP"}
    | {"SOS", "SOS1", "SOS2", "SOS3", "SOSSMS", "LOWBAT", "REMOVE", "REMOVESMS", "LZ", "APN"}
    | {"WALKTIME", "SLEEPTIME", "SILENCETIME", "REMIND", "PHB", "PHB2", "MESSAGE", "FLOWER"}
    | {"HRTSTART", "HEALTHAUTOSET", "BODYTEMP", "BODYTEMP2", "FALLDOWN", "LSSET", "PROFILE"}
)


@dataclass(frozen=True, slots=True)
class _Envelope:
    """A frame taken apart. `index` is the frame's own SEQ text, None in the form without one."""

    maker: str
    device: str
    index: str | None
    command: str
    fields: tuple[str, ...]
    length_ok: bool

    def answer(self, content: str) -> bytes:
        return encode(self.maker, self.device, content, index=self.index)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one command comes to."""

    messages: tuple[Message, ...] = ()
    replies: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream into frames at their brackets, whatever the headers say of lengths.

    What stands outside of brackets, and a frame that a new header interrupts, comes out as a
    frame of its own: decode refuses it and it is kept as a dead letter. Line ends are dropped.
    Raises CodecError (oversized) when the buffer only grows: the connection is to be closed.
    """
    frames: list[bytes] = []
    begin = 0
    while (end := buffer.find(b"]", begin)) >= 0:
        frames.extend(_pieces(buffer[begin : end + 1]))
        begin = end + 1
    rest = buffer[begin:].lstrip(_BETWEEN)
    if len(rest) > MAX_FRAME and not frames:
        raise CodecError("oversized", f"more than {MAX_FRAME} bytes and no end of a frame")
    return frames, rest


def _pieces(chunk: bytes) -> list[bytes]:
    """The frames of a chunk that ends with its only closing bracket."""
    edges = [0, *(match.start() for match in _OPENING.finditer(chunk)), len(chunk)]
    pieces = (chunk[begin:end].lstrip(_BETWEEN) for begin, end in pairwise(edges))
    return [piece for piece in pieces if piece]


def encode(maker: str, device: str, content: str, *, index: str | None = None) -> bytes:
    """One frame to a watch, in the form that it uses (`index` = SEQ of the frame answered).

    `content` is a command with its arguments ("FIND", "UPLOAD,600"); it is not escaped.
    """
    head = f"{maker}*{device}*" + (f"{index}*" if index is not None else "")
    body = content.encode("utf-8")
    return f"[{head}{len(body):04X}*".encode("ascii") + body + b"]"


def encode_command(request: CommandRequest) -> Downlink:
    """A command in the form of header that the watch uses. Raises CodecError, NotNow."""
    content = commands.content(request)
    try:
        envelope = _open(request.last)
    except CodecError as error:
        raise NotNow("nothing of the watch's that could be mirrored") from error
    return Downlink(envelope.answer(content))


def decode(frame: Frame) -> Decoded:
    """Decode one bracketed frame. `Message.device` is the watch's ID (ten digits or an IMEI).

    LK, AL, TKQ, INIT, CONFIG and measurements are answered. A bare keep-alive is an answer
    without a message. CodecError reasons: oversized, not_a_frame, truncated, bad_header,
    bad_field.
    """
    envelope = _open(frame.payload)
    part = _handle(envelope)
    if envelope.length_ok:
        return Decoded(part.messages, part.replies, part.warnings, envelope.device)
    messages = tuple(
        replace(message, flags=message.flags | {Flag.LENGTH_MISMATCH}) for message in part.messages
    )
    warnings = ("the length in the header is wrong", *part.warnings)
    return Decoded(messages, part.replies, warnings, envelope.device)


def _open(payload: bytes) -> _Envelope:
    if len(payload) > MAX_FRAME:
        raise CodecError("oversized", f"{len(payload)} bytes are more than the {MAX_FRAME} allowed")
    if not payload.startswith(b"["):
        raise CodecError("not_a_frame", "a frame begins with [")
    if not payload.endswith(b"]") or len(payload) < 2:
        raise CodecError("truncated", "the frame has no closing bracket")
    head = _HEADER.match(payload, 1)
    if head is None:
        raise CodecError("bad_header", "a frame begins with [MAKER*ID*")
    indexed = _INDEXED.match(payload, head.end())
    length = indexed or _PLAIN.match(payload, head.end())
    if length is None:
        raise CodecError("bad_header", "after MAKER*ID* comes LEN* or SEQ*LEN*")
    content = payload[length.end() : -1]
    fields = [_unescape(field) for field in content.split(b",")]
    if _COMMAND.fullmatch(fields[0]) is None:
        raise CodecError("bad_header", "the frame names no command")
    return _Envelope(
        maker=head[1].decode("ascii"),
        device=head[2].decode("ascii"),
        index=indexed[1].decode("ascii") if indexed else None,
        command=fields[0].strip(),
        fields=tuple(fields[1:]),
        length_ok=int(length["length"], 16) in {len(content), len(_ESCAPED.sub(b"*", content))},
    )


def _unescape(field: bytes) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES[match[1]], field).decode("utf-8", "replace")


def _handle(envelope: _Envelope) -> _Part:
    command = envelope.command.upper()
    if command.startswith("AL"):
        return _alarm(envelope)
    if command.startswith(("UD", "WT")):
        return _position_report(envelope, command)
    if command in _COMMANDS:
        return _COMMANDS[command](envelope)
    if command in _ECHOES:
        return _echo(envelope)
    return _Part(warnings=(f"unknown command {clean(envelope.command)}",))


def _answer_only(content: str) -> Callable[[_Envelope], _Part]:
    return lambda envelope: _Part(replies=(envelope.answer(content),))


def _alarm(envelope: _Envelope) -> _Part:
    """AL, AL_LTE, ALCUSTOMER1, …: an alarm that the watch repeats until it is answered."""
    fix = read_fix(envelope.fields)
    word = fix.status or 0
    alarms = status_alarms(word, envelope.command, standing=False)
    states = dict((*status_states(word), *fix.states))
    if not alarms and not states.get("power_cut"):
        # Some makers send AL without any bit set. What they mean is for the profile to say.
        states["alarm_unspecified"] = True
    message = _fix_message(envelope, "alarm", fix, alarms, states)
    return _Part((message,), (envelope.answer("AL"),), fix.warnings)


def _position_report(envelope: _Envelope, command: str) -> _Part:
    """UD…, WT: a position by the clock; UD2 comes late, from where there was no network."""
    fix = read_fix(envelope.fields)
    if fix.position is None and fix.status is None:
        raise CodecError("bad_field", f"{command} has neither a position nor a status")
    word = fix.status or 0
    alarms = status_alarms(word, envelope.command, standing=True)
    states = dict((*status_states(word), *fix.states))
    message = _fix_message(envelope, "location", fix, alarms, states)
    if command == "UD2":
        message = replace(message, flags=message.flags | {Flag.REPLAYED})
    return _Part((message,), (), fix.warnings)


def _fix_message(
    envelope: _Envelope,
    kind: str,
    fix: Fix,
    alarms: tuple[AlarmSignal, ...],
    states: dict[str, Scalar],
) -> Message:
    flags: set[Flag] = set()
    if fix.at is None:
        flags.add(Flag.TIME_MISSING)
    if fix.position is None or not fix.position.valid:
        flags.add(Flag.POSITION_INVALID)
    readings, status = _body_readings(fix.battery, fix.steps, fix.rolls)
    return Message(
        device=envelope.device,
        kind=kind,
        at=fix.at,
        readings=readings,
        alarms=alarms,
        position=fix.position,
        status=status,
        states=MappingProxyType(states),
        flags=frozenset(flags),
    )


def _body_readings(
    battery: float | None, steps: float | None, rolls: float | None
) -> tuple[tuple[Reading, ...], DeviceStatus | None]:
    values = (("battery", battery), ("steps", steps), ("roll_count", rolls))
    readings = tuple(Reading(metric, value) for metric, value in values if value is not None)
    known = battery is not None and 0 <= battery <= 100
    return readings, DeviceStatus(battery_percent=battery) if known else None


def _keep_alive(envelope: _Envelope) -> _Part:
    """LK, LK,steps,turns,battery: the hand-shake without whose answer the watch falls silent."""
    answer = envelope.answer("LK")
    if len(envelope.fields) < 3:
        return _Part(replies=(answer,))
    steps, rolls, battery = (number(field) for field in envelope.fields[:3])
    readings, status = _body_readings(battery, steps, rolls)
    if not readings:
        return _Part(replies=(answer,), warnings=("bad_field: LK without numbers",))
    return _Part((_measurement(envelope, "status", readings, status),), (answer,))


def _measurement(
    envelope: _Envelope,
    kind: str,
    readings: tuple[Reading, ...],
    status: DeviceStatus | None = None,
    states: dict[str, Scalar] | None = None,
) -> Message:
    return Message(
        device=envelope.device,
        kind=kind,
        readings=readings,
        status=status,
        states=MappingProxyType(states or {}),
        flags=frozenset({Flag.TIME_MISSING}),
    )


def _vitals(
    *metrics: str, skip: int = 0, invalid_up_to: float = 0, answer: str = ""
) -> Callable[[_Envelope], _Part]:
    """A handler for fields that are readings, in this order, after `skip` others.

    A value of 0 (a temperature of 0 or 1) is the watch's word for "could not measure".
    """

    def handle(envelope: _Envelope) -> _Part:
        fields = envelope.fields[skip:] or envelope.fields
        if not any(field.strip() for field in fields):
            return _Part(warnings=(f"{clean(envelope.command)} without a value",))
        numbers = [number(field) for field in fields[: len(metrics)]]
        pairs = [(m, n) for m, n in zip(metrics, numbers, strict=False) if n is not None]
        if not pairs:
            raise CodecError("bad_field", f"{clean(envelope.command)} has no number")
        readings = tuple(Reading(m, n) for m, n in pairs if n > invalid_up_to)
        states: dict[str, Scalar] = {} if readings else {"measurement": "failed"}
        message = _measurement(envelope, "vitals", readings, None, states)
        return _Part((message,), (envelope.answer(answer),) if answer else ())

    return handle


def _body_temperature(envelope: _Envelope) -> _Part:
    """BTEMP2,kind,degrees, BTEMP and TEMP,degrees; some watches mean Fahrenheit."""
    part = _vitals(
        "body_temperature",
        skip=1 if envelope.command.upper() == "BTEMP2" else 0,
        invalid_up_to=1,
        answer="btemp2" if envelope.command.upper() == "BTEMP2" else "",
    )(envelope)
    if not part.messages or not part.messages[0].readings:
        return part
    message = part.messages[0]
    degrees = message.readings[0].value
    if degrees < _HOTTEST_CELSIUS:
        return part
    celsius = Reading("body_temperature", round((degrees - 32) / 1.8, 2))
    message = replace(message, readings=(celsius,))
    return replace(part, messages=(message,), warnings=("the temperature is taken as °F",))


def _voice(envelope: _Envelope) -> _Part:
    """TK and JXTK: a voice message, which is acknowledged and not kept. TK,1 is an answer to us."""
    fields = [field.strip() for field in envelope.fields[:4]]
    in_parts = envelope.command.upper() == "JXTK"
    if not in_parts and fields in (["0"], ["1"]):
        return _Part()
    # JXTK has a kind, a name, the number of this part and of how many: only the last one counts.
    complete = not in_parts or (len(fields) == 4 and fields[2] == fields[3])
    states: dict[str, Scalar] = {"voice": "not kept"}
    messages = (_measurement(envelope, "status", (), None, states),) if complete else ()
    replies = (envelope.answer("JXTKR,1" if in_parts else "TK,1"),)
    return _Part(messages, replies, ("voice is not kept",))


def _picture(envelope: _Envelope) -> _Part:
    states: dict[str, Scalar] = {"picture": "not kept"}
    return _Part((_measurement(envelope, "status", (), None, states),))


def _identity(name: str) -> Callable[[_Envelope], _Part]:
    """A number of the watch's own: its SIM card, its IMEI."""

    def handle(envelope: _Envelope) -> _Part:
        text = clean(envelope.fields[0])[:32] if envelope.fields else ""
        if not text:
            return _Part()
        return _Part((_measurement(envelope, "status", (), None, {name: text}),))

    return handle


def _version(envelope: _Envelope) -> _Part:
    firmware = clean(",".join(envelope.fields))[:64]
    if not firmware:
        return _Part()
    return _Part((_measurement(envelope, "status", (), DeviceStatus(firmware=firmware)),))


def _echo(envelope: _Envelope) -> _Part:
    word = envelope.command.upper()
    name = commands.NAME_OF_WORD.get(word)
    names = frozenset({name}) if name is not None else frozenset()
    ack = CommandAck(word, ok=True, detail=clean(",".join(envelope.fields))[:200], names=names)
    flags = frozenset({Flag.TIME_MISSING})
    return _Part((Message(envelope.device, "ack", ack=ack, flags=flags),))


_COMMANDS: dict[str, Callable[[_Envelope], _Part]] = {
    "LK": _keep_alive,
    "TKQ": _answer_only("TKQ"),
    "TKQ2": _answer_only("TKQ2"),
    "INIT": _answer_only("INIT,1"),
    "CONFIG": _answer_only("CONFIG,1"),
    "BPHRT": _vitals("bp_systolic", "bp_diastolic", "heart_rate", answer="bphrt"),
    "BLOOD": _vitals("bp_systolic", "bp_diastolic", "heart_rate"),
    "HEART": _vitals("heart_rate"),
    "PULSE": _vitals("heart_rate"),
    "OXYGEN": _vitals("spo2", skip=1, answer="oxygen,1"),
    **dict.fromkeys(("BTEMP2", "BTEMP", "TEMP"), _body_temperature),
    **dict.fromkeys(("TK", "JXTK"), _voice),
    "IMG": _picture,
    **dict.fromkeys(("ICCID", "CCID"), _identity("iccid")),
    "RYIMEI": _identity("imei"),
    "VERNO": _version,
}

CODEC = Codec(
    name="setracker",
    title="Setracker / 3G (TCP)",
    decode=decode,
    split=split,
    commands=frozenset(commands.WORDS),
    encode=encode_command,
    intervals=commands.INTERVALS,
)
