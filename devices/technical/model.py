"""A technical alarm: something is wrong with a device, and a technician is to look after it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class TechnicalState(StrEnum):
    """Where an alarm is (ISA-18.2): nobody has seen it, somebody has, put aside, over."""

    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class TechnicalAlarm:
    """A technical alarm as it is listed. `count` is how often it was raised; names are shown names.

    `cleared_by` is None where the device itself came right. `elder_name` is who has the device now,
    `place` county and township.
    """

    id: uuid.UUID
    device_no: int
    device_id: str
    profile: str
    room: str
    elder_id: uuid.UUID | None
    elder_name: str | None
    division_code: str
    place: str
    kind: str
    state: TechnicalState
    detail: Mapping[str, Any]
    raised_at: datetime
    last_at: datetime
    count: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    shelved_until: datetime | None
    shelved_by: str | None
    note: str
    cleared_at: datetime | None
    cleared_by: str | None
    version: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", TechnicalState(self.state))


@dataclass(frozen=True, slots=True)
class TechnicalFilters:
    """What the list is narrowed to; empty values do not narrow. `state` "open" is all but cleared.

    `before` is the last row seen, (raised_at, id): what follows it, newest first.
    """

    state: str = "open"
    kind: str = ""
    division: str = ""
    before: tuple[datetime, uuid.UUID] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class TechnicalCount:
    """How many open alarms of a kind there are, and how many of them nobody has seen."""

    kind: str
    open: int
    active: int
