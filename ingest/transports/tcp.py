"""TCP: watches and locators that keep a connection of their own and expect answers.

A watch sends the next frame when it likes, so the frames of a connection are taken one after the
other: decoded, stored, and only after the commit answered. What has no answer is repeated by the
watch. Nobody logs in here; therefore a frame must come from a device that the registry knows under
this codec, a sender of nonsense is cut off, and only so much of it is kept (`Allowance`).
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

import structlog

from devices.codecs import CODECS
from devices.messages import Codec, CodecError, Decoded, Frame
from devices.registry.model import Address, DeviceState
from ingest import metrics
from ingest.deadletters.allowance import Allowance, Sender, stranger
from ingest.identity import Arrival
from ingest.lanes import Lane
from ingest.registry_cache import RegistryCache
from ingest.settings import IngestSettings
from ingest.steps import sign_of_life
from ingest.transports.listening import listen
from ingest.work import Work
from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS

log = structlog.get_logger(__name__)
_READ = 16 * 1024


@dataclass(slots=True)
class _Peer:
    """One connection: who it is once a frame has said so, and what is not a whole frame yet.

    `known` once something that `device` said was stored: then the registry has it.
    """

    writer: asyncio.StreamWriter
    address: str
    device: str = ""
    known: bool = False
    frame: bytes = b""
    buffer: bytes = b""
    bad_in_a_row: int = 0
    utc_offset: int = 0

    @property
    def sender(self) -> Sender:
        """Who is charged for what of it cannot be used."""
        return Sender(self.device, known=True) if self.known else stranger(self.address)


@dataclass(slots=True)
class Limits:
    """How many connections there are, in all and from each address."""

    most: int
    most_per_address: int
    by_address: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Count a connection in, unless there are too many."""
        if self.by_address.total() >= self.most:
            return False
        if self.by_address[address] >= self.most_per_address:
            return False
        self.by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one out."""
        self.by_address[address] -= 1
        if self.by_address[address] <= 0:
            del self.by_address[address]


class TcpListener:
    """Listens for devices of one codec. Raises ValueError for one that has no byte stream."""

    def __init__(
        self,
        settings: IngestSettings,
        codec_name: str,
        port: int,
        lane: Lane,
        registry: RegistryCache,
    ) -> None:
        codec = CODECS[codec_name]
        if codec.split is None:
            raise ValueError(f"codec {codec.name} does not cut a byte stream into frames")
        self._codec: Codec = codec
        self._split = codec.split
        self._settings = settings
        self._wanted_port = port
        self._lane = lane
        self._registry = registry
        self.allowance = Allowance(
            "tcp",
            codec.name,
            per_address=settings.letters_per_address,
            in_all=settings.letters_in_all,
            per_device=settings.letters_per_device,
        )
        self._limits = Limits(settings.tcp_connections, settings.tcp_connections_per_address)
        self._peers: dict[asyncio.Task[None], _Peer] = {}
        self._server: asyncio.Server | None = None
        self._stopped = False

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before `start`."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def start(self) -> None:
        """Listen. Raises PortTaken."""
        self._server = await listen(
            self._codec.name, self._serve, self._settings.tcp_host, self._wanted_port, _READ
        )
        log.info("ingest.tcp_listens", port=self.port, codec=self._codec.name)

    async def stop(self) -> None:
        """Stop listening and close every connection; what was not answered will be repeated."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
        for task in list(self._peers):
            task.cancel()
        await asyncio.gather(*self._peers, return_exceptions=True)

    async def send(self, device: str, payload: bytes) -> bool:
        """Send a frame to a device on its newest connection; False when it has none here."""
        peer = self._newest(device)
        if peer is None:
            return False
        peer.writer.write(payload)
        await peer.writer.drain()
        return True

    def last_frame(self, device: str) -> bytes | None:
        """The last frame of a device on its newest connection, None when it has none here."""
        peer = self._newest(device)
        return peer.frame if peer is not None else None

    def _newest(self, device: str) -> _Peer | None:
        peers = [peer for peer in self._peers.values() if peer.device == device]
        return peers[-1] if peers else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername")
        peer = _Peer(writer, str(name[0]) if name else "")
        task = asyncio.current_task()
        if self._stopped:
            # Accepted while we stopped: nobody would store what it says.
            writer.close()
            return
        if task is None or not self._limits.enter(peer.address):
            log.warning("ingest.tcp_too_many", connections=self._limits.by_address.total())
            writer.close()
            return
        self._peers[task] = peer
        metrics.TCP_CONNECTIONS.set(len(self._peers))
        try:
            await self._talk(reader, peer)
        except (OSError, TimeoutError, EOFError):
            pass
        except asyncio.CancelledError:
            # By `stop`. The task ends here anyway, and asyncio calls a cancelled one an error.
            log.debug("ingest.tcp_stopped")
        finally:
            self._peers.pop(task, None)
            self._limits.leave(peer.address)
            metrics.TCP_CONNECTIONS.set(len(self._peers))
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, peer: _Peer) -> None:
        while True:
            async with asyncio.timeout(self._settings.tcp_idle_seconds):
                data = await reader.read(_READ)
            if not data:
                await self._rest(peer)
                return
            try:
                frames, peer.buffer = self._split(peer.buffer + data)
            except CodecError as error:
                await self._keep_aside(peer, peer.buffer + data, error)
                return
            for frame in frames:
                if not await self._take(peer, frame):
                    log.warning("ingest.tcp_cut_off", bad_frames=peer.bad_in_a_row)
                    return

    async def _rest(self, peer: _Peer) -> None:
        """The connection ended within a frame: what came of it is kept, it may tell why."""
        if peer.buffer:
            await self._take(peer, peer.buffer)

    async def _take(self, peer: _Peer, payload: bytes) -> bool:
        """Store one frame and answer it; False when the sender has sent too much nonsense."""
        work = await self._within_allowance(payload, peer)
        decoded = work.decoded if work else None
        if work is not None and decoded is not None:
            self._note(peer, work, decoded, payload)
        if work is None or decoded is None or (not work.parts and _is_noise(work, decoded)):
            peer.bad_in_a_row += 1
            return peer.bad_in_a_row < self._settings.tcp_bad_frames
        peer.bad_in_a_row = 0
        for reply in decoded.replies:
            peer.writer.write(reply)
        async with asyncio.timeout(self._settings.tcp_idle_seconds):
            await peer.writer.drain()
        return True

    @staticmethod
    def _note(peer: _Peer, work: Work, decoded: Decoded, payload: bytes) -> None:
        """Remember who speaks: what follows a login is nobody else's, registered or not."""
        if decoded.device:
            peer.known = bool(work.parts) or (peer.known and peer.device == decoded.device)
            peer.device, peer.frame = decoded.device, payload
        if decoded.utc_offset is not None:
            peer.utc_offset = decoded.utc_offset

    async def _keep_aside(self, peer: _Peer, payload: bytes, error: CodecError) -> None:
        """What cannot even be cut into frames: kept as one dead letter."""

        def refuse(_: Frame) -> Decoded:
            raise error

        if not self.allowance.claim(peer.sender, len(payload)):
            self.allowance.refuse(peer.sender, len(payload))
            return
        codec = Codec(self._codec.name, self._codec.title, refuse)
        await self._store(payload, peer, codec)

    async def _within_allowance(self, payload: bytes, peer: _Peer) -> Work | None:
        """Store a frame; None when it is of no use and its sender's allowance is used up.

        What it would cost is taken before, for many connections of one sender can be under way.
        """
        sender: Sender | None = peer.sender
        if not self.allowance.claim(peer.sender, len(payload)):
            sender = await self._behind(payload, peer)
            if sender is not None and not self.allowance.claim(sender, len(payload)):
                self.allowance.refuse(sender, len(payload))
                return None
        work = await self._store(payload, peer)
        if sender is not None and not work.letters:
            self.allowance.give_back(sender, len(payload))
        return work

    async def _behind(self, payload: bytes, peer: _Peer) -> Sender | None:
        """Who is charged for a frame whose first sender has nothing left; None when it is usable.

        A device of the registry has an allowance of its own, however many strangers stand behind
        the same address: a mobile operator's watches share one.
        """
        try:
            frame = Frame(payload, device=peer.device, utc_offset=peer.utc_offset)
            decoded = sign_of_life(self._codec.decode(frame))
            wanted = {Address(self._codec.name, each.device) for each in decoded.messages}
            found = await self._registry.devices(wanted)
        except CodecError:
            return peer.sender
        except TRANSIENT_ERRORS:
            # In doubt it is stored, as soon as that is possible; the lane bounds how many they are.
            return None
        retired = any(device.state is DeviceState.RETIRED for device in found.values())
        if len(found) == len(wanted) and not retired and not decoded.rejects:
            return None
        if not found:
            return peer.sender
        return Sender(min(address.address for address in found), known=True)

    async def _store(self, payload: bytes, peer: _Peer, codec: Codec | None = None) -> Work:
        """Give a frame to the lane and wait until everything in it is committed."""
        await self._room()
        now = utcnow()
        frame = Frame(payload, device=peer.device, received_at=now, utc_offset=peer.utc_offset)
        return await self._lane.store(frame, codec or self._codec, Arrival(now), transport="tcp")

    async def _room(self) -> None:
        while self._lane.full:
            room = asyncio.Event()
            self._lane.on_room(room.set)
            await room.wait()


def _is_noise(work: Work, decoded: Decoded) -> bool:
    """Whether a frame without a message is of no use: refused, or nothing that adds up.

    A message that is merely not used is none: terminals send pictures in hundreds of frames.
    """
    broken = any(warning.startswith("bad_checksum") for warning in decoded.warnings)
    return bool(work.letters) or (broken and not decoded.replies)
