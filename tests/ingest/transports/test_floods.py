"""A flood of nonsense at a port without a login: its beginning is kept, the rest is counted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from ingest.deadletters import service
from ingest.deadletters.allowance import Allowance, Sender, stranger
from ingest.deadletters.model import Filters
from ingest.run import IngestSettings
from kernel.clock import utcnow
from kernel.db import Database
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, Witness, until
from tests.ingest.running import Running, gauge, running

WATCH = "4700609403"
BEAT = b"[3G*4700609403*0002*LK]"
SOS = b"[3G*4700609403*003e*AL_LTE,170525,214118,V,0,N,0,E,0,0,0,0,0,22,0,0,00010000,0,0,0]"


@pytest.fixture
async def process(db: Database, witness: Witness, mosquitto: Mosquitto) -> AsyncIterator[Running]:
    settings = IngestSettings(
        mqtt_port=mosquitto.port, tcp_port=0, letters_per_address=10, letters_per_device=3
    )
    async with running(settings, db, witness) as one:
        yield one


async def connect(process: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", process.runner.tcp["setracker"].port)


async def say(process: Running, data: bytes) -> None:
    """Send something and wait until the listener has ended the connection or read it all."""
    reader, writer = await connect(process)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()


async def flood(process: Running, frames: int) -> None:
    for first in range(0, frames, 15):
        many = range(first, min(frames, first + 15))
        await say(process, b"".join(b"[3G*%010d*000D*LK,50,10,100]" % number for number in many))


async def kept(home: Home) -> int:
    return int(await home.value("SELECT count(*) FROM dead_letter WHERE reason <> 'not_kept'"))


async def test_the_beginning_of_a_flood_is_kept_and_the_rest_is_one_row(
    home: Home, process: Running
) -> None:
    before = gauge(
        "silverline_ingest_dead_letters_not_kept_total", transport="tcp", codec="setracker"
    )
    await flood(process, 60)
    assert await kept(home) == 10
    listener = process.runner.tcp["setracker"]
    await service.note_not_kept(home.db, listener.allowance, utcnow())
    rows = await home.rows(
        "SELECT occurrences, topic, address, payload, payload_size > 0 FROM dead_letter"
        " WHERE reason = 'not_kept'"
    )
    assert rows == [(50, "setracker ← 127.0.0.1", "", b"", True)]
    after = gauge(
        "silverline_ingest_dead_letters_not_kept_total", transport="tcp", codec="setracker"
    )
    assert after - before == 50
    await flood(process, 15)
    await service.note_not_kept(home.db, listener.allowance, utcnow())
    assert await home.value("SELECT sum(occurrences) FROM dead_letter WHERE reason='not_kept'") == (
        65
    )
    assert await home.count("dead_letter") == 11
    async with home.db.transaction() as tx:
        [letter] = (await service.find(tx, Filters(reason="not_kept"))).letters
    assert not letter.complete


async def test_a_watch_behind_the_same_address_is_heard_and_its_evidence_kept(
    home: Home, process: Running, witness: Witness
) -> None:
    elder = await home.elder()
    await home.device("T-0001", "setracker-4g", elder=elder, alias=("setracker", WATCH))
    await flood(process, 30)
    assert await kept(home) == 10
    reader, writer = await connect(process)
    writer.write(SOS)
    async with asyncio.timeout(20):
        assert b"AL" in await reader.readuntil(b"]")
    assert witness.kinds == ["sos"]
    # What it says wrongly is its own affair, up to its own limit; it is heard all the same.
    writer.write(b"".join(b"[%d]" % number for number in range(5)) + BEAT)
    async with asyncio.timeout(20):
        assert b"LK" in await reader.readuntil(b"]")
    assert await home.value("SELECT count(*) FROM dead_letter WHERE address = %s", WATCH) == 3
    writer.close()


async def test_what_was_only_counted_is_noted_when_ingest_ends(
    db: Database, home: Home, witness: Witness, mosquitto: Mosquitto
) -> None:
    settings = IngestSettings(mqtt_port=mosquitto.port, tcp_port=0, letters_in_all=4)
    async with running(settings, db, witness) as process:
        await flood(process, 10)

    async def noted() -> bool:
        return ("not_kept", "", 6) in await home.letters()

    await until(noted)


def test_a_customer_of_ipv6_is_one_sender() -> None:
    assert (
        stranger("2001:db8:1:2:3::4")
        == stranger("2001:db8:1:2:ffff::9")
        == Sender("2001:db8:1:2::/64")
    )
    assert stranger("::ffff:203.0.113.7") == stranger("203.0.113.7") == Sender("203.0.113.7")
    assert stranger("fe80::1%eth0") == Sender("fe80::/64")


def test_many_senders_share_what_all_may_and_a_bounded_number_of_rows() -> None:
    allowance = Allowance("tcp", "setracker", per_address=5, in_all=40, per_device=5)
    kept = 0
    for number in range(1000):
        who = Sender(f"203.0.{number // 250}.{number % 250}")
        if allowance.claim(who, 100):
            kept += 1
        else:
            allowance.refuse(who, 100)
    assert kept == 40
    counts = allowance.take_counts()
    assert len(counts) <= 101
    assert sum(each.frames for each in counts) == 960
    assert allowance.take_counts() == []


def test_a_large_frame_costs_what_it_takes_on_disk() -> None:
    allowance = Allowance("tcp", "setracker", per_address=100, in_all=1000, per_device=5)
    who = Sender("203.0.113.7")
    assert allowance.claim(who, 65_536)
    assert not allowance.claim(who, 65_536)
    allowance.give_back(who, 65_536)
    assert allowance.claim(who, 65_536)
