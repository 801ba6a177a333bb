"""The rules of baselines, one row a situation."""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from devices.alarms import AlarmKind, Severity
from ingest.baselines.model import Level, Levels, Recent
from ingest.baselines.rules import WATCHED, deviation, drift
from ingest.detection.model import Clear, Raise

AT = datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
ELDER = uuid.UUID(int=7)
STANDING = {"kind": "heart_rate_high", "raised_at": AT.isoformat()}


def recent(*means: float, median: float = 60, mad: float = 1.5) -> Recent:
    return Recent(ELDER, 1, 1, AT, means, median, mad, hour=3, days=14)


@pytest.mark.parametrize(
    ("means", "mad", "kind"),
    [
        ((82, 81, 80), 1.5, AlarmKind.HEART_RATE_HIGH),
        ((41, 42, 40), 1.5, AlarmKind.HEART_RATE_LOW),
        # Two quarters of an hour may be a bad dream.
        ((82, 81), 1.5, None),
        # Not in a row, or not on one side.
        ((82, 63, 82), 1.5, None),
        ((82, 38, 82), 1.5, None),
        # Far out in spreads, and still nothing that matters.
        ((77, 77, 77), 0.5, None),
        # Much, but hers go up and down like this every night.
        ((82, 81, 80), 6.0, None),
        # A calm fortnight is no law: the floor of the spread keeps 13 beats from ringing.
        ((73, 73, 73), 0.0, None),
    ],
)
def test_a_deviation_must_last_be_far_out_and_matter(
    means: Sequence[float], mad: float, kind: AlarmKind | None
) -> None:
    result = deviation(None, recent(*means, mad=mad), WATCHED["heart_rate"])
    assert [e.kind for e in result.events] == ([kind] if kind else [])
    assert (result.state is not None) == (kind is not None)


def test_a_deviation_says_how_far_from_what_and_of_how_many_days() -> None:
    [event] = deviation(None, recent(82.04, 81, 80), WATCHED["heart_rate"]).events
    assert isinstance(event, Raise)
    assert event.severity is Severity.MINOR
    assert event.detail == {
        "metric": "heart_rate", "value": 82.0, "baseline": 60, "days": 14, "minutes": 45, "hour": 3,
    }  # fmt: skip


def test_oxygen_above_the_ordinary_worries_nobody() -> None:
    assert deviation(None, recent(99, 99, 99, median=90), WATCHED["spo2"]).events == ()


@pytest.mark.parametrize(
    ("newest", "over"), [(82, False), (71, False), (69, True), (60, True), (51, True)]
)
def test_a_standing_deviation_rings_no_more_and_ends_well_inside(newest: float, over: bool) -> None:
    result = deviation(STANDING, recent(newest, 82, 82), WATCHED["heart_rate"])
    expected = (Clear(AlarmKind.HEART_RATE_HIGH),) if over else ()
    assert result.events == expected
    assert (result.state is None) is over


def weeks(*levels: float, gaps: Sequence[int] = ()) -> Levels:
    first = date(2026, 2, 13)
    days = [Level(first + timedelta(days=n), value) for n, value in enumerate(levels)]
    return Levels(ELDER, 1, 1, True, [day for n, day in enumerate(days) if n not in gaps])


CALM = (58, 59, 57, 58, 60, 58, 57, 59, 58, 58, 60, 57, 58, 59)


@pytest.mark.parametrize(
    ("levels", "gaps", "kind"),
    [
        ((*CALM, 66, 68, 70), (), AlarmKind.HEART_RATE_HIGH),
        ((*CALM, 50, 48, 48), (), AlarmKind.HEART_RATE_LOW),
        # One bad night, or two.
        ((*CALM, 58, 58, 75), (), None),
        ((*CALM, 57, 75, 75), (), None),
        # What matters has not been reached.
        ((*CALM, 62, 64, 65), (), None),
        # Somebody whose nights differ by ten.
        ((50, 66, 52, 68, 50, 66, 52, 68, 50, 66, 52, 68, 58, 59, 68, 69, 70), (), None),
        # Too few nights before, or the last ones not in a row.
        ((*CALM, 66, 68, 70), range(8), None),
        ((*CALM, 66, 68, 70), (15,), None),
    ],
)
def test_a_drift_lasts_for_three_nights(
    levels: Sequence[float], gaps: Sequence[int], kind: AlarmKind | None
) -> None:
    result = drift(None, weeks(*levels, gaps=gaps), WATCHED["heart_rate"], AT)
    assert [e.kind for e in result.events] == ([kind] if kind else [])


def test_a_drift_rings_once_and_ends_when_the_level_is_back() -> None:
    watched = WATCHED["heart_rate"]
    begun = drift(None, weeks(*CALM, 66, 68, 70), watched, AT)
    [event] = begun.events
    assert isinstance(event, Raise)
    assert event.detail == {
        "metric": "heart_rate", "value": 68, "baseline": 58.0, "days": 14, "drift_days": 3,
        "night": True,
    }  # fmt: skip
    lasting = drift(begun.state, weeks(*CALM, 66, 68, 70, 70), watched, AT)
    assert lasting.events == ()
    back = drift(lasting.state, weeks(*CALM, 61, 60, 59), watched, AT)
    assert (back.state, back.events) == (None, (Clear(AlarmKind.HEART_RATE_HIGH),))
