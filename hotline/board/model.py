"""Rows that operators look at. They hold names and no numbers, addresses or medical notes."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from hotline.dispatch.model import Dispatch, PhotoInfo
from hotline.escalation.model import Deadline
from hotline.incidents.model import Activation, Event, Incident


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of the queue; codes are words of the enumerations.

    `grouped` counts the incidents that the line stands for: unclaimed technical ones of a kind are
    one line, with the oldest of them (1 for all others). `waiting_since` starts the clock: opening,
    or the last time that it was given back. `place` is county and township.
    """

    id: uuid.UUID
    number: int
    kind: str
    severity: str
    status: str
    test: bool
    condition_active: bool
    elder_id: uuid.UUID | None
    elder_name: str | None
    elder_sex: str | None
    elder_birth_date: date | None
    device_id: str | None
    room: str | None
    place: str
    opened_at: datetime
    waiting_since: datetime
    last_activation_at: datetime
    activation_count: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    holder_name: str | None
    escalation_level: int
    version: int
    grouped: int


@dataclass(frozen=True, slots=True)
class ElderBrief:
    """Who it is about, without secrets (the record itself is read through `care.elders`)."""

    id: uuid.UUID
    name: str
    sex: str
    birth_date: date | None
    living_situation: str
    division_code: str
    division_name: str
    lat: float | None
    lon: float | None


@dataclass(frozen=True, slots=True)
class DeviceBrief:
    """The device that fired last."""

    no: int
    id: str
    profile: str
    room: str
    online: bool | None
    last_seen_at: datetime | None
    battery_percent: float | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A call or text without its number."""

    id: uuid.UUID
    channel: str
    purpose: str
    to_name: str
    contact_id: uuid.UUID | None
    dispatch_id: uuid.UUID | None
    status: str
    digits: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    created_by_name: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """One incident as a whole. `actions` are those possible from its status."""

    incident: Incident
    elder: ElderBrief | None
    device: DeviceBrief | None
    place: str
    actions: list[str]
    resolved_by_name: str | None
    activations: list[Activation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    dispatches: list[Dispatch] = field(default_factory=list)
    photos: list[PhotoInfo] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the list of all incidents."""

    id: uuid.UUID
    number: int
    kind: str
    severity: str
    status: str
    resolution: str | None
    resolution_reason: str | None
    test: bool
    elder_id: uuid.UUID | None
    elder_name: str | None
    device_id: str | None
    place: str
    opened_at: datetime
    first_acknowledged_at: datetime | None
    on_scene_at: datetime | None
    resolved_at: datetime | None
    holder_name: str | None
    resolved_by_name: str | None
    activation_count: int
    total: int


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What to look for; empty fields do not filter.

    `text` finds an incident's number, a part of the elder's name or pinyin, or a device's id.
    `status` is a status, or `unresolved`. Times are compared with the opening.
    """

    text: str = ""
    kind: str = ""
    severity: str = ""
    status: str = ""
    resolution: str = ""
    elder_id: uuid.UUID | None = None
    device_no: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    test: bool | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of a time span; tests do not count. Seconds are to the first claim.

    `answered_60` and `answered_180` are shares (0 to 1) of the critical and major incidents that
    were claimed within 60 and 180 s, `on_site_45` of the dispatched ones where somebody was on
    scene within 45 minutes of opening. Whose time is not over yet does not count, nor does what was
    resolved before anybody arrived. None where there is nothing to count.
    """

    opened: int
    unacknowledged: int
    in_progress: int
    resolved: int
    escalated: int
    answered_60: float | None
    answered_180: float | None
    on_site_45: float | None
    answer_p50_s: float | None
    answer_p95_s: float | None
    by_resolution: Mapping[str, int]
    by_kind: Mapping[str, int]
