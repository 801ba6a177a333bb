"""How a chart is cut: bucket widths, where buckets start, which table they come from. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.telemetry.model import Binding, Window

# A Monday, midnight in China: the same origin as telemetry_bucket() in the database, so that days
# and weeks are those of the people who read them. China has one time zone and no summer time.
ORIGIN = datetime(2000, 1, 2, 16, 0, tzinfo=UTC)

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
LADDER: tuple[timedelta, ...] = (
    *(n * _MINUTE for n in (1, 2, 5, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 7, 28, 84, 364)),
)


@dataclass(frozen=True, slots=True)
class Level:
    """A rollup that a chart can be made of: the view's name and the width of its buckets."""

    name: str
    width: timedelta


LEVELS: tuple[Level, ...] = (
    Level("1d", _DAY),
    Level("1h", _HOUR),
    Level("15m", 15 * _MINUTE),
)


def floor_to(width: timedelta, moment: datetime) -> datetime:
    """Return the start of the bucket of `width` that `moment` is in."""
    return moment - (moment - ORIGIN) % width


def ceil_to(width: timedelta, moment: datetime) -> datetime:
    """Return `moment` if a bucket starts there, else the end of its bucket."""
    return moment + (ORIGIN - moment) % width


def choose_step(span: timedelta, max_points: int) -> timedelta:
    """Return the finest width on the ladder that gives a span at most `max_points` buckets.

    One bucket more may come out, as a span seldom starts where a bucket does. The widest step is
    returned for spans beyond the ladder. Raises ValueError if `max_points` is below 1.
    """
    if max_points < 1:
        raise ValueError("a chart needs at least one point")
    return next((step for step in LADDER if span <= step * max_points), LADDER[-1])


def choose_level(step: timedelta) -> Level | None:
    """Return the coarsest rollup that buckets of `step` can be made of, None for the readings."""
    return next((level for level in LEVELS if not step % level.width), None)


def windows(bindings: Iterable[Binding], start: datetime, end: datetime) -> list[Window]:
    """Return what the bindings leave of the span from `start` to before `end`, none of it empty."""
    cut = (
        Window(b.device_no, max(b.since, start), end if b.until is None else min(b.until, end))
        for b in bindings
    )
    return [window for window in cut if window.start < window.end]


def split(wanted: Sequence[Window], width: timedelta) -> tuple[list[Window], list[Window]]:
    """Split windows into whole buckets of a rollup, and the ends that must come from readings.

    A device that goes from one elder to another in the middle of a bucket has readings of both in
    it: such a bucket of the rollup belongs to nobody.
    """
    whole: list[Window] = []
    ends: list[Window] = []
    for window in wanted:
        first = min(ceil_to(width, window.start), window.end)
        last = max(floor_to(width, window.end), first)
        whole.append(Window(window.device_no, first, last))
        ends.append(Window(window.device_no, window.start, first))
        ends.append(Window(window.device_no, last, window.end))
    return [w for w in whole if w.start < w.end], [w for w in ends if w.start < w.end]
