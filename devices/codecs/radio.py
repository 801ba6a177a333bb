"""Cells and WiFi in sight, as states: where a device is when it has no fix, for who can look it up.

We look up nothing. `cells` names up to ten of them as `country-network-area-number`, `wifi` as the
address of the transmitter and how loud it is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from devices.messages import Scalar

MOST = 10
_MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a mobile network: country (MCC), network (MNC), area (LAC or TAC), number."""

    country: int
    network: int
    area: int
    number: int

    def __str__(self) -> str:
        return f"{self.country}-{self.network}-{self.area}-{self.number}"


@dataclass(frozen=True, slots=True)
class Wifi:
    """A WiFi or Bluetooth transmitter: six bytes, and dBm where the device says so."""

    address: bytes
    dbm: int | None = None

    def __str__(self) -> str:
        mac = self.address.hex(":")
        return mac if self.dbm is None else f"{mac} {self.dbm}"


def radio_states(cells: Iterable[Cell], wifi: Iterable[Wifi] = ()) -> dict[str, Scalar]:
    """How many there are, and the first of them; nothing of what there is none of."""
    states: dict[str, Scalar] = {}
    for name, found in (("cells", list(cells)), ("wifi", list(wifi))):
        if found:
            states[f"{name}_in_sight"] = len(found)
            states[name] = ", ".join(str(one) for one in found[:MOST])
    return states


def mac_address(text: str) -> bytes | None:
    """Six bytes in hexadecimal with `:` or `-` between them, None for anything else."""
    return bytes.fromhex(re.sub("[:-]", "", text)) if _MAC.fullmatch(text) else None


def dbm(value: int) -> int | None:
    """A loudness of one byte: without its sign up to 127, with it above; 0 and 255 say nothing."""
    if value in (0, 255):
        return None
    return value - 256 if value > 127 else -value
