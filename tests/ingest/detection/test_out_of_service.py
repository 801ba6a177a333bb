"""A device that goes back to stock and out again is looked at anew, in whatever home it is then."""

from datetime import datetime, timedelta

import pytest

from ingest.detection import jobs
from ingest.raising import Raiser
from kernel.db import Database
from tests.ingest.feed import Feed
from tests.ingest.home import Home, Witness

MINUTE = timedelta(minutes=1)


@pytest.fixture
def raiser(witness: Witness) -> Raiser:
    return Raiser(witness.react, witness.clear)


async def move(home: Home, no: int, state: str, elder: object) -> None:
    async with home.db.transaction() as tx:
        await tx.execute(
            "UPDATE device SET state = %s, elder_id = %s WHERE no = %s", (state, elder, no)
        )


async def test_what_was_wrong_with_it_is_told_again_in_its_next_home(
    db: Database, home: Home, feed: Feed, witness: Witness, raiser: Raiser, now: datetime
) -> None:
    no = await home.device("D-0001", "sl-door-1", elder=await home.elder())

    async def speaks(first: int, begin: datetime) -> None:
        for number in range(6):
            at = begin + 5 * number * MINUTE
            slow = at - timedelta(hours=1)
            await feed.v1("D-0001", "status", at, seq=first + number, t=slow, battery=90)
        last = begin + 30 * MINUTE
        await feed.v1("D-0001", "status", last, seq=first + 6, battery=5)

    await speaks(1, now)
    assert sorted(witness.kinds) == ["clock_skew", "low_battery"]
    await feed.v1("D-0001", "vitals", now + 31 * MINUTE, seq=90, vitals={"door_open": 1})
    await move(home, no, "stock", None)
    await jobs.sweep_offline(db, raiser, now + 32 * MINUTE)
    await move(home, no, "bound", await home.elder())
    feed.pipeline._registry.changed(f"d:{no}")
    # The door of the home before stands open for ever.
    assert await jobs.sweep_doors(db, raiser, now + timedelta(hours=3)) == 0
    witness.raised.clear()
    await speaks(100, now + timedelta(hours=4))
    assert sorted(witness.kinds) == ["clock_skew", "low_battery"]
