"""Numbers and times as Bluetooth health devices write them, little-endian.

IEEE 11073-20601 floating point: SFLOAT has a mantissa of 12 bits and an exponent of 4, FLOAT of 24
and 8, both to the base of ten. Five values of each are no numbers at all (not a number, not at this
resolution, plus and minus infinity, reserved). Times are the characteristic "Date Time" (0x2A08).
"""

from datetime import datetime
from typing import Final

from devices.codecs.binary import CHINA, Reader, local_moment

_SHORT_SPECIAL: Final = {
    0x07FF: "nan",
    0x0800: "nres",
    0x07FE: "+inf",
    0x0802: "-inf",
    0x0801: "reserved",
}
_LONG_SPECIAL: Final = {
    0x007FFFFF: "nan",
    0x00800000: "nres",
    0x007FFFFE: "+inf",
    0x00800002: "-inf",
    0x00800001: "reserved",
}


class Special(str):
    """A word for a value that is no number: nan, nres, +inf, -inf or reserved."""

    __slots__ = ()


def read_sfloat(reader: Reader) -> float | Special:
    """The next two bytes. CodecError (truncated).

    Only the very bit patterns of the standard are no numbers: with another exponent 2047 is one,
    204.7 mmHg for example.
    """
    word = reader.uint_le(2)
    if word in _SHORT_SPECIAL:
        return Special(_SHORT_SPECIAL[word])
    return _decimal(word & 0x0FFF, 12, word >> 12, 4)


def read_float(reader: Reader) -> float | Special:
    """The next four bytes. CodecError (truncated)."""
    word = reader.uint_le(4)
    if word in _LONG_SPECIAL:
        return Special(_LONG_SPECIAL[word])
    return _decimal(word & 0x00FF_FFFF, 24, word >> 24, 8)


def _decimal(mantissa: int, mantissa_bits: int, exponent: int, exponent_bits: int) -> float:
    mantissa, exponent = _signed(mantissa, mantissa_bits), _signed(exponent, exponent_bits)
    # Divided, not multiplied by a negative power: 366 / 10 is 36.6, 366 * 0.1 is not.
    return float(mantissa * 10**exponent) if exponent >= 0 else mantissa / 10**-exponent


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def read_date_time(reader: Reader) -> datetime | None:
    """The next seven bytes as UTC; None where the device has no date.

    The characteristic has no zone. The clock of such a device is set by hand or by a telephone to
    what people here read on the wall, China Standard Time.
    """
    year = reader.uint_le(2)
    month, day, hour, minute, second = reader.take(5)
    return local_moment(year, [month, day, hour, minute, second], CHINA)
