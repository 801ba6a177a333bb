"""When a device was last tried out, and when it is to be tried next."""

import uuid
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One test press. `kind` is the alarm that it sent."""

    at: datetime
    kind: str


@dataclass(frozen=True, slots=True)
class DueTest:
    """A device whose test is due: the model's days after the last test, or after the binding."""

    device_no: int
    device_id: str
    profile: str
    room: str
    elder_id: uuid.UUID | None
    elder_name: str | None
    division_code: str
    place: str
    last_at: datetime | None
    due_at: datetime
    test_until: datetime | None
    away_until: datetime | None
    maintenance_until: datetime | None


@dataclass(frozen=True, slots=True)
class DueFilters:
    """What the list is narrowed to: due until a moment, in a division; `after` is the last row."""

    until: datetime
    division: str = ""
    after: tuple[datetime, str] | None = None
    limit: int = 50
