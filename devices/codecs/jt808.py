"""JT/T 808 terminals: binary frames over TCP, `7E … 7E`, from the Chinese vehicle standard.

Used by many 4G locators and SOS devices too. Inside of a frame 7E is written 7D 02 and 7D is
7D 01; the byte before the last mark is the exclusive or of the rest. The terminal is named in
every frame. JT/T 808-2019 chapters 4 and 8, and what makers added. Message serial numbers wrap and
restart, so that they are used in answers only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from devices.codecs.binary import Reader, luhn_digit, xor
from devices.codecs.fields import clean
from devices.codecs.jt808_location import (
    Location,
    read_location,
    read_short_location,
    read_time,
)
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

MAX_FRAME = 8 * 1024
"""Longest frame in bytes: a body has at most 1,023 and escaping doubles it at worst."""
MAX_LOCATIONS = 500
"""Most positions of one batch message."""

_MARK = b"\x7e"
_SHORT_SERIAL = frozenset({0x5501, 0x5502})


@dataclass(frozen=True, slots=True)
class _Message:
    """A frame taken apart. `terminal` are the bytes of the header that name it."""

    number: int
    version: int | None
    terminal: bytes
    serial: int
    body: bytes
    received_at: datetime | None

    @property
    def device(self) -> str:
        """Phone number without leading zeros, or the IMEI that some makers pack into six bytes."""
        text = self.terminal.hex()
        if text.isdigit():
            return text.lstrip("0") or "0"
        number = int.from_bytes(self.terminal, "big")
        return f"{number}{luhn_digit(number)}"

    def answer(self, number: int, body: bytes) -> bytes:
        """A frame to this terminal."""
        version = b"" if self.version is None else bytes([self.version])
        attributes = len(body) | (0 if self.version is None else 0x4000)
        head = number.to_bytes(2, "big") + attributes.to_bytes(2, "big") + version
        content = head + self.terminal + b"\0\0" + body
        return _MARK + _escape(content + bytes([xor(content)])) + _MARK

    def acknowledge(self) -> bytes:
        """General answer 0x8001: received, result 0."""
        body = self.serial.to_bytes(2, "big") + self.number.to_bytes(2, "big") + b"\0"
        return self.answer(0x8001, body)


@dataclass(frozen=True, slots=True)
class _Part:
    messages: tuple[Message, ...] = ()
    replies: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream at its marks 7E. What stands outside of a pair is a frame that decode refuses.

    Raises CodecError (oversized) when the buffer only grows.
    """
    frames: list[bytes] = []
    begin = 0
    while (start := buffer.find(_MARK, begin)) >= 0:
        if start > begin:
            frames.append(buffer[begin:start])
            begin = start
        end = buffer.find(_MARK, start + 1)
        if end < 0:
            break
        if end == start + 1:
            # Two marks side by side: the first one closed a frame whose beginning was lost.
            begin = end
            continue
        frames.append(buffer[start : end + 1])
        begin = end + 1
    rest = buffer[begin:]
    if len(rest) > MAX_FRAME and not frames:
        raise CodecError("oversized", f"more than {MAX_FRAME} bytes and no end of a frame")
    return frames, rest


def decode(frame: Frame) -> Decoded:
    """Decode one frame with its marks, escaped as on the wire (or, if so it fits, unescaped).

    Positions, alarms and states become messages; what the standard wants answered is answered.
    A wrong check byte is a warning: TCP has its own, and some makers get theirs wrong.
    CodecError reasons: oversized, not_a_frame, truncated, bad_field.
    """
    message, warnings = _open(frame)
    handler = _HANDLERS.get(message.number)
    if handler is None:
        odd = f"message {message.number:04X} is not used"
        return Decoded((), (), (*warnings, odd), message.device)
    part = handler(message)
    return Decoded(part.messages, part.replies, (*warnings, *part.warnings), message.device)


def _open(frame: Frame) -> tuple[_Message, tuple[str, ...]]:
    payload = frame.payload
    if len(payload) > MAX_FRAME:
        raise CodecError("oversized", f"{len(payload)} bytes are more than {MAX_FRAME}")
    if len(payload) < 15 or payload[:1] != _MARK or payload[-1:] != _MARK:
        raise CodecError("not_a_frame", "a frame stands between two bytes 7E")
    content, sound = payload[1:-1], True
    unescaped = _unescape(content)
    if xor(unescaped) == 0:
        content = unescaped
    elif xor(content) != 0:
        content, sound = unescaped, False
    reader = Reader(content[:-1])
    number, attributes = reader.uint(2), reader.uint(2)
    version = reader.uint(1) if attributes >> 14 & 1 else None
    terminal = reader.take(6 if version is None else 10)
    serial = reader.uint(1 if number in _SHORT_SERIAL else 2)
    if attributes >> 13 & 1 and number not in _SHORT_SERIAL:
        reader.take(4)
    message = _Message(number, version, terminal, serial, reader.rest(), frame.received_at)
    return message, () if sound else ("bad_checksum: the check byte is wrong",)


def _escape(data: bytes) -> bytes:
    return data.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")


def _unescape(data: bytes) -> bytes:
    return data.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")


def _acknowledge(message: _Message) -> _Part:
    return _Part(replies=(message.acknowledge(),))


def _register(message: _Message) -> _Part:
    """0x0100: answered with the authentication code, for which the terminal's own number serves."""
    code = message.terminal.hex().encode("ascii")
    body = message.serial.to_bytes(2, "big") + b"\0" + code
    return _Part(replies=(message.answer(0x8100, body),))


def _time(message: _Message) -> _Part:
    """0x0109: asks for the time, UTC."""
    if message.received_at is None:
        return _Part(warnings=("the time was asked for and is not known",))
    now = message.received_at.astimezone(UTC)
    body = now.year.to_bytes(2, "big") + bytes(
        [now.month, now.day, now.hour, now.minute, now.second, 0]
    )
    return _Part(replies=(message.answer(0x8109, body),))


def _heartbeat(message: _Message) -> _Part:
    """0x0002: empty by the standard; some makers add battery, signal and state."""
    part = _acknowledge(message)
    if len(message.body) < 3:
        return part
    percent = message.body[0]
    status = DeviceStatus(battery_percent=percent) if percent <= 100 else None
    readings = (Reading("battery", float(percent)),)
    return replace(part, messages=(_plain(message, readings, status, {}),))


def _plain(
    message: _Message,
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


def _location(message: _Message) -> _Part:
    """0x0200."""
    found = read_location(message.body)
    return _Part((_report(message, found),), (message.acknowledge(),), tuple(found.warnings))


def _queried_location(message: _Message) -> _Part:
    """0x0201: the answer to our question, behind the question's serial number."""
    found = read_location(message.body[2:])
    return _Part((_report(message, found),), (), tuple(found.warnings))


def _short_location(message: _Message) -> _Part:
    found = read_short_location(Reader(message.body))
    if message.number == 0x5502 and found.position is not None:
        found.position = replace(found.position, valid=False)
    return _Part((_report(message, found),))


def _batch(message: _Message) -> _Part:
    """0x0704: count, kind (1: from the blind spot), then reports, each with its length."""
    reader = Reader(message.body)
    reader.take(2)
    late = reader.uint(1) == 1
    return _reports(message, reader, 2, late)


def _short_batch(message: _Message) -> _Part:
    """0x0210: battery and time, or reports with a length of one byte."""
    if len(message.body) != 7:
        return _reports(message, Reader(message.body), 1, late=True)
    percent, at = message.body[0], read_time(message.body[1:])
    status = DeviceStatus(battery_percent=percent) if percent <= 100 else None
    readings = (Reading("battery", float(percent)),)
    plain = _plain(message, readings, status, {}, at)
    return _Part((plain,), (message.acknowledge(),))


def _reports(message: _Message, reader: Reader, width: int, late: bool) -> _Part:
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
    return _Part(tuple(messages), (message.acknowledge(),), tuple(warnings[:20]))


def _report(message: _Message, found: Location) -> Message:
    flags: set[Flag] = set()
    if found.at is None:
        flags.add(Flag.TIME_MISSING)
    if found.position is None or not found.position.valid:
        flags.add(Flag.POSITION_INVALID)
    battery = found.readings.get("battery")
    known = battery is not None or found.charging is not None
    status = DeviceStatus(battery_percent=battery, charging=found.charging) if known else None
    imei = found.states.get("imei")
    return Message(
        device=str(imei) if imei and message.device == "0" else message.device,
        kind="alarm" if any(not alarm.level for alarm in found.alarms.values()) else "location",
        at=found.at,
        readings=tuple(Reading(metric, value) for metric, value in found.readings.items()),
        alarms=tuple(found.alarms.values()),
        position=found.position,
        status=status,
        states=MappingProxyType(found.states),
        flags=frozenset(flags),
    )


def _text(encoding: str, skip: int, *, acknowledge: bool) -> Callable[[_Message], _Part]:
    """A text of the terminal's, mostly the outcome of a command, after `skip` bytes."""

    def handle(message: _Message) -> _Part:
        text = clean(message.body[skip:].decode(encoding, "replace"))[:200]
        replies = (message.acknowledge(),) if acknowledge else ()
        return _Part((_plain(message, (), None, {"result": text}),), replies)

    return handle


def _attributes(message: _Message) -> _Part:
    """0x0107: type, maker, model, terminal id, SIM card."""
    reader = Reader(message.body)
    reader.take(34)
    states: dict[str, Scalar] = {"iccid": reader.take(10).hex()}
    return _Part((_plain(message, (), None, states),), (message.acknowledge(),))


def _transparent(message: _Message) -> _Part:
    """0x0900: whatever the maker likes; a position only in the forms 0x53 and 0x54."""
    part = _acknowledge(message)
    kind = message.body[0] if message.body else 0
    if kind in (0x53, 0x54):
        found = read_location(b"\0\0\0\0" + message.body[1:25])
        return replace(part, messages=(_report(message, found),))
    states: dict[str, Scalar] = {"transparent": f"{kind:02X}", "length": len(message.body)}
    return replace(part, messages=(_plain(message, (), None, states),))


_HANDLERS: dict[int, Callable[[_Message], _Part]] = {
    0x0002: _heartbeat,
    0x0003: _acknowledge,
    0x0100: _register,
    0x0102: _acknowledge,
    0x0107: _attributes,
    0x0109: _time,
    0x0200: _location,
    0x0201: _queried_location,
    0x0210: _short_batch,
    0x0506: _acknowledge,
    0x0701: _text("ascii", 4, acknowledge=False),
    0x0704: _batch,
    0x0900: _transparent,
    0x1007: _acknowledge,
    0x1300: _text("utf-16-be", 2, acknowledge=False),
    0x5501: _short_location,
    0x5502: _short_location,
    0x6006: _text("gb18030", 1, acknowledge=True),
}

CODEC = Codec(name="jt808", title="JT/T 808 (TCP)", decode=decode, split=split)
