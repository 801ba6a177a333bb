"""What happens when nobody acts: in order, once, and also after a worker was killed."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from devices.alarms import AlarmKind, Severity
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.escalation.jobs import FallbackPhone, due_deadlines
from hotline.incidents import service
from hotline.incidents.model import Incident
from kernel.auth.model import Actor
from kernel.db import Database, fetch_tuples, fetch_value
from tests.hotline.world import World


async def _run(world: World, seconds: float, fallback: FallbackPhone | None = None) -> int:
    return await due_deadlines(world.db, world.later(seconds), fallback)


async def _escalations(world: World, incident: Incident) -> list[tuple[str, int, int]]:
    return [
        (data.get("notify", data["reason"]), data["level"], data.get("seconds", 0))
        for kind, data in await world.events(incident.id)
        if kind == "incident.escalated"
    ]


async def test_a_critical_incident_gets_louder_at_30_s_and_rings_the_duty_phone_at_60_s(
    world: World,
) -> None:
    await world.duty_phone("13947100009")
    incident = await world.opened()
    assert await _run(world, 29.9) == 0
    assert await _run(world, 30) == 1
    assert await _escalations(world, incident) == [("everyone", 1, 30)]
    assert await world.attempts(incident.id) == []
    assert await _run(world, 60) == 1
    assert await _escalations(world, incident) == [("everyone", 1, 30), ("duty_phone", 2, 60)]
    assert await world.attempts(incident.id) == [
        ("call", "duty", "值班电话1", "queued"),
        ("sms", "duty", "值班电话1", "queued"),
    ]
    assert (await world.incident(incident.id)).escalation_level == 2


async def test_a_step_is_said_again_as_often_as_it_says_and_no_more(world: World) -> None:
    incident = await world.opened()
    for seconds in range(30, 2000, 10):
        await _run(world, seconds)
    said = [step for step in await _escalations(world, incident) if step[0] == "everyone"]
    assert [seconds for _, _, seconds in said] == [30, 90, 150, 210, 270, 330]


async def test_a_claim_stops_it(world: World, operator: Actor) -> None:
    incident = await world.opened()
    await _run(world, 30)
    async with world.db.transaction() as tx:
        claimed = await service.acknowledge(tx, incident.id, 1, operator, world.later(45))
    assert claimed.escalation_level == 0
    assert await _run(world, 65) == 0
    assert len(await _escalations(world, incident)) == 1


async def test_a_claim_that_stands_still_is_warned_about(world: World, operator: Actor) -> None:
    incident = await world.claimed(operator)
    await _run(world, 180)
    assert await _escalations(world, incident) == [("time_in_status", 1, 180)]
    await _run(world, 360)
    assert (await _escalations(world, incident))[-1] == ("time_in_status", 2, 360)


@pytest.mark.parametrize("kind", [AlarmKind.BED_EXIT, AlarmKind.LOW_BATTERY])
async def test_minor_and_technical_incidents_wake_nobody(world: World, kind: AlarmKind) -> None:
    incident = await world.opened(kind=kind)
    assert await _run(world, 86400) == 0
    assert await _escalations(world, incident) == []


async def test_the_duty_phone_of_the_nearest_division_is_rung(world: World) -> None:
    await world.duty_phone("13900000001", division="")
    await world.duty_phone("13900000002", division="150102")
    incident = await world.opened()
    await _run(world, 60)
    async with world.db.connection() as conn:
        box = await fetch_value(
            conn, "SELECT to_enc FROM contact_attempt WHERE incident_id = %s", (incident.id,)
        )
    assert world.cipher.decrypt("phone", bytes(box)) == "13900000002"


async def test_without_a_duty_phone_the_one_of_the_settings_is_rung(world: World) -> None:
    incident = await world.opened()
    await _run(world, 60, FallbackPhone("+86 139 4710 0099", world.cipher))
    assert [row[:3] for row in await world.attempts(incident.id)] == [
        ("call", "duty", "值班电话"),
        ("sms", "duty", "值班电话"),
    ]


async def test_without_any_duty_phone_the_timeline_says_so(world: World) -> None:
    incident = await world.opened()
    await _run(world, 60, FallbackPhone("", world.cipher))
    assert "escalation.no_duty_phone" in await world.kinds(incident.id)


async def test_a_step_outside_of_its_hours_is_skipped_and_written_down(world: World) -> None:
    policy = rules.Policy(steps=(rules.Step(30, rules.Notify.EVERYONE, window="08:00-20:00"),))
    async with world.db.transaction() as tx:  # the test's now is 22:03 in Shanghai
        await escalation.save_policy(tx, "", Severity.CRITICAL, policy.dump(), world.now)
    incident = await world.opened()
    await _run(world, 30)
    assert await world.kinds(incident.id) == ["incident.opened", "escalation.skipped"]


async def test_two_workers_at_once_do_each_thing_once(world: World) -> None:
    incidents = [await world.opened() for _ in range(12)]
    counts = await asyncio.gather(_run(world, 30), _run(world, 30), _run(world, 30))
    assert sum(counts) == 12
    for incident in incidents:
        assert await _escalations(world, incident) == [("everyone", 1, 30)]


async def test_one_spoilt_deadline_does_not_keep_the_others_waiting(world: World) -> None:
    spoilt, healthy = await world.opened(), await world.opened()
    async with world.db.transaction() as tx:
        await tx.execute("UPDATE incident SET escalation_policy = '{}' WHERE id = %s", (spoilt.id,))
    await _run(world, 30)
    assert await _escalations(world, healthy) == [("everyone", 1, 30)]
    async with world.db.connection() as conn:
        rows = await fetch_tuples(
            conn,
            "SELECT attempts, error FROM incident_deadline WHERE incident_id = %s AND step = 0",
            (spoilt.id,),
        )
    assert rows[0][0] == 1
    assert "policy" in rows[0][1]


KILLED_WORKER = textwrap.dedent("""
    import asyncio, sys
    from datetime import datetime
    from hotline.escalation import jobs
    from kernel.db import Database

    async def main(url, now):
        db = await Database.open(url)
        original = jobs.make_louder
        async def half_done(*args, **kwargs):
            await original(*args, **kwargs)
            print("half done", flush=True)
            await asyncio.sleep(3600)
        jobs.make_louder = half_done
        await jobs.due_deadlines(db, datetime.fromisoformat(now))

    asyncio.run(main(*sys.argv[1:]))
""")


async def test_what_a_killed_worker_had_half_done_is_done_once_by_the_next(
    world: World, db_url: str, project: Path
) -> None:
    incident = await world.opened()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_WORKER, db_url, world.later(30).isoformat(),
        stdout=subprocess.PIPE, cwd=project,
    )  # fmt: skip
    assert worker.stdout
    async with asyncio.timeout(60):
        assert await worker.stdout.readline() == b"half done\n"
    assert await _run(world, 31) == 0  # held by the living worker: no second one touches it
    os.kill(worker.pid, signal.SIGKILL)
    await worker.wait()
    async with asyncio.timeout(30):
        # The server notices the dead connection and gives the row free.
        while await _run(world, 31) == 0:
            await asyncio.sleep(0.05)
    assert await _escalations(world, incident) == [("everyone", 1, 31)]


async def test_a_database_that_starts_again_has_forgotten_nothing(
    world: World, db_url: str
) -> None:
    incident = await world.opened()
    await world.db.close()
    fresh = await Database.open(db_url)
    try:
        assert await due_deadlines(fresh, world.later(3600)) >= 2
    finally:
        await fresh.close()
    reopened = World(await Database.open(db_url), world.cipher, world.now)
    try:
        assert [step[0] for step in await _escalations(reopened, incident)][:2] == [
            "everyone",
            "duty_phone",
        ]
    finally:
        await reopened.db.close()
