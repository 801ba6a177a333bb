"""A social alarm controller that speaks SIP over a real socket, apart from our own parser."""

import asyncio
import itertools
import re
from dataclasses import dataclass, field
from typing import cast

_numbers = itertools.count(1)


@dataclass
class Answer:
    """A response taken apart; names of headers in small letters."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str:
        return next((value for known, value in self.headers if known == name), "")

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]


def take_apart(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    match = re.fullmatch(r"SIP/2\.0 (\d{3}) [A-Za-z ]+", first)
    assert match, first
    parts = (line.partition(":") for line in lines)
    headers = [(name.strip().lower(), value.strip()) for name, _, value in parts]
    answer = Answer(int(match[1]), headers, body)
    assert int(answer.get("content-length")) == len(body)
    return answer


@dataclass
class Request:
    """A SIP request; what is not said is as it should be."""

    body: bytes
    port: int
    transport: str = "UDP"
    method: str = "MESSAGE"
    kind: str = "application/scaip+xml"
    rport: bool = True
    branch: str = field(default_factory=lambda: f"z9hG4bK{next(_numbers):08x}")
    call_id: str = field(default_factory=lambda: f"{next(_numbers):08x}@127.0.0.1")
    extra: tuple[str, ...] = ()
    length: int | None = -1

    def written(self) -> bytes:
        via = f"Via: SIP/2.0/{self.transport} 127.0.0.1:{self.port};branch={self.branch}"
        lines = [
            f"{self.method} sip:alarm@127.0.0.1 SIP/2.0",
            via + (";rport" if self.rport else ""),
            "Max-Forwards: 70",
            f'From: "Grandma" <sip:999998@127.0.0.1>;tag={self.call_id[:8]}',
            "To: <sip:alarm@127.0.0.1>",
            f"Call-ID: {self.call_id}",
            f"CSeq: 1 {self.method}",
            *self.extra,
        ]
        if self.kind:
            lines.append(f"Content-Type: {self.kind}")
        if self.length is not None:
            lines.append(f"Content-Length: {len(self.body) if self.length < 0 else self.length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


class UdpController(asyncio.DatagramProtocol):
    """Sends datagrams to a port and gathers what comes back."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        self.answers.put_nowait(data)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def send(self, data: bytes) -> None:
        self.transport.sendto(data)

    async def answer(self, seconds: float = 30) -> Answer:
        async with asyncio.timeout(seconds):
            return take_apart(await self.answers.get())

    async def ask(self, request: Request) -> Answer:
        self.send(request.written())
        return await self.answer()


async def udp_controller(port: int) -> UdpController:
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(
        UdpController, remote_addr=("127.0.0.1", port), local_addr=("127.0.0.1", 0)
    )
    return made


class TcpController:
    """A controller that keeps a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @property
    def port(self) -> int:
        return int(self.writer.get_extra_info("sockname")[1])

    async def answer(self) -> Answer:
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length
            return take_apart(head + await self.reader.readexactly(int(length[1])))

    async def ask(self, request: Request) -> Answer:
        self.writer.write(request.written())
        return await self.answer()

    async def ended(self) -> bool:
        async with asyncio.timeout(30):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


async def tcp_controller(port: int) -> TcpController:
    return TcpController(*await asyncio.open_connection("127.0.0.1", port))
