"""A consent to one purpose."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ConsentPurpose(StrEnum):
    """What a consent allows; each purpose is asked for separately and can be withdrawn alone."""

    SERVICE = "service"
    MONITORING = "monitoring"
    HEALTH_DATA = "health_data"
    LOCATION = "location"
    CALL_RECORDING = "call_recording"
    FAMILY_SHARING = "family_sharing"
    FACE = "face"


@dataclass(frozen=True, slots=True)
class Consent:
    """Somebody agreed to one purpose, on a given version of the text."""

    id: uuid.UUID
    purpose: str
    text_version: str
    given_by: str
    given_at: datetime
    withdrawn_at: datetime | None
    recorded_by: str | None
