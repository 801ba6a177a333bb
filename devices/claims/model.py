"""Claim codes as they are made and read."""

from dataclasses import dataclass, field
from datetime import datetime

from devices.registry.model import Device


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A fresh code for a label. `code` exists only here and on paper: the database has its HMAC.

    `expires_at` is None where it counts until the device is claimed.
    """

    device: Device
    code: str = field(repr=False)
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenClaim:
    """A code that was found, whatever became of it since."""

    device_no: int
    expires_at: datetime | None
    claimed_at: datetime | None
    ended_at: datetime | None

    def usable(self, now: datetime) -> bool:
        """True while a device may be claimed with it."""
        fresh = self.expires_at is None or now < self.expires_at
        return fresh and self.claimed_at is None and self.ended_at is None
