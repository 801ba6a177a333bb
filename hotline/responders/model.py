"""Somebody who can be sent, and why somebody is suggested."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Skill(StrEnum):
    """What a responder can do."""

    FIRST_AID = "first_aid"
    NURSING = "nursing"
    LIFTING = "lifting"
    FIRE_SAFETY = "fire_safety"
    LOCKSMITH = "locksmith"
    PLUMBING = "plumbing"
    DEVICES = "devices"
    VISIT = "visit"


@dataclass(frozen=True, slots=True)
class Responder:
    """A row of `responder`. The position is WGS-84, fixed at `fix_at`; the phone is encrypted.

    `busy` counts the dispatches that are not over yet.
    """

    id: uuid.UUID
    user_id: uuid.UUID | None
    name: str
    phone_enc: bytes
    skills: list[str]
    division_code: str
    station: str
    lat: float | None
    lon: float | None
    fix_at: datetime | None
    on_duty: bool
    busy: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A responder for an incident, and what the place in the order comes from.

    `distance_m` is along the great circle, None without a usable fix; `eta_s` is a guess at the
    ride. `fix_age_s` is the age of the fix, `fix_stale` that it is older than 1,800 s. `shared` is
    how many levels of the division they have in common (0 to 5). `id` is the responder's,
    `missing` are skills that the kind asks for and the responder does not have.
    """

    id: uuid.UUID
    name: str
    station: str
    skills: list[str]
    matched: list[str]
    missing: list[str]
    distance_m: float | None
    eta_s: int | None
    fix_age_s: int | None
    fix_stale: bool
    shared: int
    busy: int
