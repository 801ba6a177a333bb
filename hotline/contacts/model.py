"""A call or a text to somebody: its purpose, its progress and what was pressed."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# The purpose of the cipher under which every phone number is encrypted (care/elders/store.py), so
# that a box can be copied from a contact to an attempt without being opened.
PHONE = "phone"
BODY = "text_body"


class Channel(StrEnum):
    """How somebody is reached."""

    CALL = "call"
    SMS = "sms"


class Purpose(StrEnum):
    """Why somebody is called or texted.

    `contact` is one contact that the operator chose; `chain` goes through the contacts in their
    order until one confirms; `duty` is the duty phone; `dispatch` a responder who is sent,
    `stand_down` one who need not go any more.
    """

    ELDER = "elder"
    CONTACT = "contact"
    CHAIN = "chain"
    DUTY = "duty"
    DISPATCH = "dispatch"
    STAND_DOWN = "stand_down"


class AttemptStatus(StrEnum):
    """How far it has come; machine.py has the order."""

    QUEUED = "queued"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    SENT = "sent"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"


class Key(StrEnum):
    """What somebody presses on the phone."""

    ACKNOWLEDGE = "1"
    ON_MY_WAY = "2"
    CANNOT = "3"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `contact_attempt`. The number and the body are encrypted; the id is our reference
    with the carrier. `position` is the place in the chain of contacts or of duty phones.
    """

    id: uuid.UUID
    incident_id: uuid.UUID | None
    channel: Channel
    purpose: Purpose
    to_name: str
    to_enc: bytes
    contact_id: uuid.UUID | None
    dispatch_id: uuid.UUID | None
    duty_phone_id: uuid.UUID | None
    position: int | None
    body_enc: bytes | None
    status: AttemptStatus
    carrier_id: str | None
    digits: str | None
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    error: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "channel", Channel(self.channel))
        object.__setattr__(self, "purpose", Purpose(self.purpose))
        object.__setattr__(self, "status", AttemptStatus(self.status))


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to reach: a name for the timeline and the encrypted number. `phone_index` is the blind
    index of the number, kept where one number must not be called twice at a time.
    """

    name: str
    phone_enc: bytes
    contact_id: uuid.UUID | None = None
    dispatch_id: uuid.UUID | None = None
    duty_phone_id: uuid.UUID | None = None
    position: int | None = None
    phone_index: bytes | None = None
