"""A disk that can be filled: a tmpfs, and a PostgreSQL of its own on one that only it sees.

For the latter a thread of the test leaves for a mount namespace of its own, mounts the tmpfs there
and starts the server from there. Nobody else sees the mount, and it is gone with the thread and the
server. Both are for tests marked `isolated`.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from app.embedded.children import EmbeddedError
from app.embedded.postgres import EmbeddedPostgres

T = TypeVar("T")
_CLONE_NEWNS = 0x00020000
_MS_REMOUNT, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20, 0x4000, 1 << 18, 2
# Segments of the write-ahead log are used again soon, so that they do not fill the disk themselves.
SETTINGS = {
    "shared_buffers": "32MB",
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
}
_libc = ctypes.CDLL(None, use_errno=True)


class Volume:
    """A tmpfs on a folder, in the mount namespace of whoever mounts it.

    It is full when its size is what it holds: that takes no memory, as ballast would.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._size = megabytes << 20

    def mount(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _mount(self.folder, 0, f"size={self._size},mode=0755")

    def unmount(self) -> None:
        _check(_libc.umount2(os.fsencode(self.folder), _MNT_DETACH))

    def fill(self) -> None:
        """Leave no room."""
        while True:
            with contextlib.suppress(_WrittenMeanwhile):
                _mount(self.folder, _MS_REMOUNT, f"size={self.used}")
                return

    def free(self) -> None:
        """Give the room back."""
        _mount(self.folder, _MS_REMOUNT, f"size={self._size}")

    @property
    def used(self) -> int:
        """Bytes."""
        state = os.statvfs(self.folder)
        return (state.f_blocks - state.f_bfree) * state.f_frsize


class SmallDisk:
    """The server and its volume."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._volume = Volume(folder / "disk", megabytes)
        self._inside = ThreadPoolExecutor(1)
        self.server = EmbeddedPostgres(
            self._volume.folder / "pg", SETTINGS | {"max_connections": "40"}
        )

    async def start(self) -> None:
        await self._run(self._leave)
        await self._run(self._volume.mount)
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

    async def fill(self) -> None:
        await self._run(self._volume.fill)

    async def free(self) -> None:
        await self._run(self._volume.free)

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._inside, step)

    def _leave(self) -> None:
        _check(_libc.unshare(_CLONE_NEWNS))
        _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))


async def use_up_the_log(url: str) -> None:
    """Fill segments of the write-ahead log until the next one finds no room: it ends the server."""
    with pytest.raises(psycopg.OperationalError):
        await _write_log(url, 200)


async def _write_log(url: str, megabytes: int) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        for _ in range(megabytes):
            await conn.execute("SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))")


class _WrittenMeanwhile(OSError):
    """The volume holds more than the size it should get."""


def _mount(folder: Path, flags: int, options: str) -> None:
    answer = _libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode())
    if answer and flags & _MS_REMOUNT and ctypes.get_errno() == errno.EINVAL:
        raise _WrittenMeanwhile
    _check(answer)


def _check(answer: int) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, f"the small disk cannot be mounted: {os.strerror(number)}")
