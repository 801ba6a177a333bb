"""How long commands are kept, and what is not forgotten with them."""

from datetime import datetime, timedelta

import pytest

from app import wiring
from app.settings import Settings
from devices.commands import jobs, service
from devices.commands.model import Command
from devices.messages import CommandAck
from kernel import audit
from kernel.db import Database, fetch_tuples, fetch_value
from tests.devices.firmware.test_rollouts import Yard
from tests.devices.registry.world import add_device, add_person

DAY = timedelta(days=1)


async def names(db: Database) -> list[str]:
    async with db.connection() as conn:
        rows = await fetch_tuples(conn, "SELECT name FROM device_command ORDER BY name")
    return [row[0] for row in rows]


async def test_settled_commands_go_after_their_time_and_open_ones_stay(
    db: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_CHUNK", 2)
    async with db.transaction() as tx:
        technician = await add_person(tx, now)
        watch = await add_device(tx, technician, now, "W-0193")

        async def ask(name: str, at: datetime, **args: object) -> Command:
            return await service.request(tx, watch.no, name, args, technician, at)

        yes = [await ask("speak", now, text=f"云桂兰，该吃药了（{n}）") for n in range(5)]
        await service.settle(tx, [(watch.no, CommandAck(str(c.id), ok=True)) for c in yes], now)
        ended = await ask("ring", now)
    await jobs.resend(db, ended.expires_at)
    async with db.transaction() as tx:
        recent = await ask("locate", now + DAY)
        no = CommandAck(str(recent.id), ok=False, detail="no fix")
        await service.settle(tx, [(watch.no, no)], now + DAY)
        await ask("reboot", now + DAY)

    await jobs.forget(db, now + jobs.KEEP)
    assert len(await names(db)) == 8
    await jobs.forget(db, ended.expires_at + jobs.KEEP + timedelta(microseconds=1))
    assert await names(db) == ["locate", "reboot"]
    await jobs.forget(db, now + 2000 * DAY)
    assert await names(db) == ["reboot"]

    async with db.transaction() as tx:
        # Who asked for what stays, and an answer to what is forgotten changes nothing.
        asked = await fetch_value(
            tx, "SELECT count(*) FROM audit_log WHERE action = 'device.command_requested'"
        )
        await service.settle(tx, [(watch.no, CommandAck(str(yes[0].id), ok=True))], now)
        assert (await audit.verify(tx)).ok
    assert asked == 8
    assert await names(db) == ["reboot"]


async def test_how_far_devices_were_with_a_firmware_outlives_the_commands(
    db: Database, now: datetime
) -> None:
    async with db.transaction() as tx:
        technician = await add_person(tx, now)
    yard = Yard(db, technician, now)
    await yard.fill()
    await yard.start(steps="100")
    await yard.look()
    loading, *others = await yard.asked()
    await yard.say(loading, "downloading", 40)
    await yard.install(*others)
    await yard.look()
    # All commands have ended; one update is open, whose device may still speak of its command.
    await jobs.resend(db, now + 30 * DAY)
    await jobs.forget(db, now + 400 * DAY)
    assert await names(db) == ["update"]
    assert list(await yard.asked()) == [loading]
    found = await yard.progress()
    assert (found.installed, found.downloading) == (39, 1)


async def test_the_setting_says_for_how_long(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        technician = await add_person(tx, now)
        watch = await add_device(tx, technician, now, "W-0193")
        asked = await service.request(tx, watch.no, "ring", {}, technician, now)
        await service.settle(tx, [(watch.no, CommandAck(str(asked.id), ok=True))], now)
    settings = Settings(storage={"keep_commands_days": 30})
    [forget] = [
        job for job in await wiring.jobs(settings, db) if job.name == "devices.forget_commands"
    ]
    await forget.run(db, now + 30 * DAY)
    assert await names(db) == ["ring"]
    await forget.run(db, now + 31 * DAY)
    assert await names(db) == []
