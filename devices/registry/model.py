"""A device as those see it who handle its messages."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from devices.modes.model import NO_MODES, DeviceMode, Modes


class DeviceState(StrEnum):
    """Where a device is in its life."""

    STOCK = "stock"
    BOUND = "bound"
    FAULTY = "faulty"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Address:
    """A name under which a device speaks in a protocol: our device id, an IMEI, a friendly name."""

    codec: str
    address: str


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What is known of a device that says something, whoever it is bound to.

    `division_code` is the elder's place when there is an elder, else the device's own. The gateway
    is the one that may speak for the device, None where it speaks for itself. Positions are the
    elder's home, WGS-84 degrees.
    """

    no: int
    id: str
    profile: str
    state: DeviceState
    division_code: str
    elder_id: uuid.UUID | None = None
    room: str = ""
    gateway_no: int | None = None
    gateway_id: str | None = None
    gateway_profile: str | None = None
    modes: Modes = NO_MODES
    elder_lat: float | None = None
    elder_lon: float | None = None


class Connection(StrEnum):
    """Whether we hear a device."""

    ONLINE = "online"
    OFFLINE = "offline"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the registry shows it. Battery in percent, positions WGS-84, times UTC.

    `division_code` is the elder's place while there is an elder, else where the device lies in
    stock. `state_reason` is a code of `machine.py`, `state_at` when the state last changed.
    """

    no: int
    id: str
    profile: str
    serial: str | None
    state: DeviceState
    state_reason: str
    state_note: str
    state_at: datetime | None
    elder_id: uuid.UUID | None
    elder_name: str | None
    room: str
    gateway_id: str | None
    division_code: str
    firmware: str | None
    online: bool | None
    last_seen_at: datetime | None
    battery_percent: float | None
    lat: float | None
    lon: float | None
    position_accuracy_m: float | None
    position_at: datetime | None
    test_until: datetime | None
    away_until: datetime | None
    maintenance_until: datetime | None
    created_at: datetime
    version: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", DeviceState(self.state))

    @property
    def connection(self) -> Connection:
        """Whether we hear it now, do not any more, or never have."""
        if self.online is None and self.last_seen_at is None:
            return Connection.NEVER
        return Connection.ONLINE if self.online else Connection.OFFLINE

    @property
    def modes(self) -> Modes:
        """Until when it is not treated as usual."""
        return Modes(self.test_until, self.away_until, self.maintenance_until)


@dataclass(frozen=True, slots=True)
class Binding:
    """One stretch of a device's life with one elder. `reason` is a code, `note` free text."""

    id: uuid.UUID
    elder_id: uuid.UUID
    elder_name: str
    room: str
    bound_at: datetime
    bound_by: str | None
    unbound_at: datetime | None
    unbound_by: str | None
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class DeviceFilters:
    """What the list of devices is narrowed to; empty values do not narrow.

    `text` is a part of the id, serial number or another name of the device, or the elder's name,
    pinyin or initials. `low_battery` is judged by each model's own limit; `held_back` are devices
    whose alarms do not all call: in test, away or maintenance mode, `mode` those in one of them.
    `unseen_for` is how long a device has been silent at least, `battery_at_most` in per cent,
    `firmware` an exact version.
    """

    division: str = ""
    text: str = ""
    state: DeviceState | None = None
    profile: str = ""
    connection: Connection | None = None
    low_battery: bool = False
    held_back: bool = False
    mode: DeviceMode | None = None
    unseen_for: timedelta | None = None
    battery_at_most: int | None = None
    firmware: str = ""


class DeviceSort(StrEnum):
    """Columns that the list can be ordered by."""

    ID = "id"
    ELDER = "elder"
    SEEN = "seen"
    BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class DeviceOrder:
    """How the list is ordered, and which part of it is wanted (`offset` rows skipped)."""

    sort: DeviceSort = DeviceSort.ID
    descending: bool = False
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class DevicePage:
    """One page of the list, and how many devices the filters leave."""

    devices: tuple[Device, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An alarm of the device, with the incident that it opened or repeated, if there is one.

    `suppressed` says why nobody was called, None when somebody was.
    """

    id: uuid.UUID
    kind: str
    severity: str
    source: str
    received_at: datetime
    test: bool
    suppressed: str | None
    incident_id: uuid.UUID | None
    incident_number: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What was last done with a device, by whom and when: for those who came too late."""

    action: str
    by: str
    at: datetime
