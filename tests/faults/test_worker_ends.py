"""kill -9 of the worker between the carrier's answer and its note of it, and in an escalation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import pytest

from app.demo.seed import CITY
from devices.alarms import Severity
from hotline.demo import seed_policies
from hotline.escalation import rules, store
from kernel.clock import utcnow
from kernel.db import Database, Tx, fetch_tuples
from tests.faults.installation import Installation, until, value
from tests.faults.run import loaded, seated

QUICK = (rules.Step(1, rules.Notify.EVERYONE), rules.Step(2, rules.Notify.DUTY_PHONE))
NOTE, STEP = 4201, 4202


@asynccontextmanager
async def quick_escalation(db: Database) -> AsyncIterator[None]:
    """The duty phone rings after two seconds instead of sixty."""
    async with db.transaction() as tx:
        for severity in Severity:
            policy = replace(rules.DEFAULTS[severity], steps=QUICK)
            await store.save_policy(tx, CITY, severity, policy.dump(), utcnow())
    try:
        yield
    finally:
        async with db.transaction() as tx:
            await seed_policies(tx, utcnow())


@asynccontextmanager
async def gates(db: Database) -> AsyncIterator[None]:
    """Two places at which the test can hold up one who writes: a call's note, and an escalation.

    One at a time: a worker whose every connection waits in a gate would do nothing else.
    """
    when = "WHEN (NEW.kind = 'incident.escalated')"
    async with db.transaction() as tx:
        await tx.execute(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
            " IF pg_try_advisory_xact_lock(TG_ARGV[0]::bigint + 1000) THEN"
            " PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); END IF;"
            " RETURN NEW; END'"
        )
        for number, event, condition in (
            (NOTE, "UPDATE OF carrier_id ON contact_attempt", ""),
            (STEP, "INSERT ON incident_event", when),
        ):
            await tx.execute(
                f"CREATE TRIGGER gate_{number} BEFORE {event}"
                f" FOR EACH ROW {condition} EXECUTE FUNCTION gate({number})"
            )
    try:
        yield
    finally:
        async with db.transaction() as tx:
            await tx.execute("DROP FUNCTION gate CASCADE")


async def close(keeper: Tx, gate: int) -> None:
    await keeper.execute("SELECT pg_advisory_lock(%s)", (gate,))


async def held_up(keeper: Tx, gate: int, what: str) -> None:
    """Wait until somebody waits before a gate."""

    async def waits() -> bool:
        sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
        return await value(keeper, sql + " AND NOT granted", gate) > 0

    await until(waits, f"the worker to be in the middle {what}")


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_the_worker_is_killed_and_deadlines_calls_and_texts_survive(
    installation: Installation, name: str
) -> None:
    db = installation.db
    async with quick_escalation(db), gates(db), loaded(name, installation) as run:
        async with db.dedicated() as keeper:
            # After the carrier has taken a call and before that is noted; then in a step as well.
            await close(keeper, NOTE)
            await held_up(keeper, NOTE, "of a call")
            await close(keeper, STEP)
            await held_up(keeper, STEP, "of an escalation")
            await installation.unwatch()
            installation.kill("worker")
        installation.watch()
        await installation.ready("worker")
        await run.load.finish()

        async def all_done() -> bool:
            due = await installation.count(
                "SELECT count(*) FROM incident_deadline WHERE kind = 'escalate'"
                " AND done_at IS NULL AND cancelled_at IS NULL AND NOT data ? 'waiting_for'"
            )
            waiting = await installation.count(
                "SELECT count(*) FROM outbox WHERE done_at IS NULL AND dead_at IS NULL"
            )
            return due == waiting == 0

        await until(all_done, "every escalation to be done and every call to be placed")
        await check_escalations(db, run.since)
        await check_calls(db, run.since)
        async with seated(installation):
            await run.settle()


async def check_escalations(db: Database, since: datetime) -> None:
    """Each step of each incident was done once; each has called the duty phone or waits for it."""
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT (SELECT count(*) FROM incident_event e WHERE e.incident_id = i.id"
            "         AND e.kind = 'incident.escalated' AND e.data->>'reason' = 'unacknowledged'),"
            " (SELECT count(*) FROM contact_attempt a WHERE a.incident_id = i.id"
            "         AND a.purpose = 'duty' AND a.channel = 'call')"
            " + (SELECT count(*) FROM incident_deadline d WHERE d.incident_id = i.id"
            "         AND d.data ? 'waiting_for' AND d.done_at IS NULL AND d.cancelled_at IS NULL)"
            " FROM incident i WHERE i.opened_at >= %s AND i.division_code LIKE %s",
            (since, CITY + "%"),
        )
    assert rows
    assert set(rows) == {(len(QUICK), 1)}


async def check_calls(db: Database, since: datetime) -> None:
    """Each attempt reached the carrier under one reference, at most on a second try."""
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT a.id::text, a.channel, a.carrier_id, o.attempts, o.dead_at"
            " FROM contact_attempt a LEFT JOIN outbox o ON o.key = a.id::text"
            " WHERE a.created_at >= %s",
            (since,),
        )
    tries = [attempts for *_, attempts, _ in rows]
    assert 2 in tries, "nothing was in the hands of the worker when it was killed"
    assert set(tries) <= {1, 2}
    for attempt, channel, carrier_id, _, dead_at in rows:
        word = {"call": "call", "sms": "text"}[channel]
        assert (carrier_id, dead_at) == (f"sim-{word}-{attempt}", None)
