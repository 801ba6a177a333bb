"""kill -9 of PostgreSQL, all of it: the supervisor brings it back, ingest catches up."""

import pytest

from ingest.settings import IngestSettings
from kernel import audit
from tests.faults.installation import Installation, until
from tests.faults.run import running

LIMITS = IngestSettings()
DOWN = "silverline_ingest_database_up"


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_the_database_is_killed_and_everything_is_stored_once(
    installation: Installation, name: str
) -> None:
    async with running(name, installation) as run:
        await run.more()
        calm = installation.memory("ingest")
        await installation.unwatch()
        await installation.kill_database()
        deepest = 0.0

        async def filled() -> bool:
            nonlocal deepest
            depth = 'silverline_ingest_queue_depth{lane="bulk"}'
            deepest = max(deepest, await installation.metric("ingest", depth) or 0)
            return deepest >= 200 and await installation.metric("ingest", DOWN) == 0

        # It takes in what comes, says that it cannot store it, and is not ready.
        await until(filled, "200 messages to wait in ingest")
        assert "database" in await installation.readiness("ingest")
        waiting = installation.memory("ingest")
        installation.watch()

        async def up() -> bool:
            return await installation.metric("ingest", DOWN) == 1

        await until(up, "ingest to have the database back")
        await run.more()
        await run.settle()
    assert deepest <= LIMITS.queue_frames
    assert waiting - calm < LIMITS.queue_bytes
    async with installation.db.transaction() as tx:
        assert (await audit.verify(tx)).ok
