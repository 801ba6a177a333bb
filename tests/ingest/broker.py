"""A real mosquitto as a child process, with persistence, that can be stopped and started again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.ports import free_port

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def mosquitto_command(
    folder: Path, port: int, *, every_change: bool = False, addresses: Sequence[str] = ()
) -> list[str]:
    """How to start a mosquitto whose sessions and messages lie in `folder`.

    They are saved every second or, with `every_change`, as soon as there is something to save.
    It listens on loopback and on the further `addresses` of this machine.
    """
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        if IN_CI:
            raise FileNotFoundError("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        "".join(f"listener {port} {address}\n" for address in ("127.0.0.1", *addresses))
        + "allow_anonymous true\n"
        "persistence true\n"
        f"persistence_location {folder}/\n"
        "max_queued_messages 0\n"
        "max_inflight_messages 0\n"
        f"autosave_on_changes {'true' if every_change else 'false'}\n"
        "autosave_interval 1\n"
        "set_tcp_nodelay true\n"
        "log_type error\n"
        f"user {'root' if os.geteuid() == 0 else 'nobody'}\n"
    )
    return [program, "-c", str(configuration)]


class Mosquitto:
    """One broker on a port of its own; its data outlives `stop`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = mosquitto_command(folder, self.port)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it in order: what it has queued is saved."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
            self._process = None
