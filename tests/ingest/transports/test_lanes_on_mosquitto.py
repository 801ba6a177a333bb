"""The whole process on a real broker: acknowledgement, redelivery, order, bounds, latency."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import pytest

from devices.alarms import RaisedAlarm
from ingest.run import IngestRunner, IngestSettings
from kernel.clock import utcnow
from kernel.db import Database, Tx
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, Witness, body, until
from tests.ingest.running import Publisher, Running, running

Runner = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def settings(mosquitto: Mosquitto) -> IngestSettings:
    return IngestSettings(mqtt_port=mosquitto.port, tcp_port=-1)


@pytest.fixture
async def publisher(mosquitto: Mosquitto) -> AsyncIterator[Publisher]:
    async with Publisher(mosquitto.port) as client:
        yield client


async def test_what_is_not_committed_is_not_acknowledged_and_comes_again(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    await home.device("P-0001", "sl-pendant-1", elder=await home.elder())
    entered = asyncio.Event()

    async def hang(_: Tx, __: RaisedAlarm) -> None:
        entered.set()
        await asyncio.Event().wait()

    witness.before = hang
    async with running(settings, db, witness) as process:
        payload = body(seq=1, t=utcnow(), alarm="sos")
        await publisher.publish("silverline/v1/P-0001/alarm", payload)
        await entered.wait()
        await process.kill()
    assert await home.count("alarm") == 0
    witness.before = None
    async with running(settings, db, witness):

        async def stored() -> bool:
            return await home.count("alarm") == 1 and await home.count("ingest_message") == 1

        await until(stored)
    assert len(witness.raised) == 1


async def test_what_was_committed_and_not_acknowledged_is_stored_once(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    await home.device(
        "B-0001", "z2m-hs1eb", elder=await home.elder(), alias=("zigbee2mqtt", "button")
    )
    async with running(settings, db, witness) as process:
        # Nothing is acknowledged from here on, as if the process died after each commit.
        process.forget_acknowledgements()
        await publisher.publish("zigbee2mqtt/button", b'{"action":"single"}')
        await publisher.publish("zigbee2mqtt/button", b'{"action":"single"}')

        async def both() -> bool:
            return await home.count("ingest_message") == 2

        await until(both)
        await process.kill()
    assert witness.kinds == ["sos", "sos"]
    async with running(settings, db, witness):
        await publisher.publish("zigbee2mqtt/button", b'{"action":"single"}')

        async def third() -> bool:
            return await home.count("ingest_message") == 3

        await until(third)
    # Both were delivered again before the third; two presses stay two.
    assert witness.kinds == ["sos", "sos", "sos"]


async def test_messages_published_while_ingest_is_away_are_kept_by_the_broker(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    await home.device("W-0001", elder=await home.elder())
    async with running(settings, db, witness):
        pass
    for seq in range(300):
        payload = body(seq=seq, t=utcnow(), vitals={"heart_rate": 70})
        await publisher.publish("silverline/v1/W-0001/vitals", payload)
    async with running(settings, db, witness):

        async def all_there() -> bool:
            return await home.count("reading") == 300

        await until(all_there)


async def test_an_alarm_is_not_delayed_by_a_full_bulk_lane(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    elder = await home.elder()
    await home.device("W-0001", elder=elder)
    await home.device("P-0001", "sl-pendant-1", elder=elder)
    rang = asyncio.Event()

    async def note(_: Tx, __: RaisedAlarm) -> None:
        rang.set()

    witness.before = note
    async with (
        running(settings, db, witness) as process,
        Publisher(settings.mqtt_port) as pendant,
        home.db.dedicated() as blocker,
    ):
        # Readings cannot be stored for now: what came before the alarm waits in the lane.
        await blocker.execute("BEGIN")
        await blocker.execute("LOCK TABLE ingest_message IN EXCLUSIVE MODE")
        waiting = [
            publisher.send(
                "silverline/v1/W-0001/vitals",
                body(seq=seq, t=utcnow() - timedelta(seconds=1), vitals={"heart_rate": 70}),
            )
            for seq in range(8_000)
        ]

        async def lane_is_deep() -> bool:
            return process.frames("bulk") >= 1_000

        await until(lane_is_deep, 60)
        payload = body(seq=1, t=utcnow(), alarm="sos")
        sent = asyncio.create_task(pendant.publish("silverline/v1/P-0001/alarm", payload))
        await rang.wait()
        assert await home.count("reading") == 0
        assert process.frames("bulk") >= 1_000
        await blocker.execute("ROLLBACK")
        await asyncio.gather(sent, *waiting)

        async def all_there() -> bool:
            return await home.count("reading") == 8_000

        # How fast it rings is measured by the headless demonstration, not here.
        await until(all_there, 60)


async def test_a_lane_that_is_full_stops_reading_and_stays_connected(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    await home.device("W-0001", elder=await home.elder())
    # Without MQTT 5 the broker does not bound what is in flight: the lane has to.
    narrow = replace(settings, queue_frames=50, mqtt_keepalive_seconds=4, mqtt_protocol="3.1.1")
    async with running(narrow, db, witness) as process:
        async with home.db.dedicated() as blocker:
            await blocker.execute("BEGIN")
            await blocker.execute("LOCK TABLE ingest_message IN EXCLUSIVE MODE")
            for seq in range(1_000):
                payload = body(seq=seq, t=utcnow(), vitals={"heart_rate": 70})
                await publisher.publish("silverline/v1/W-0001/vitals", payload)
            # Longer than the broker would wait for a sign of life (1.5 × keep-alive).
            most = 0
            begun = time.monotonic()
            while time.monotonic() - begun < 8:
                most = max(most, process.frames("bulk"))
                await asyncio.sleep(0.05)
            await blocker.execute("ROLLBACK")
        assert most <= 50

        async def all_there() -> bool:
            return await home.count("reading") == 1_000

        await until(all_there, 30)
        assert process.connections("bulk") == 1


async def test_malformed_messages_on_the_wire_do_not_stop_the_stream(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    await home.device("W-0001", elder=await home.elder())
    good = body(seq=1, t=utcnow(), vitals={"heart_rate": 70})
    async with running(settings, db, witness):
        await publisher.publish("silverline/v1/W-0001/vitals", b"\xff\xfe{")
        await publisher.publish("silverline/v1/W-0001/vitals", b" " * 300_000)
        await publisher.publish("silverline/v1/W-0404/alarm", body(seq=1, alarm="sos"))
        await publisher.publish("silverline/v1/W-0001/alarm", b"[]")
        await publisher.publish("silverline/v1/W-0001/vitals", good)

        async def all_there() -> bool:
            return await home.count("reading") == 1 and await home.count("dead_letter") == 4

        await until(all_there)


async def test_one_poisonous_message_does_not_fail_its_batch(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    for number in range(40):
        await home.device(f"W-{number:03}", elder=await home.elder())

    async def fail_for_one(_: Tx, alarm: RaisedAlarm) -> None:
        if alarm.device_id == "W-017":
            raise ValueError("a fault in a reaction")

    witness.before = fail_for_one
    # All of them in one batch: nobody writes before they are all there.
    patient = replace(settings, quiet_ms=1_000, flush_ms=1_000)
    async with running(patient, db, witness):
        await asyncio.gather(
            *(
                publisher.send(
                    f"silverline/v1/W-{number:03}/vitals",
                    body(seq=1, t=utcnow(), vitals={"heart_rate": 150}),
                )
                for number in range(40)
            )
        )

        async def all_there() -> bool:
            return await home.count("alarm") == 39 and await home.count("dead_letter") == 1

        await until(all_there)
    assert await home.letters() == [("processing_failed", "W-017", 1)]
    assert await home.count("reading") == 39
    assert await home.count("ingest_message") == 39


async def test_a_reaction_that_fails_once_is_tried_again_and_then_kept_aside(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    await home.device("P-0001", "sl-pendant-1", elder=await home.elder())
    await home.device("P-0002", "sl-pendant-1", elder=await home.elder())
    tries: list[str | None] = []

    async def fail(_: Tx, alarm: RaisedAlarm) -> None:
        tries.append(alarm.device_id)
        if alarm.device_id == "P-0002" or len(tries) == 1:
            raise ValueError("a fault in a reaction")

    witness.before = fail
    async with running(settings, db, witness):
        await publisher.publish("silverline/v1/P-0001/alarm", body(seq=1, t=utcnow(), alarm="sos"))

        async def first() -> bool:
            return await home.count("alarm") == 1

        await until(first)
        await publisher.publish("silverline/v1/P-0002/alarm", body(seq=1, t=utcnow(), alarm="sos"))

        async def second() -> bool:
            return await home.letters() == [("processing_failed", "P-0002", 1)]

        await until(second)
    assert tries == ["P-0001", "P-0001", "P-0002", "P-0002", "P-0002"]


async def test_the_broker_restarts_and_nothing_is_lost(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, mosquitto: Mosquitto
) -> None:
    await home.device("W-0001", elder=await home.elder())
    async with running(settings, db, witness) as process:
        async with Publisher(mosquitto.port) as publisher:
            for seq in range(100):
                payload = body(seq=seq, t=utcnow(), vitals={"heart_rate": 70})
                await publisher.publish("silverline/v1/W-0001/vitals", payload)
        await asyncio.to_thread(mosquitto.stop)
        await asyncio.to_thread(mosquitto.start)
        async with Publisher(mosquitto.port) as publisher:
            for seq in range(100, 200):
                payload = body(seq=seq, t=utcnow(), vitals={"heart_rate": 70})
                await publisher.publish("silverline/v1/W-0001/vitals", payload)

        async def all_there() -> bool:
            return await home.count("reading") == 200

        await until(all_there, 30)
        await process.connected()


async def test_two_processes_share_what_comes_and_store_it_once(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, publisher: Publisher
) -> None:
    for number in range(10):
        await home.device(f"W-{number:04}", elder=await home.elder())
    shared = replace(settings, mqtt_share_group="ingest")
    async with (
        running(replace(shared, client_id="ingest-1"), db, witness) as one,
        running(replace(shared, client_id="ingest-2"), db, witness) as two,
    ):
        for seq in range(40):
            for number in range(10):
                payload = body(seq=seq, t=utcnow(), vitals={"heart_rate": 70})
                await publisher.publish(f"silverline/v1/W-{number:04}/vitals", payload)

        async def all_there() -> bool:
            return await home.count("reading") == 400

        await until(all_there, 30)
        assert one.taken("bulk") > 0
        assert two.taken("bulk") > 0


async def test_ready_says_what_is_missing(
    db: Database, witness: Witness, settings: IngestSettings, mosquitto: Mosquitto
) -> None:
    async with running(settings, db, witness) as process:
        assert await process.runner.ready() is None
        await asyncio.to_thread(mosquitto.stop)

        async def says_so() -> bool:
            return "broker" in (await process.runner.ready() or "")

        await until(says_so)


def test_a_runner_is_made_of_frozen_settings(settings: IngestSettings) -> None:
    assert IngestRunner.__init__.__annotations__["settings"] is IngestSettings
    with pytest.raises(AttributeError):
        settings.mqtt_host = "elsewhere"  # type: ignore[misc]
