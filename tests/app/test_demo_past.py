"""The demonstration's past in a database: a fleet as a centre has it after a few weeks."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.demo import examples
from app.demo.seed import seed_demo
from app.wiring import condition_cleared, react_to_alarm
from devices.codecs.homeassistant.codec import ADOPTED
from devices.discovery import service as discovery
from devices.firmware import store as firmware
from devices.fleet import store as fleet
from devices.modes import service as modes
from devices.modes.model import DeviceMode
from devices.selftests import store as selftests
from devices.selftests.model import DueFilters
from devices.technical import service as technical
from devices.technical.model import TechnicalFilters, TechnicalState
from ingest.detection.jobs import sweep_offline
from ingest.raising import Raiser
from kernel.auth.model import SYSTEM
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples


@dataclass
class Past:
    """A demonstration with a past: its database, and the devices that will be simulated."""

    db: Database
    entries: list[dict[str, Any]]
    folder: Path
    said: list[str]


@pytest.fixture
def db_template(divided_template: str) -> str:
    """Elders live in real places."""
    return divided_template


@pytest.fixture(autouse=True)
def nothing_adopted() -> Iterator[None]:
    yield
    ADOPTED.replace(())


@pytest.fixture
async def past(db: Database, cipher: FieldCipher, now: datetime, tmp_path: Path) -> Past:
    said: list[str] = []
    await seed_demo(db, cipher, tmp_path, 100, now, past=True, progress=said.append)
    return Past(db, json.loads((tmp_path / "devices.json").read_text("utf-8")), tmp_path, said)


async def test_a_fleet_has_been_there_for_weeks_and_there_is_an_example_of_whatever_happens_to_one(
    past: Past, now: datetime
) -> None:
    await there_most_of_the_time(past, now)
    await an_example_of_each(past, now)
    await in_the_order_of_life(past.db, now)
    assert len(past.said) == len(set(past.said)) > 5


async def there_most_of_the_time(past: Past, now: datetime) -> None:
    hour = now.replace(minute=0, second=0, microsecond=0)
    async with past.db.connection() as conn:
        overdue = await selftests.count_due(conn, DueFilters(now), "")
        uptime = await fleet.division_uptime(conn, "1501", 6, hour)
    assert 1 <= overdue <= 12
    assert len(uptime) >= 3
    shares = [one.week for one in uptime]
    assert all(share is not None and 0.8 < share <= 1 for share in shares)


async def an_example_of_each(past: Past, now: datetime) -> None:
    # What the scheduler does first.
    await sweep_offline(past.db, Raiser(react_to_alarm, condition_cleared), now)
    async with past.db.transaction() as tx:
        silent = await fleet.silent_spots(tx, "", "", now, 10)
        alarms = await technical.listed(tx, SYSTEM, TechnicalFilters())
        found = await discovery.find(tx, SYSTEM, "open", 1, 10)
        adopted = await discovery.find(tx, SYSTEM, "adopted", 1, 10)
        running = await modes.ending(tx, SYSTEM, now)
        packages = await firmware.packages(tx)
        rollouts = await firmware.rollouts(tx, "", 10)
        letters = await fetch_tuples(tx, "SELECT reason FROM dead_letter")
    assert [one.id for one in silent] == [examples.SILENT]
    assert {(one.device_id, one.kind, one.state) for one in alarms} == {
        (examples.SILENT, "device_offline", TechnicalState.ACTIVE),
        (examples.SILENT, "low_battery", TechnicalState.ACTIVE),
        (examples.GATEWAY + "-S", "tamper", TechnicalState.ACKNOWLEDGED),
    }
    assert (found.total, adopted.total) == (2, 1)
    assert {one.mode for one in running} == set(DeviceMode)
    assert [one.version for one in packages] == [examples.NEW_FIRMWARE[1]]
    assert (past.folder / "firmware" / f"{packages[0].sha256}.bin").is_file()
    assert [one.state for one in rollouts] == ["running"]
    assert letters == []
    behind = [one["device_id"] for one in past.entries if one.get("gateway") == examples.GATEWAY]
    assert len(behind) == 3
    assert len(past.entries) == 100 + 1 + 3


async def in_the_order_of_life(db: Database, now: datetime) -> None:
    """Who is registered agrees, then gets devices; nothing lies ahead of the registration."""
    async with db.connection() as conn:
        wrong = await fetch_tuples(
            conn,
            """
            SELECT e.id FROM elder e
            WHERE EXISTS (SELECT FROM elder_consent c WHERE c.elder_id = e.id
                          AND c.given_at < e.created_at)
               OR EXISTS (SELECT FROM elder_note n WHERE n.elder_id = e.id
                          AND n.at < e.created_at)
               OR EXISTS (SELECT FROM device_binding b WHERE b.elder_id = e.id
                          AND b.bound_at < e.created_at)
               OR e.created_at > %s
            """,
            (now - timedelta(days=30),),
        )
        late = await fetch_tuples(conn, "SELECT time FROM reading_default LIMIT 1")
    assert wrong == []
    # The scheduler has no day to move, for which others would have to wait.
    assert late == []


async def test_an_alarm_that_is_asked_for_is_no_test(past: Past, now: datetime) -> None:
    async with past.db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT id FROM device WHERE test_until > %s", (now,))
    assert {one["device_id"] for one in past.entries if one.get("in_test")} == {rows[0][0]}
