"""Commands to devices on TCP: written to the TCP connection of this process, where it holds it.

A worker announces a command on channel `device_command`; every ingest process hears it and the one
that the device is connected to writes it. If nobody is, the command stays queued and is announced
again (devices/commands/jobs.py). So a lost notification costs time and nothing else.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace

import structlog

from devices.codecs import CODECS
from devices.commands import rules, service, store
from devices.commands.model import CHANNEL, Outgoing
from devices.downlink import NotNow
from devices.messages import Codec, CodecError
from devices.profiles import PROFILES
from ingest.transports.tcp import TcpListener
from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS, Database

log = structlog.get_logger(__name__)


class CommandRelay:
    """Hears of commands and sends those whose device is connected here."""

    def __init__(self, db: Database, listeners: Mapping[str, TcpListener]) -> None:
        self._db = db
        self._listeners = listeners
        self.listening = asyncio.Event()

    async def listen(self) -> None:
        """Follow the announcements until cancelled."""
        while True:
            try:
                async with self._db.dedicated() as conn:
                    await conn.execute("LISTEN " + CHANNEL)
                    self.listening.set()
                    async for notice in conn.notifies():
                        await self._announced(notice.payload)
            except (*TRANSIENT_ERRORS, OSError) as error:  # type: ignore[misc]
                log.warning("commands.listener_lost", error=type(error).__name__)
            self.listening.clear()
            await asyncio.sleep(0.5)

    async def _announced(self, payload: str) -> None:
        try:
            command_id = uuid.UUID(payload)
        except ValueError:
            return
        async with self._db.connection() as conn:
            command = await store.outgoing(conn, command_id, utcnow())
        if command is None:
            return
        try:
            left = await self._send(command)
        except CodecError as error:
            log.warning("commands.cannot_be_said", device=command.device_id, error=str(error))
            async with self._db.transaction() as tx:
                await service.give_up(tx, command, error.reason, utcnow())
            return
        # A fault of ours in one command, or a newer server's, must not stop the process.
        except Exception:
            log.exception("commands.step_failed", command=str(command.id))
            return
        if left:
            async with self._db.transaction() as tx:
                await store.left(tx, command.id, utcnow())

    async def _send(self, command: Outgoing) -> bool:
        """Write it to the device's connection, False without one. Raises CodecError."""
        model = PROFILES.get(command.profile)
        listener = self._listeners.get(model.codec) if model is not None else None
        if model is None or listener is None:
            return False
        for address in command.addresses(model.codec):
            last = listener.last_frame(address)
            if last is not None:
                return await self._write(command, CODECS[model.codec], listener, address, last)
        return False

    async def _write(
        self, command: Outgoing, codec: Codec, listener: TcpListener, address: str, last: bytes
    ) -> bool:
        if codec.encode is None:
            return False
        try:
            frame = codec.encode(replace(rules.asked(command, address, utcnow()), last=last))
            async with asyncio.timeout(5.0):
                return await listener.send(address, frame.payload)
        except (OSError, NotNow) as error:
            # A device that does not read, or has just gone: not on this connection.
            log.warning("commands.not_written", device=command.device_id, error=str(error))
            return False
