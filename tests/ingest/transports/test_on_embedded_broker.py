"""Ingest on the broker of `silverline up`, which speaks MQTT 3.1.1 and bounds nothing for us."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.embedded.broker import BrokerSettings, EmbeddedBroker
from devices.credentials import service as credentials
from ingest.run import IngestRunner, IngestSettings
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.ingest.home import Home, Witness, body, until
from tests.ingest.running import Publisher, running
from tests.ports import free_port


@pytest.fixture
async def settings(db_url: str) -> AsyncIterator[IngestSettings]:
    port = free_port()
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", port, "ingest", "a-secret"), db_url)
    await broker.start()
    yield IngestSettings(
        mqtt_port=port, mqtt_username="ingest", mqtt_password="a-secret", tcp_port=-1
    )
    await broker.stop()


async def test_devices_with_credentials_reach_the_database_through_it(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, cipher: FieldCipher
) -> None:
    no = await home.device("W-0001", elder=await home.elder())
    async with db.transaction() as tx:
        secret = await credentials.issue(tx, no, cipher=cipher, now=utcnow())
    async with (
        running(settings, db, witness) as process,
        Publisher(
            settings.mqtt_port, client_id="W-0001", username="W-0001", secret=secret.password
        ) as device,
    ):
        for seq in range(100):
            payload = body(seq=seq, t=utcnow(), vitals={"heart_rate": 70})
            await device.publish("silverline/v1/W-0001/vitals", payload)
        await device.publish("silverline/v1/W-0001/alarm", body(seq=100, t=utcnow(), alarm="sos"))

        async def all_there() -> bool:
            return await home.count("ingest_message") == 101

        await until(all_there)
        assert not any(each.connection.modern for each in process.subscriptions)
    assert witness.kinds == ["sos"]


async def test_what_is_not_acknowledged_is_sent_again(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, cipher: FieldCipher
) -> None:
    no = await home.device("P-0001", "sl-pendant-1", elder=await home.elder())
    async with db.transaction() as tx:
        secret = await credentials.issue(tx, no, cipher=cipher, now=utcnow())
    entered = asyncio.Event()

    async def hang(*_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    witness.before = hang
    async with Publisher(
        settings.mqtt_port, client_id="P-0001", username="P-0001", secret=secret.password
    ) as device:
        async with running(settings, db, witness) as process:
            await device.publish("silverline/v1/P-0001/alarm", body(seq=1, t=utcnow(), alarm="sos"))
            await entered.wait()
            await process.kill()
        witness.before = None
        async with running(settings, db, witness):

            async def stored() -> bool:
                return await home.count("alarm") == 1

            await until(stored)
    assert witness.kinds == ["sos"]


async def test_a_wrong_password_is_said_and_not_tried_without_pause(
    db: Database, witness: Witness, settings: IngestSettings
) -> None:
    wrong = replace(settings, mqtt_password="another")
    runner = IngestRunner(wrong, db, witness.react, witness.clear)
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    begun = time.monotonic()
    await asyncio.sleep(1.0)
    assert "broker" in (await runner.ready() or "")
    # On a machine that stood still meanwhile there was time for more.
    most = 6 + 2 * (time.monotonic() - begun - 1.0)
    assert all(each.attempts <= most for each in runner.subscriptions)
    stop.set()
    await task
