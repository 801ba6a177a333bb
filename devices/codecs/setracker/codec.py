"""Setracker ("3G") watches: text frames over TCP, `[MAKER*ID*LEN*CMD,…]`.

Spoken by most 4G SOS watches sold without a brand. Frames are `frames.py`'s, the fields of a
position are in `fix.py`; here is what each command of the watch means and what it is answered.
Times are UTC.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

from devices.codecs.fields import clean
from devices.codecs.properties import battery_status
from devices.codecs.setracker import commands
from devices.codecs.setracker.fix import Fix, number, read_fix, status_alarms, status_states
from devices.codecs.setracker.frames import Packet, open_frame, split
from devices.codecs.units import celsius
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

_HOTTEST_CELSIUS = 60

# Commands of ours that the watch repeats when it has carried them out.
_ECHOES = frozenset(
    {"CR", "FIND", "UPLOAD", "POWEROFF", "RESET", "FACTORY", "CENTER", "MONITOR", "CALL", "IP"}
    | {"SOS", "SOS1", "SOS2", "SOS3", "SOSSMS", "LOWBAT", "REMOVE", "REMOVESMS", "LZ", "APN"}
    | {"WALKTIME", "SLEEPTIME", "SILENCETIME", "REMIND", "PHB", "PHB2", "MESSAGE", "FLOWER"}
    | {"HRTSTART", "HEALTHAUTOSET", "BODYTEMP", "BODYTEMP2", "FALLDOWN", "LSSET", "PROFILE"}
)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one command comes to."""

    messages: tuple[Message, ...] = ()
    replies: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()


def decode(frame: Frame) -> Decoded:
    """Decode one bracketed frame. `Message.device` is the watch's ID (ten digits or an IMEI).

    LK, AL, TKQ, INIT, CONFIG and measurements are answered. A bare keep-alive is an answer
    without a message. CodecError reasons: oversized, not_a_frame, truncated, bad_header,
    bad_field.
    """
    packet = open_frame(frame)
    part = _handle(packet)
    if packet.length_ok:
        return Decoded(part.messages, part.replies, part.warnings, packet.device)
    messages = tuple(
        replace(message, flags=message.flags | {Flag.LENGTH_MISMATCH}) for message in part.messages
    )
    warnings = ("the length in the header is wrong", *part.warnings)
    return Decoded(messages, part.replies, warnings, packet.device)


def _handle(packet: Packet) -> _Part:
    command = packet.command.upper()
    if command.startswith("AL"):
        return _alarm(packet)
    if command.startswith(("UD", "WT")):
        return _position_report(packet, command)
    if command in _COMMANDS:
        return _COMMANDS[command](packet)
    if command in _ECHOES:
        return _echo(packet)
    return _Part(warnings=(f"unknown command {clean(packet.command)}",))


def _answer_only(content: str) -> Callable[[Packet], _Part]:
    return lambda packet: _Part(replies=(packet.answer(content),))


def _alarm(packet: Packet) -> _Part:
    """AL, AL_LTE, ALCUSTOMER1, …: an alarm that the watch repeats until it is answered."""
    fix = read_fix(packet.fields)
    word = fix.status or 0
    alarms = status_alarms(word, packet.command, standing=False)
    states = dict((*status_states(word), *fix.states))
    if not alarms and not states.get("power_cut"):
        # Some makers send AL without any bit set. What they mean is for the profile to say.
        states["alarm_unspecified"] = True
    message = _fix_message(packet, "alarm", fix, alarms, states)
    return _Part((message,), (packet.answer("AL"),), fix.warnings)


def _position_report(packet: Packet, command: str) -> _Part:
    """UD…, WT: a position by the clock; UD2 comes late, from where there was no network."""
    fix = read_fix(packet.fields)
    if fix.position is None and fix.status is None:
        raise CodecError("bad_field", f"{command} has neither a position nor a status")
    word = fix.status or 0
    alarms = status_alarms(word, packet.command, standing=True)
    states = dict((*status_states(word), *fix.states))
    message = _fix_message(packet, "location", fix, alarms, states)
    if command == "UD2":
        message = replace(message, flags=message.flags | {Flag.REPLAYED})
    return _Part((message,), (), fix.warnings)


def _fix_message(
    packet: Packet,
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
        device=packet.device,
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
    return readings, battery_status(battery)


def _keep_alive(packet: Packet) -> _Part:
    """LK, LK,steps,turns,battery: the hand-shake without whose answer the watch falls silent."""
    answer = packet.answer("LK")
    if len(packet.fields) < 3:
        return _Part(replies=(answer,))
    steps, rolls, battery = (number(field) for field in packet.fields[:3])
    readings, status = _body_readings(battery, steps, rolls)
    if not readings:
        return _Part(replies=(answer,), warnings=("bad_field: LK without numbers",))
    return _Part((_measurement(packet, "status", readings, status),), (answer,))


def _measurement(
    packet: Packet,
    kind: str,
    readings: tuple[Reading, ...],
    status: DeviceStatus | None = None,
    states: dict[str, Scalar] | None = None,
) -> Message:
    return Message(
        device=packet.device,
        kind=kind,
        readings=readings,
        status=status,
        states=MappingProxyType(states or {}),
        flags=frozenset({Flag.TIME_MISSING}),
    )


def _vitals(
    *metrics: str, skip: int = 0, invalid_up_to: float = 0, answer: str = ""
) -> Callable[[Packet], _Part]:
    """A handler for fields that are readings, in this order, after `skip` others.

    A value of 0 (a temperature of 0 or 1) is the watch's word for "could not measure".
    """

    def handle(packet: Packet) -> _Part:
        fields = packet.fields[skip:] or packet.fields
        if not any(field.strip() for field in fields):
            return _Part(warnings=(f"{clean(packet.command)} without a value",))
        numbers = [number(field) for field in fields[: len(metrics)]]
        pairs = [(m, n) for m, n in zip(metrics, numbers, strict=False) if n is not None]
        if not pairs:
            raise CodecError("bad_field", f"{clean(packet.command)} has no number")
        readings = tuple(Reading(m, n) for m, n in pairs if n > invalid_up_to)
        states: dict[str, Scalar] = {} if readings else {"measurement": "failed"}
        message = _measurement(packet, "vitals", readings, None, states)
        return _Part((message,), (packet.answer(answer),) if answer else ())

    return handle


def _body_temperature(packet: Packet) -> _Part:
    """BTEMP2,kind,degrees, BTEMP and TEMP,degrees; some watches mean Fahrenheit."""
    part = _vitals(
        "body_temperature",
        skip=1 if packet.command.upper() == "BTEMP2" else 0,
        invalid_up_to=1,
        answer="btemp2" if packet.command.upper() == "BTEMP2" else "",
    )(packet)
    if not part.messages or not part.messages[0].readings:
        return part
    message = part.messages[0]
    degrees = message.readings[0].value
    if degrees < _HOTTEST_CELSIUS:
        return part
    converted = Reading("body_temperature", round(celsius(degrees), 2))
    message = replace(message, readings=(converted,))
    return replace(part, messages=(message,), warnings=("the temperature is taken as °F",))


def _voice(packet: Packet) -> _Part:
    """TK and JXTK: a voice message, which is acknowledged and not kept. TK,1 is an answer to us."""
    fields = [field.strip() for field in packet.fields[:4]]
    in_parts = packet.command.upper() == "JXTK"
    if not in_parts and fields in (["0"], ["1"]):
        return _Part()
    # JXTK has a kind, a name, the number of this part and of how many: only the last one counts.
    complete = not in_parts or (len(fields) == 4 and fields[2] == fields[3])
    states: dict[str, Scalar] = {"voice": "not kept"}
    messages = (_measurement(packet, "status", (), None, states),) if complete else ()
    replies = (packet.answer("JXTKR,1" if in_parts else "TK,1"),)
    return _Part(messages, replies, ("voice is not kept",))


def _picture(packet: Packet) -> _Part:
    states: dict[str, Scalar] = {"picture": "not kept"}
    return _Part((_measurement(packet, "status", (), None, states),))


def _identity(name: str) -> Callable[[Packet], _Part]:
    """A number of the watch's own: its SIM card, its IMEI."""

    def handle(packet: Packet) -> _Part:
        text = clean(packet.fields[0])[:32] if packet.fields else ""
        if not text:
            return _Part()
        return _Part((_measurement(packet, "status", (), None, {name: text}),))

    return handle


def _version(packet: Packet) -> _Part:
    firmware = clean(",".join(packet.fields))[:64]
    if not firmware:
        return _Part()
    return _Part((_measurement(packet, "status", (), DeviceStatus(firmware=firmware)),))


def _echo(packet: Packet) -> _Part:
    word = packet.command.upper()
    name = commands.NAME_OF_WORD.get(word)
    names = frozenset({name}) if name is not None else frozenset()
    ack = CommandAck(word, ok=True, detail=clean(",".join(packet.fields))[:200], names=names)
    flags = frozenset({Flag.TIME_MISSING})
    return _Part((Message(packet.device, "ack", ack=ack, flags=flags),))


_COMMANDS: dict[str, Callable[[Packet], _Part]] = {
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
    encode=commands.encode_command,
    intervals=commands.INTERVALS,
)
