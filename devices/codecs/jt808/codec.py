"""JT/T 808 terminals: binary messages over TCP, from the Chinese vehicle standard.

Used by many 4G locators and SOS devices too. Frames are `frames.py`'s, the report of a
position is in `location.py`; here is what each message means and what it is answered. The
terminal is named in every frame. JT/T 808-2019 chapter 8, and what makers added. Message serial
numbers wrap and restart, so that they are used in answers only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from devices.codecs.binary import Reader, signed_word
from devices.codecs.fields import clean
from devices.codecs.jt808 import commands
from devices.codecs.jt808.frames import MAX_FRAME, Packet, open_frame, split
from devices.codecs.jt808.location import read_location, read_short_location, read_time
from devices.codecs.jt808.report import Location, read_signal
from devices.codecs.jt808.transparent import read_transparent
from devices.messages import (
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
    Scalar,
)

MAX_LOCATIONS = 500
"""Most positions of one batch message."""
_ANSWERS_OF_TERMINALS = frozenset(
    {0x0302, 0x0500, 0x0608, 0x0700, 0x0802, 0x0805, 0x1003, 0x1205, 0x1206}
)
"""To answer an answer would be one message too many."""
_PARAMETERS = {0x01: "heartbeat_seconds", 0x13: "server", 0x18: "port", 0x29: "interval_seconds"}


@dataclass(frozen=True, slots=True)
class _Part:
    messages: tuple[Message, ...] = ()
    replies: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()


def decode(frame: Frame) -> Decoded:
    """Decode one frame with its marks, escaped as on the wire (or, if so it fits, unescaped).

    Positions, alarms and states become messages; what the standard wants answered is answered.
    A wrong check byte is a warning: TCP has its own, and some makers get theirs wrong.
    CodecError reasons: oversized, not_a_frame, truncated, incomplete, bad_field.
    """
    if frame.payload[:1] == b"(":
        return _sentence(frame)
    message = open_frame(frame)
    warnings = () if message.sound else ("bad_checksum: the check byte is wrong",)
    handler = _HANDLERS.get(message.number)
    if handler is None:
        odd = f"message {message.number:04X} is not used"
        # Without an answer a terminal sends it again and again, and hangs up in the end.
        wanted = message.sound and message.number not in _ANSWERS_OF_TERMINALS
        replies = message.acknowledge() if wanted or message.part[1] > 1 else ()
        return Decoded((), replies, (*warnings, odd), message.device)
    part = handler(message)
    return Decoded(part.messages, part.replies, (*warnings, *part.warnings), message.device)


def _sentence(frame: Frame) -> Decoded:
    """`(…)`: text between the frames, the outcome of a command; a base station asks the time."""
    if len(frame.payload) > MAX_FRAME:
        raise CodecError("oversized", f"{len(frame.payload)} bytes are more than {MAX_FRAME}")
    text = frame.payload.decode("ascii", "replace")
    if not text.endswith(")") or len(text) < 3:
        raise CodecError("not_a_frame", "a sentence ends with )")
    if "BASE,2" in text and frame.received_at is not None:
        now = frame.received_at.astimezone(UTC)
        answer = text.replace("TIME", f"{now:%Y%m%d%H%M%S}").encode()
        return Decoded((), (answer,), (), frame.device)
    flags = frozenset({Flag.TIME_MISSING})
    states: dict[str, Scalar] = {"result": clean(text)[:200]}
    message = Message(frame.device, "status", states=MappingProxyType(states), flags=flags)
    return Decoded((message,), (), (), frame.device)


def _acknowledge(message: Packet) -> _Part:
    return _Part(replies=message.acknowledge())


def _register(message: Packet) -> _Part:
    """0x0100: answered with the authentication code, for which the terminal's own number serves."""
    code = message.terminal.hex().encode("ascii")
    body = message.serials[0].to_bytes(2, "big") + b"\0" + code
    return _Part(replies=(message.answer(0x8100, body),))


def _time(message: Packet) -> _Part:
    """0x0109: asks for the time, UTC."""
    if message.received_at is None:
        return _Part(warnings=("the time was asked for and is not known",))
    now = message.received_at.astimezone(UTC)
    body = now.year.to_bytes(2, "big") + bytes(
        [now.month, now.day, now.hour, now.minute, now.second, 0]
    )
    return _Part(replies=(message.answer(0x8109, body),))


def _heartbeat(message: Packet) -> _Part:
    """0x0002: empty by the standard; some makers add battery, signal and state."""
    part = _acknowledge(message)
    if len(message.body) < 3:
        return part
    percent, loudness, state = message.body[:3]
    found = Location(states={"status": state})
    read_signal(found, loudness)
    plain = _battery(message, percent)
    if found.rssi_dbm is not None:
        status = replace(plain.status or DeviceStatus(), rssi_dbm=found.rssi_dbm)
        plain = replace(plain, status=status)
    return replace(part, messages=(replace(plain, states=MappingProxyType(found.states)),))


def _battery(message: Packet, percent: int, at: datetime | None = None) -> Message:
    known = percent <= 100
    status = DeviceStatus(battery_percent=float(percent)) if known else None
    readings = (Reading("battery", float(percent)),) if known else ()
    return _plain(message, readings, status, {}, at)


def _answer_of_terminal(message: Packet) -> _Part:
    """0x0001: the serial number and the number of our message, and what came of it."""
    reader = Reader(message.body)
    serial, number, result = reader.uint(2), reader.uint(2), reader.uint(1)
    ack = commands.answered(serial, number, result)
    flags = frozenset({Flag.TIME_MISSING})
    return _Part((Message(message.device, "ack", ack=ack, flags=flags),))


def _plain(
    message: Packet,
    readings: tuple[Reading, ...],
    status: DeviceStatus | None,
    states: dict[str, Scalar],
    at: datetime | None = None,
) -> Message:
    return Message(
        device=message.device,
        kind="status",
        at=at,
        readings=readings,
        status=status,
        states=MappingProxyType(states),
        flags=frozenset() if at else frozenset({Flag.TIME_MISSING}),
    )


def _location(message: Packet) -> _Part:
    """0x0200."""
    found = read_location(message.body)
    return _Part((_report(message, found),), message.acknowledge(), tuple(found.warnings))


def _queried_location(message: Packet) -> _Part:
    """0x0201: the answer to our question, behind the question's serial number."""
    reader = Reader(message.body)
    serial = reader.uint(2)
    found = read_location(reader.rest())
    report = replace(_report(message, found), ack=commands.located(serial))
    return _Part((report,), (), tuple(found.warnings))


def _short_location(message: Packet) -> _Part:
    found = read_short_location(Reader(message.body))
    if message.number == 0x5502 and found.position is not None:
        found.position = replace(found.position, valid=False)
    return _Part((_report(message, found),), message.confirm(), tuple(found.warnings))


def _batch(message: Packet) -> _Part:
    """0x0704: count, kind (1: from the blind spot), then reports, each with its length."""
    reader = Reader(message.body)
    reader.take(2)
    late = reader.uint(1) == 1
    return _reports(message, reader, 2, late)


def _short_batch(message: Packet) -> _Part:
    """0x0210: battery and time, or reports with a length of one byte."""
    if len(message.body) != 7:
        return _reports(message, Reader(message.body), 1, late=True)
    plain = _battery(message, message.body[0], read_time(message.body[1:]))
    return _Part((plain,), message.acknowledge())


def _reports(message: Packet, reader: Reader, width: int, late: bool) -> _Part:
    messages: list[Message] = []
    warnings: list[str] = []
    try:
        while reader.left > width and len(messages) < MAX_LOCATIONS:
            found = read_location(reader.take(reader.uint(width)))
            warnings.extend(found.warnings)
            report = _report(message, found)
            flags = report.flags | {Flag.REPLAYED} if late else report.flags
            messages.append(replace(report, flags=flags))
    except CodecError as error:
        if not messages:
            raise
        warnings.append(f"{error.reason}: {error}")
    return _Part(tuple(messages), message.acknowledge(), tuple(warnings[:20]))


def _report(message: Packet, found: Location) -> Message:
    flags: set[Flag] = set()
    if found.at is None:
        flags.add(Flag.TIME_MISSING)
    if found.position is None or not found.position.valid:
        flags.add(Flag.POSITION_INVALID)
    battery = found.readings.get("battery")
    status = DeviceStatus(
        battery_percent=battery,
        firmware=found.firmware,
        rssi_dbm=found.rssi_dbm,
        charging=found.charging,
    )
    position = found.position
    if position is not None:
        position = replace(position, altitude_m=found.altitude_m)
    imei = found.states.get("imei")
    return Message(
        device=str(imei) if imei and message.device == "0" else message.device,
        kind="alarm" if any(not alarm.level for alarm in found.alarms.values()) else "location",
        at=found.at,
        readings=tuple(Reading(metric, value) for metric, value in found.readings.items()),
        alarms=tuple(found.alarms.values()),
        position=position,
        status=status if status != DeviceStatus() else None,
        states=MappingProxyType(found.states),
        flags=frozenset(flags),
    )


def _text(encoding: str, skip: int, *, acknowledge: bool) -> Callable[[Packet], _Part]:
    """A text of the terminal's, mostly the outcome of a command, after `skip` bytes."""

    def handle(message: Packet) -> _Part:
        text = clean(message.body[skip:].decode(encoding, "replace"))[:200]
        replies = message.acknowledge() if acknowledge else ()
        return _Part((_plain(message, (), None, {"result": text}),), replies)

    return handle


def _attributes(message: Packet) -> _Part:
    """0x0107: type, maker, model, terminal id, SIM card; then versions of hardware and firmware."""
    reader = Reader(message.body)
    reader.take(34)
    states: dict[str, Scalar] = {"iccid": reader.take(10).hex()}
    versions = ["", ""]
    for place in range(2):
        length = reader.uint(1) if reader.left else 0
        versions[place] = _chinese(reader.take(min(length, reader.left)))[:64]
    if versions[0]:
        states["hardware"] = versions[0]
    status = DeviceStatus(firmware=versions[1]) if versions[1] else None
    return _Part((_plain(message, (), status, states),), message.acknowledge())


def _parameters(message: Packet) -> _Part:
    """0x0104: the answer to a question for settings: serial number, count, then each of them."""
    reader = Reader(message.body)
    reader.take(3)
    states: dict[str, Scalar] = {}
    while reader.left >= 5:
        number, value = reader.uint(4), reader.take(reader.uint(1))
        name = _PARAMETERS.get(number)
        if name is not None:
            text = number == 0x13
            plain = clean(value.decode("gb18030", "replace"))[:100]
            states[name] = plain if text else int.from_bytes(value[:8], "big")
    return _Part((_plain(message, (), None, states),))


def _driver(message: Packet) -> _Part:
    """0x0702: somebody put a card in, or took it out: time, outcome, name, number, issuer."""
    reader = Reader(message.body)
    states: dict[str, Scalar] = {"card_status": reader.uint(1) if reader.left else 0}
    at = read_time(reader.take(6)) if reader.left >= 6 else None
    if reader.left:
        states["card_result"] = reader.uint(1)
    for name, size in (("driver", 0), ("card", 20), ("card_agency", 0)):
        length = size or (reader.uint(1) if reader.left else 0)
        if text := _chinese(reader.take(min(length, reader.left))):
            states[name] = text
    return _Part((_plain(message, (), None, states, at),), message.acknowledge())


def _chinese(data: bytes) -> str:
    """A text of the standard's: GBK."""
    return clean(data.rstrip(b"\0").decode("gb18030", "replace"))[:100]


def _transparent(message: Packet) -> _Part:
    """0x0900: whatever the maker likes."""
    found, late = read_transparent(message.body)
    report = _report(message, found)
    if late:
        report = replace(report, flags=report.flags | {Flag.REPLAYED})
    if found.position is None:
        report = replace(report, kind="status", flags=report.flags - {Flag.POSITION_INVALID})
    return _Part((report,), message.acknowledge(), tuple(found.warnings))


def _shaken(message: Packet) -> _Part:
    """0x2070: samples of how it was shaken, each with its time; of the standard it is none."""
    reader = Reader(message.body)
    at, samples = None, []
    while reader.left >= 12:
        at = read_time(reader.take(6)) or at
        x, y, z = (signed_word(reader.uint(2)) for _ in range(3))
        samples.append(f"[{x},{y},{z}]")
    states: dict[str, Scalar] = {"samples": len(samples)}
    if samples:
        states["acceleration"] = ",".join(samples)[:200]
    return _Part((_plain(message, (), None, states, at),), message.acknowledge())


_HANDLERS: dict[int, Callable[[Packet], _Part]] = {
    0x0001: _answer_of_terminal,
    0x0002: _heartbeat,
    0x0003: _acknowledge,
    0x0100: _register,
    0x0102: _acknowledge,
    0x0104: _parameters,
    0x0107: _attributes,
    0x0109: _time,
    0x0200: _location,
    0x0201: _queried_location,
    0x0210: _short_batch,
    0x0506: _acknowledge,
    0x0701: _text("ascii", 4, acknowledge=False),
    0x0702: _driver,
    0x0704: _batch,
    0x0900: _transparent,
    0x1007: _acknowledge,
    0x2070: _shaken,
    0x1300: _text("utf-16-be", 2, acknowledge=False),
    0x5501: _short_location,
    0x5502: _short_location,
    0x6006: _text("gb18030", 1, acknowledge=True),
    0x8888: _acknowledge,
}

CODEC = Codec(
    name="jt808",
    title="JT/T 808 (TCP)",
    decode=decode,
    split=split,
    commands=commands.COMMANDS,
    encode=commands.encode_command,
)
