"""Somebody on the way to an incident."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DispatchStatus(StrEnum):
    """How far the responder is."""

    NOTIFIED = "notified"
    ACCEPTED = "accepted"
    EN_ROUTE = "en_route"
    ON_SCENE = "on_scene"
    COMPLETED = "completed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class DispatchAction(StrEnum):
    """What moves a dispatch; all but `withdraw` are the responder's."""

    ACCEPT = "accept"
    DEPART = "depart"
    ARRIVE = "arrive"
    COMPLETE = "complete"
    DECLINE = "decline"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A row of `dispatch` with the responder's name and account."""

    id: uuid.UUID
    incident_id: uuid.UUID
    responder_id: uuid.UUID
    responder_name: str
    responder_user_id: uuid.UUID | None
    status: DispatchStatus
    token_expires_at: datetime
    dispatched_by: uuid.UUID | None
    notified_at: datetime
    accepted_at: datetime | None
    en_route_at: datetime | None
    on_scene_at: datetime | None
    completed_at: datetime | None
    declined_at: datetime | None
    decline_reason: str | None
    withdrawn_at: datetime | None
    version: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", DispatchStatus(self.status))


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """A photo without its bytes; `size` is in bytes."""

    id: uuid.UUID
    dispatch_id: uuid.UUID
    at: datetime
    content_type: str
    size: int
