"""The modes of a device: which there are, and until when each of them runs."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeviceMode(StrEnum):
    """Why a device is not treated as usual for a while."""

    TEST = "test"
    AWAY = "away"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class Modes:
    """When each mode of a device ends, UTC; a moment in the past, or None, is a mode that is off.

    The end itself ends the mode, to the second, whether or not the job that notes it has run.
    """

    test_until: datetime | None = None
    away_until: datetime | None = None
    maintenance_until: datetime | None = None

    def until(self, mode: DeviceMode) -> datetime | None:
        """Return when a mode ends or ended, None where it never ran."""
        if mode is DeviceMode.TEST:
            return self.test_until
        return self.away_until if mode is DeviceMode.AWAY else self.maintenance_until

    def on(self, mode: DeviceMode, now: datetime) -> bool:
        """Whether a mode runs at a moment."""
        until = self.until(mode)
        return until is not None and until > now

    def running(self, now: datetime) -> tuple[DeviceMode, ...]:
        """Return the modes that run at a moment, in the order of the enumeration."""
        return tuple(mode for mode in DeviceMode if self.on(mode, now))


NO_MODES = Modes()
"""Treated as usual."""


@dataclass(frozen=True, slots=True)
class ModeRun:
    """One stretch of a mode. `ended_by` is None where it ended by its time; `by` are names."""

    id: uuid.UUID
    device_no: int
    device_id: str
    division_code: str
    mode: DeviceMode
    reason: str
    started_at: datetime
    started_by: str | None
    ends_at: datetime
    renewed: int
    reminded_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", DeviceMode(self.mode))
