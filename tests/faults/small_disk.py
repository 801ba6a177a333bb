"""A PostgreSQL of its own on a disk that can be filled: a tmpfs that only this server sees.

A thread of the test leaves for a mount namespace of its own, mounts the tmpfs there and starts the
server from there. Nobody else sees the mount, and it is gone with the thread and the server.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from app.embedded.children import EmbeddedError
from app.embedded.postgres import EmbeddedPostgres

T = TypeVar("T")
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
# Segments of the write-ahead log are used again soon, so that they do not fill the disk themselves.
_SETTINGS = {
    "shared_buffers": "32MB",
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
    "max_connections": "40",
}


class SmallDisk:
    """The server and its disk; `fill` leaves no room, `free` gives it back."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder = folder / "disk"
        self._folder.mkdir()
        self._folder.chmod(0o755)
        self._megabytes = megabytes
        self._inside = ThreadPoolExecutor(1)
        self.server = EmbeddedPostgres(self._folder / "pg", _SETTINGS)

    async def start(self) -> None:
        await self._run(self._mount)
        await self._run(self.server.start)

    async def stop(self) -> None:
        await self._run(self.server.stop)
        self._inside.shutdown()

    async def keep_running(self) -> None:
        """Start the server again whenever it has ended, as a supervisor does; until cancelled.

        A write-ahead log without room ends a PostgreSQL, and it cannot recover without room either.
        """
        while True:
            if not self.server.running:
                try:
                    await self._run(self.server.start)
                except EmbeddedError:
                    await self._run(self.server.stop)
            await asyncio.sleep(0.2)

    async def fill(self) -> int:
        """Leave no byte; returns how many were left."""
        return await self._run(self._fill)

    async def free(self) -> None:
        """Take the ballast away."""
        await self._run((self._folder / "ballast").unlink)

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._inside, step)

    def _mount(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"size={self._megabytes}m,mode=0755".encode()
        for answer in (
            libc.unshare(_CLONE_NEWNS),
            libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None),
            libc.mount(b"tmpfs", os.fsencode(self._folder), b"tmpfs", 0, options),
        ):
            if answer:
                raise OSError(ctypes.get_errno(), "the small disk cannot be mounted")

    def _fill(self) -> int:
        written = 0
        block = bytes(1 << 16)
        with (self._folder / "ballast").open("wb", buffering=0) as ballast:
            while True:
                try:
                    written += ballast.write(block)
                except OSError:
                    if len(block) == 1:
                        return written
                    block = block[: len(block) // 2]
