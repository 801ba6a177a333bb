"""Watches over TCP: stored, then answered; nonsense is kept aside and its sender cut off."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ingest.run import IngestSettings
from kernel.db import Database
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, Witness, until
from tests.ingest.running import Running, running

WATCH = "4700609403"
SOS = b"[3G*4700609403*003e*AL_LTE,170525,214118,V,0,N,0,E,0,0,0,0,0,22,0,0,00010000,0,0,0]"


class Watch:
    """A watch's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, frame: bytes) -> bytes:
        self.writer.write(frame)
        return await self.answer()

    async def answer(self) -> bytes:
        async with asyncio.timeout(30):
            return await self.reader.readuntil(b"]")

    async def ended(self) -> bool:
        try:
            async with asyncio.timeout(30):
                return await self.reader.read() == b""
        except ConnectionResetError:
            # What it had sent was not read to the end.
            return True

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
def settings(mosquitto: Mosquitto) -> IngestSettings:
    return IngestSettings(mqtt_port=mosquitto.port, tcp_port=0)


@pytest.fixture
async def process(
    db: Database, witness: Witness, settings: IngestSettings
) -> AsyncIterator[Running]:
    async with running(settings, db, witness) as one:
        yield one


async def connect(process: Running, codec: str = "setracker") -> Watch:
    port = process.runner.tcp[codec].port
    return Watch(*await asyncio.open_connection("127.0.0.1", port))


@pytest.fixture
async def registered(home: Home) -> int:
    elder = await home.elder()
    return await home.device("T-0001", "setracker-4g", elder=elder, alias=("setracker", WATCH))


async def test_a_keep_alive_is_answered_after_it_is_stored(
    home: Home, process: Running, registered: int
) -> None:
    watch = await connect(process)
    assert await watch.ask(b"[3G*4700609403*000D*LK,50,10,100]") == b"[3G*4700609403*0002*LK]"
    assert await home.value("SELECT battery_percent FROM device WHERE no = %s", registered) == 100
    assert await home.count("ingest_message") == 1
    watch.close()


async def test_an_sos_rings_and_is_answered(
    home: Home, process: Running, witness: Witness, registered: int
) -> None:
    watch = await connect(process)
    assert await watch.ask(SOS) == b"[3G*4700609403*0002*AL]"
    assert witness.kinds == ["sos"]
    # The watch repeats an alarm whose answer it missed: the same time, the same alarm.
    assert await watch.ask(SOS) == b"[3G*4700609403*0002*AL]"
    assert witness.kinds == ["sos"]
    watch.close()


async def test_frames_in_pieces_and_in_one_gulp_are_the_same(
    home: Home, process: Running, registered: int
) -> None:
    watch = await connect(process)
    for byte in b"[3G*4700609403*0013*bphrt,120,79,73,,,,]":
        watch.writer.write(bytes([byte]))
        await watch.writer.drain()
    assert b"bphrt" in await watch.answer()
    watch.writer.write(b"[3G*4700609403*0008*heart,71][3G*4700609403*0002*LK]")
    assert b"LK" in await watch.answer()
    assert await home.count("reading") == 4
    watch.close()


async def test_no_answer_before_the_commit(home: Home, process: Running, registered: int) -> None:
    async with home.db.dedicated() as blocker:
        await blocker.execute("BEGIN")
        await blocker.execute("LOCK TABLE ingest_message IN EXCLUSIVE MODE")
        watch = await connect(process)
        watch.writer.write(b"[3G*4700609403*000D*LK,50,10,100]")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await watch.reader.read(1)
        await blocker.execute("ROLLBACK")
    assert await watch.answer() == b"[3G*4700609403*0002*LK]"
    watch.close()


async def test_an_unknown_watch_is_kept_aside_and_not_answered(
    home: Home, process: Running
) -> None:
    watch = await connect(process)
    watch.writer.write(b"[3G*9999999999*000D*LK,50,10,100]")

    async def kept() -> bool:
        return await home.letters() == [("unknown_device", "9999999999", 1)]

    await until(kept)
    watch.close()


async def test_a_bad_frame_is_kept_aside_and_the_next_one_is_taken(
    home: Home, process: Running, registered: int
) -> None:
    watch = await connect(process)
    watch.writer.write(b"[3G*47006]")
    assert b"LK" in await watch.ask(b"[3G*4700609403*0002*LK]")
    assert [letter[0] for letter in await home.letters()] == ["bad_header"]
    watch.close()


async def test_a_sender_of_nonsense_is_cut_off(home: Home, process: Running) -> None:
    watch = await connect(process)
    watch.writer.write(b"".join(b"[%d]" % n for n in range(50)))
    assert await watch.ended()
    assert await home.count("dead_letter") == 20


async def test_a_stream_without_end_is_cut_off_and_its_beginning_kept(
    home: Home, process: Running
) -> None:
    watch = await connect(process)
    watch.writer.write(b"GET / HTTP/1.1\r\n" + b"x" * 200_000)
    assert await watch.ended()
    [(reason, _, _)] = await home.letters()
    assert reason == "oversized"
    assert await home.value("SELECT length(payload) FROM dead_letter") == 65_536


async def test_a_watch_may_hold_several_connections_and_commands_take_the_newest(
    process: Running, registered: int
) -> None:
    first, second = await connect(process), await connect(process)
    for watch in (first, second):
        assert b"LK" in await watch.ask(b"[3G*4700609403*0002*LK]")
    assert await process.runner.tcp["setracker"].send(WATCH, b"[3G*4700609403*0004*FIND]")
    assert await second.answer() == b"[3G*4700609403*0004*FIND]"
    assert not await process.runner.tcp["setracker"].send("1234567890", b"[]")
    first.close()
    second.close()


async def test_a_watch_that_speaks_to_two_processes_at_once_is_heard_once(
    db: Database, home: Home, witness: Witness, settings: IngestSettings, registered: int
) -> None:
    """It has come back over another path, and the old connection is still half open."""
    async with (
        running(replace(settings, client_id="one"), db, witness) as one,
        running(replace(settings, client_id="two"), db, witness) as two,
    ):
        watches = [await connect(one), await connect(two)]
        answers = await asyncio.gather(*(watch.ask(SOS) for watch in watches))
        assert all(b"AL" in answer for answer in answers)
        for watch in watches:
            watch.close()
    assert await home.alarms() == [("sos", "critical", "device")]
    assert await home.count("ingest_message") == 1


async def test_connections_are_limited_and_silent_ones_end(
    db: Database, witness: Witness, settings: IngestSettings, registered: int
) -> None:
    strict = replace(settings, tcp_connections_per_address=2, tcp_idle_seconds=2.0)
    async with running(strict, db, witness) as process:
        first, second = await connect(process), await connect(process)
        third = await connect(process)
        assert await third.ended()
        assert await first.ended()
        assert await second.ended()
        again = await connect(process)
        assert b"LK" in await again.ask(b"[3G*4700609403*0002*LK]")
        again.close()


async def test_other_protocols_listen_on_ports_of_their_own(
    db: Database, home: Home, witness: Witness, settings: IngestSettings
) -> None:
    elder = await home.elder()
    await home.device("T-0002", "sl-watch-1", elder=elder, alias=("iw_trv", "353456789012345"))
    async with running(replace(settings, tcp_extra=(("iw_trv", 0),)), db, witness) as process:
        assert process.runner.tcp["iw_trv"].port != process.runner.tcp["setracker"].port
        watch = await connect(process, "iw_trv")
        watch.writer.write(b"IWAP00353456789012345#")
        async with asyncio.timeout(30):
            assert (await watch.reader.readuntil(b"#")).startswith(b"IWBP00")
        watch.writer.write(b"IWAP49,68#")

        async def stored() -> bool:
            return await home.rows("SELECT metric, value FROM reading") == [(1, 68.0)]

        await until(stored)
        watch.close()
