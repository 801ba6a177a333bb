"""The demonstration's past in a database: a fleet as a centre has it after a few weeks."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from app.demo.seed import seed_demo
from devices.fleet import store as fleet
from devices.selftests import store as selftests
from devices.selftests.model import DueFilters
from kernel.crypto import FieldCipher
from kernel.db import Database


@pytest.fixture
def db_template(divided_template: str) -> str:
    """Elders live in real places."""
    return divided_template


async def test_a_few_tests_are_overdue_and_every_division_has_been_there_most_of_the_time(
    db: Database, cipher: FieldCipher, now: datetime, tmp_path: Path
) -> None:
    await seed_demo(db, cipher, tmp_path, 100, now, past=True)
    entries = json.loads((tmp_path / "devices.json").read_text("utf-8"))
    hour = now.replace(minute=0, second=0, microsecond=0)
    async with db.connection() as conn:
        overdue = await selftests.count_due(conn, DueFilters(now), "")
        uptime = await fleet.division_uptime(conn, "1501", 6, hour)
    assert len(entries) == 100
    assert 1 <= overdue <= 12
    assert len(uptime) >= 3
    shares = [one.week for one in uptime]
    assert all(share is not None and 0.8 < share <= 1 for share in shares)
