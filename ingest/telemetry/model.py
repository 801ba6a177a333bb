"""Readings, series and the storage modes: the words of this folder."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntFlag, StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernel.errors import DomainError


class StorageMode(StrEnum):
    """What the database can do with readings (ADR 0003). Readers see the same names in each."""

    PLAIN = "plain"
    """PostgreSQL alone: daily partitions, our own rollup and retention."""
    APACHE = "apache"
    """TimescaleDB, Apache edition: a hypertable; rollup and retention are ours."""
    COMMUNITY = "community"
    """TimescaleDB, Community edition: continuous aggregates, columnstore, policies of its own."""


class Quality(IntFlag):
    """What is odd about a reading (`reading.quality`). GOOD is 0.

    Readings of a test and implausible ones are stored, but stay out of charts, rollups and the
    latest values: the views in migrations/0005_telemetry.sql leave out the same two bits.
    """

    GOOD = 0
    REPLAYED = 1
    TEST = 2
    TIME_ESTIMATED = 4
    IMPLAUSIBLE = 8

    @property
    def counts(self) -> bool:
        """Whether the reading may be shown as a measured value."""
        return not self & LEFT_OUT


# As a plain number: it is compared with every reading.
LEFT_OUT = int(Quality.TEST | Quality.IMPLAUSIBLE)


class ReadingRow(NamedTuple):
    """One reading, in the order of the table's columns: it goes to COPY as it is.

    A NamedTuple and not a dataclass, because COPY takes sequences and there are many of them.
    `time` is aware UTC, `metric` a number of the catalogue, `value` in the catalogue's unit and
    finite, `quality` a sum of Quality bits.
    """

    time: datetime
    device_no: int
    metric: int
    value: float
    quality: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ReadingColumns:
    """Readings as columns of equal length; what they mean is as in ReadingRow.

    `time` is in microseconds since 1970.
    """

    time: npt.NDArray[np.int64]
    device_no: npt.NDArray[np.int64]
    metric: npt.NDArray[np.int16]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, part: slice | npt.NDArray[np.bool_]) -> "ReadingColumns":
        return ReadingColumns(
            self.time[part],
            self.device_no[part],
            self.metric[part],
            self.value[part],
            self.quality[part],
        )


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """A point of a chart. `time` is the moment of a reading or the start of a bucket."""

    time: datetime
    low: float
    high: float
    mean: float
    n: int


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the order of time. `step` is the width of the buckets, None for single readings."""

    step: timedelta | None
    points: tuple[SeriesPoint, ...]


@dataclass(frozen=True, slots=True)
class LatestReading:
    """The newest value of a metric, and the device that measured it."""

    metric: int
    time: datetime
    value: float
    quality: int
    device_no: int


@dataclass(frozen=True, slots=True)
class Binding:
    """A device that an elder had from `since` to before `until` (None: still has)."""

    device_no: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Window:
    """Readings of one device from `start` to before `end`."""

    device_no: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """How long is kept what, and how often jobs run. Daily values are kept for ever.

    Raises ValueError when a finer level would be kept longer than the coarser one made of it, or
    readings for less than a week: late ones could no longer be rolled up.
    """

    keep_readings: timedelta = timedelta(days=90)
    keep_15m: timedelta = timedelta(days=180)
    keep_1h: timedelta = timedelta(days=5 * 366)
    compress_after: timedelta = timedelta(days=7)
    partitions_ahead: timedelta = timedelta(days=7)
    rollup_every_seconds: int = 60
    maintenance_every_seconds: int = 3600

    def __post_init__(self) -> None:
        kept = (timedelta(days=7), self.keep_readings, self.keep_15m, self.keep_1h)
        if list(kept) != sorted(kept):
            raise ValueError("keep readings ≥ 7 days, 15m as long or longer, 1h as long or longer")


class StorageError(DomainError):
    """The tables of this database do not fit what was asked of them."""

    code = "storage"
    status = 500
