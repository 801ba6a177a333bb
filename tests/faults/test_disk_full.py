"""The disk of the database fills up under a load: ingest waits, says so, stores all of it once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from app.health import serve_health
from ingest.run import IngestSettings
from kernel.clock import utcnow
from kernel.db import Database, fetch_tuples
from kernel.migrate import migrate
from tests.faults.run import LINES
from tests.faults.small_disk import SmallDisk, use_up_the_log
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, Witness, body, until
from tests.ingest.running import Publisher, gauge, running
from tests.ports import free_port

DEVICES = 20
MEGABYTES = 192

pytestmark = pytest.mark.isolated


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[SmallDisk]:
    one = SmallDisk(tmp_path, MEGABYTES)
    await one.start()
    watching = asyncio.create_task(one.keep_running())
    yield one
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await one.stop()


@pytest.fixture
async def small_db(disk: SmallDisk) -> AsyncIterator[Database]:
    url = await asyncio.to_thread(disk.server.ensure_database)
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


class Load:
    """Devices that publish round after round; the broker has acknowledged what is counted."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.sent = self.alarms = 0

    async def round(self) -> None:
        for number in range(DEVICES):
            payload = body(seq=self.sent, t=utcnow(), vitals={"heart_rate": 70, "spo2": 97})
            await self._publisher.publish(f"silverline/v1/W-{number:03}/vitals", payload)
            self.sent += 1
        payload = body(seq=1_000_000 + self.alarms, t=utcnow(), alarm="sos")
        await self._publisher.publish("silverline/v1/W-000/alarm", payload)
        self.alarms += 1


@pytest.mark.parametrize("log", [False, True], ids=["tables", "log"])
async def test_the_disk_fills_up_and_everything_is_stored_once(
    disk: SmallDisk, small_db: Database, broker: Mosquitto, name: str, log: bool
) -> None:
    home, witness = Home(small_db), Witness()
    for number in range(DEVICES):
        await home.device(f"W-{number:03}", elder=await home.elder())
    limits = IngestSettings(mqtt_port=broker.port, tcp_port=-1, queue_frames=200)
    stop, port = asyncio.Event(), free_port()
    async with (
        running(limits, small_db, witness) as process,
        Publisher(broker.port) as publisher,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        health = asyncio.create_task(serve_health("127.0.0.1", port, process.runner.ready, stop))
        load = Load(publisher)
        for _ in range(5):
            await load.round()
        await disk.fill()
        if log:
            await use_up_the_log(small_db.settings.url)
        # A server whose log found no room may recover without any: then it answers again, and its
        # tables find none.
        reasons = {"disk_full": "disk is full"} | ({"away": "the database does not"} if log else {})

        async def says_so() -> bool:
            await load.round()
            answer = await client.get("/readyz")
            metrics = (await client.get("/metrics")).text
            waits = [
                sentence in answer.text
                for reason, sentence in reasons.items()
                if f'writes_waiting{{reason="{reason}"}}' in metrics
                and f'writes_waiting{{reason="{reason}"}} 0.0' not in metrics
            ]
            return answer.status_code == 503 and any(waits)

        # Pages have room for some more rows.
        await until(says_so, 60)
        # What the other processes say of themselves is known in the same way.
        assert log or "disk is full" in (small_db.refusal() or "")
        most = 0

        async def lane_is_full() -> bool:
            nonlocal most
            await load.round()
            most = max(most, process.frames("bulk"))
            return most >= limits.queue_frames

        await until(lane_is_full, 60)
        for _ in range(10):
            await load.round()
            most = max(most, process.frames("bulk"))
        await disk.free()

        async def all_there() -> bool:
            try:
                return await home.count("ingest_message") >= load.sent + load.alarms
            except OSError:
                return False

        await until(all_there, 60)

        async def ready() -> bool:
            return (await client.get("/readyz")).text == "ready"

        await until(ready, 60)
        assert gauge("silverline_ingest_database_up") == 1
        stop.set()
        await health
    sent = load.sent + load.alarms
    messages = await home.count("ingest_message")
    async with small_db.connection() as conn:
        ((readings, different),) = await fetch_tuples(
            conn,
            "SELECT count(*), count(DISTINCT (device_no, metric, time)) FROM reading",
        )
    lost = sent - messages + max(0, 2 * load.sent - readings)
    doubled = readings - different
    LINES.append(f"{name}: sent {sent} stored {messages} doubled {doubled} lost {lost}")
    print(LINES[-1])  # noqa: T201 - the line of the run
    assert (lost, doubled, messages, readings) == (0, 0, sent, 2 * load.sent)
    assert await home.count("alarm") == load.alarms
    assert await home.count("dead_letter") == 0
    assert most <= limits.queue_frames
