"""Reading numbers out of binary frames and check values. Shared by binary codecs."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import reduce

from devices.messages import CodecError

CHINA = timezone(timedelta(hours=8))


class Reader:
    """A cursor over bytes. Reading beyond the end is a CodecError (truncated)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count < 0 or count > self.left:
            raise CodecError("truncated", "the frame ends in the middle of a field")
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def peek(self, count: int) -> bytes:
        """The next bytes, which stay to be read; fewer at the end."""
        return self._data[self._at : self._at + count]

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.left)

    def uint(self, count: int) -> int:
        """An unsigned number of `count` bytes, the highest first."""
        return int.from_bytes(self.take(count), "big")

    def uint_le(self, count: int) -> int:
        """An unsigned number of `count` bytes, the lowest first."""
        return int.from_bytes(self.take(count), "little")

    def sint(self, count: int) -> int:
        """A signed number of `count` bytes, the highest first, two's complement."""
        return int.from_bytes(self.take(count), "big", signed=True)

    def sint_le(self, count: int) -> int:
        """A signed number of `count` bytes, the lowest first, two's complement."""
        return int.from_bytes(self.take(count), "little", signed=True)

    def digits(self, count: int) -> str:
        """`count` bytes of packed decimal digits (BCD). Reason: bad_field."""
        text = self.take(count).hex()
        if not text.isdigit():
            raise CodecError("bad_field", "a decimal field has other digits")
        return text


def moment(parts: list[int], zone: tzinfo) -> datetime | None:
    """Year of the century, month, day, hour, minute, second as UTC; None if there is none such."""
    return local_moment(2000 + parts[0], parts[1:], zone)


def local_moment(year: int, parts: list[int], zone: tzinfo) -> datetime | None:
    """Year, then month, day, hour, minute, second as UTC; None if there is none such."""
    month, day, hour, minute, second = parts
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def signed_word(word: int) -> int:
    """The highest of 16 bits is the sign, the rest the number."""
    return -(word & 0x7FFF) if word >> 15 else word


def xor(data: bytes) -> int:
    """Exclusive or of all bytes."""
    return reduce(lambda left, right: left ^ right, data, 0)


def crc_itu(data: bytes) -> int:
    """CRC-ITU (X.25): reversed polynomial 0x8408, start and final exclusive or 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


def luhn_digit(number: int) -> int:
    """The check digit that Luhn's formula (ISO/IEC 7812-1, annex B) puts behind a number."""
    total = 0
    for place, digit in enumerate(reversed(str(number))):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return -total % 10


def printable(data: bytes) -> bool:
    """Whether bytes are readable ASCII."""
    return all(0x20 <= byte < 0x7F for byte in data)
