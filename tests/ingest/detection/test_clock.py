"""When a device's clock is held to be wrong, and when lateness is nothing but lateness."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from ingest.detection import rules
from ingest.detection.model import Clear, Raise, State
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness, body

MINUTE = 60.0
SLOW = timedelta(hours=2)


def told(offsets: Sequence[float], now: datetime, every: float = 10 * MINUTE) -> list[str]:
    """Run messages of a device through the rule, one each `every` seconds; say what it told."""
    state: State | None = None
    found: list[str] = []
    for number, offset in enumerate(offsets):
        result = rules.clock(state, offset, now + timedelta(seconds=number * every))
        state = result.state
        for event in result.events:
            found.append(f"{number}:{'raise' if isinstance(event, Raise) else 'clear'}")
    return found


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        # Right, or as good as right.
        ([0, -290, 290, -3], []),
        # An hour slow for good, and set right again.
        ([-3600, -3601, -3610, -3599, -3600, -3600, -2], ["4:raise", "6:clear"]),
        # Ahead: nothing but the clock explains it, however it varies.
        ([400, 7_200, 900, 86_400, 600], ["4:raise"]),
        # Back to 1970, where a clock begins.
        ([-1.7e9, -1.7e9, -1.7e9, -1.7e9, -1.7e9], ["4:raise"]),
        # A buffer that is sent late: each message is younger than the one before.
        ([-7_200, -6_600, -6_000, -5_400, -4_800, -4_200, -2], []),
        # One message with a bad time is a start without network.
        ([9_000, 1, 9_000, 1, 9_000], []),
        # While it lasts it is told once.
        ([900] * 40, ["4:raise"]),
    ],
)
def test_a_clock_is_wrong_when_several_messages_say_so(
    offsets: list[float], expected: list[str], now: datetime
) -> None:
    assert told(offsets, now) == expected


def test_many_messages_at_once_are_one_occasion(now: datetime) -> None:
    assert told([-3600] * 20, now, every=2) == []
    assert told([-3600] * 200, now, every=2) == ["150:raise"]


def test_a_dense_buffer_that_is_sent_slowly_is_no_clock(now: datetime) -> None:
    # A value each minute, one sent every ten seconds: each is late by 50 seconds less.
    assert told([-86_400 + 50.0 * number for number in range(1_000)], now, every=10) == []


async def wear_slow_watch(home: Home, feed: Feed, now: datetime) -> datetime:
    """A watch two hours slow, until that is known; return when it speaks next."""
    await home.device("W-0001", elder=await home.elder())
    for number in range(5):
        at = now + timedelta(minutes=5 * number)
        await say(feed, at, number, at - SLOW, heart_rate=72)
    return now + timedelta(minutes=25)


async def say(
    feed: Feed, at: datetime, seq: int, t: datetime, *, columns: bool = False, **vitals: float
) -> None:
    """A message as the lanes of alarms and of everything else read it, or in columns."""
    if not columns:
        await feed.v1("W-0001", "vitals", at, seq=seq, t=t, vitals=vitals)
        return
    await feed.together(feed.sheaf(at, ("W-0001", body(seq=seq, t=t, vitals=vitals))))


@pytest.mark.parametrize("columns", [False, True])
async def test_who_wears_a_slow_watch_is_watched_over(
    home: Home, feed: Feed, witness: Witness, now: datetime, columns: bool
) -> None:
    at = await wear_slow_watch(home, feed, now)
    await say(feed, at, 10, at - SLOW, columns=columns, heart_rate=150)
    assert witness.kinds == ["clock_skew", "heart_rate_high"]
    assert witness.raised[1].received_at == at
    # It is stored with the time that the watch gave it.
    rows = await home.rows("SELECT time FROM reading WHERE value = 150")
    assert rows == [(at - SLOW,)]
    for number in (1, 2):
        later = at + timedelta(minutes=5 * number)
        await say(feed, later, 10 + number, later - SLOW, columns=columns, heart_rate=75)
    assert [each.kind.value for each in witness.cleared] == ["heart_rate_high"]


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("minutes", [1, 5])
async def test_the_buffer_of_a_slow_watch_does_not_ring_as_if_it_were_now(
    home: Home, feed: Feed, witness: Witness, now: datetime, columns: bool, minutes: int
) -> None:
    """After a day without network it sends all and does not say that it is late."""
    day = timedelta(days=1)
    at = await wear_slow_watch(home, feed, now) + day
    for number in range(24 * 60 // minutes):
        then = at - day + timedelta(minutes=minutes * number)
        if at - then <= timedelta(minutes=31):
            break
        came = at + timedelta(seconds=number / 100)
        await say(feed, came, 10 + number, then - SLOW, columns=columns, heart_rate=150)
    assert witness.kinds == ["clock_skew"]
    # As late as a watch may be whose clock is right, and counted from when it was.
    soon = at + timedelta(minutes=5)
    then = soon - timedelta(minutes=20)
    await say(feed, soon, 9_000, then - SLOW, columns=columns, heart_rate=150)
    assert witness.kinds == ["clock_skew", "heart_rate_high"]
    states = await home.rows("SELECT state->>'at' FROM detection_state WHERE rule ~ '^vital'")
    assert [datetime.fromisoformat(found) for (found,) in states] == [then]


async def test_what_is_marked_as_late_does_not_ring_however_slow_the_watch(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    at = await wear_slow_watch(home, feed, now)
    await feed.v1(
        "W-0001", "vitals", at, seq=10, t=at - SLOW, replayed=True, vitals={"heart_rate": 150}
    )
    assert witness.kinds == ["clock_skew"]


async def test_a_slow_watch_that_is_set_right_goes_on_as_before(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    at = await wear_slow_watch(home, feed, now)
    await say(feed, at, 10, at - SLOW, heart_rate=125)
    right = at + timedelta(minutes=5)
    await say(feed, right, 11, right, heart_rate=125)
    assert witness.kinds == ["clock_skew", "heart_rate_high"]
    assert [each.kind.value for each in witness.cleared] == ["clock_skew"]


async def test_a_watch_with_a_wrong_clock_is_reported_to_technicians_and_cleared(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    for number in range(6):
        at = now + timedelta(minutes=5 * number)
        slow = at - timedelta(hours=1)
        await feed.v1("W-0001", "vitals", at, seq=number, t=slow, vitals={"heart_rate": 70})
    # What comes out of a buffer says nothing of the clock.
    late = now + timedelta(minutes=31)
    await feed.v1("W-0001", "vitals", late, seq=7, t=now, replayed=True, vitals={"heart_rate": 71})
    assert witness.kinds == ["clock_skew"]
    assert witness.raised[0].detail["offset_s"] == -3600
    assert witness.cleared == []
    right = now + timedelta(minutes=40)
    await feed.v1("W-0001", "vitals", right, seq=8, t=right, vitals={"heart_rate": 72})
    assert [each.kind.value for each in witness.cleared] == ["clock_skew"]
    assert isinstance(rules.clock({"raised_at": "x"}, 0.0, now).events[0], Clear)
