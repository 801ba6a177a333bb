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


RAW = "raw"


@dataclass(frozen=True, slots=True)
class Lines:
    """How far each rollup is: buckets before its line are closed and in its table.

    Readings before `raw` have been deleted. `aggregates`: the database rolls up by itself from
    `done_1d` on, and the views show it.
    """

    raw: datetime
    done_15m: datetime
    done_1h: datetime
    done_1d: datetime
    aggregates: bool

    def done(self, level: Level) -> datetime:
        """The line of a level."""
        return {"1d": self.done_1d, "1h": self.done_1h, "15m": self.done_15m}[level.name]


def floor_to(width: timedelta, moment: datetime) -> datetime:
    """Return the start of the bucket of `width` that `moment` is in."""
    return moment - (moment - ORIGIN) % width


def utc_day(moment: datetime) -> datetime:
    """Return the midnight of UTC before `moment`: partitions and chunks start there."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


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


def cascade(level: Level, whole: Sequence[Window], lines: Lines) -> dict[str, list[Window]]:
    """Cut windows of whole buckets by where their content is: closed in `level`, else finer.

    What is after the line of a level is looked for in the next finer one, at last in the readings.
    A line lies where a bucket of its level starts, and no finer line lies before it.
    """
    pieces: dict[str, list[Window]] = {}
    rest = list(whole)
    for each in LEVELS[LEVELS.index(level) :]:
        line = lines.done(each)
        pieces[each.name] = [Window(w.device_no, w.start, min(w.end, line)) for w in rest]
        rest = [Window(w.device_no, max(w.start, line), w.end) for w in rest]
    pieces[RAW] = rest
    return {name: [w for w in cut if w.start < w.end] for name, cut in pieces.items()}
