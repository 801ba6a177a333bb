"""An alarm that announced a voice call."""

import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Announcement:
    """`call_back` is a number or a SIP address, empty where the device named none."""

    alarm_id: uuid.UUID
    device_no: int
    elder_id: uuid.UUID | None
    call_back: str
