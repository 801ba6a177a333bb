"""What an incident is made of: its lifecycle's words, its row, its activations and its timeline."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from devices.alarms import AlarmKind, Severity


class Status(StrEnum):
    """Where an incident stands. Escalation is not a status: it only makes it louder."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    DISPATCHED = "dispatched"
    ON_SCENE = "on_scene"
    RESOLVED = "resolved"


class Action(StrEnum):
    """What moves an incident (machine.py says from where to where, and who may)."""

    ACKNOWLEDGE = "acknowledge"
    RELEASE = "release"
    HAND_OVER = "hand_over"
    DISPATCH = "dispatch"
    STAND_DOWN = "stand_down"
    ARRIVE = "on_scene"
    RESOLVE = "resolve"
    REOPEN = "reopen"


class Resolution(StrEnum):
    """What it turned out to be."""

    FOUNDED = "founded"
    UNFOUNDED = "unfounded"
    CANCELLED = "cancelled"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Incident:
    """A row of `incident`, with the holder's names. Times are UTC, the position is WGS-84.

    `version` counts changes of the lifecycle, not activations. `holder_*` is who has claimed it.
    """

    id: uuid.UUID
    number: int
    elder_id: uuid.UUID | None
    device_no: int | None
    kind: AlarmKind
    severity: Severity
    status: Status
    condition_active: bool
    test: bool
    division_code: str
    lat: float | None
    lon: float | None
    position_at: datetime | None
    position_accuracy_m: float | None
    activation_count: int
    opened_at: datetime
    last_activation_at: datetime
    first_acknowledged_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: uuid.UUID | None
    dispatched_at: datetime | None
    on_scene_at: datetime | None
    resolved_at: datetime | None
    resolved_by: uuid.UUID | None
    resolution: Resolution | None
    resolution_reason: str | None
    reopened_count: int
    escalation_policy: Mapping[str, Any]
    escalation_level: int
    version: int
    holder_username: str | None
    holder_name: str | None

    def __post_init__(self) -> None:
        # A row brings plain strings; the machine and the rules want the words.
        object.__setattr__(self, "kind", AlarmKind(self.kind))
        object.__setattr__(self, "severity", Severity(self.severity))
        object.__setattr__(self, "status", Status(self.status))
        if self.resolution is not None:
            object.__setattr__(self, "resolution", Resolution(self.resolution))


@dataclass(frozen=True, slots=True)
class Activation:
    """One time that the alarm fired. `cleared_at`: that device's condition is over."""

    id: uuid.UUID
    alarm_id: uuid.UUID
    at: datetime
    device_no: int | None
    device_id: str | None
    source: str
    cleared_at: datetime | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the timeline; `timeline.py` has the sentences. `data` holds no phone numbers."""

    id: uuid.UUID
    seq: int
    at: datetime
    actor_id: uuid.UUID | None
    actor_name: str
    kind: str
    data: Mapping[str, Any]
