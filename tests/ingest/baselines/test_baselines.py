"""Baselines on a real database: learned from weeks of readings, and what rings beside them."""

import random
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pytest

from devices.metrics import METRICS
from ingest.baselines import jobs, store
from ingest.detection.defaults import LOCAL_ZONE
from ingest.raising import Raiser
from ingest.telemetry import rollup
from ingest.telemetry.model import ReadingRow
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_value
from tests.ingest.home import Home, Witness

QUARTER = timedelta(minutes=15)
Shape = Callable[[datetime], Mapping[str, float]]
NIGHT = datetime(2026, 3, 3, 3, 15, tzinfo=LOCAL_ZONE)


@pytest.fixture
def raiser(witness: Witness) -> Raiser:
    return Raiser(witness.react, witness.clear)


@pytest.fixture
async def elder(home: Home) -> tuple[uuid.UUID, int]:
    """An elder with a watch; everything that is stored is read as it is, whatever the time."""
    async with home.db.transaction() as tx:
        await tx.execute("UPDATE rollup_state SET done_until = '-infinity', open_from = NULL")
    elder_id = await home.elder()
    return elder_id, await home.device("W-0001", elder=elder_id)


def ordinary(at: datetime) -> dict[str, float]:
    """A heart that beats 58 times a minute at night and 76 by day."""
    night = at.astimezone(LOCAL_ZONE).hour < 6
    dice = random.Random(at.timestamp())
    return {"heart_rate": round(dice.gauss(58 if night else 76, 1.5)), "spo2": 96}


async def lived(db: Database, no: int, start: datetime, end: datetime, shape: Shape) -> None:
    """Readings every quarter of an hour from `start` to before `end`."""
    rows = []
    at = start
    while at < end:
        rows += [ReadingRow(at, no, METRICS[m].id, float(v), 0) for m, v in shape(at).items()]
        at += QUARTER
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


async def learned(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        elders = [row for turn in range(24) for row in await store.elders_of_turn(tx, turn, 24)]
        await store.learn(tx, elders, now)


async def test_a_night_unlike_her_nights_is_a_warning_long_before_any_limit(
    db: Database, home: Home, witness: Witness, raiser: Raiser, elder: tuple[uuid.UUID, int]
) -> None:
    elder_id, no = elder
    await lived(db, no, NIGHT - timedelta(days=16), NIGHT - 3 * QUARTER, ordinary)
    await learned(db, NIGHT)
    assert await jobs.sweep_deviations(db, raiser, NIGHT) == 0
    # By day 80 beats are nothing; at night they are 22 more than she has.
    await lived(db, no, NIGHT - 3 * QUARTER, NIGHT, lambda _: {"heart_rate": 80, "spo2": 96})
    assert await jobs.sweep_deviations(db, raiser, NIGHT) == 1
    assert await jobs.sweep_deviations(db, raiser, NIGHT + timedelta(minutes=5)) == 0
    [alarm] = witness.raised
    assert (alarm.kind.value, alarm.severity.value) == ("heart_rate_high", "minor")
    assert (alarm.elder_id, alarm.device_no, alarm.source) == (elder_id, no, "rule")
    assert {**alarm.detail, "baseline": round(float(alarm.detail["baseline"]))} == {
        "metric": "heart_rate", "value": 80.0, "baseline": 58, "days": 14, "minutes": 45, "hour": 3,
    }  # fmt: skip
    # Her night goes on as ever.
    await lived(db, no, NIGHT, NIGHT + QUARTER, ordinary)
    await jobs.sweep_deviations(db, raiser, NIGHT + QUARTER)
    [cleared] = witness.cleared
    assert (cleared.kind.value, cleared.elder_id) == ("heart_rate_high", elder_id)
    assert await home.states() == {}


async def test_the_same_heart_by_day_is_ordinary(
    db: Database, witness: Witness, raiser: Raiser, elder: tuple[uuid.UUID, int]
) -> None:
    _, no = elder
    noon = NIGHT.replace(hour=12)
    await lived(db, no, noon - timedelta(days=16), noon - 3 * QUARTER, ordinary)
    await learned(db, noon)
    await lived(db, no, noon - 3 * QUARTER, noon, lambda _: {"heart_rate": 80})
    assert await jobs.sweep_deviations(db, raiser, noon) == 0
    assert witness.raised == []


async def test_a_walk_is_no_deviation(
    db: Database, witness: Witness, raiser: Raiser, elder: tuple[uuid.UUID, int]
) -> None:
    _, no = elder
    await lived(db, no, NIGHT - timedelta(days=16), NIGHT - 3 * QUARTER, ordinary)
    await learned(db, NIGHT)
    await lived(db, no, NIGHT - 3 * QUARTER, NIGHT, lambda _: {"heart_rate": 84, "steps": 0})
    # The counter at the end of each quarter: she is up and about.
    for part in (1, 2, 3):
        at = NIGHT - part * QUARTER + timedelta(minutes=14)
        await lived(db, no, at, at + QUARTER, lambda _: {"steps": 400})
    assert await jobs.sweep_deviations(db, raiser, NIGHT) == 0
    assert witness.raised == []


async def test_too_few_days_say_nothing(
    db: Database, home: Home, raiser: Raiser, elder: tuple[uuid.UUID, int]
) -> None:
    _, no = elder
    await lived(db, no, NIGHT - timedelta(days=4), NIGHT - 3 * QUARTER, ordinary)
    await learned(db, NIGHT)
    await lived(db, no, NIGHT - 3 * QUARTER, NIGHT, lambda _: {"heart_rate": 90})
    assert await jobs.sweep_deviations(db, raiser, NIGHT) == 0
    assert await home.count("elder_baseline") > 0


async def test_days_that_come_late_are_learned_from_at_once(
    db: Database, home: Home, elder: tuple[uuid.UUID, int]
) -> None:
    elder_id, no = elder
    await lived(db, no, NIGHT - timedelta(days=16), NIGHT - timedelta(days=10), ordinary)
    await learned(db, NIGHT)
    async with db.transaction() as tx:
        await tx.execute("UPDATE rollup_state SET done_until = %s", (NIGHT - timedelta(days=16),))
        await tx.execute("UPDATE rollup_state SET open_from = %s WHERE level = '15m'", (NIGHT,))
    before = await days_of(db, elder_id)
    await lived(db, no, NIGHT - timedelta(days=10), NIGHT, ordinary)
    await rollup.roll_up(db, NIGHT, None, jobs.relearn)
    assert (before, await days_of(db, elder_id)) == (6, 14)


async def days_of(db: Database, elder_id: uuid.UUID) -> int:
    async with db.connection() as conn:
        days: int = await fetch_value(
            conn, "SELECT max(days) FROM elder_baseline WHERE elder_id = %s", (elder_id,)
        )
    return days


async def test_what_a_limit_has_rung_for_is_not_said_twice(
    db: Database, witness: Witness, raiser: Raiser, elder: tuple[uuid.UUID, int]
) -> None:
    elder_id, no = elder
    await lived(db, no, NIGHT - timedelta(days=16), NIGHT - 3 * QUARTER, ordinary)
    await learned(db, NIGHT)
    await lived(db, no, NIGHT - 3 * QUARTER, NIGHT, lambda _: {"heart_rate": 145})
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO detection_state (subject, rule, state, updated_at)"
            " VALUES (%s, 'vital:heart_rate', '{\"level\": \"critical\"}', %s)",
            (f"e:{elder_id}", NIGHT),
        )
    assert await jobs.sweep_deviations(db, raiser, NIGHT) == 0
    assert witness.raised == []


async def test_readings_of_the_person_before_are_nobodys_baseline_now(
    db: Database, home: Home, elder: tuple[uuid.UUID, int]
) -> None:
    elder_id, no = elder
    await lived(db, no, NIGHT - timedelta(days=16), NIGHT, ordinary)
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE device_binding SET bound_at = %s WHERE elder_id = %s",
            (NIGHT - timedelta(days=1), elder_id),
        )
    await learned(db, NIGHT)
    assert await home.count("elder_baseline") == 0


async def test_a_level_that_drifts_over_days_is_a_warning_once(
    db: Database, home: Home, witness: Witness, raiser: Raiser, elder: tuple[uuid.UUID, int]
) -> None:
    elder_id, no = elder
    morning = NIGHT.replace(hour=8)
    start = morning - timedelta(days=17)

    def rising(at: datetime) -> dict[str, float]:
        days = (at - (morning - timedelta(days=3))) / timedelta(days=1)
        more = 11 if days > 0 else 0
        return {"heart_rate": ordinary(at)["heart_rate"] + more}

    await lived(db, no, start, morning, rising)
    assert await jobs.sweep_deviations(db, raiser, morning) == 0
    assert await jobs.sweep_drifts(db, raiser, [elder_id], morning) == 1
    assert await jobs.sweep_drifts(db, raiser, [elder_id], morning + timedelta(hours=2)) == 0
    [alarm] = witness.raised
    assert (alarm.kind.value, alarm.severity.value) == ("heart_rate_high", "minor")
    assert (alarm.detail["night"], alarm.detail["drift_days"]) == (True, 3)
    assert set(await home.states()) == {(f"e:{elder_id}", "drift:heart_rate")}


async def test_everybody_has_a_turn_once_a_day(
    db: Database, home: Home, raiser: Raiser, elder: tuple[uuid.UUID, int]
) -> None:
    _, no = elder
    await lived(db, no, NIGHT - timedelta(days=10), NIGHT, ordinary)
    times = []
    for hour in range(24):
        at = NIGHT + timedelta(hours=hour)
        await jobs.learn_turn(db, raiser, at)
        times.append(await home.value("SELECT max(learned_at) FROM elder_baseline"))
    assert len(set(times) - {None}) == 1
