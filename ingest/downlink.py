"""Commands to watches: written to the TCP connection of this process, where it holds it.

A worker announces a command on channel `device_command`; every ingest process hears it and the one
that the watch is connected to writes it. If nobody is, the command stays queued and is announced
again (devices/commands/jobs.py). So a lost notification costs time and nothing else.
"""

import asyncio
import uuid
from collections.abc import Mapping

import structlog

from devices.codecs.setracker import encode_like
from devices.commands import rules, store
from devices.commands.model import CHANNEL, CommandName, Outgoing
from devices.messages import CodecError
from devices.profiles import PROFILES
from ingest.transports.tcp import TcpListener
from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS, Database

log = structlog.get_logger(__name__)


class CommandRelay:
    """Hears of commands and sends those whose watch is connected here."""

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
        if command is None or not await self._send(command):
            return
        async with self._db.transaction() as tx:
            await store.left(tx, command.id, utcnow())

    async def _send(self, command: Outgoing) -> bool:
        model = PROFILES.get(command.profile)
        listener = self._listeners.get(model.codec) if model is not None else None
        if listener is None:
            return False
        last = listener.last_frame(command.address)
        if last is None:
            return False
        content = rules.watch_content(CommandName(command.name), command.args)
        try:
            async with asyncio.timeout(5.0):
                return await listener.send(command.address, encode_like(last, content))
        except (OSError, CodecError) as error:
            # A watch that does not read, or has just gone: not on this connection.
            log.warning("commands.not_written", device=command.device_id, error=str(error))
            return False
