"""The fleet as its page shows it: counts, the long list, silent devices on the map, uptime."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from devices.modes.model import Modes
from devices.registry.model import Connection, DeviceState


class FleetState(StrEnum):
    """What the list can be narrowed to: how a device is heard, or what it is held back by."""

    ONLINE = "online"
    SILENT = "silent"
    NEVER = "never"
    STOCK = "stock"
    FAULTY = "faulty"
    LOW_BATTERY = "low_battery"
    TEST = "test"
    AWAY = "away"
    MAINTENANCE = "maintenance"


class FleetOrder(StrEnum):
    """How the list is ordered: by id, longest silent first, emptiest battery first."""

    ID = "id"
    SEEN = "seen"
    BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class FleetFilters:
    """What the list is narrowed to; empty values do not narrow.

    `text` is how an id begins, `unseen_for` how long a device has been silent at least, `battery`
    a charge in per cent that it has at most. `firmware` is an exact version.
    """

    division: str = ""
    text: str = ""
    profile: str = ""
    state: FleetState | None = None
    firmware: str = ""
    battery: int | None = None
    unseen_for: timedelta | None = None


@dataclass(frozen=True, slots=True)
class FleetCursor:
    """The last row seen: what follows it in the order. `value` is None where the order is by id."""

    id: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One device of the list. Battery in per cent; `place` is county and township."""

    no: int
    id: str
    profile: str
    state: DeviceState
    elder_id: uuid.UUID | None
    elder_name: str | None
    room: str
    division_code: str
    place: str
    firmware: str | None
    online: bool | None
    last_seen_at: datetime | None
    battery_percent: float | None
    test_until: datetime | None
    away_until: datetime | None
    maintenance_until: datetime | None
    alarms: int
    sort_value: float | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", DeviceState(self.state))

    @property
    def modes(self) -> Modes:
        """Until when it is not treated as usual."""
        return Modes(self.test_until, self.away_until, self.maintenance_until)

    @property
    def connection(self) -> Connection:
        """Whether we hear it now, do not any more, or never have."""
        if self.online is None and self.last_seen_at is None:
            return Connection.NEVER
        return Connection.ONLINE if self.online else Connection.OFFLINE


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
