"""Firmware packages, their staged roll-outs, and how far each device is."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RolloutState(StrEnum):
    """Where a roll-out is."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    ABORTED = "aborted"


class UpdateState(StrEnum):
    """Where one device is. `installed` is what its status says, not what it promised."""

    OFFERED = "offered"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLED = "installed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Package:
    """A file for a model. `sha256` in hexadecimal, `size` in bytes.

    Everybody may roll it out where they work; `division` is that of who uploaded it, and who works
    in a part of that alone does not take it away from the others.
    """

    id: uuid.UUID
    profile: str
    version: str
    sha256: str
    size: int
    file_name: str
    notes: str
    uploaded_at: datetime
    uploaded_by: str | None
    division: str | None
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rollout:
    """A roll-out. `steps` are shares in per cent; `step` counts from 0.

    With `canaries` (ids of devices) they are the first step, before `steps`. After each step
    `soak_minutes` pass, and it ends by itself when more than `failure_percent` of it has failed.
    """

    id: uuid.UUID
    package_id: uuid.UUID
    profile: str
    package_version: str
    sha256: str
    size: int
    division: str
    canaries: list[str]
    steps: list[int]
    step: int
    step_since: datetime
    soak_minutes: int
    failure_percent: int
    state: RolloutState
    reason: str
    created_at: datetime
    created_by: str | None
    ended_at: datetime | None
    version: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", RolloutState(self.state))

    @property
    def last_step(self) -> int:
        """The number of the last step."""
        return len(self.steps) - (0 if self.canaries else 1)

    @property
    def percent(self) -> int:
        """The share of the devices that the step reaches; 0 while only the canaries are asked."""
        place = self.step - (1 if self.canaries else 0)
        return self.steps[place] if place >= 0 else 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How many devices of a roll-out are how; `pending` were not offered it yet, by the step."""

    offered: int
    downloading: int
    downloaded: int
    installed: int
    failed: int
    withdrawn: int
    pending: int
    pending_online: int
    step_installed: int
    step_failed: int

    @property
    def open(self) -> int:
        """Devices that have it and have not come to an end with it."""
        return self.offered + self.downloading + self.downloaded


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """One device of a roll-out, as it is listed."""

    device_no: int
    device_id: str
    place: str
    firmware: str | None
    from_version: str | None
    step: int
    state: UpdateState
    percent: int
    detail: str
    offered_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", UpdateState(self.state))


@dataclass(frozen=True, slots=True)
class Target:
    """A device that is to get it next."""

    no: int
    id: str
    firmware: str | None


@dataclass(frozen=True, slots=True)
class Download:
    """What a link leads to. `sha256` in hexadecimal."""

    rollout_id: uuid.UUID
    device_no: int
    sha256: str
    size: int
    version: str
