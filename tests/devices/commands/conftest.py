"""The embedded broker, ingest behind it, and a worker that sends commands."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.embedded.broker import BrokerSettings, EmbeddedBroker
from devices.commands.publisher import CommandPublisher, DownlinkSettings
from ingest.run import IngestRunner, IngestSettings
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.devices.commands.parts import SERVICE, Downlink, SimulatedDevices
from tests.ingest.home import Witness
from tests.ports import free_port


@pytest.fixture
async def broker_port(db_url: str, db: Database) -> AsyncIterator[int]:
    port = free_port()
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", port, *SERVICE), db_url)
    await broker.start()
    yield port
    await broker.stop()


@pytest.fixture
async def downlink(db: Database, cipher: FieldCipher, broker_port: int) -> AsyncIterator[Downlink]:
    publisher = CommandPublisher(DownlinkSettings("127.0.0.1", broker_port, *SERVICE))
    made = Downlink(db, cipher, publisher)
    await made.person()
    yield made
    await publisher.close()


@pytest.fixture
async def ingest(db: Database, broker_port: int) -> AsyncIterator[IngestRunner]:
    """A whole ingest process in the test, with a listener for each protocol of a byte stream."""
    settings = IngestSettings(
        mqtt_host="127.0.0.1", mqtt_port=broker_port, mqtt_username=SERVICE[0],
        mqtt_password=SERVICE[1], mqtt_protocol="3.1.1", tcp_host="127.0.0.1", tcp_port=0,
        tcp_extra=(("iw_trv", 0), ("jt808", 0), ("gt06", 0)),
    )  # fmt: skip
    witness = Witness()
    runner = IngestRunner(settings, db, witness.react, witness.clear)
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    async with asyncio.timeout(30):
        await runner.relay.listening.wait()
        while await runner.ready() is not None:
            await asyncio.sleep(0.02)
    yield runner
    stop.set()
    await asyncio.wait_for(task, 30)


@pytest.fixture
async def simulated(tmp_path: Path, broker_port: int) -> AsyncIterator[SimulatedDevices]:
    made = SimulatedDevices(tmp_path, broker_port)
    yield made
    # In a thread: they wait until the broker, which lives on this loop, has heard their goodbye.
    await asyncio.to_thread(made.stop)
