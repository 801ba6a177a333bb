"""JT/T 808 on the wire: marks, escapes, check byte, header, and messages cut into several packets.

JT/T 808-2019 chapter 4. A frame stands between two 7E; inside, 7E is written 7D 02 and 7D is 7D 01.
Some makers use E7 as the mark (E6 02 is E7, E6 01 is E6, 3E 01 is 3E, 3E 02 is 3D) with a terminal
number of seven bytes. A message of more than 1,023 bytes comes in packets, which `split` holds back
until the last one is there: the frame is then the packets one after the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from devices.codecs.binary import Reader, luhn_digit, xor
from devices.messages import CodecError, Frame

MAX_FRAME = 8 * 1024
"""Longest frame in bytes: a body has at most 1,023 and escaping doubles it at worst."""
MAX_HELD = 64 * 1024
"""Most bytes of packets that wait for the rest of their message."""
IN_PACKETS = frozenset({0x0104, 0x0200, 0x0704, 0x0900})
"""Messages that are put together again; of others each packet is only acknowledged."""

_MARK, _OTHER_MARK = 0x7E, 0xE7
_CLOSING = {_MARK: _MARK, _OTHER_MARK: _OTHER_MARK, ord("("): ord(")")}
_SHORT_SERIAL = frozenset({0x5501, 0x5502})
_ESCAPES: Mapping[int, Mapping[bytes, bytes]] = {
    _MARK: {b"\x7d\x01": b"\x7d", b"\x7d\x02": b"\x7e"},
    _OTHER_MARK: {
        b"\xe6\x01": b"\xe6",
        b"\xe6\x02": b"\xe7",
        b"\x3e\x01": b"\x3e",
        b"\x3e\x02": b"\x3d",
    },
}
_ESCAPED = {
    _MARK: re.compile(rb"\x7d[\x01\x02]"),
    _OTHER_MARK: re.compile(rb"\xe6[\x01\x02]|\x3e[\x01\x02]"),
}
_TO_ESCAPE = {_MARK: re.compile(rb"[\x7d\x7e]"), _OTHER_MARK: re.compile(rb"[\xe6\xe7\x3d\x3e]")}


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame taken apart. `terminal` are the bytes of the header that name it.

    `serials` are those of all packets of the message, `part` is (number, of how many).
    """

    mark: int
    number: int
    version: int | None
    terminal: bytes
    serials: tuple[int, ...]
    part: tuple[int, int]
    body: bytes
    sound: bool = True
    attributes: int = 0
    received_at: datetime | None = None

    @property
    def device(self) -> str:
        """Phone number without leading zeros, or the IMEI that some makers pack into six bytes."""
        text = self.terminal.hex()
        if text.isdigit():
            return text.lstrip("0") or "0"
        number = int.from_bytes(self.terminal, "big")
        return f"{number}{luhn_digit(number)}"

    def answer(self, number: int, body: bytes, serial: int = 0) -> bytes:
        """A frame to this terminal; its own answers name `serial` where it is a command."""
        version = b"" if self.version is None else bytes([self.version])
        attributes = len(body) | (0 if self.version is None else 0x4000)
        head = number.to_bytes(2, "big") + attributes.to_bytes(2, "big") + version
        content = head + self.terminal + serial.to_bytes(2, "big") + body
        return _enclose(self.mark, content + bytes([xor(content)]))

    def acknowledge(self) -> tuple[bytes, ...]:
        """General answers 0x8001 (received, result 0), one for each packet."""
        tail = self.number.to_bytes(2, "big") + b"\0"
        return tuple(
            self.answer(0x8001, serial.to_bytes(2, "big") + tail) for serial in self.serials
        )

    def confirm(self) -> tuple[bytes, ...]:
        """The answer 0x4401 to a padlock, where its attributes ask for one."""
        if not self.attributes >> 15 & 1:
            return ()
        head = b"\x44\x01\x00\x03" + self.terminal + b"\x01"
        content = head + self.number.to_bytes(2, "big") + b"\0"
        return (_enclose(self.mark, content + bytes([xor(content)])),)


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream at its marks. What stands outside of a pair is a frame that decode refuses.

    Packets of one message are held back in the rest until they are all there. Raises CodecError
    (oversized) when the buffer only grows.
    """
    frames, rest = _cut(buffer)
    frames, held = _join(frames)
    if len(rest) > MAX_FRAME and not frames:
        raise CodecError("oversized", f"more than {MAX_FRAME} bytes and no end of a frame")
    return frames, held + rest


def _cut(buffer: bytes) -> tuple[list[bytes], bytes]:
    frames: list[bytes] = []
    begin = 0
    while begin < len(buffer):
        # The other marks count only where a frame has to begin: after nonsense we look for 7E.
        start = begin if buffer[begin] in _CLOSING else buffer.find(_MARK, begin)
        if start < 0:
            break
        if start > begin:
            frames.append(buffer[begin:start])
            begin = start
        end = buffer.find(_CLOSING[buffer[start]], start + 1)
        if end < 0:
            break
        if end == start + 1 and buffer[start] in _ESCAPES:
            # Two marks side by side: the first one closed a frame whose beginning was lost.
            begin = end
            continue
        frames.append(buffer[start : end + 1])
        begin = end + 1
    return frames, buffer[begin:]


def _join(frames: list[bytes]) -> tuple[list[bytes], bytes]:
    """The frames with complete messages put together, and the packets of incomplete ones."""
    ready: list[bytes] = []
    waiting: dict[tuple[int, bytes], dict[int, bytes]] = {}
    for frame in frames:
        packet = _packet_of_several(frame)
        if packet is None:
            ready.append(frame)
            continue
        parts = waiting.setdefault((packet.number, packet.terminal), {})
        parts[packet.part[0]] = frame
        if len(parts) == packet.part[1]:
            ready.append(b"".join(parts[place] for place in sorted(parts)))
            del waiting[packet.number, packet.terminal]
    held = b"".join(part for parts in waiting.values() for part in parts.values())
    if len(held) <= MAX_HELD:
        return ready, held
    return ready + [part for parts in waiting.values() for part in parts.values()], b""


def _packet_of_several(frame: bytes) -> Packet | None:
    """One packet of a message that is put together again, None for any other frame."""
    if len(frame) < 19 or frame[:1] not in (b"\x7e", b"\xe7") or frame[-1:] != frame[:1]:
        return None
    try:
        packet = _read(frame)
    except CodecError:
        return None
    number, total = packet.part
    several = packet.number in IN_PACKETS and total > 1 and packet.sound
    return packet if several and 1 <= number <= total else None


def open_frame(frame: Frame) -> Packet:
    """Read a frame, or the packets of one message one after the other.

    CodecError reasons: oversized, not_a_frame, truncated, incomplete.
    """
    payload = frame.payload
    if len(payload) > MAX_HELD:
        raise CodecError("oversized", f"{len(payload)} bytes are more than {MAX_HELD}")
    if len(payload) < 15 or payload[0] not in _ESCAPES or payload[-1] != payload[0]:
        raise CodecError("not_a_frame", "a frame stands between two bytes 7E")
    packets = _packets(payload)
    first, count = packets[0], len(packets)
    complete = [packet.part for packet in packets] == [(n, count) for n in range(1, count + 1)]
    same = all((p.number, p.terminal) == (first.number, first.terminal) for p in packets)
    if not (complete and same) and first.number in IN_PACKETS:
        number, total = first.part
        text = f"packet {number} of {total} of message {first.number:04X} without the others"
        raise CodecError("incomplete", text)
    if len(payload) > MAX_FRAME * count:
        raise CodecError("oversized", f"{len(payload)} bytes are more than {MAX_FRAME}")
    return replace(
        first,
        serials=tuple(serial for packet in packets for serial in packet.serials),
        body=b"".join(packet.body for packet in packets),
        sound=all(packet.sound for packet in packets),
        received_at=frame.received_at,
    )


def _packets(payload: bytes) -> list[Packet]:
    """The packets of one message, or the one frame; unescaped, it may have two marks inside."""
    mark = payload[:1]
    pieces = payload[1:-1].split(mark * 2)
    packets = [_packet_of_several(mark + piece + mark) for piece in pieces]
    several = [packet for packet in packets if packet is not None]
    return several if 1 < len(several) == len(pieces) else [_read(payload)]


def _read(payload: bytes) -> Packet:
    """One frame, escaped as on the wire or, if so it fits, already unescaped."""
    mark, content = payload[0], payload[1:-1]
    plain = _ESCAPED[mark].sub(lambda match: _ESCAPES[mark][match[0]], content)
    sound = True
    if xor(plain) == 0:
        content = plain
    elif xor(content) != 0:
        content, sound = plain, False
    reader = Reader(content[:-1])
    number, attributes = reader.uint(2), reader.uint(2)
    version = reader.uint(1) if attributes >> 14 & 1 else None
    terminal = reader.take(10 if version is not None else 7 if mark == _OTHER_MARK else 6)
    serial = reader.uint(1 if number in _SHORT_SERIAL else 2)
    part = (1, 1)
    # The bit alone is not to be relied on: the packet's place is there when the length says so.
    if attributes >> 13 & 1 and reader.left >= 4 + (attributes & 0x3FF):
        total = reader.uint(2)
        part = (reader.uint(2), total)
    body = reader.rest()
    return Packet(mark, number, version, terminal, (serial,), part, body, sound, attributes)


def _enclose(mark: int, content: bytes) -> bytes:
    written = {value: key for key, value in _ESCAPES[mark].items()}
    inside = _TO_ESCAPE[mark].sub(lambda match: written[match[0]], content)
    return bytes([mark]) + inside + bytes([mark])
