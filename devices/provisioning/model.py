"""Batches and what their devices get."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from devices.credentials.model import Secret


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of devices that may register themselves, `used` of at most `most` have."""

    id: uuid.UUID
    batch: str
    profile: str
    division_code: str
    most: int
    used: int
    created_at: datetime
    created_by: str | None
    expires_at: datetime
    revoked_at: datetime | None

    def open(self, now: datetime) -> bool:
        """True while devices may come."""
        return self.revoked_at is None and now < self.expires_at and self.used < self.most


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A fresh batch. `key` exists only here: the database keeps its SHA-256."""

    batch: Batch
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a device gets. `again`: it had asked before, and its first secret does not count now."""

    secret: Secret
    profile: str
    again: bool
