"""PostgreSQL's binary COPY format out of columns, without touching a single row in Python. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"
POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01, from which a timestamptz counts its microseconds, in microseconds since 1970."""

Column = tuple[str, npt.NDArray[Any]]
"""How the values lie on the wire (a big-endian numpy type) and the values."""


def binary_copy(columns: Sequence[Column]) -> bytes:
    """A whole COPY of rows without NULL: header, rows, trailer ("COPY", Binary Format)."""
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for place, (kind, _) in enumerate(columns):
        fields += [(f"length{place}", ">i4"), (f"value{place}", kind)]
    rows = np.empty(len(columns[0][1]), dtype=fields)
    rows["fields"] = len(columns)
    for place, (kind, values) in enumerate(columns):
        rows[f"length{place}"] = np.dtype(kind).itemsize
        rows[f"value{place}"] = values
    return _SIGNATURE + rows.tobytes() + _END


def timestamps(micros: npt.NDArray[np.int64]) -> Column:
    """Microseconds since 1970 as timestamptz."""
    return ">i8", micros - POSTGRES_EPOCH


def uuids(high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> Column:
    """The two halves of UUIDs."""
    found = np.empty(len(high), dtype=[("high", ">u8"), ("low", ">u8")])
    found["high"], found["low"] = high, low
    return "V16", found.view("V16")
