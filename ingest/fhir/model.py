"""What a FHIR request asks for and what the store finds: the words of this folder."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
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
    """Who asks: a person with a session, or a system with a token, and what it may see.

    `names`: elders' names and birthdays in full, as persons see them on the console. A system knows
    the elder by the id and gets enough to notice a mix-up.
    """

    actor: Actor
    observations: bool
    devices: bool
    names: bool = False


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
class PatientRow:
    """An elder as far as a Patient tells: nothing that is encrypted."""

    id: uuid.UUID
    name: str
    sex: str
    birth_date: date | None
    archived_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of time from `low` to before `high`."""

    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class ObservationSearch:
    """A search for observations of one elder, by time, within `spans` (in order and apart).

    `metrics` are numbers of those of CODES. With `keys` only these are looked at, whoever's they
    are. `after` is the last one of the page before; `include` the types to be sent along.
    """

    patient: uuid.UUID | None
    metrics: tuple[int, ...]
    spans: tuple[Span, ...]
    count: int
    after: Key | None = None
    newest_first: bool = True
    device: int | None = None
    keys: tuple[Key, ...] | None = None
    include: frozenset[str] = frozenset()

    def matches(self, found: "Measured") -> bool:
        """Whether an observation that is known by its key is among what is searched for."""
        return (
            found.metric in self.metrics
            and (self.patient is None or found.elder_id == self.patient)
            and (self.device is None or found.device_no == self.device)
            and any(span.low <= found.time < span.high for span in self.spans)
        )


@dataclass(frozen=True, slots=True)
class DeviceSearch:
    """A search for devices, by number. `after` is the last one of the page before."""

    numbers: tuple[int, ...] | None = None
    patient: uuid.UUID | None = None
    identifier: str | None = None
    states: tuple[str, ...] | None = None
    count: int = 1
    after: int = 0
    include: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Page:
    """What a search found: the matches, what is sent along, where the next page begins if any."""

    found: Sequence[Resource]
    along: Sequence[Resource] = ()
    following: str | None = None
