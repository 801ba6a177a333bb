"""Bucket arithmetic of charts."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry.model import Binding, TelemetrySettings, Window
from ingest.telemetry.rules import (
    LADDER,
    LEVELS,
    ceil_to,
    choose_level,
    choose_step,
    floor_to,
    split,
    windows,
)

CHINA = ZoneInfo("Asia/Shanghai")
START = datetime(2000, 1, 1, tzinfo=UTC)
moments = st.timedeltas(timedelta(days=-400), timedelta(days=15000)).map(lambda d: START + d)
widths = st.sampled_from(LADDER)
DAY = timedelta(days=1)


@given(moments, widths)
def test_a_moment_lies_in_its_bucket(moment: datetime, width: timedelta) -> None:
    start, end = floor_to(width, moment), ceil_to(width, moment)
    assert start <= moment <= end
    assert end - start in {timedelta(), width}
    assert floor_to(width, start) == start == ceil_to(width, start)


@given(moments)
def test_days_begin_at_midnight_in_china_and_weeks_on_a_monday(moment: datetime) -> None:
    day = floor_to(DAY, moment).astimezone(CHINA)
    week = floor_to(7 * DAY, moment).astimezone(CHINA)
    assert (day.hour, day.minute, day.second) == (0, 0, 0)
    assert (week.isoweekday(), week.hour) == (1, 0)


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=3000)), st.integers(1, 2000))
def test_the_step_is_the_finest_that_keeps_to_the_number_of_points(
    span: timedelta, max_points: int
) -> None:
    step = choose_step(span, max_points)
    finer = [s for s in LADDER if s < step]
    assert span <= step * max_points or step == LADDER[-1]
    assert not finer or span > finer[-1] * max_points


def test_a_chart_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        choose_step(DAY, 0)


@pytest.mark.parametrize(
    ("step", "level"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=15), "15m"),
        (timedelta(minutes=30), "15m"),
        (timedelta(hours=1), "1h"),
        (timedelta(hours=12), "1h"),
        (DAY, "1d"),
        (7 * DAY, "1d"),
    ],
)
def test_buckets_are_made_of_the_coarsest_level_that_fits(
    step: timedelta, level: str | None
) -> None:
    chosen = choose_level(step)
    assert (chosen.name if chosen else None) == level


@given(moments, moments, st.sampled_from([level.width for level in LEVELS]))
def test_a_window_is_cut_into_whole_buckets_and_its_ends(
    first: datetime, second: datetime, width: timedelta
) -> None:
    start, end = sorted((first, second))
    window = Window(7, start, end)
    whole, ends = split([window], width)
    pieces = sorted([*whole, *ends], key=lambda w: w.start)
    assert sum((p.end - p.start for p in pieces), timedelta()) == end - start
    assert all(floor_to(width, w.start) == w.start for w in whole)
    assert all(floor_to(width, w.end) == w.end for w in whole)
    assert all(p.end - p.start < 2 * width for p in ends)
    assert [p.start for p in pieces[1:]] == [p.end for p in pieces[:-1]]


def test_a_binding_limits_what_is_read() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    bindings = [
        Binding(1, start - DAY, start + DAY),
        Binding(2, start + DAY, None),
        Binding(3, start + 9 * DAY, None),
    ]
    assert windows(bindings, start, start + 2 * DAY) == [
        Window(1, start, start + DAY),
        Window(2, start + DAY, start + 2 * DAY),
    ]


def test_a_finer_level_is_not_kept_longer_than_a_coarser_one() -> None:
    with pytest.raises(ValueError, match="as long or longer"):
        TelemetrySettings(keep_readings=timedelta(days=400))
