"""Sweeps on a real database: silence, open doors, empty beds, and races with what arrives."""

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from devices.alarms import RaisedAlarm
from ingest.detection import jobs, sweep_store
from ingest.raising import Raiser
from kernel.db import Database, Tx
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness


@pytest.fixture
def raiser(witness: Witness) -> Raiser:
    return Raiser(witness.react, witness.clear)


async def listening(home: Home, since: datetime, at: datetime) -> None:
    async with home.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO ingest_listening (instance, since, at) VALUES ('one', %s, %s)"
            " ON CONFLICT (instance) DO UPDATE SET since = excluded.since, at = excluded.at",
            (since, at),
        )


async def test_a_silent_device_is_reported_once_and_cleared_when_it_speaks(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    elder = await home.elder()
    no = await home.device("W-0001", elder=elder)
    await feed.v1("W-0001", "status", now, seq=1, battery=80)
    soon, late = now + timedelta(minutes=29), now + timedelta(minutes=31)
    assert await jobs.sweep_offline(db, raiser, soon) == 0
    assert await jobs.sweep_offline(db, raiser, late) == 1
    assert await jobs.sweep_offline(db, raiser, late + timedelta(minutes=5)) == 0
    [alarm] = witness.raised
    assert (alarm.kind.value, alarm.severity.value) == ("device_offline", "technical")
    assert (alarm.device_no, alarm.elder_id, alarm.detail["minutes"]) == (no, elder, 31)
    assert await home.value("SELECT online FROM device WHERE no = %s", no) is False
    await feed.v1("W-0001", "status", late + timedelta(minutes=9), seq=2, battery=80)
    [cleared] = witness.cleared
    assert (cleared.kind.value, cleared.device_no, cleared.elder_id) == (
        "device_offline", no, elder,
    )  # fmt: skip
    assert await home.value("SELECT online FROM device WHERE no = %s", no) is True
    assert await home.states() == {}


async def test_a_device_that_speaks_as_the_sweep_fires_is_not_reported(
    db: Database, home: Home, feed: Feed, raiser: Raiser, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    await feed.v1("W-0001", "status", now, seq=1, battery=80)
    late = now + timedelta(hours=1)
    async with db.connection() as conn:
        [silent] = await sweep_store.silent_devices(conn, {"sl-watch-1": 1800}, now, late)
    await feed.v1("W-0001", "status", late, seq=2, battery=80)
    async with db.transaction() as tx:
        assert not await sweep_store.mark_offline(tx, silent, now, late)
    assert await home.states() == {}
    assert await home.value("SELECT online FROM device WHERE no = %s", no) is True


async def test_a_message_stored_while_the_sweep_commits_clears_its_alarm(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    await home.device("W-0001", elder=await home.elder())
    await feed.v1("W-0001", "status", now, seq=1, battery=80)
    late = now + timedelta(hours=1)
    speaking: list[asyncio.Task[int]] = []

    async def speak(_: Tx, __: RaisedAlarm) -> None:
        # The sweep holds the device's row; the message waits for it and sees its outcome.
        speaking.append(asyncio.create_task(feed.v1("W-0001", "status", late, seq=2, battery=80)))
        await asyncio.sleep(0.2)

    witness.before = speak
    assert await jobs.sweep_offline(db, raiser, late) == 1
    await asyncio.gather(*speaking)
    assert [each.kind.value for each in witness.cleared] == ["device_offline"]
    assert await home.states() == {}
    assert await home.value("SELECT online FROM device") is True


async def test_behind_a_silent_gateway_only_the_gateway_is_reported(
    db: Database, home: Home, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0001", "sl-gateway-1", elder=elder)
    await home.set(gateway, last_seen_at=now - timedelta(days=3))
    for number in range(3):
        no = await home.device(f"D-{number}", "sl-door-1", elder=elder, gateway=gateway)
        await home.set(no, last_seen_at=now - timedelta(days=3))
    assert await jobs.sweep_offline(db, raiser, now) == 1
    assert [alarm.device_id for alarm in witness.raised] == ["G-0001"]


async def test_what_stands_behind_a_gateway_is_reported_when_only_the_gateway_comes_back(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    elder = await home.elder()
    gateway = await home.device("G-0001", "sl-gateway-1", elder=elder)
    door = await home.device("D-0001", "sl-door-1", elder=elder, gateway=gateway)
    for no in (gateway, door):
        await home.set(no, last_seen_at=now - timedelta(days=3), online=True)
    assert await jobs.sweep_offline(db, raiser, now) == 1
    assert await home.value("SELECT online FROM device WHERE no = %s", door) is False
    back = now + timedelta(minutes=5)
    await feed.v1("G-0001", "status", back, seq=1, online=True)
    assert await jobs.sweep_offline(db, raiser, back + timedelta(minutes=1)) == 0
    await feed.v1("G-0001", "status", back + timedelta(hours=30), seq=2, online=True)
    later = back + timedelta(hours=30, minutes=1)
    assert await jobs.sweep_offline(db, raiser, later) == 1
    assert await jobs.sweep_offline(db, raiser, later) == 0
    assert [alarm.device_id for alarm in witness.raised] == ["G-0001", "D-0001"]


async def test_coming_and_going_is_kept_with_the_moments_at_which_it_happened(
    db: Database, home: Home, feed: Feed, raiser: Raiser, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    minute = timedelta(minutes=1)
    await feed.v1("W-0001", "status", now, seq=1, battery=80)
    await feed.v1("W-0001", "status", now + minute, seq=2, battery=80)
    await feed.v1("W-0001", "status", now + 2 * minute, online=False)
    await feed.v1("W-0001", "status", now + 5 * minute, seq=3, battery=80)
    assert await jobs.sweep_offline(db, raiser, now + 40 * minute) == 1
    history = await home.rows(
        "SELECT at, online FROM device_presence WHERE device_no = %s ORDER BY at", no
    )
    # It went when it last spoke and not when we noticed: one word in five minutes is no presence.
    assert history[:2] == [(now, True), (now + 2 * minute, False)]
    assert history[2:] == [(now + 5 * minute, False)]


async def test_stock_absent_and_never_seen_devices_are_not_reported(
    db: Database, home: Home, raiser: Raiser, now: datetime
) -> None:
    elder = await home.elder()
    long_ago = now - timedelta(days=2)
    stock = await home.device("W-0001")
    await home.set(stock, last_seen_at=long_ago)
    absent = await home.device("W-0002", elder=elder)
    await home.set(absent, last_seen_at=long_ago, away_until=now + timedelta(hours=1))
    await home.device("W-0003", elder=elder)
    assert await jobs.sweep_offline(db, raiser, now) == 0
    assert await home.value("SELECT online FROM device WHERE no = %s", absent) is False
    # When the elder should be back it gets its time; when it is still silent then, it is reported.
    assert await jobs.sweep_offline(db, raiser, now + timedelta(hours=1, minutes=10)) == 0
    assert await jobs.sweep_offline(db, raiser, now + timedelta(hours=2)) == 1


async def test_while_nobody_listens_nobody_is_called_silent(
    db: Database, home: Home, raiser: Raiser, now: datetime
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    await home.set(no, last_seen_at=now - timedelta(hours=3))
    # Ingest ran, and has been away for ten minutes.
    await listening(home, now - timedelta(days=1), now - timedelta(minutes=10))
    assert await jobs.sweep_offline(db, raiser, now) == 0
    # It is back: every device gets its time again.
    await listening(home, now - timedelta(minutes=1), now)
    assert await jobs.sweep_offline(db, raiser, now) == 0
    later = now + timedelta(minutes=30)
    await listening(home, now - timedelta(minutes=1), later)
    assert await jobs.sweep_offline(db, raiser, later) == 1


async def test_one_faulty_reaction_does_not_hide_the_others(
    db: Database, home: Home, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    elder = await home.elder()
    for number in range(3):
        no = await home.device(f"W-{number}", elder=elder)
        await home.set(no, last_seen_at=now - timedelta(hours=3))

    async def fail_for_one(_: Tx, alarm: RaisedAlarm) -> None:
        if alarm.device_id == "W-1":
            raise ValueError("a fault")

    witness.before = fail_for_one
    assert await jobs.sweep_offline(db, raiser, now) == 2
    witness.before = None
    assert await jobs.sweep_offline(db, raiser, now) == 1


async def test_a_door_left_open_rings_and_rings_louder(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    await home.device("D-0001", "sl-door-1", elder=await home.elder())
    await feed.v1("D-0001", "vitals", now, seq=1, vitals={"door_open": 1})
    for minutes in (10, 30, 31, 60, 61):
        await jobs.sweep_doors(db, raiser, now + timedelta(minutes=minutes))
    assert [a.severity.value for a in witness.raised] == ["major", "critical"]
    await feed.v1("D-0001", "vitals", now + timedelta(minutes=70), seq=2, vitals={"door_open": 0})
    assert [each.kind.value for each in witness.cleared] == ["door_open"]
    assert await home.states() == {}


async def test_the_elders_own_minutes_hold_for_doors(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    elder = await home.elder()
    await home.watch(elder, door_open_major_min=5, door_open_critical_min=90)
    await home.device("D-0001", "sl-door-1", elder=elder)
    await feed.v1("D-0001", "vitals", now, seq=1, vitals={"door_open": 1})
    assert await jobs.sweep_doors(db, raiser, now + timedelta(minutes=5)) == 1
    assert await jobs.sweep_doors(db, raiser, now + timedelta(minutes=61)) == 0


async def test_a_door_of_an_elder_who_is_away_is_on_record_and_rings_after_the_return(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    elder = await home.elder()
    await home.watch(elder, away_until=now + timedelta(hours=2))
    await home.device("D-0001", "sl-door-1", elder=elder)
    await feed.v1("D-0001", "vitals", now, seq=1, vitals={"door_open": 1})
    for minutes in (40, 50, 80):
        await jobs.sweep_doors(db, raiser, now + timedelta(minutes=minutes))
    assert witness.raised == []
    assert await home.rows("SELECT kind, suppressed FROM alarm") == [("door_open", "elder_away")]
    await jobs.sweep_doors(db, raiser, now + timedelta(minutes=121))
    assert [alarm.severity.value for alarm in witness.raised] == ["critical"]


async def test_whoever_does_not_come_back_to_bed_is_noticed(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    await home.device("B-0001", "sl-bed-1", elder=await home.elder())
    await feed.v1("B-0001", "vitals", now, seq=1, vitals={"bed_occupied": 1})
    left = now + timedelta(hours=4)
    await feed.v1("B-0001", "vitals", left, seq=2, vitals={"bed_occupied": 0})
    assert await jobs.sweep_beds(db, raiser, left + timedelta(minutes=20)) == 0
    assert await jobs.sweep_beds(db, raiser, left + timedelta(minutes=31)) == 1
    assert await jobs.sweep_beds(db, raiser, left + timedelta(minutes=45)) == 0
    back = left + timedelta(minutes=50)
    await feed.v1("B-0001", "vitals", back, seq=3, vitals={"bed_occupied": 1})
    assert witness.kinds == ["bed_exit"]
    assert [each.kind.value for each in witness.cleared] == ["bed_exit"]


@pytest.fixture
async def quiet_home(home: Home, feed: Feed, now: datetime) -> uuid.UUID:
    """Somebody moved at `now` (22:03 in Shanghai), by a sensor that is in service."""
    elder = await home.elder()
    await home.device("M-0001", "sl-motion-1", elder=elder)
    await feed.v1("M-0001", "vitals", now, seq=1, vitals={"motion": 1})
    return elder


async def test_nobody_moves_for_too_long(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime,
    quiet_home: uuid.UUID,
) -> None:  # fmt: skip
    assert await jobs.sweep_inactivity(db, raiser, now + timedelta(hours=9)) == 0
    assert await jobs.sweep_inactivity(db, raiser, now + timedelta(hours=11)) == 1
    assert await jobs.sweep_inactivity(db, raiser, now + timedelta(hours=12)) == 0
    assert witness.kinds == ["inactivity"]
    assert witness.raised[0].elder_id == quiet_home
    # A light that goes on by itself is no movement; somebody in the room is.
    later = now + timedelta(hours=13)
    await feed.v1("M-0001", "vitals", later, seq=2, vitals={"motion": 0, "illuminance": 80})
    assert witness.cleared == []
    await feed.v1("M-0001", "vitals", later, seq=3, vitals={"motion": 1})
    assert [each.kind.value for each in witness.cleared] == ["inactivity"]
    assert await home.states() == {}


async def test_an_elder_who_is_away_is_not_missed_and_gets_the_whole_time_after_the_return(
    db: Database, home: Home, raiser: Raiser, now: datetime, quiet_home: uuid.UUID
) -> None:
    await home.watch(quiet_home, away_until=now + timedelta(hours=12))
    assert await jobs.sweep_inactivity(db, raiser, now + timedelta(hours=11)) == 0
    assert await jobs.sweep_inactivity(db, raiser, now + timedelta(hours=14)) == 0
    assert await jobs.sweep_inactivity(db, raiser, now + timedelta(hours=19)) == 1


async def test_dead_sensors_say_nothing_of_who_lives_there(
    db: Database, home: Home, raiser: Raiser, now: datetime, quiet_home: uuid.UUID
) -> None:
    no = await home.value("SELECT no FROM device")
    await home.set(int(no), online=False)
    assert await jobs.sweep_inactivity(db, raiser, now + timedelta(hours=14)) == 0


async def test_movement_as_the_sweep_fires_is_seen(
    db: Database, home: Home, feed: Feed, now: datetime, quiet_home: uuid.UUID
) -> None:
    late = now + timedelta(hours=12)
    async with db.connection() as conn:
        [quiet] = await sweep_store.quiet_elders(conn, late, late)
    await feed.v1("M-0001", "vitals", late, seq=2, vitals={"motion": 1})
    async with db.transaction() as tx:
        assert not await sweep_store.still_quiet(tx, quiet)


@pytest.mark.parametrize(
    ("profile", "before", "after", "moved"),
    [
        ("sl-door-1", {"door_open": 0}, {"door_open": 1}, True),
        ("sl-door-1", {"door_open": 0}, {"door_open": 0}, False),
        ("sl-bed-1", {"bed_occupied": 1}, {"bed_occupied": 0}, True),
        ("sl-watch-1", {"steps": 200}, {"steps": 260}, True),
        ("sl-watch-1", {"steps": 200}, {"steps": 200}, False),
        ("sl-watch-1", {"heart_rate": 60}, {"heart_rate": 70}, False),
    ],
)
async def test_any_sensor_can_show_movement_but_a_pulse_does_not(
    home: Home, feed: Feed, now: datetime, profile: str, before: dict[str, Any],
    after: dict[str, Any], moved: bool,
) -> None:  # fmt: skip
    await home.device("X-0001", profile, elder=await home.elder())
    await feed.v1("X-0001", "vitals", now, seq=1, vitals=before)
    assert await home.count("elder_activity") == 0
    await feed.v1("X-0001", "vitals", now + timedelta(minutes=1), seq=2, vitals=after)
    assert await home.count("elder_activity") == int(moved)


async def test_jobs_have_names_of_their_own_and_run(db: Database, now: datetime) -> None:
    from ingest.jobs import jobs as all_jobs

    witness = Witness()
    found = await all_jobs(db, witness.react, witness.clear)
    assert len({job.name for job in found}) == len(found)
    for job in found:
        await job.run(db, now)


async def test_states_of_other_rules_do_not_disturb_a_sweep(
    db: Database, home: Home, raiser: Raiser, now: datetime
) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO detection_state VALUES ('e:none', 'inactivity', %s, %s)",
            (Jsonb({"raised_at": now.isoformat()}), now),
        )
    assert await jobs.sweep_doors(db, raiser, now + timedelta(days=1)) == 0
    assert await jobs.sweep_beds(db, raiser, now + timedelta(days=1)) == 0
