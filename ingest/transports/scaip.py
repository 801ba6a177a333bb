"""SCAIP (TS 50134-9): social alarm controllers that send a SIP MESSAGE over UDP or TCP.

A request is stored like any other frame and answered `200 OK` with the protocol's own `mrs` after
the commit; before that there is no answer, so that the controller sends it again (over UDP after
0.5, 1, 2, 4 … s) or turns to its second receiver. A retransmission gets the answer of the first.
One that is not taken has the status of SIP that fits, and an `mrs` that says why. Nobody logs in
here; a controller must be in the registry. The voice call that follows an alarm is another
listener's.
"""

import asyncio
import contextlib
from collections import OrderedDict
from hashlib import blake2b
from typing import cast

import structlog

from devices.codecs import CODECS
from devices.codecs.scaip import StatusNumber, refusal
from devices.messages import CodecError, Decoded, Frame
from devices.registry.model import Address, DeviceState
from ingest.deadletters.allowance import Allowance, stranger
from ingest.lanes import Lane
from ingest.registry_cache import RegistryCache
from ingest.repeats import arrival_of
from ingest.settings import IngestSettings
from ingest.transports.listening import PortTaken, listen
from ingest.transports.sip import (
    MAX_BODY,
    MAX_HEAD,
    Place,
    SipError,
    SipHead,
    answer_place,
    read_datagram,
    read_head,
    response,
)
from ingest.transports.tcp import Limits
from ingest.work import Work
from kernel.clock import monotonic, utcnow
from kernel.db import TRANSIENT_ERRORS

log = structlog.get_logger(__name__)
CONTENT_TYPE = "application/scaip+xml"
Header = tuple[str, str]
ALLOW: Header = ("Allow", "MESSAGE, OPTIONS")
ACCEPT: Header = ("Accept", CONTENT_TYPE)
OURS: Header = ("Content-Type", CONTENT_TYPE)
_NUMBERS = {
    400: StatusNumber.INVALID_FORMAT,
    404: StatusNumber.NOT_TREATED,
    413: StatusNumber.MESSAGE_TOO_LONG,
    500: StatusNumber.NOT_TREATED,
    503: StatusNumber.BUSY,
}
"""What a controller is told in `mrs`, by the status of SIP; others are not about its message."""
KEEP_SECONDS = 32.0
"""How long an answer is kept for retransmissions: 64 × T1 (RFC 3261, timer J)."""
_KEPT = 2_000
"""Answers of at most 10 KiB; whose is forgotten sooner is known again by its reference."""
_AT_ONCE = 2_000
_ENDS = 5.0


class ScaipListener:
    """Listens on one port, UDP and TCP."""

    def __init__(
        self, settings: IngestSettings, port: int, lane: Lane, registry: RegistryCache
    ) -> None:
        self._settings = settings
        self._wanted_port = port
        self._lane = lane
        self._registry = registry
        self._codec = CODECS["scaip"]
        self._limits = Limits(settings.tcp_connections, settings.tcp_connections_per_address)
        # What is kept aside: anybody can send us nonsense.
        self.allowance = Allowance(
            "sip",
            self._codec.name,
            per_address=settings.tcp_bad_frames,
            in_all=settings.letters_in_all,
            per_device=settings.letters_per_device,
        )
        self._answers: OrderedDict[bytes, tuple[float, bytes | None]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before `start`."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def start(self) -> None:
        """Listen. Raises PortTaken."""
        host = self._settings.scaip_host
        self._server = await listen("scaip", self._serve, host, self._wanted_port, MAX_HEAD)
        loop = asyncio.get_running_loop()
        try:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(host, self.port)
            )
        except OSError as error:
            self._server.close()
            raise PortTaken("scaip", host, self.port, error) from error
        log.info("ingest.scaip_listens", port=self.port)

    async def stop(self) -> None:
        """Stop listening; what was not answered will be sent again."""
        if self._udp is not None:
            self._udp.close()
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # UDP

    def datagram(self, data: bytes, source: Place) -> None:
        """Take one datagram; without room it is dropped, and comes again."""
        if len(data) > MAX_HEAD + MAX_BODY or len(self._tasks) >= _AT_ONCE:
            return
        try:
            head, body = read_datagram(data)
        except SipError as error:
            log.debug("ingest.sip_unreadable", error=str(error))
            return
        self._keep_task(asyncio.create_task(self._answer_datagram(head, body, source)))

    def _keep_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_datagram(self, head: SipHead, body: bytes, source: Place) -> None:
        answer = await self._once(head, body, source)
        if answer is not None and self._udp is not None:
            self._udp.sendto(answer, answer_place(head, source))

    # TCP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername")
        source = (str(name[0]), int(name[1])) if name else ("", 0)
        task = cast("asyncio.Task[None]", asyncio.current_task())
        if not self._limits.enter(source[0]):
            writer.close()
            return
        self._keep_task(task)
        try:
            await self._talk(reader, writer, source)
        except (OSError, TimeoutError, EOFError, SipError, asyncio.LimitOverrunError) as error:
            log.debug("ingest.sip_connection_ended", error=type(error).__name__)
        except asyncio.CancelledError:
            # By `stop`; see tcp.py.
            log.debug("ingest.sip_stopped")
        finally:
            self._limits.leave(source[0])
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: Place
    ) -> None:
        while True:
            async with asyncio.timeout(self._settings.tcp_idle_seconds):
                data = await reader.readuntil(b"\r\n\r\n")
            if not data.strip(b"\r\n"):
                # A keep-alive (RFC 5626, 4.4.1).
                writer.write(b"\r\n")
                async with asyncio.timeout(_ENDS):
                    await writer.drain()
                continue
            head = read_head(data.lstrip(b"\r\n"))
            length = head.content_length
            if length is None or length > MAX_BODY:
                # Where the next request begins cannot be known, or is too far away.
                writer.write(response(head, 400 if length is None else 413, source))
                await writer.drain()
                return
            async with asyncio.timeout(_ENDS):
                body = await reader.readexactly(length)
            answer = await self._once(head, body, source)
            if answer is not None:
                writer.write(answer)
                async with asyncio.timeout(_ENDS):
                    await writer.drain()

    # Both

    async def _once(self, head: SipHead, body: bytes, source: Place) -> bytes | None:
        """The answer to a request; None for a retransmission of one that is under way."""
        key = _mark(source[0], *head.transaction, body)
        self._forget()
        if key in self._answers:
            return self._answers[key][1]
        self._answers[key] = (monotonic(), None)
        answer = None
        try:
            answer = await self._answer(head, body, source)
        finally:
            if answer is None:
                self._answers.pop(key, None)
            elif key in self._answers:
                self._answers[key] = (self._answers[key][0], answer)
        return answer

    def _forget(self) -> None:
        oldest = monotonic() - KEEP_SECONDS
        while self._answers:
            key, (at, answer) = next(iter(self._answers.items()))
            if len(self._answers) < _KEPT and (at >= oldest or answer is None):
                return
            del self._answers[key]

    async def _answer(self, head: SipHead, body: bytes, source: Place) -> bytes | None:
        if head.method == "ACK":
            return None
        if head.method == "OPTIONS":
            return response(head, 200, source, extra=(ALLOW, ACCEPT))
        refused = self._refusal(head, body)
        if refused is not None:
            status, extra = refused
            return _refused(head, status, source, body, extra)
        return await self._message(head, body, source)

    def _refusal(self, head: SipHead, body: bytes) -> tuple[int, tuple[Header, ...]] | None:
        """Why a request is not looked into, in the order of RFC 3261, 8.2."""
        kind = head.get("content-type").split(";")[0].strip().lower()
        encoding = head.get("content-encoding").lower()
        if head.method != "MESSAGE":
            return 405, (ALLOW,)
        if required := head.get("require"):
            return 420, (("Unsupported", required),)
        if kind != CONTENT_TYPE or encoding not in ("", "identity"):
            return 415, (ACCEPT,)
        if len(body) > MAX_BODY:
            return 413, ()
        return (503, (("Retry-After", "5"),)) if self._lane.full else None

    async def _message(self, head: SipHead, body: bytes, source: Place) -> bytes:
        sender = stranger(source[0])
        charged = self.allowance.claim(sender, len(body))
        if not charged and not await self._known(body):
            self.allowance.refuse(sender, len(body))
            return _refused(head, 404, source, body)
        work = await self._store(body)
        if charged and not work.letters:
            self.allowance.give_back(sender, len(body))
        if work.decoded is not None and work.parts:
            return response(head, 200, source, body=work.decoded.replies[0], extra=(OURS,))
        reasons = {letter.reason for letter in work.letters}
        if "processing_failed" in reasons:
            return _refused(head, 500, source, body)
        return _refused(head, 400 if work.decoded is None else 404, source, body)

    async def _known(self, body: bytes) -> bool:
        """Whether a request comes from a controller in use, asked before it is kept aside."""
        try:
            decoded: Decoded = self._codec.decode(Frame(body))
            address = Address(self._codec.name, decoded.device)
            found = await self._registry.devices({address})
        except CodecError:
            return False
        except TRANSIENT_ERRORS:
            # In doubt it is stored as soon as that is possible.
            return True
        return any(device.state is not DeviceState.RETIRED for device in found.values())

    async def _store(self, body: bytes) -> Work:
        """Give a request to the lane and wait until everything in it is committed."""
        now = utcnow()
        frame = Frame(body, received_at=now)
        return await self._lane.store(frame, self._codec, arrival_of(now, body), transport="sip")


def _refused(
    head: SipHead, status: int, source: Place, body: bytes, extra: tuple[Header, ...] = ()
) -> bytes:
    """A refusal, in the words of the protocol too, where the body is a request of it."""
    number = _NUMBERS.get(status)
    said = None if number is None else refusal(body, number)
    if said is None:
        return response(head, status, source, extra=extra)
    return response(head, status, source, body=said, extra=(*extra, OURS))


def _mark(*parts: str | bytes) -> bytes:
    """What a retransmission is known by: a stranger's large requests must not fill the memory."""
    mark = blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        mark.update(len(data).to_bytes(4, "big") + data)
    return mark.digest()


class _Datagrams(asyncio.DatagramProtocol):
    """Hands datagrams to the listener."""

    def __init__(self, listener: ScaipListener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._listener.datagram(data, (addr[0], addr[1]))
