"""Child processes that end with their parent and, for root, run as a user without rights."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from kernel.errors import DomainError

SERVICE_USER = "silverline"
_PR_SET_PDEATHSIG = 1


class EmbeddedError(DomainError):
    """An embedded server cannot be set up or started; the message says how to go on."""

    code = "embedded"
    status = 500


def _die_with_parent() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def service_user() -> pwd.struct_passwd | None:
    """Return the user that servers run as when we are root (made if missing), else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        useradd = [
            "useradd",
            "--system",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            SERVICE_USER,
        ]
        result = subprocess.run(useradd, capture_output=True, text=True, check=False)
        # Two of us at once: the other one made it.
        if result.returncode not in (0, 9):
            raise EmbeddedError(
                f"cannot make the user {SERVICE_USER}: {result.stderr.strip()}"
            ) from None
        return pwd.getpwnam(SERVICE_USER)


def as_service_user(command: Sequence[str]) -> list[str]:
    """Wrap a command so that it runs as the service user when we are root.

    PostgreSQL refuses to run as root. The user keeps one capability, to search folders, because a
    checkout under /root cannot be entered otherwise and changing the mode of /root is not ours.
    """
    user = service_user()
    if user is None:
        return list(command)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedError(
            "setpriv (package util-linux) is missing; install it or do not run as root"
        )
    return [
        setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
        "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--pdeathsig=INT", "--",
        *command,
    ]  # fmt: skip


def own_by_service_user(folder: Path) -> None:
    """Give the folder itself (not its content) to the service user when we are root."""
    user = service_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)


def spawn(
    command: Sequence[str],
    *,
    log: IO[bytes] | int | None = None,
    env: Mapping[str, str] | None = None,
    drop_root: bool = False,
    talk: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that Ctrl-C reaches the supervisor only.

    With `talk` its standard input is a pipe to us, else nothing.
    """
    return subprocess.Popen(
        as_service_user(command) if drop_root else list(command),
        stdout=log,
        stderr=subprocess.STDOUT if log is not None else None,
        stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
        env=dict(env) if env is not None else None,
        start_new_session=True,
        # Only prctl runs between fork and exec: nothing there takes a lock.
        preexec_fn=_die_with_parent,  # noqa: PLW1509
    )
