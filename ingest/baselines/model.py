"""What the rules of baselines take and give."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from devices.alarms import AlarmKind

ANY_HOUR = -1
"""In place of an hour of the day: the whole day."""


@dataclass(frozen=True, slots=True)
class Watched:
    """How one metric is held against the elder's own baseline. Values in the catalogue's unit.

    `floor` is the least spread that is believed: a watch rounds, and a calm week is no law. `least`
    is the difference from the ordinary that matters at all, `drift` the same for the level of
    several nights, or of days where nothing is measured at night.
    """

    metric: str
    low: AlarmKind | None
    high: AlarmKind | None
    floor: float
    least: float
    drift: float

    def kind(self, difference: float) -> AlarmKind | None:
        """What it is when the value lies so far from the ordinary; None where nobody minds."""
        return self.high if difference > 0 else self.low


@dataclass(frozen=True, slots=True)
class Recent:
    """The last quarters of an hour of an elder's metric, beside what is ordinary at this hour.

    `means` are those of quarters with readings, at rest, newest first; `at` is the beginning of the
    newest. `hour` is `ANY_HOUR` where too little is known of this hour.
    """

    elder_id: uuid.UUID
    device_no: int
    metric: int
    at: datetime
    means: Sequence[float]
    median: float
    mad: float
    hour: int
    days: int


@dataclass(frozen=True, slots=True)
class Level:
    """What a metric came to in one night (or day): the median of its hours."""

    day: date
    value: float


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of an elder's metric over the last weeks, oldest first.

    `night` says whether they are those of nights (0 to 6 o'clock) or, where a device is worn by day
    only, of whole days.
    """

    elder_id: uuid.UUID
    device_no: int
    metric: int
    night: bool
    days: Sequence[Level]
