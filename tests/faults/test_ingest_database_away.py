"""The database goes away in the middle of a load: ingest waits in bounded memory, loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.embedded.postgres import EmbeddedPostgres
from ingest.run import IngestSettings
from kernel.clock import utcnow
from kernel.db import Database
from kernel.migrate import migrate
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, Witness, body, until
from tests.ingest.running import Publisher, gauge, running

DEVICES = 20
ROUNDS = 60


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of this test alone, that keeps what it has committed."""
    server = EmbeddedPostgres(tmp_path / "pg")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own_db(own_server: EmbeddedPostgres) -> AsyncIterator[Database]:
    url = own_server.ensure_database()
    await migrate(url)
    db = await Database.open(url, max_size=8)
    yield db
    await db.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "mosquitto")
    one.start()
    yield one
    one.stop()


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "crashed"])
async def test_the_database_is_away_for_seconds_in_a_load(
    own_server: EmbeddedPostgres, own_db: Database, broker: Mosquitto, crash: bool
) -> None:
    home, witness = Home(own_db), Witness()
    for number in range(DEVICES):
        await home.device(f"W-{number:03}", elder=await home.elder())
    settings = IngestSettings(mqtt_port=broker.port, tcp_port=-1, queue_frames=200)
    sent = alarms = 0
    most = 0
    seen_down = False
    async with (
        running(settings, own_db, witness) as process,
        Publisher(broker.port) as publisher,
    ):
        for turn in range(ROUNDS):
            if turn == 15:
                await asyncio.to_thread(own_server.stop, immediate=crash)
            if turn == 45:
                await until(lambda: _is(gauge("silverline_ingest_database_up") == 0))
                seen_down = True
                await asyncio.to_thread(own_server.start)
            for number in range(DEVICES):
                device = f"W-{number:03}"
                payload = body(seq=sent, t=utcnow(), vitals={"heart_rate": 70, "spo2": 97})
                await publisher.publish(f"silverline/v1/{device}/vitals", payload)
                sent += 1
            payload = body(seq=10_000 + turn, t=utcnow(), alarm="sos")
            await publisher.publish("silverline/v1/W-000/alarm", payload)
            alarms += 1
            most = max(most, process.frames("bulk"))

        async def all_there() -> bool:
            try:
                return await home.count("ingest_message") == sent + alarms
            except OSError:
                return False

        await until(all_there, 60)
        assert seen_down
        assert most <= settings.queue_frames
        assert gauge("silverline_ingest_database_up") == 1
        assert process.connections("bulk") == 1
    assert await home.count("reading") == 2 * sent
    assert await home.count("alarm") == alarms
    assert await home.count("dead_letter") == 0


async def _is(value: bool) -> bool:
    return value
