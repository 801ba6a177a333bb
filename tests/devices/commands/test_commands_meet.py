"""What happens to a command at the same moment: an answer, a newer one, an end, another wearer."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from devices.commands import jobs, service, store
from devices.commands.model import MOVED_ON, Command, CommandName, CommandState
from devices.commands.publisher import DownlinkError
from devices.messages import CommandAck
from devices.registry import service as registry
from devices.registry.machine import DeviceAction
from devices.registry.model import Device
from kernel.auth.model import Actor
from kernel.clock import utcnow
from kernel.db import Database, Tx, execute, fetch_value
from kernel.outbox import OutboxWorker
from tests.devices.registry.world import add_device, add_elder, add_person


@dataclass
class QuickDevice:
    """A way down at whose end a device answers before we have written down that we asked it."""

    db: Database
    device: Device
    name: CommandName
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    async def publish(self, topic: str, payload: bytes) -> None:
        self.heard.append((topic, payload))
        ack = CommandAck("", ok=True, names=frozenset({self.name}))
        async with self.db.transaction() as tx:
            await service.settle(tx, [(self.device.no, ack)], utcnow())


async def given(db: Database, profile: str, device_id: str = "X-0001") -> tuple[Device, Actor]:
    async with db.transaction() as tx:
        person = await add_person(tx, utcnow())
        return await add_device(tx, person, utcnow(), device_id, profile=profile), person


async def ask(
    db: Database,
    device: Device,
    name: str,
    person: Actor,
    now: datetime | None = None,
    **args: object,
) -> Command:
    async with db.transaction() as tx:
        return await service.request(tx, device.no, name, args, person, now or utcnow())


async def found(db: Database, command: Command) -> Command:
    async with db.connection() as conn:
        return await service.get(conn, command.id)


async def somebody_waits(tx: Tx) -> None:
    """Return when another transaction waits for what this one has written."""
    statement = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted"
        " AND transactionid = pg_current_xact_id()::xid"
    )
    async with asyncio.timeout(20):
        while not await fetch_value(tx, statement):
            await asyncio.sleep(0.01)


async def test_an_answer_that_is_faster_than_our_own_note_is_heard(db: Database) -> None:
    device, person = await given(db, "tasmota-sensor")
    asked = await ask(db, device, "reboot", person)
    way = QuickDevice(db, device, CommandName.REBOOT)
    worker = OutboxWorker(db, jobs.outbox_handlers(db, way))
    assert await worker.run_once() == 1
    done = await found(db, asked)
    # Else it would be restarted once more.
    assert (done.state, done.tries, len(way.heard)) == (CommandState.ACKNOWLEDGED, 1, 1)
    assert done.sent_at is not None


@dataclass
class SlowBroker:
    """A broker that lets the job look for what is due while it is being given a command."""

    db: Database
    heard: list[str] = field(default_factory=list)

    async def publish(self, topic: str, payload: bytes) -> None:
        self.heard.append(topic)
        await jobs.resend(self.db, utcnow() + timedelta(seconds=20))
        raise DownlinkError(f"no answer to {len(payload)} bytes")


async def test_nobody_else_sends_what_a_slow_broker_is_just_being_given(db: Database) -> None:
    device, person = await given(db, "sl-watch-1")
    asked = await ask(db, device, "reboot", person)
    way = SlowBroker(db)
    worker = OutboxWorker(db, jobs.outbox_handlers(db, way))
    assert await worker.run_once() == 1
    assert await worker.run_once() == 0
    # Given up, it is tried again as soon as ever.
    await jobs.resend(db, utcnow() + timedelta(seconds=6))
    assert await worker.run_once() == 1
    assert len(way.heard) == 2
    assert (await found(db, asked)).tries == 2


async def test_an_answer_while_a_newer_setting_is_asked_for_is_not_lost(db: Database) -> None:
    device, person = await given(db, "sl-watch-1")
    older = await ask(db, device, "set_interval", person, seconds=60)
    async with db.transaction() as tx:
        await service.settle(tx, [(device.no, CommandAck(str(older.id), ok=True))], utcnow())
        newer = asyncio.create_task(ask(db, device, "set_interval", person, seconds=600))
        # It has found the older one, and waits for the answer to be written.
        await somebody_waits(tx)
    assert (await newer).state is CommandState.QUEUED
    assert (await found(db, older)).state is CommandState.ACKNOWLEDGED


async def test_what_this_server_has_no_words_for_is_left_to_a_newer_one(db: Database) -> None:
    device, person = await given(db, "sl-watch-1")
    asked = await ask(db, device, "ring", person)
    async with db.transaction() as tx:
        await execute(tx, "UPDATE device SET profile = 'of-next-year' WHERE no = %s", (device.no,))
    way = QuickDevice(db, device, CommandName.RING)
    worker = OutboxWorker(db, jobs.outbox_handlers(db, way))
    assert await worker.run_once() == 1
    waiting = await found(db, asked)
    assert (waiting.state, way.heard) == (CommandState.QUEUED, [])
    # The next try is another effect in the outbox: it is not lost with this one.
    await jobs.resend(db, utcnow() + timedelta(minutes=1))
    assert await worker.run_once() == 1


async def test_what_is_meant_for_one_person_is_not_said_to_the_next(db: Database) -> None:
    watch, person = await given(db, "sl-watch-1")
    now = utcnow()
    async with db.transaction() as tx:
        first, second = await add_elder(tx, now), await add_elder(tx, now, "王桂兰")
        early = await service.request(
            tx, watch.no, "set_thresholds", {"spo2": {"low": 90}}, person, now
        )
        bound = now + timedelta(seconds=1)
        await registry.bind(tx, watch.no, first, "", actor=person, now=bound)
    later = now + timedelta(minutes=1)
    asked = {
        name: await ask(db, watch, name, person, later, **args)
        for name, args in (("speak", {"text": "李秀英，该吃药了"}), ("reboot", {}))
    }
    async with db.transaction() as tx:
        at = later + timedelta(minutes=2)
        await registry.bind(tx, watch.no, first, "卧室", actor=person, now=at)
        # Another room is no other person.
        assert await store.outgoing(tx, asked["speak"].id, at) is not None
        await registry.bind(tx, watch.no, second, "", actor=person, now=at)
        # Already before the job has looked.
        assert await store.outgoing(tx, asked["speak"].id, at) is None
        for still in (early, asked["reboot"]):
            assert await store.outgoing(tx, still.id, at) is not None
    # The same words again are for the next one, and new.
    again = await ask(db, watch, "speak", person, at, text="李秀英，该吃药了")
    assert again.id != asked["speak"].id
    await jobs.resend(db, at)
    ended = await found(db, asked["speak"])
    assert (ended.state, ended.detail) == (CommandState.EXPIRED, MOVED_ON)
    assert (await found(db, asked["reboot"])).state is CommandState.QUEUED
    async with db.transaction() as tx:
        await registry.change_state(
            tx, watch.no, DeviceAction.RETIRE, "lost", actor=person, now=at + timedelta(minutes=2)
        )
    await jobs.resend(db, at + timedelta(minutes=3))
    assert (await found(db, asked["reboot"])).detail == MOVED_ON
