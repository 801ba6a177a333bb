"""GT06 on the wire: marks, lengths, numbers, serial numbers, check sums.

Packets stand between 7878 (length of one byte) or 7979 (of two) and 0D0A. Some models leave out
the serial number, the check sum or both, and some count WiFi transmitters in the length.
"""

from dataclasses import dataclass

from devices.codecs.binary import crc_itu
from devices.messages import CodecError, Frame

MAX_FRAME = 8 * 1024
"""Longest packet in bytes."""
POSITION = 18
"""Bytes of time, satellites, latitude, longitude, speed and course."""
WIFI = frozenset({0x17, 0x69})
"""Packets whose length may count transmitters."""
ANSWERED_LONG = frozenset({0x132, 0x133})
"""Packets that want the long form of an answer."""

_SHORT, _LONG, _END = b"\x78\x78", b"\x79\x79", b"\r\n"
_TAIL = 6  # serial number, check sum, end
# What must be there of packets that some models send without a tail.
_NEEDED = {0x01: 8, 0x10: POSITION, 0x11: POSITION, 0x12: POSITION}


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet taken apart. `number` of the long form counts from 0x100, `length` is as written."""

    number: int
    length: int
    content: bytes
    serial: bytes
    sound: bool
    frame: Frame

    @property
    def device(self) -> str:
        """What an earlier frame of the connection said."""
        return self.frame.device

    def answer(self, content: bytes = b"") -> bytes:
        """The answer with the packet's number and serial number, short but for trackers' alarms."""
        size = 5 + len(content)
        head = size.to_bytes(2 if self.number in ANSWERED_LONG else 1, "big")
        body = head + bytes([self.number & 0xFF]) + content + self.serial
        start = _LONG if self.number in ANSWERED_LONG else _SHORT
        return start + body + crc_itu(body).to_bytes(2, "big") + _END

    def answer_wifi(self) -> bytes:
        """The answer to a WiFi packet: its number and its time."""
        return _SHORT + bytes([0, self.number]) + self.content[:6] + _END


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream by the packets' lengths; where a length does not lead to 0D0A, at the next 0D0A.

    Raises CodecError (oversized) when the buffer only grows.
    """
    frames: list[bytes] = []
    begin = 0
    while True:
        starts = [place for mark in (_SHORT, _LONG) if (place := buffer.find(mark, begin)) >= 0]
        if not starts:
            break
        start = min(starts)
        end = _end_of(buffer, start)
        if start > begin:
            frames.append(buffer[begin:start])
            begin = start
        if end < 0:
            break
        frames.append(buffer[start:end])
        begin = end
    rest = buffer[begin:]
    if len(rest) > MAX_FRAME and not frames:
        raise CodecError("oversized", f"more than {MAX_FRAME} bytes and no end of a packet")
    return frames, rest


def _end_of(buffer: bytes, start: int) -> int:
    """Where the packet ends, -1 while that cannot be known."""
    long = buffer.startswith(_LONG, start)
    head = 4 if long else 3
    if len(buffer) < start + head:
        return -1
    length = int.from_bytes(buffer[start + 2 : start + head], "big")
    if 0 < length <= MAX_FRAME // 2:
        end = start + head + length + 2
        if len(buffer) < end:
            return -1
        if buffer[end - 2 : end] == _END:
            return end
    found = buffer.find(_END, start + head)
    return found + 2 if found >= 0 else -1


def open_frame(frame: Frame) -> Packet:
    """Take a packet apart. CodecError reasons: oversized, not_a_frame."""
    data = frame.payload
    if len(data) > MAX_FRAME:
        raise CodecError("oversized", f"{len(data)} bytes are more than {MAX_FRAME}")
    if data[:2] not in (_SHORT, _LONG) or len(data) < 6:
        raise CodecError("not_a_frame", "a packet stands between 7878 or 7979 and 0D0A")
    long = data[:2] == _LONG
    head = 4 if long else 3
    length = int.from_bytes(data[2:head], "big")
    if data[-2:] != _END:
        # Only the very last byte may be missing, as the length then tells.
        if data[-1:] != _END[:1] or len(data) != head + length + 1:
            raise CodecError("not_a_frame", "a packet stands between 7878 or 7979 and 0D0A")
        data += _END[1:]
    number = data[head] + (0x100 if long else 0)
    bare = data[head + 1 : -2]
    content, serial = data[head + 1 : -_TAIL], data[-_TAIL:-4]
    sound = crc_itu(data[2:-4]) == int.from_bytes(data[-4:-2], "big")
    if number in WIFI and length != len(data) - head - 2:
        # WiFi packets of some models have neither serial number nor check sum; their length is
        # the number of transmitters.
        return Packet(number, length, bare, b"\0\0", True, frame)
    if len(data) < head + 1 + _TAIL or length == 0:
        return Packet(number, length, bare, b"\0\0", True, frame)
    needed = _NEEDED.get(number, 0)
    if not sound and len(content) < needed <= len(bare):
        # Some models leave out the serial number, the check sum, or both.
        content, serial = bare[:needed], bare[needed : needed + 2].ljust(2, b"\0")
    return Packet(number, length, content, serial, sound, frame)
