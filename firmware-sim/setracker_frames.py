"""Frames of the Setracker 4G watch, as bytes and back: `[MAKER*ID*LEN*CONTENT]`. Pure functions.

LEN is the length of the content in bytes as four hexadecimal digits, counted as transmitted. Inside
fields `}` `[` `]` `,` `*` are escaped as 0x7D followed by 01…05. Times are UTC, `ddmmyy,HHMMSS`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MAKER = "3G"
_ESCAPED = {0x7D: 1, 0x5B: 2, 0x5D: 3, 0x2C: 4, 0x2A: 5}  # } [ ] , *
_PLAIN = {code: byte for byte, code in _ESCAPED.items()}
# Bits of the terminal state that are alarms.
STATUS_BITS = {
    "low_battery": 1 << 0,
    "geofence_exit": 1 << 1,
    "sos": 1 << 16,
    "taken_off": 1 << 20,
    "fall": 1 << 21,
}


@dataclass(frozen=True, slots=True)
class ServerFrame:
    """What the server sent: an answer or a command, and its fields."""

    device: str
    command: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """The fields of UD and AL frames that a watch fills in.

    Degrees WGS-84, `speed` km/h, `battery` percent, `status` the 32-bit terminal state, `wifi`
    pairs of (name, MAC), `accuracy` metres.
    """

    at: datetime
    valid: bool
    lat: float
    lon: float
    speed: float
    battery: int
    steps: int
    status: int
    wifi: tuple[tuple[str, str], ...]
    accuracy: float


def escape(text: str) -> bytes:
    """A field's text as it goes on the wire."""
    out = bytearray()
    for byte in text.encode():
        code = _ESCAPED.get(byte)
        out += bytes((byte,)) if code is None else bytes((0x7D, code))
    return bytes(out)


def unescape(data: bytes) -> bytes:
    """The inverse of `escape`; an escape that is not known stays as it is."""
    out, index = bytearray(), 0
    while index < len(data):
        known = data[index] == 0x7D and index + 1 < len(data) and data[index + 1] in _PLAIN
        out.append(_PLAIN[data[index + 1]] if known else data[index])
        index += 2 if known else 1
    return bytes(out)


def frame(device: str, command: str, fields: Iterable[str] = ()) -> bytes:
    """One frame of `device` (its IMEI, or the ten digits that some makers use)."""
    content = b",".join([command.encode(), *(escape(field) for field in fields)])
    return f"[{MAKER}*{device}*{len(content):04X}*".encode() + content + b"]"


def track_fields(track: Track) -> list[str]:
    """Fields of UD… and AL… after the command word: fix, signal, steps, state, cells, wifi."""
    cells = ("1", "0", "460", "0", "9346", "5223", "42")
    wifi: list[str] = [str(len(track.wifi))]
    for number, (name, mac) in enumerate(track.wifi):
        wifi += [name, mac, str(-55 - 9 * number)]
    return [
        track.at.strftime("%d%m%y"),
        track.at.strftime("%H%M%S"),
        "A" if track.valid else "V",
        f"{abs(track.lat):.6f}",
        "N" if track.lat >= 0 else "S",
        f"{abs(track.lon):.7f}",
        "E" if track.lon >= 0 else "W",
        f"{track.speed:.2f}",
        "0.0",
        "1050.0",
        "8" if track.valid else "0",
        "80",
        str(track.battery),
        str(track.steps),
        "0",
        f"{track.status:08X}",
        *cells,
        *wifi,
        f"{track.accuracy:.1f}",
    ]


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a byte stream on its brackets: (contents between brackets, the rest)."""
    frames: list[bytes] = []
    while (start := buffer.find(b"[")) >= 0:
        end = buffer.find(b"]", start)
        if end < 0:
            return frames, buffer[start:]
        frames.append(buffer[start + 1 : end])
        buffer = buffer[end + 1 :]
    return frames, b""


def read(content: bytes) -> ServerFrame | None:
    """`MAKER*ID*LEN*CMD,…` without brackets; None when it is not of that shape."""
    parts = content.split(b"*", 3)
    if len(parts) != 4:
        return None
    command, *fields = (unescape(part).decode("utf-8", "replace") for part in parts[3].split(b","))
    return ServerFrame(parts[1].decode("ascii", "replace"), command, tuple(fields))
