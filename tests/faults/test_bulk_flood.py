"""Readings pile up because nothing of the bulk lane can be stored: alarms ring all the same."""

import pytest

from tests.faults.installation import Installation, until
from tests.faults.run import loaded, seated

BULK = 'silverline_ingest_queue_depth{lane="bulk"}'
FLOOD = 1_500
ALARMS = 5


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_alarms_ring_while_the_bulk_lane_is_flooded(
    installation: Installation, name: str
) -> None:
    async with (
        seated(installation) as seats,
        loaded(name, installation, rate=10.0) as run,
        installation.db.dedicated() as blocker,
    ):
        await run.more()
        await blocker.execute("BEGIN")
        await blocker.execute("LOCK TABLE ingest_message IN EXCLUSIVE MODE")
        before = await run.messages()

        async def flooded() -> bool:
            return (await installation.metric("ingest", BULK) or 0) >= FLOOD

        await until(flooded, f"{FLOOD} frames to wait in the bulk lane")
        heard = [len(seat.rung) for seat in seats]

        async def rang() -> bool:
            return all(
                len(seat.rung) - already >= ALARMS
                for seat, already in zip(seats, heard, strict=True)
            )

        await until(rang, f"{ALARMS} alarms to ring at every seat")
        assert await run.messages() == before, "the bulk lane was not held up"
        assert (await installation.metric("ingest", BULK) or 0) >= FLOOD
        await blocker.execute("ROLLBACK")
        await run.settle()
