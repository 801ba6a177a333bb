"""What a FHIR request asks for and what the store finds: the words of this folder."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from devices.metrics import METRICS, Metric
from kernel.auth.model import Actor
from kernel.errors import DomainError

Resource = dict[str, Any]

SYSTOLIC, DIASTOLIC = METRICS["bp_systolic"], METRICS["bp_diastolic"]
PANEL = "85354-9"
"""LOINC: blood pressure panel with all children optional. Its components are the two above."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A metric is an observation when LOINC knows it; the two pressures are one, under the systolic.
CODES: dict[str, Metric] = {
    PANEL if metric is SYSTOLIC else metric.loinc: metric
    for metric in METRICS.values()
    if metric.loinc and metric is not DIASTOLIC
}
_CODE_OF = {metric.id: code for code, metric in CODES.items()}


CATEGORIES = {
    metric.id: {"glucose": "laboratory", "steps": "activity"}.get(metric.code, "vital-signs")
    for metric in CODES.values()
}
"""FHIR's observation category of each metric of CODES, by its number."""


class FhirError(DomainError):
    """A request that cannot be answered. `issue` is a code of FHIR's issue-type value set."""

    code = "fhir"

    def __init__(self, message: str, *, issue: str = "invalid", status: int = 400) -> None:
        super().__init__(message)
        self.issue = issue
        self.http_status = status


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: a person with a session, or a system with a token, and what it may see."""

    actor: Actor
    observations: bool
    devices: bool


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What an observation is known by: when, which device, which metric (of a panel: systolic)."""

    time: datetime
    device_no: int
    metric: int

    @property
    def id(self) -> str:
        """The logical id: device number, LOINC code, microseconds since 1970."""
        micros = (self.time - _EPOCH) // timedelta(microseconds=1)
        return f"{self.device_no}.{_CODE_OF[self.metric]}.{micros}"

    @classmethod
    def parse(cls, text: str) -> "Key | None":
        """Read an id; None when it can be none of ours."""
        device, _, rest = text.partition(".")
        code, _, micros = rest.partition(".")
        metric = CODES.get(code)
        if metric is None or not device.isdecimal() or len(device) > 18 or len(micros) > 18:
            return None
        if not micros.removeprefix("-").isdecimal():
            return None
        try:
            time = _EPOCH + timedelta(microseconds=int(micros))
        except OverflowError:
            return None
        return cls(time, int(device), metric.id)


@dataclass(frozen=True, slots=True)
class Measured:
    """An observation as it is stored: `value` with its quality bits; of a panel the second too."""

    time: datetime
    device_no: int
    metric: int
    value: float | None
    quality: int | None
    second: float | None
    second_quality: int | None
    elder_id: uuid.UUID

    @property
    def key(self) -> Key:
        """What it is known by."""
        return Key(self.time, self.device_no, self.metric)


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as it is shown: no secrets, no position."""

    no: int
    id: str
    profile: str
    serial: str | None
    state: str
    firmware: str | None
    online: bool | None
    elder_id: uuid.UUID | None
    division_code: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ObservationSearch:
    """A search for observations of one elder, newest first, from `start` to before `end`.

    `metrics` are those of CODES; None is all of them. `after` is the last one of the page before.
    """

    patient: uuid.UUID
    metrics: tuple[int, ...]
    start: datetime
    end: datetime
    count: int
    after: Key | None


@dataclass(frozen=True, slots=True)
class DeviceSearch:
    """A search for devices, by number. `after` is the last one of the page before."""

    no: int | None
    patient: uuid.UUID | None
    identifier: str | None
    states: tuple[str, ...] | None
    count: int
    after: int
