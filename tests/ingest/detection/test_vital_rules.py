"""Vitals against limits: tables of readings and what they come to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.metrics import METRICS
from ingest.detection.defaults import VITALS
from ingest.detection.model import Clear, Limits, Measured, Raise, State
from ingest.detection.rules import vital, zone

START = datetime(2026, 3, 5, 6, 0, tzinfo=UTC)


def run(
    metric: str, readings: list[tuple[float, float]], limits: Limits | None = None
) -> tuple[list[str], State | None]:
    """Judge (minute, value) pairs; what happened as "minute:kind:severity" or "…:clear"."""
    rule = VITALS[metric]
    state: State | None = None
    heard: list[str] = []
    for minute, value in readings:
        reading = Measured(metric, value, START + timedelta(minutes=minute))
        result = vital(state, reading, rule, limits or rule.limits)
        state = result.state
        for event in result.events:
            word = event.severity.value if isinstance(event, Raise) else "clear"
            heard.append(f"{minute:g}:{event.kind.value}:{word}")
    return heard, state


@pytest.mark.parametrize(
    ("metric", "readings", "heard"),
    [
        # One major reading is not enough, the second one rings, on the limit itself too.
        ("heart_rate", [(0, 120)], []),
        ("heart_rate", [(0, 120), (5, 121)], ["5:heart_rate_high:major"]),
        ("heart_rate", [(0, 60), (5, 60)], ["5:heart_rate_low:major"]),
        # A normal reading between them starts the count anew.
        ("heart_rate", [(0, 125), (5, 90), (10, 125)], []),
        # So does a gap: two readings an hour apart are not "in a row".
        ("heart_rate", [(0, 125), (60, 125)], []),
        ("heart_rate", [(0, 125), (30, 125)], ["30:heart_rate_high:major"]),
        # Critical rings at once, and once.
        ("heart_rate", [(0, 140)], ["0:heart_rate_high:critical"]),
        ("heart_rate", [(0, 150), (5, 155), (10, 151)], ["0:heart_rate_high:critical"]),
        ("heart_rate", [(0, 50)], ["0:heart_rate_low:critical"]),
        # Major becomes critical: rings again, louder. Back to major: no news.
        (
            "heart_rate",
            [(0, 125), (5, 126), (10, 141), (15, 130)],
            ["5:heart_rate_high:major", "10:heart_rate_high:critical"],
        ),
        # What lasts rings again after half an hour.
        (
            "heart_rate",
            [(0, 150), (10, 150), (20, 150), (30, 150), (40, 150)],
            ["0:heart_rate_high:critical", "30:heart_rate_high:critical"],
        ),
        # Hysteresis: just inside of the limit is not normal yet; two calm readings are.
        ("heart_rate", [(0, 150), (5, 119), (10, 118), (15, 119)], ["0:heart_rate_high:critical"]),
        (
            "heart_rate",
            [(0, 150), (5, 110), (10, 111)],
            ["0:heart_rate_high:critical", "10:heart_rate_high:clear"],
        ),
        (
            "heart_rate",
            [(0, 150), (5, 110), (10, 119), (15, 110)],
            ["0:heart_rate_high:critical"],
        ),
        # Cleared and out again: a new alarm.
        (
            "heart_rate",
            [(0, 150), (5, 90), (10, 90), (15, 150)],
            [
                "0:heart_rate_high:critical",
                "10:heart_rate_high:clear",
                "15:heart_rate_high:critical",
            ],
        ),
        # From too high to too low: the one is over, the other begins.
        (
            "heart_rate",
            [(0, 150), (5, 48)],
            ["0:heart_rate_high:critical", "5:heart_rate_high:clear", "5:heart_rate_low:critical"],
        ),
        # A late copy of an older reading changes nothing.
        ("heart_rate", [(5, 125), (0, 126)], []),
        ("heart_rate", [(5, 125), (5, 126)], []),
        # SpO₂ has no upper limit.
        ("spo2", [(0, 100), (5, 100)], []),
        ("spo2", [(0, 91), (5, 90)], ["5:spo2_low:major"]),
        ("spo2", [(0, 88)], ["0:spo2_low:critical"]),
        # Measured by hand, the second reading may come much later.
        ("bp_systolic", [(0, 185), (80, 190)], ["80:blood_pressure_high:major"]),
        ("bp_diastolic", [(0, 120)], ["0:blood_pressure_high:critical"]),
        ("body_temperature", [(0, 38.4), (60, 38.5)], ["60:body_temperature_high:major"]),
        ("body_temperature", [(0, 35.29), (5, 35.29)], []),
        ("respiratory_rate", [(0, 30)], ["0:respiratory_rate_high:critical"]),
        # A finger-prick counts alone.
        ("glucose", [(0, 3.9)], ["0:glucose_low:major"]),
        ("glucose", [(0, 14.2)], ["0:glucose_high:major"]),
        ("glucose", [(0, 2.8)], ["0:glucose_low:critical"]),
    ],
)
def test_readings_come_to_these_alarms(
    metric: str, readings: list[tuple[float, float]], heard: list[str]
) -> None:
    assert run(metric, readings)[0] == heard


def test_limits_of_ones_own_may_leave_sides_and_levels_out() -> None:
    only_critical = Limits(high_critical=150)
    assert run("heart_rate", [(0, 145), (5, 40), (10, 145)], only_critical) == ([], None)
    heard, _ = run("heart_rate", [(0, 151), (5, 140), (10, 140)], only_critical)
    assert heard == ["0:heart_rate_high:critical", "10:heart_rate_high:clear"]


@pytest.mark.parametrize("metric", sorted(VITALS))
def test_defaults_are_in_order_and_plausible(metric: str) -> None:
    limits = VITALS[metric].limits
    given_limits = [
        each
        for each in (
            limits.low_critical,
            limits.low_major,
            limits.high_major,
            limits.high_critical,
        )
        if each is not None
    ]
    assert given_limits == sorted(given_limits)
    assert all(METRICS[metric].plausible(each) for each in given_limits)


values = st.floats(20, 250, allow_nan=False)
sequences = st.lists(st.tuples(st.integers(1, 90), values), max_size=40)


@given(sequences)
def test_normal_leaves_no_state_and_every_clear_follows_an_alarm(
    steps: list[tuple[int, float]],
) -> None:
    rule = VITALS["heart_rate"]
    state: State | None = None
    minute = 0
    open_kinds: set[str] = set()
    for gap, value in steps:
        minute += gap
        reading = Measured("heart_rate", value, START + timedelta(minutes=minute))
        result = vital(state, reading, rule, rule.limits)
        state = result.state
        for event in result.events:
            if isinstance(event, Clear):
                assert event.kind.value in open_kinds
                open_kinds.discard(event.kind.value)
            else:
                open_kinds.add(event.kind.value)
        # At most one side can be wrong, and what is open has a state that will clear it.
        assert len(open_kinds) <= 1
        if open_kinds:
            assert state is not None
            assert state["level"] is not None
    for extra in range(2):
        reading = Measured("heart_rate", 90, START + timedelta(minutes=minute + 100 + extra))
        state = vital(state, reading, rule, rule.limits).state
    assert state is None


@given(values)
def test_critical_rings_at_once_and_inside_never_rings(value: float) -> None:
    rule = VITALS["heart_rate"]
    result = vital(None, Measured("heart_rate", value, START), rule, rule.limits)
    found = zone(value, rule.limits)
    assert bool(result.events) is (found is not None and found[1] == "critical")
    assert (result.state is None) is (found is None)
