"""kill -9 of the real ingest process, again and again in the middle of a load: all of it, once."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kernel.clock import utcnow
from kernel.db import Database
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, body, until
from tests.ingest.running import Publisher

DEVICES = 10
ROUNDS = 120


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "mosquitto")
    one.start()
    yield one
    one.stop()


@asynccontextmanager
async def ingest_process(
    project: Path, db_url: str, port: int, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`silverline ingest` as it runs in production."""
    environment = os.environ | {
        "SILVERLINE_DATABASE__URL": db_url,
        "SILVERLINE_MQTT__PORT": str(port),
        "SILVERLINE_MQTT__PASSWORD": "not asked for by this broker",
        "SILVERLINE_MASTER_KEY": base64.b64encode(bytes(range(32))).decode(),
        "SILVERLINE_WATCH__PORT": "0",
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from app.cli import main; main()", "ingest",
            cwd=project, env=environment, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def test_ingest_is_killed_in_a_load_and_everything_is_stored_once(
    project: Path, db_url: str, db: Database, broker: Mosquitto, tmp_path: Path
) -> None:
    home = Home(db)
    for number in range(DEVICES):
        await home.device(f"W-{number:03}", elder=await home.elder())
    log = tmp_path / "ingest.log"
    sent = alarms = kills = 0

    async def some_more(than: int) -> None:
        async def grown() -> bool:
            return await home.count("ingest_message") > than

        await until(grown, 60)

    # The broker keeps messages for a session that it knows: ingest must have been there once.
    async with ingest_process(project, db_url, broker.port, log):

        async def listened() -> bool:
            return await home.count("ingest_listening") > 0

        await until(listened, 60)
    async with Publisher(broker.port) as publisher:

        async def load(rounds: int) -> None:
            nonlocal sent, alarms
            for _ in range(rounds):
                for number in range(DEVICES):
                    topic = f"silverline/v1/W-{number:03}/vitals"
                    payload = body(seq=sent, t=utcnow(), vitals={"heart_rate": 70})
                    await publisher.publish(topic, payload)
                    sent += 1
                payload = body(seq=sent, sid="a", t=utcnow(), alarm="fall")
                await publisher.publish(f"silverline/v1/W-{sent % DEVICES:03}/alarm", payload)
                alarms += 1

        for _ in range(3):
            async with ingest_process(project, db_url, broker.port, log) as process:
                before = await home.count("ingest_message")
                loading = asyncio.create_task(load(ROUNDS // 3))
                await some_more(before)
                process.kill()
                kills += 1
                await loading
    async with ingest_process(project, db_url, broker.port, log):

        async def all_there() -> bool:
            stored = await home.count("ingest_message"), await home.count("alarm")
            return stored == (sent + alarms, alarms)

        await until(all_there, 60)
    assert kills == 3
    assert await home.letters() == [], log.read_text()[-4000:]
    assert await home.count("reading") == sent
    assert await home.count("alarm") == alarms
    # The reactions are in the alarms' own transactions: each alarm is an activation, once.
    assert await home.count("incident_activation") == alarms
