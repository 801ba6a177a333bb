"""What is waited for, and whom to call when nobody acts."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class DeadlineKind(StrEnum):
    """What is waited for.

    `escalate`: nobody has claimed; `time_in_status`: it stands still; `dispatch_answer`: the
    responder has not accepted; `call_answer`: the carrier has not said how a call ended.
    """

    ESCALATE = "escalate"
    TIME_IN_STATUS = "time_in_status"
    DISPATCH_ANSWER = "dispatch_answer"
    CALL_ANSWER = "call_answer"


@dataclass(frozen=True, slots=True)
class Deadline:
    """Something that happens at `due_at` unless it is cancelled before. `step` counts from 0."""

    id: uuid.UUID
    incident_id: uuid.UUID
    kind: DeadlineKind
    step: int
    due_at: datetime
    data: Mapping[str, Any]
    attempts: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", DeadlineKind(self.kind))


@dataclass(frozen=True, slots=True)
class DutyPhone:
    """A phone to ring when nobody claims. With `user_id`, key 1 claims for that person."""

    id: uuid.UUID
    division: str
    position: int
    name: str
    phone_enc: bytes
    phone_index: bytes
    user_id: uuid.UUID | None
    version: int = 1
