"""A payload for people: as text and as a hex dump, both bounded. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

MOST_TEXT = 8 * 1024
MOST_HEX = 2 * 1024
_WIDTH = 16
# Control characters are written \x00; line ends and tabs stay what they are. Marks that turn the
# direction of text would let a payload look like something else.
_WRITTEN: dict[int, str] = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)},
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F], "\ufffd"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The beginning of a payload in both forms; `…_bytes` say how much of it each one shows."""

    text: str
    text_bytes: int
    hex: str
    hex_bytes: int
    kept: int


def shown(payload: bytes) -> Shown:
    """Return the forms of a payload."""
    head, dump = payload[:MOST_TEXT], payload[:MOST_HEX]
    return Shown(readable(head), len(head), "\n".join(hex_lines(dump)), len(dump), len(payload))


def readable(data: bytes) -> str:
    """Return bytes as text: what is no UTF-8 as �, control characters written out."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return text.translate(_WRITTEN)


def hex_lines(data: bytes) -> Iterator[str]:
    """Yield `0010  7b 22 73 …  |{"seq":…|`, sixteen bytes a line."""
    for start in range(0, len(data), _WIDTH):
        part = data[start : start + _WIDTH]
        columns = " ".join(f"{byte:02x}" for byte in part).ljust(3 * _WIDTH - 1)
        plain = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start:04x}  {columns}  |{plain}|"
