"""The other rules of single inputs: signals, battery, fence, door, bed."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.alarms import AlarmKind
from devices.messages import Position
from ingest.detection import rules, silence
from ingest.detection.model import ElderWatch, Event, Fence, Raise, State

START = datetime(2026, 3, 5, 15, 0, tzinfo=UTC)
"""23:00 in Shanghai."""


def minute(count: float) -> datetime:
    return START + timedelta(minutes=count)


def words(events: tuple[Event, ...]) -> list[str]:
    return [
        f"{each.kind.value}:{each.severity.value if isinstance(each, Raise) else 'clear'}"
        for each in events
    ]


def test_a_standing_signal_rings_at_its_change_and_when_it_lasts() -> None:
    state: State | None = None
    heard = []
    for at, active in ((0, False), (1, True), (2, True), (31, True), (40, False), (41, False)):
        result = rules.signal(state, AlarmKind.SMOKE, active, "smoke=true", minute(at))
        state = result.state
        heard += [f"{at}:{word}" for word in words(result.events)]
    assert heard == ["1:smoke:critical", "31:smoke:critical", "40:smoke:clear"]


@pytest.mark.parametrize(
    ("inputs", "heard"),
    [
        ([(0, 16.0, None), (1, 15.0, None), (2, 14.0, None)], ["1:low_battery:technical"]),
        # It recovers a little when the device sleeps: not normal yet.
        ([(0, 15.0, None), (1, 18.0, None), (2, 15.0, None)], ["0:low_battery:technical"]),
        ([(0, 15.0, None), (1, 25.0, None)], ["0:low_battery:technical", "1:low_battery:clear"]),
        ([(0, None, True), (1, None, False)], ["0:low_battery:technical", "1:low_battery:clear"]),
        # The device says low and 80 % at once: it knows its own cell better than its gauge.
        ([(0, 80.0, True)], ["0:low_battery:technical"]),
        # Once a day is enough.
        ([(0, 9.0, None), (600, 8.0, None), (1440, 5.0, None)],
         ["0:low_battery:technical", "1440:low_battery:technical"]),
        ([(0, None, False), (1, 50.0, None)], []),
    ],
)  # fmt: skip
def test_battery(inputs: list[tuple[int, float | None, bool | None]], heard: list[str]) -> None:
    state: State | None = None
    found = []
    for at, percent, low in inputs:
        result = rules.battery(state, percent, low, 15.0, minute(at))
        state = result.state
        found += [f"{at}:{word}" for word in words(result.events)]
    assert found == heard


FENCE = Fence(40.8000, 111.7000, 500)


def fix(north_m: float, accuracy: float | None = 10, source: str = "gnss") -> Position:
    return Position(40.8 + north_m / 111_195, 111.7, accuracy, source=source)


@pytest.mark.parametrize(
    ("fixes", "heard"),
    [
        ([(0, fix(100)), (1, fix(499))], []),
        # One stray fix is no departure, two in a row are.
        ([(0, fix(900)), (1, fix(100)), (2, fix(900))], []),
        ([(0, fix(900)), (1, fix(950)), (2, fix(990))], ["1:geofence_exit:major"]),
        # Outside only when the inaccuracy does not explain it.
        ([(0, fix(520, 30)), (1, fix(520, 30))], []),
        ([(0, fix(900, None, "cell")), (1, fix(900, None, "cell"))], []),
        ([(0, fix(2000, None, "cell")), (1, fix(2000, None, "cell"))], ["1:geofence_exit:major"]),
        # At the gate: neither out nor in. Well inside: back.
        ([(0, fix(900)), (1, fix(950)), (2, fix(490)), (3, fix(460))],
         ["1:geofence_exit:major", "3:geofence_exit:clear"]),
        # Out again after the return.
        ([(0, fix(900)), (1, fix(950)), (2, fix(100)), (3, fix(900)), (4, fix(900))],
         ["1:geofence_exit:major", "2:geofence_exit:clear", "4:geofence_exit:major"]),
        # The same fix told twice is one.
        ([(0, fix(900)), (0, fix(900))], []),
    ],
)  # fmt: skip
def test_geofence(fixes: list[tuple[int, Position]], heard: list[str]) -> None:
    state: State | None = None
    found = []
    for at, position in fixes:
        result = rules.geofence(state, position, FENCE, minute(at))
        state = result.state
        found += [f"{at}:{word}" for word in words(result.events)]
    assert found == heard


def test_a_small_fence_can_be_entered_again() -> None:
    small = Fence(40.8, 111.7, 50)
    state = rules.geofence(None, fix(200), small, minute(0)).state
    state = rules.geofence(state, fix(200), small, minute(1)).state
    assert words(rules.geofence(state, fix(20), small, minute(2)).events) == ["geofence_exit:clear"]


def test_an_invalid_fix_says_nothing() -> None:
    broken = Position(0, 0, None, valid=False)
    assert rules.geofence(None, broken, FENCE, minute(0)).state is None


MAJOR, CRITICAL = timedelta(minutes=30), timedelta(minutes=60)


def test_a_door_rings_after_30_minutes_and_louder_after_60() -> None:
    state = rules.door(None, True, minute(0)).state
    assert state is not None
    # Restated by the sensor: it is open since the first time.
    state = rules.door(state, True, minute(20)).state
    assert state is not None
    heard = []
    for at in (29, 30, 45, 60, 90):
        result = rules.door_due(state, MAJOR, CRITICAL, minute(at))
        assert result.state is not None
        state = result.state
        heard += [f"{at}:{word}" for word in words(result.events)]
    assert heard == ["30:door_open:major", "60:door_open:critical"]
    closed = rules.door(state, False, minute(95))
    assert closed.state is None
    assert words(closed.events) == ["door_open:clear"]


def test_a_door_that_is_found_open_late_is_critical_at_once() -> None:
    state = rules.door(None, True, minute(0)).state
    assert state is not None
    assert words(rules.door_due(state, MAJOR, CRITICAL, minute(200)).events) == [
        "door_open:critical"
    ]


def test_a_door_that_closes_in_time_says_nothing() -> None:
    state = rules.door(None, True, minute(0)).state
    assert rules.door(state, False, minute(10)).events == ()
    # A report of before it opened, delivered late, does not close it.
    assert rules.door(state, False, minute(-5)).state == state


def test_whoever_leaves_the_bed_at_night_and_stays_out_is_looked_after() -> None:
    state = rules.bed(None, True, minute(-60)).state
    state = rules.bed(state, False, minute(0)).state
    assert state is not None
    assert silence.bed_due(state, minute(29)).events == ()
    result = silence.bed_due(state, minute(30))
    assert words(result.events) == ["bed_exit:minor"]
    assert result.state is not None
    assert silence.bed_due(result.state, minute(60)).events == ()
    back = rules.bed(result.state, True, minute(70))
    assert words(back.events) == ["bed_exit:clear"]


def test_a_bed_that_nobody_was_in_cannot_be_left() -> None:
    assert rules.bed(None, False, minute(0)).state is None


@pytest.mark.parametrize(
    ("left", "looked"),
    [
        (-90, 60),  # at 21:30, before the night: not gone to bed yet
        (0, 7 * 60 + 5),  # at 6:05 the night is over
        (0, 24 * 60 + 30),  # last night's exit
    ],
)
def test_by_day_an_empty_bed_means_nothing(left: int, looked: int) -> None:
    state = rules.bed(None, True, minute(left - 60)).state
    state = rules.bed(state, False, minute(left)).state
    assert state is not None
    assert silence.bed_due(state, minute(looked)).events == ()


def hour(day: int, clock: float) -> datetime:
    """A moment of March 2026 in Shanghai's time."""
    return datetime(2026, 3, day, tzinfo=UTC) + timedelta(hours=clock - 8)


@pytest.mark.parametrize(
    ("last", "now", "rings"),
    [
        (hour(5, 8), hour(5, 13.9), False),
        (hour(5, 8), hour(5, 14), True),
        # Nine hours of sleep are no reason.
        (hour(4, 22), hour(5, 7), False),
        (hour(4, 22), hour(5, 8.4), False),
        (hour(4, 22), hour(5, 8.5), True),
        # Silent since the afternoon: half of the day's share was used up before the night.
        (hour(4, 19), hour(5, 3.9), False),
        (hour(4, 19), hour(5, 4), True),
        (hour(4, 23), hour(4, 22), False),
    ],
)
def test_inactivity_by_time_of_day(last: datetime, now: datetime, rings: bool) -> None:
    result = silence.inactivity(None, last, ElderWatch(), now)
    assert words(result.events) == (["inactivity:major"] if rings else [])


def test_inactivity_has_limits_of_ones_own_and_rings_again_after_as_long() -> None:
    watch = ElderWatch(inactivity_day=timedelta(hours=2))
    assert silence.inactivity(None, hour(5, 8), watch, hour(5, 9.9)).events == ()
    first = silence.inactivity(None, hour(5, 8), watch, hour(5, 10))
    assert words(first.events) == ["inactivity:major"]
    assert silence.inactivity(first.state, hour(5, 8), watch, hour(5, 11)).events == ()
    second = silence.inactivity(first.state, hour(5, 8), watch, hour(5, 12))
    assert words(second.events) == ["inactivity:major"]


def test_the_share_of_a_whole_day_is_that_of_its_day_and_its_night() -> None:
    day, night = timedelta(hours=6), timedelta(hours=12)
    share = silence.quiet_share(hour(4, 8), hour(5, 8), day, night)
    assert share == pytest.approx(15 / 6 + 9 / 12)
    long_ago = hour(5, 8) - timedelta(days=36_500)
    assert silence.quiet_share(long_ago, hour(5, 8), day, night) > 1_000
