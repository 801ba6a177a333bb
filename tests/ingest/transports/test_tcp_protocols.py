"""Every protocol of a byte stream over a real socket: its real frames, what is stored, answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from devices.codecs import CODECS
from devices.codecs.binary import crc_itu
from devices.messages import CodecError, Decoded, Flag
from ingest.run import IngestSettings
from ingest.steps import sign_of_life
from kernel.clock import utcnow
from kernel.db import Database
from tests.contract.codec_frames import Sample, samples
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, Witness, until
from tests.ingest.running import Running, running

STREAMS = tuple(name for name, codec in CODECS.items() if codec.split is not None)
PROFILES = {
    "setracker": "setracker-4g",
    "iw_trv": "iw-watch",
    "jt808": "jt808-locator",
    "gt06": "gt06-locator",
    "minifinder": "minifinder-pendant",
}
LOGIN = {
    "iw_trv": b"IWAP00353456789012345#",
    "gt06": bytes.fromhex("78780d01086471700328358100093f040d0a"),
    "minifinder": b"!1,860719027585011;",
}
LOGIN_ANSWERED = {"iw_trv", "gt06"}


@pytest.fixture
async def process(db: Database, witness: Witness, mosquitto: Mosquitto) -> AsyncIterator[Running]:
    extra = tuple((name, 0) for name in STREAMS if name != "setracker")
    settings = IngestSettings(mqtt_port=mosquitto.port, tcp_port=0, tcp_extra=extra)
    async with running(settings, db, witness) as one:
        yield one


class Line:
    """A terminal's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, frame: bytes, length: int) -> bytes:
        self.writer.write(frame)
        if length == 0:
            return b""
        async with asyncio.timeout(30):
            return await self.reader.readexactly(length)

    async def ask_text(self, frame: bytes, end: bytes) -> bytes:
        self.writer.write(frame)
        async with asyncio.timeout(30):
            return await self.reader.readuntil(end)

    def close(self) -> None:
        self.writer.close()


async def connect(process: Running, codec: str) -> Line:
    port = process.runner.tcp[codec].port
    return Line(*await asyncio.open_connection("127.0.0.1", port))


async def log_in(process: Running, codec: str) -> Line:
    line = await connect(process, codec)
    if codec in LOGIN_ANSWERED:
        await line.ask_text(LOGIN[codec], b"\r\n" if codec == "gt06" else b"#")
    elif codec in LOGIN:
        line.writer.write(LOGIN[codec])
    return line


def sendable(codec: str) -> list[tuple[Sample, Decoded]]:
    """The frames that stand in a stream as they are, with what they say: no logins, no errors."""
    found = []
    for sample in samples():
        frame = sample.frame
        split = CODECS[codec].split
        if sample.codec != codec or "error" in sample.entry or split is None:
            continue
        with contextlib.suppress(CodecError):
            if split(frame.payload) == ([frame.payload], b"") and frame.payload != LOGIN.get(codec):
                decoded = sign_of_life(CODECS[codec].decode(frame))
                # A connection belongs to whom its login named.
                known = codec not in LOGIN or decoded.device == frame.device != ""
                if known and "asks for the time" not in sample.entry["title"]:
                    found.append((sample, decoded))
    return found


async def registered(home: Home, codec: str, addresses: set[str]) -> None:
    elder = await home.elder()
    for number, address in enumerate(sorted(addresses)):
        await home.device(f"T-{number:04}", PROFILES[codec], elder=elder, alias=(codec, address))


@pytest.mark.parametrize("codec", STREAMS)
async def test_real_frames_are_stored_and_answered_as_the_protocol_wants(
    codec: str, home: Home, process: Running, witness: Witness
) -> None:
    frames = sendable(codec)
    assert len(frames) >= 10
    messages = [message for _, decoded in frames for message in decoded.messages]
    await registered(home, codec, {message.device for message in messages})
    line = await log_in(process, codec)
    for sample, decoded in frames:
        expected = b"".join(decoded.replies)
        assert await line.ask(sample.frame.payload, len(expected)) == expected, sample

    async def taken() -> bool:
        # A login is taken as well; the last frame need not be answered.
        sent = len(frames) + (codec in LOGIN)
        return process.taken("tcp") >= sent and process.frames("tcp") == 0

    await until(taken)
    assert await home.count("ingest_message") == (codec in LOGIN) + len(
        # The same frame with a time is the same message; one without is another every time.
        {
            (f.frame.payload, place, None if Flag.TIME_MISSING not in message.flags else number)
            for number, (f, d) in enumerate(frames)
            for place, message in enumerate(d.messages)
        }
    )
    assert await home.letters() == []
    urgent = {alarm.kind.value for m in messages for alarm in m.alarms if alarm.active}
    assert "sos" in urgent
    assert {"sos", "fall"} & urgent <= set(witness.kinds)
    line.close()


SIGNS_OF_LIFE = {
    "setracker": (b"[3G*4700609403*0002*LK]", "4700609403"),
    "iw_trv": (LOGIN["iw_trv"], "353456789012345"),
    "jt808": (bytes.fromhex("7e000200000139123456780001337e"), "13912345678"),
    "gt06": (LOGIN["gt06"], "864717003283581"),
    "minifinder": (LOGIN["minifinder"], "860719027585011"),
}
"""A login or keep-alive of each protocol that says nothing else, and who sends it."""


@pytest.mark.parametrize("codec", STREAMS)
async def test_a_login_or_a_keep_alive_is_a_sign_of_life(
    codec: str, home: Home, process: Running
) -> None:
    frame, address = SIGNS_OF_LIFE[codec]
    await registered(home, codec, {address})
    line = await connect(process, codec)
    line.writer.write(frame)

    async def heard() -> bool:
        return bool(await home.value("SELECT online FROM device"))

    await until(heard)
    assert await home.value("SELECT last_seen_at > now() - interval '1 minute' FROM device")
    line.close()


@pytest.mark.parametrize("codec", STREAMS)
async def test_a_keep_alive_of_a_terminal_that_nobody_registered_is_kept_aside(
    codec: str, home: Home, process: Running
) -> None:
    frame, address = SIGNS_OF_LIFE[codec]
    line = await connect(process, codec)
    line.writer.write(frame)

    async def kept() -> bool:
        return await home.letters() == [("unknown_device", address, 1)]

    await until(kept)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await line.reader.read(1)
    line.close()


async def test_what_follows_a_login_that_was_refused_is_kept_under_its_name(
    home: Home, process: Running
) -> None:
    """The SOS of a locator that nobody registered can be replayed once it is there."""
    await registered(home, "gt06", {"864717003283581"})
    line = await log_in(process, "gt06")
    sos = "1a0b16033b3bc90461c2500bfd472800145a0801cc00287d001f714406040102"
    line.writer.write(packet(0x01, "0869999999999998") + packet(0x26, sos))

    async def kept() -> bool:
        return await home.letters() == [("unknown_device", "869999999999998", 1)] * 2

    await until(kept)
    assert await home.count("alarm") == 0
    line.close()


def is_now(year: int, rest: bytes) -> bool:
    month, day, hour, minute, second = rest
    told = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return abs(utcnow() - told) < timedelta(seconds=5)


async def test_an_iw_watch_is_told_the_time_at_its_login(home: Home, process: Running) -> None:
    await registered(home, "iw_trv", {"353456789012345"})
    line = await connect(process, "iw_trv")
    answer = (await line.ask_text(LOGIN["iw_trv"], b"#")).decode()
    head, moment, zone = answer.removesuffix("#").split(",")
    assert (head, zone) == ("IWBP00", "0")
    told = datetime.strptime(f"{moment}+0000", "%Y%m%d%H%M%S%z")
    assert abs(utcnow() - told) < timedelta(seconds=5)
    line.close()


async def test_a_jt808_terminal_that_asks_for_the_time_gets_it(
    home: Home, process: Running
) -> None:
    await registered(home, "jt808", {"13800138000"})
    line = await connect(process, "jt808")
    answer = await line.ask(bytes.fromhex("7e010900000138001380000007a57e"), 23)
    assert answer[:5] == bytes.fromhex("7e81090008")
    assert is_now(int.from_bytes(answer[13:15], "big"), answer[15:20])
    line.close()


async def test_a_gt06_locator_that_asks_for_the_time_gets_it(home: Home, process: Running) -> None:
    await registered(home, "gt06", {"864717003283581"})
    line = await log_in(process, "gt06")
    answer = await line.ask(bytes.fromhex("7878058a000799a00d0a"), 16)
    assert answer[:4] == bytes.fromhex("78780b8a")
    assert crc_itu(answer[2:-4]) == int.from_bytes(answer[-4:-2], "big")
    assert is_now(2000 + answer[4], answer[5:10])
    line.close()


@pytest.mark.parametrize("codec", sorted(LOGIN))
async def test_before_its_login_a_connection_speaks_for_nobody(
    codec: str, home: Home, process: Running
) -> None:
    frames = sendable(codec)
    await registered(home, codec, {m.device for _, d in frames for m in d.messages})
    # A keep-alive without a login is nobody's and says nothing.
    frame = next(
        s.frame.payload
        for s, _ in frames
        if CODECS[codec].decode(replace(s.frame, device="")).messages
    )
    line = await connect(process, codec)
    line.writer.write(frame)

    async def kept() -> bool:
        return await home.letters() == [("unknown_device", "", 1)]

    await until(kept)
    assert await home.count("ingest_message") == 0
    line.close()


@pytest.mark.parametrize("codec", STREAMS)
async def test_noise_ends_a_connection_and_harms_nobody_else(
    codec: str, home: Home, process: Running
) -> None:
    line = await connect(process, codec)
    noise = bytes((n * 89 + n // 7) % 251 for n in range(300_000))
    with contextlib.suppress(ConnectionError):
        line.writer.write(noise)
        await line.writer.drain()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(30):
            await line.reader.read()
    assert await home.count("dead_letter") > 0
    other = await connect(process, codec)
    other.close()
    line.close()


async def test_a_gt06_locator_that_names_its_zone_is_stored_in_utc(
    home: Home, process: Running
) -> None:
    await registered(home, "gt06", {"864717003664467"})
    line = await connect(process, "gt06")
    now = utcnow().replace(microsecond=0)
    there = now + timedelta(hours=8)
    moment = bytes([there.year - 2000, *there.timetuple()[1:6]]).hex()
    await line.ask_text(packet(0x01, "0864717003664467100f3200"), b"\r\n")
    line.writer.write(packet(0x12, f"{moment}ca0461c2500bfd472803145a01cc002666000ee1"))

    async def stored() -> bool:
        return bool(await home.value("SELECT count(position_at) FROM device"))

    await until(stored)
    assert await home.value("SELECT position_at FROM device") == now
    line.close()


def packet(number: int, content: str) -> bytes:
    data = bytes.fromhex(content)
    body = bytes([5 + len(data), number]) + data + b"\0\1"
    return b"\x78\x78" + body + crc_itu(body).to_bytes(2, "big") + b"\r\n"
