"""Setracker on the wire: brackets, headers with and without a running number, escapes, lengths.

`[MAKER*ID*LEN*CMD,…]`, also `[MAKER*ID*SEQ*LEN*CMD,…]`. LEN is hexadecimal and often wrong, so that
frames are cut at their brackets; inside of a frame `}` escapes `} [ ] , *` as `}` + 01…05. The
number SEQ wraps and restarts, therefore it is echoed in answers and is no part of a message's
identity.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from devices.messages import CodecError, Frame

MAX_FRAME = 64 * 1024
"""Longest frame in bytes; a stream that goes on without a closing bracket is given up."""

_HEADER = re.compile(rb"([A-Za-z0-9]{1,8})\*([A-Za-z0-9]{1,20})\*")
_INDEXED = re.compile(rb"([0-9A-Za-z]{1,8})\*(?P<length>[0-9A-Fa-f]{4})\*")
_PLAIN = re.compile(rb"(?P<length>[0-9A-Fa-f]{1,8})\*")
_OPENING = re.compile(rb"\[(?=[A-Za-z0-9]{1,8}\*)")
_BETWEEN = b"\r\n\0 "
_ESCAPES = {b"\x01": b"}", b"\x02": b"[", b"\x03": b"]", b"\x04": b",", b"\x05": b"*"}
_ESCAPED = re.compile(rb"\}([\x01-\x05])")
_COMMAND = re.compile(r"\s*[A-Za-z0-9_]{1,32}\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame taken apart. `index` is the frame's own SEQ text, None in the form without one."""

    maker: str
    device: str
    index: str | None
    command: str
    fields: tuple[str, ...]
    length_ok: bool

    def answer(self, content: str) -> bytes:
        """One frame to the watch, in the form that it uses.

        `content` is a command with its arguments ("FIND", "UPLOAD,600"); it is not escaped.
        """
        head = f"{self.maker}*{self.device}*" + (f"{self.index}*" if self.index is not None else "")
        body = content.encode("utf-8")
        return f"[{head}{len(body):04X}*".encode("ascii") + body + b"]"


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


def open_frame(frame: Frame) -> Packet:
    """Take a frame apart. CodecError reasons: oversized, not_a_frame, truncated, bad_header."""
    payload = frame.payload
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
    return Packet(
        maker=head[1].decode("ascii"),
        device=head[2].decode("ascii"),
        index=indexed[1].decode("ascii") if indexed else None,
        command=fields[0].strip(),
        fields=tuple(fields[1:]),
        length_ok=int(length["length"], 16) in {len(content), len(_ESCAPED.sub(b"*", content))},
    )


def _unescape(field: bytes) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES[match[1]], field).decode("utf-8", "replace")
