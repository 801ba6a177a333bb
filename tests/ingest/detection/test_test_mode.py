"""Test mode and the rules: a test hides nothing that is real, and what outlasts it rings."""

from datetime import datetime, timedelta

import pytest

from ingest.detection import jobs
from ingest.raising import Raiser
from kernel.db import Database
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness, body

MINUTE = timedelta(minutes=1)


@pytest.fixture
def raiser(witness: Witness) -> Raiser:
    return Raiser(witness.react, witness.clear)


def told(witness: Witness) -> list[tuple[str, bool]]:
    return [(alarm.kind.value, alarm.test) for alarm in witness.raised]


async def test_what_is_tested_hides_no_alarm_of_another_device(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    elder = await home.elder()
    tested = await home.device("W-0001", elder=elder)
    await home.device("W-0002", elder=elder)
    await home.set(tested, test_until=now + timedelta(hours=1))
    for minute in range(2):
        at = now + minute * MINUTE
        await feed.v1("W-0001", "vitals", at, seq=minute, vitals={"heart_rate": 150})
    await feed.v1("W-0002", "vitals", now + 3 * MINUTE, seq=1, vitals={"heart_rate": 151})
    assert told(witness) == [("heart_rate_high", True), ("heart_rate_high", False)]
    # And what the tested one says then does not end it.
    for minute in range(4, 7):
        at = now + minute * MINUTE
        await feed.v1("W-0001", "vitals", at, seq=minute, vitals={"heart_rate": 70})
    assert f"e:{elder}" in {subject for subject, _ in await home.states()}


async def test_a_vital_that_is_still_beyond_its_limit_rings_when_the_test_is_over(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    await home.set(no, test_until=now + MINUTE)
    await feed.v1("W-0001", "vitals", now, seq=1, vitals={"heart_rate": 150})
    await feed.v1("W-0001", "vitals", now + 2 * MINUTE, seq=2, vitals={"heart_rate": 151})
    assert told(witness) == [("heart_rate_high", True), ("heart_rate_high", False)]
    for minute in range(3, 6):
        at = now + minute * MINUTE
        await feed.v1("W-0001", "vitals", at, seq=minute, vitals={"heart_rate": 70})
    assert await home.states() == {}


async def test_smoke_that_is_still_there_rings_when_the_test_is_over(
    home: Home, feed: Feed, witness: Witness, now: datetime
) -> None:
    no = await home.device(
        "S-0001", "z2m-smoke", elder=await home.elder(), alias=("zigbee2mqtt", "smoke")
    )
    await home.set(no, test_until=now + MINUTE)

    async def smokes(at: datetime, smoke: bool) -> None:
        payload = body(smoke=smoke, linkquality=int((at - now).total_seconds()))
        await feed.give(feed.mqtt("zigbee2mqtt/smoke", payload, at))

    await smokes(now, True)
    await smokes(now + MINUTE / 2, True)
    await smokes(now + 2 * MINUTE, True)
    assert told(witness) == [("smoke", True), ("smoke", False)]
    await smokes(now + 3 * MINUTE, False)
    assert [each.kind.value for each in witness.cleared] == ["smoke"]
    assert await home.states() == {}


async def test_whoever_is_still_out_of_bed_is_missed_when_the_test_is_over(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    no = await home.device("B-0001", "sl-bed-1", elder=await home.elder())
    await feed.v1("B-0001", "vitals", now, seq=1, vitals={"bed_occupied": 1})
    left = now + timedelta(hours=4)
    await feed.v1("B-0001", "vitals", left, seq=2, vitals={"bed_occupied": 0})
    await home.set(no, test_until=left + 60 * MINUTE)
    for minutes in (31, 45, 59):
        await jobs.sweep_beds(db, raiser, left + minutes * MINUTE)
    assert told(witness) == [("bed_exit", True)]
    for minutes in (61, 62):
        await jobs.sweep_beds(db, raiser, left + minutes * MINUTE)
    assert told(witness) == [("bed_exit", True), ("bed_exit", False)]


async def test_movement_of_a_test_is_not_the_elders_and_silence_rings_when_it_is_over(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    no = await home.device("M-0001", "sl-motion-1", elder=await home.elder())
    await feed.v1("M-0001", "vitals", now, seq=1, vitals={"motion": 1})
    await home.set(no, test_until=now + timedelta(hours=12))
    feed.pipeline._registry.changed(f"d:{no}")
    # Somebody waves a hand before it on a bench.
    bench = now + timedelta(hours=5)
    await feed.v1("M-0001", "vitals", bench, seq=2, vitals={"motion": 1})
    for minutes in (660, 661, 700):
        await jobs.sweep_inactivity(db, raiser, now + minutes * MINUTE)
    assert told(witness) == [("inactivity", True)]
    for minutes in (721, 722):
        await jobs.sweep_inactivity(db, raiser, now + minutes * MINUTE)
    assert told(witness) == [("inactivity", True), ("inactivity", False)]
