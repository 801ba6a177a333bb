"""The fleet as its page shows it: counts, silent devices on the map, uptime."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FleetState(StrEnum):
    """What is counted: how a device is heard, or what it is held back by."""

    ONLINE = "online"
    SILENT = "silent"
    NEVER = "never"
    STOCK = "stock"
    FAULTY = "faulty"
    LOW_BATTERY = "low_battery"
    TEST = "test"
    AWAY = "away"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """How many devices are how; `bound` are those in service, the next four are of those."""

    total: int
    bound: int
    online: int
    silent: int
    never: int
    low_battery: int
    stock: int
    faulty: int
    test: int
    away: int
    maintenance: int


@dataclass(frozen=True, slots=True)
class FirmwareCount:
    """How many devices of a model have a version."""

    profile: str
    firmware: str
    devices: int


@dataclass(frozen=True, slots=True)
class SilentSpot:
    """Where a silent device is: its own last fix, else its elder's home; WGS-84."""

    id: str
    lat: float
    lon: float
    since: datetime
    profile: str


@dataclass(frozen=True, slots=True)
class DivisionUptime:
    """The share of time (0 to 1) that a division's devices were heard; None where nothing is known.

    `code` is the significant part of a division below the chosen one, "" for all of it.
    """

    code: str
    name: str
    devices: int
    day: float | None
    week: float | None
    month: float | None


@dataclass(frozen=True, slots=True)
class Transition:
    """A device came (`online`) or went at a moment."""

    device_no: int
    at: datetime
    online: bool
