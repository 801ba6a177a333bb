"""What a list of elders is asked for, and what it shows."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from care.elders.ages import AgeBand, age_on
from care.elders.model import LivingSituation, Sex


class Sort(StrEnum):
    """Columns that a list can be ordered by."""

    NAME = "name"
    AGE = "age"
    DIVISION = "division"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; None and "" do not filter.

    `query` is what somebody typed: a name or part of one, pinyin, initials, a telephone number, an
    ID number, a device's id. `division` is a prefix of significant digits.
    """

    query: str = ""
    division: str = ""
    living_situation: LivingSituation | None = None
    age_band: AgeBand | None = None
    open_incident: bool = False
    no_device: bool = False
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is ordered, and which part of it is wanted (`offset` rows skipped)."""

    sort: Sort = Sort.NAME
    descending: bool = False
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One line of the list; `phone` is masked unless the row was made for an export.

    `area` is county and township by name.
    """

    id: uuid.UUID
    name: str
    sex: Sex
    birth_date: date | None
    division_code: str
    area: str
    living_situation: LivingSituation
    risk_notes: str
    phone: str
    devices: int
    devices_offline: int
    open_incidents: int
    worst_severity: str | None
    archived_at: datetime | None
    updated_at: datetime

    def age(self, now: datetime) -> int | None:
        """Completed years on the local calendar."""
        return age_on(self.birth_date, now)


@dataclass(frozen=True, slots=True)
class RosterPage:
    """One page and the count of everything found."""

    rows: tuple[RosterRow, ...]
    total: int
