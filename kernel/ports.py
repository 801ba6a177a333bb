"""Ports: what the wings need from outside. Adapters are chosen in `app/wiring`."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OutgoingCall:
    """A call to place. `to` is digits; `say` is read to who answers; `gather` asks for one key.

    `reference` is our own id: the carrier reports progress under it, and placing the same reference
    twice places one call.
    """

    reference: str
    to: str
    say: str
    gather: bool = False


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """A text message to send; `reference` makes it idempotent."""

    reference: str
    to: str
    body: str


class Carrier(Protocol):
    """Telephony. Both methods return the carrier's own id and raise CarrierError."""

    async def place_call(self, call: OutgoingCall) -> str:
        """Place the call and return at once; progress arrives by callback."""

    async def send_text(self, text: OutgoingText) -> str:
        """Hand over the message; delivery is reported by callback."""


class CarrierError(Exception):
    """The carrier refused. `permanent` says that trying again cannot help (a wrong number)."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that reaches the centre. `caller` is what the carrier says of who calls: a number, a
    SIP address, or nothing where it is withheld."""

    caller: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AnnouncedCall:
    """The alarm that announced a call, and whose it is.

    `certain` says that the device named this very caller; else it is the only call that was
    announced without a number.
    """

    alarm_id: uuid.UUID
    device_no: int
    elder_id: uuid.UUID | None
    certain: bool


class CallAnnouncements(Protocol):
    """Devices that call by voice after their alarm (SCAIP, TS 50134-9: within 60 s)."""

    async def match(self, call: IncomingCall) -> AnnouncedCall | None:
        """Return the alarm that this call belongs to, None where no device has announced it."""
