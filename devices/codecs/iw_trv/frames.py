"""IW and TRV on the wire: names, `#` at the end, voice packets with a length.

Four letters and digits name the message: `AP…`, `CP…`, `YP…` come from the watch and are answered
with the same name one letter on (`AP49` → `BP49`).
"""

import re
from dataclasses import dataclass
from datetime import datetime

from devices.messages import CodecError, Frame

MAX_FRAME = 16 * 1024
"""Longest frame in bytes; a voice packet is about a kilobyte."""
_MAX_VOICE = 4096

_NAME = re.compile(r"(IW|TRV|[A-Z]{2,3})([A-Z]P[0-9A-Z]{2})(.*)", re.DOTALL)
_VOICE = re.compile(rb"[A-Z]{2,3}AP07,[^,#]{0,32},\d{1,4},\d{1,4},(\d{1,5}),")


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame taken apart; `device` is what the connection knows."""

    head: str
    name: str
    body: str
    device: str
    received_at: datetime | None

    @property
    def fields(self) -> list[str]:
        """The values behind the name, without the comma that follows it."""
        return [field.strip() for field in self.body.removeprefix(",").split(",")]

    def answer(self, content: str = "") -> bytes:
        """The frame that answers this one: its name one letter on, then `content`, then `#`."""
        name = chr(ord(self.name[0]) + 1) + self.name[1:]
        return f"{self.head}{name}{content}#".encode("ascii")


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream at `#`; a voice packet (AP07) says its length, as it may have `#` inside.

    Raises CodecError (oversized) when the buffer only grows.
    """
    frames: list[bytes] = []
    begin = 0
    while True:
        while begin < len(buffer) and buffer[begin] in b"\r\n\0 ":
            begin += 1
        voice = _VOICE.match(buffer, begin)
        start = begin
        if voice is not None and (length := int(voice[1])) <= _MAX_VOICE:
            start = voice.end() + length
        end = buffer.find(b"#", start)
        if end < 0:
            break
        frames.append(buffer[begin : end + 1])
        begin = end + 1
    rest = buffer[begin:]
    if len(rest) > MAX_FRAME and not frames:
        raise CodecError("oversized", f"more than {MAX_FRAME} bytes and no end of a frame")
    return frames, rest


def open_frame(frame: Frame) -> Packet:
    """Take a frame apart, with or without its `#`. CodecError reasons: oversized, not_a_frame."""
    if len(frame.payload) > MAX_FRAME:
        raise CodecError("oversized", f"{len(frame.payload)} bytes are more than {MAX_FRAME}")
    text = frame.payload.decode("utf-8", "replace").strip("\r\n\0 ").removesuffix("#")
    match = _NAME.fullmatch(text)
    if match is None:
        raise CodecError("not_a_frame", "a frame begins with IW or TRV and the message's name")
    return Packet(match[1], match[2], match[3], frame.device, frame.received_at)
