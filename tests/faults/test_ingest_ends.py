"""kill -9 of ingest in the middle of a rescue: what it had not acknowledged comes again."""

import pytest

from tests.faults.installation import Installation
from tests.faults.run import running


@pytest.mark.parametrize("installation", ["embedded", "mosquitto"], indirect=True)
async def test_ingest_is_killed_and_nothing_is_lost_or_doubled(
    installation: Installation, name: str
) -> None:
    async with running(name, installation) as run:
        await run.more()
        for _ in range(2):
            await installation.end("ingest")
            await run.more()
        await run.settle()
