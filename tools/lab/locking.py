"""One command at a time in a folder of the laboratory; a second one waits and says for whom."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.lab.errors import LabError

_PATIENCE_SECONDS = 600


@contextlib.contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the folder, made if need be, and yield the lock's file descriptor. Raises LabError."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with (folder / "lock").open("a+") as lock:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        told = False
        while not _try_lock(lock.fileno()):
            if not told:
                lock.seek(0)
                say(f"waiting for another run ({lock.read().strip() or 'starting'})")
                told = True
            if time.monotonic() > deadline:
                raise LabError(f"another run has held {folder / 'lock'} for ten minutes")
            time.sleep(0.2)
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}")
        lock.flush()
        yield lock.fileno()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
