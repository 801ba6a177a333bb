"""Commands to terminals of several protocols, over the TCP connection that each keeps to ingest."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from devices.commands.model import CommandState
from ingest.run import IngestRunner
from kernel.clock import utcnow
from kernel.db import execute
from tests.devices.codecs.test_commands import gt06, jt808
from tests.devices.commands.parts import Downlink, Login

PHONE = "013912345678"
IMEI = "864717003283581"
LOCATION = bytes.fromhex("0000000000000003026f331006a927880429001e005a261122083000")


@dataclass(frozen=True)
class Kind:
    """A family of terminals: how one says hello (in frames that are answered), reads, answers."""

    codec: str
    profile: str
    address: str
    hello: tuple[bytes, ...]
    read: Callable[[asyncio.StreamReader], Awaitable[bytes]]
    command: str
    marks: bytes
    yes: Callable[[bytes], bytes]
    no: Callable[[bytes], bytes]


def _jt808_says(result: int) -> Callable[[bytes], bytes]:
    def answer(frame: bytes) -> bytes:
        plain = frame.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
        return jt808(0x0001, plain[11:13] + plain[1:3] + bytes([result]), PHONE, serial=9)

    return answer


def _gt06_says(text: bytes) -> Callable[[bytes], bytes]:
    return lambda frame: gt06(0x21, frame[5:9] + b"\x01" + text, 9, long=True)


def _iw_says(value: str) -> Callable[[bytes], bytes]:
    def answer(frame: bytes) -> bytes:
        name, _, journal, *_ = frame.decode().removesuffix("#").split(",")
        return f"IWAP{name[4:]},{journal}{value}#".encode()

    return answer


async def _read_text(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"#")


async def _read_marked(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(1) + await reader.readuntil(b"\x7e")


async def _read_long(reader: asyncio.StreamReader) -> bytes:
    # By its length: a flag or a check sum may look like the end of a packet.
    head = await reader.readexactly(3)
    return head + await reader.readexactly(head[2] + 2)


KINDS = {
    kind.codec: kind
    for kind in (
        Kind(
            "iw_trv", "iw-watch", IMEI,
            (f"IWAP00{IMEI}#".encode(), b"IWAP03,06000908000102,5555,30#"),
            _read_text, "speak", b"IWBP40,", _iw_says(",1"), _iw_says(",0"),
        ),
        Kind(
            "jt808", "jt808-speaker", PHONE[1:], (jt808(0x0200, LOCATION, PHONE, serial=1),),
            _read_marked, "speak", b"\x7e\x83\x00", _jt808_says(0), _jt808_says(3),
        ),
        Kind(
            "gt06", "gt06-locator", IMEI,
            (
                gt06(0x01, bytes.fromhex("0" + IMEI), 1),
                gt06(0x13, bytes.fromhex("4404040001"), 2),
            ),
            _read_long, "set_interval", b"TIMER,60,60#", _gt06_says(b"OK!"),
            _gt06_says(b"ERROR:101"),
        ),
    )
}  # fmt: skip
ARGS = {"speak": {"text": "云桂兰，该吃药了"}, "set_interval": {"seconds": 60}}


class Terminal:
    """A terminal on its connection."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._early: list[bytes] = []

    async def connect(self, ingest: IngestRunner) -> None:
        """Say hello; when that is answered, ingest knows whose connection it is."""
        port = ingest.tcp[self._kind.codec].port
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        for frame in self._kind.hello:
            self._writer.write(frame)
            # A command that was announced before may come in between.
            while self._kind.marks in (answer := await self._next()):
                self._early.append(answer)

    async def read(self) -> bytes:
        """The next frame from the server that is no answer to the hello."""
        return self._early.pop(0) if self._early else await self._next()

    async def _next(self) -> bytes:
        async with asyncio.timeout(20):
            return await self._kind.read(self._reader)

    def say(self, frame: bytes) -> None:
        self._writer.write(frame)

    def close(self) -> None:
        self._writer.close()


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


async def registered(downlink: Downlink, kind: Kind) -> Login:
    return await downlink.device("T-0001", kind.profile, address=kind.address)


async def test_a_terminal_that_comes_back_is_told_and_its_answer_is_written(
    downlink: Downlink, ingest: IngestRunner, kind: Kind
) -> None:
    login = await registered(downlink, kind)
    asked = await downlink.ask(login.device, kind.command, ARGS[kind.command])
    await downlink.worker.run_once()
    waiting = await downlink.command(asked.id)
    assert (waiting.state, waiting.tries) == (CommandState.QUEUED, 1)

    terminal = Terminal(kind)
    await terminal.connect(ingest)
    await downlink.pass_time(asked.id)
    assert await downlink.resend() == 1
    frame = await terminal.read()
    assert kind.marks in frame
    await downlink.becomes(asked.id, CommandState.SENT)
    terminal.say(kind.yes(frame))
    done = await downlink.becomes(asked.id, CommandState.ACKNOWLEDGED)
    assert (done.tries, done.sent_at is not None) == (2, True)
    terminal.close()


async def test_a_refusal_keeps_its_words_and_what_is_too_late_is_never_said(
    downlink: Downlink, ingest: IngestRunner, kind: Kind
) -> None:
    login = await registered(downlink, kind)
    terminal = Terminal(kind)
    await terminal.connect(ingest)
    soon = utcnow() + timedelta(milliseconds=50)
    late = await downlink.ask(login.device, "reboot", expires_at=soon)
    while utcnow() <= late.expires_at:
        await asyncio.sleep(0.01)
    await downlink.resend()
    asked = await downlink.ask(login.device, kind.command, ARGS[kind.command])
    await downlink.worker.run_once()
    frame = await terminal.read()
    assert kind.marks in frame
    terminal.say(kind.no(frame))
    refused = await downlink.becomes(asked.id, CommandState.REFUSED)
    assert refused.detail != ""
    assert (await downlink.command(late.id)).state is CommandState.EXPIRED
    # Said twice, and to nothing any more.
    terminal.say(kind.yes(frame))
    other = await downlink.ask(login.device, "locate")
    await downlink.worker.run_once()
    terminal.say(kind.no(await terminal.read()))
    async with asyncio.timeout(20):
        while (await downlink.command(other.id)).settled_at is None:
            await asyncio.sleep(0.01)
    assert (await downlink.command(asked.id)).state is CommandState.REFUSED
    terminal.close()


async def test_a_position_answers_the_question_for_it(
    downlink: Downlink, ingest: IngestRunner
) -> None:
    kind = KINDS["jt808"]
    login = await registered(downlink, kind)
    terminal = Terminal(kind)
    await terminal.connect(ingest)
    asked = await downlink.ask(login.device, "locate")
    await downlink.worker.run_once()
    frame = await terminal.read()
    terminal.say(_jt808_says(0)(frame))
    plain = frame.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
    terminal.say(jt808(0x0201, plain[11:13] + LOCATION, PHONE, serial=10))
    done = await downlink.becomes(asked.id, CommandState.ACKNOWLEDGED)
    assert done.detail == ""
    terminal.close()


async def test_what_cannot_be_said_to_a_terminal_is_refused_with_the_reason(
    downlink: Downlink, ingest: IngestRunner
) -> None:
    kind = KINDS["jt808"]
    login = await registered(downlink, kind)
    terminal = Terminal(kind)
    await terminal.connect(ingest)
    asked = await downlink.ask(login.device, "speak", {"text": "ᠮᠣᠩᠭᠣᠯ"})
    await downlink.worker.run_once()
    refused = await downlink.becomes(asked.id, CommandState.REFUSED)
    assert refused.detail == "not_said.text_encoding"
    assert refused.sent_at is None
    terminal.close()


async def test_a_command_that_this_server_does_not_know_stops_no_other(
    downlink: Downlink, ingest: IngestRunner
) -> None:
    kind = KINDS["iw_trv"]
    login = await registered(downlink, kind)
    terminal = Terminal(kind)
    await terminal.connect(ingest)
    newer = await downlink.ask(login.device, "reboot")
    async with downlink.db.transaction() as tx:
        await execute(tx, "UPDATE device_command SET name = 'sing' WHERE id = %s", (newer.id,))
    await downlink.worker.run_once()
    await downlink.ask(login.device, "locate")
    await downlink.worker.run_once()
    assert b"IWBP16," in await terminal.read()
    assert await ingest.ready() is None
    terminal.close()
