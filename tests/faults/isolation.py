"""Tests that cut networks and mount disks, for those who are not root as well.

Root may do both. Everybody else may in a user namespace of their own (user_namespaces(7)), which
must be there before a process has threads: such a test runs in a pytest of its own, started by
unshare(1). Where the system refuses that too, the test is skipped, and fails where CI is true.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from app.embedded.children import spawn
from tests.ingest.broker import IN_CI

HAND_OVER = "SILVERLINE_TEST_BOOKS"
"""Set in a pytest that has namespaces of its own: the file that takes the lines of its runs."""
_NET_ADMIN, _SYS_ADMIN = 12, 21
_ENDS = 20.0


def wanted(item: pytest.Item) -> bool:
    """Whether a test has to run in namespaces of its own, and this process has none."""
    mark = item.get_closest_marker("isolated")
    if mark is None or HAND_OVER in os.environ:
        return False
    return bool(mark.kwargs.get("always")) or not _rights()


def run(item: pytest.Item, books: Path) -> None:
    """Run a test in a pytest with namespaces of its own; fails with what that one said."""
    if missing := _refusal():
        if IN_CI:
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    live = item.config.getoption("capture") == "no"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"]
    with (books.parent / "said").open("w+b") as said:
        process = spawn(
            [*_prefix(), *command, f"{item.config.rootpath}/{item.nodeid}"],
            log=None if live else said.fileno(),
            env=os.environ | {HAND_OVER: str(books)},
        )
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(_ENDS)
        said.seek(0)
        if code:
            text = said.read().decode("utf-8", "replace")
            pytest.fail(text or "it failed, as said above", pytrace=False)


def hand_over(lines: list[str]) -> None:
    """Give the lines of a run to the pytest that has started this one, if any has."""
    if HAND_OVER in os.environ:
        with Path(os.environ[HAND_OVER]).open("a", encoding="utf-8") as books:
            books.writelines(f"{line}\n" for line in lines)


def _rights() -> bool:
    """Whether this process may make networks and mounts (capabilities(7))."""
    status = Path("/proc/self/status").read_text("ascii")
    held = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    mask = int(held.split()[1], 16)
    return all(mask >> number & 1 for number in (_NET_ADMIN, _SYS_ADMIN))


def _prefix() -> list[str]:
    """What starts a command in namespaces of its own, with loopback up."""
    user = [] if _rights() else ["--user", "--map-current-user", "--keep-caps"]
    up = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    return ["unshare", *user, "--mount", "--net", "--propagation", "private", *up]


@cache
def _refusal() -> str | None:
    """Why there can be no namespaces here, and what to do about it; None when there can."""
    try:
        done = subprocess.run([*_prefix(), "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unshare (package util-linux) is missing: no network can be cut, no disk filled"
    if not done.returncode:
        return None
    return (
        f"no network can be cut and no disk filled here ({done.stderr.strip()}): run as root, or"
        " allow user namespaces (sysctl kernel.unprivileged_userns_clone=1,"
        " kernel.apparmor_restrict_unprivileged_userns=0) and install iproute2"
    )
