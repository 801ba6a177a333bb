"""A device as those see it who handle its messages."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
    test_mode: bool = False
    paused_until: datetime | None = None
    elder_lat: float | None = None
    elder_lon: float | None = None

    def paused(self, now: datetime) -> bool:
        """True while the device is out of service on purpose."""
        return self.paused_until is not None and self.paused_until > now


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the registry shows it. Battery in percent, positions WGS-84, times UTC."""

    no: int
    id: str
    profile: str
    serial: str | None
    state: DeviceState
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
    paused_until: datetime | None
    paused_reason: str | None
    test_mode: bool
    created_at: datetime
    version: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", DeviceState(self.state))


@dataclass(frozen=True, slots=True)
class Binding:
    """One stretch of a device's life with one elder."""

    id: uuid.UUID
    elder_id: uuid.UUID
    elder_name: str
    room: str
    bound_at: datetime
    bound_by: str | None
    unbound_at: datetime | None
    unbound_by: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceFilters:
    """What the list of devices is narrowed to; empty values do not narrow."""

    division: str = ""
    text: str = ""
    state: str = ""
    profile: str = ""
    online: bool | None = None
    low_battery: bool = False


@dataclass(frozen=True, slots=True)
class DeviceAliasRow:
    """Another name of a device in a protocol."""

    codec: str
    address: str
