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
from kernel.db import Database, fetch_tuples
from tests.faults.installation import Installation, until, value
from tests.faults.run import loaded, seated

QUICK = (rules.Step(1, rules.Notify.EVERYONE), rules.Step(2, rules.Notify.DUTY_PHONE))
NOTE, NEW = 4201, 4202


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
    """Two places at which the test can hold up whoever writes: a call's note, and a new call."""
    async with db.transaction() as tx:
        await tx.execute(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
            " PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); RETURN NEW; END'"
        )
        for number, event in ((NOTE, "UPDATE OF carrier_id"), (NEW, "INSERT")):
            await tx.execute(
                f"CREATE TRIGGER gate_{number} BEFORE {event} ON contact_attempt"
                f" FOR EACH ROW EXECUTE FUNCTION gate({number})"
            )
    try:
        yield
    finally:
        async with db.transaction() as tx:
            await tx.execute("DROP FUNCTION gate CASCADE")


async def kill_in_the_middle(installation: Installation) -> None:
    """Kill the worker after the carrier took a call and before that is noted, and in a step."""
    async with installation.db.dedicated() as keeper:
        for gate, what in ((NOTE, "of a call"), (NEW, "of an escalation")):
            await keeper.execute("SELECT pg_advisory_lock(%s)", (gate,))

            async def waits(gate: int = gate) -> bool:
                sql = (
                    "SELECT count(*) FROM pg_locks"
                    " WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
                )
                return await value(keeper, sql, gate) > 0

            await until(waits, f"the worker to be in the middle {what}")
        await installation.unwatch()
        installation.kill("worker")
    installation.watch()
    await installation.ready("worker")


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_the_worker_is_killed_and_deadlines_calls_and_texts_survive(
    installation: Installation, name: str
) -> None:
    db = installation.db
    async with quick_escalation(db), gates(db), loaded(name, installation) as run:
        await run.more(messages=50, activations=3)
        await kill_in_the_middle(installation)
        await run.load.finish()

        async def all_done() -> bool:
            due = await installation.count(
                "SELECT count(*) FROM incident_deadline"
                " WHERE kind = 'escalate' AND done_at IS NULL AND cancelled_at IS NULL"
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
    """Each step of each incident was done once, with one call and one text to the duty phone."""
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT (SELECT count(*) FROM incident_event e WHERE e.incident_id = i.id"
            "         AND e.kind = 'incident.escalated' AND e.data->>'reason' = 'unacknowledged'),"
            " (SELECT count(*) FROM contact_attempt a WHERE a.incident_id = i.id"
            "         AND a.purpose = 'duty' AND a.channel = 'call'),"
            " (SELECT count(*) FROM contact_attempt a WHERE a.incident_id = i.id"
            "         AND a.purpose = 'duty' AND a.channel = 'sms')"
            " FROM incident i WHERE i.opened_at >= %s AND i.division_code LIKE %s",
            (since, CITY + "%"),
        )
    assert rows
    assert set(rows) == {(len(QUICK), 1, 1)}


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
    assert set(tries) == {1, 2}, "no call was in the worker's hands when it was killed"
    for attempt, channel, carrier_id, _, dead_at in rows:
        word = {"call": "call", "sms": "text"}[channel]
        assert (carrier_id, dead_at) == (f"sim-{word}-{attempt}", None)
