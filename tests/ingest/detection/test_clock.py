"""When a device's clock is held to be wrong, and when lateness is nothing but lateness."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from ingest.detection import rules
from ingest.detection.model import Clear, Raise, State
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness

MINUTE = 60.0


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
