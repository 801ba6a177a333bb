"""kill -9 of the scheduler that leads: the second one goes on where it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from app.stack import free_port
from kernel.clock import utcnow
from kernel.db import Database, execute, fetch_tuples
from kernel.jobs import due_at
from tests.faults.installation import Installation, metric, until
from tests.faults.run import running

LEADS = "silverline_scheduler_leader"
EVERY = 30
JOB = "detection.doors"


@asynccontextmanager
async def witnessed(db: Database) -> AsyncIterator[None]:
    """The database itself writes down each time that somebody takes a run in hand."""
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE run_taken (job text, due_at timestamptz)")
        await tx.execute(
            "CREATE FUNCTION run_taken() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO run_taken VALUES (NEW.job, NEW.due_at); RETURN NULL; END'"
        )
        await tx.execute(
            "CREATE TRIGGER run_taken AFTER UPDATE OF started_at ON job_run"
            " FOR EACH ROW EXECUTE FUNCTION run_taken()"
        )
    try:
        yield
    finally:
        async with db.transaction() as tx:
            await tx.execute("DROP TRIGGER run_taken ON job_run")
            await tx.execute("DROP FUNCTION run_taken")
            await tx.execute("DROP TABLE run_taken")


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_the_leading_scheduler_is_killed_and_no_job_runs_twice_for_a_due_time(
    installation: Installation, name: str
) -> None:
    db, port = installation.db, free_port("127.0.0.1", 0)
    async with (
        witnessed(db),
        installation.another("scheduler", port),
        running(name, installation) as run,
    ):

        async def second_is_there() -> bool:
            return await metric(port, LEADS) == 0

        await until(second_is_there, "the second scheduler")
        assert await installation.metric("scheduler", LEADS) == 1
        await run.more()
        await installation.unwatch()
        slot = await lose_a_run(db)
        installation.kill("scheduler")

        async def taken_over() -> bool:
            return await metric(port, LEADS) == 1

        await until(taken_over, "the second scheduler to lead")

        async def made_good() -> bool:
            return bool(
                await installation.count(
                    "SELECT count(*) FROM job_run WHERE job = %s AND due_at >= %s"
                    " AND finished_at IS NOT NULL AND error IS NULL",
                    JOB,
                    slot,
                )
            )

        await until(made_good, "the run that the first one did not start")
        installation.watch()
        await installation.ready("scheduler")
        await run.more()
        assert await metric(port, LEADS) == 1
        assert await installation.metric("scheduler", LEADS) == 0
        await run.settle()
        await check_runs(db)

    # The one that is left leads again when the second has gone.
    async def leads() -> bool:
        return await installation.metric("scheduler", LEADS) == 1

    await until(leads, "the first scheduler to lead again")


async def lose_a_run(db: Database) -> datetime:
    """As if the leader had been killed just before it wrote down that a job is due now."""
    async with db.transaction() as tx:
        slot = due_at(utcnow(), EVERY)
        await execute(tx, "DELETE FROM job_run WHERE job = %s AND due_at >= %s", (JOB, slot))
        await execute(tx, "DELETE FROM run_taken WHERE job = %s AND due_at >= %s", (JOB, slot))
    return slot


async def check_runs(db: Database) -> None:
    """Each run was taken in hand once, and ended."""
    async with db.connection() as conn:
        twice = await fetch_tuples(
            conn, "SELECT job, due_at FROM run_taken GROUP BY 1, 2 HAVING count(*) > 1"
        )
        taken = await fetch_tuples(conn, "SELECT DISTINCT job FROM run_taken")
    assert twice == []
    assert (JOB,) in taken
