"""Who speaks in frames of vitals, and what they say, as columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from devices.registry.model import DeviceContext, DeviceState
from ingest.detection.model import ElderWatch, Limits
from ingest.work import Sheaf

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Shorts = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The reverse of `micros`."""
    return _EPOCH + timedelta(microseconds=at)


@dataclass(slots=True, eq=False)
class Speaker:
    """A device that speaks our protocol, as it is needed for each of its messages.

    `at` is how old the knowledge is (monotonic, s). What is received from `plain_from` on
    (microseconds since 1970) is plain: nothing about the device makes a difference to its vitals,
    and a test, if there was one, is over. `limits` are the elder's own, None where there are only
    the defaults. `touched` is when its presence was last written (microseconds since 1970).
    """

    device: DeviceContext
    watch: ElderWatch
    at: float
    plain_from: float
    no: int = field(init=False)
    gateway_no: int | None = field(init=False)
    limits: Mapping[str, Limits] | None = field(init=False)
    watched: bool = field(init=False)
    subjects: tuple[str, ...] = field(init=False)
    touched: int = 0

    def __post_init__(self) -> None:
        device = self.device
        self.no, self.gateway_no = device.no, device.gateway_no
        self.limits = self.watch.limits or None
        self.watched = device.elder_id is not None and device.state is DeviceState.BOUND
        elder = () if device.elder_id is None else (f"e:{device.elder_id}",)
        self.subjects = (f"d:{device.no}", *elder)


@dataclass(slots=True, eq=False)
class Columns:
    """What the plain frames of a sheaf say: messages, and the readings in them.

    Of each message: who says it, its frame in the sheaf, device number, time (microseconds since
    1970) and the two halves of its identity. Of each reading: the message that it belongs to,
    metric number, value and quality. `near` are messages with a value that a rule has to look at,
    `moved` those in which somebody moved, and by what it shows.
    """

    sheaf: Sheaf
    frames: int
    speakers: list[Speaker]
    gateways: list[Speaker]
    frame: list[int]
    device_no: Ints
    time: Ints
    high: Words
    low: Words
    owner: Ints
    metric: Shorts
    value: Floats
    quality: Shorts
    near: list[int]
    moved: dict[int, str]
    unfolded: bool = False
    """Its messages go on as frames of their own, which settle the sheaf."""

    @property
    def weight(self) -> int:
        """Messages in it."""
        return len(self.speakers)

    def committed(self) -> None:
        """Everything in it is committed."""
        self.sheaf.committed(self.frames)


@dataclass(slots=True, eq=False)
class Batch:
    """Columns of several sheaves, one behind the other, as one transaction stores them."""

    parts: Sequence[Columns]
    speakers: list[Speaker]
    device_no: Ints
    time: Ints
    high: Words
    low: Words
    owner: Ints
    metric: Shorts
    value: Floats
    quality: Shorts

    @classmethod
    def of(cls, parts: Sequence[Columns]) -> "Batch":
        """Put columns together."""
        if not parts:
            ints, words = np.empty(0, np.int64), np.empty(0, np.uint64)
            shorts, floats = np.empty(0, np.int16), np.empty(0, np.float64)
            return cls((), [], ints, ints, words, words, ints, shorts, floats, shorts)
        if len(parts) == 1:
            p = parts[0]
            return cls(
                parts, p.speakers, p.device_no, p.time, p.high, p.low,
                p.owner, p.metric, p.value, p.quality,
            )  # fmt: skip
        first = np.cumsum([0, *(part.weight for part in parts)])
        return cls(
            parts,
            [speaker for part in parts for speaker in part.speakers],
            np.concatenate([part.device_no for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.high for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.owner + at for part, at in zip(parts, first, strict=False)]),
            np.concatenate([part.metric for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.quality for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.speakers)

    def arrivals(self) -> Ints:
        """When each message came (microseconds since 1970)."""
        received = [micros(part.sheaf.received_at) for part in self.parts]
        weights = [part.weight for part in self.parts]
        return np.repeat(np.array(received, dtype=np.int64), np.array(weights, dtype=np.int64))

    def places(self, wanted: Sequence[int]) -> Iterator[tuple[Columns, int]]:
        """Where messages of the batch, in ascending order, are in its parts."""
        parts = iter(self.parts)
        part, first = next(parts, None), 0
        for index in wanted:
            while part is not None and index >= first + part.weight:
                first += part.weight
                part = next(parts, None)
            if part is None:
                raise IndexError(index)
            yield part, index - first
