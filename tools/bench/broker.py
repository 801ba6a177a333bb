"""Debian's mosquitto for the benchmark, and a publisher that fills it."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tools.bench.world import Published

_WAIT_SECONDS = 15.0


def find_mosquitto() -> str | None:
    """Return the broker's program, None when it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker on a free port of 127.0.0.1 that lets everybody in and refuses no message."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "max_queued_messages 0\nmax_inflight_messages 0\nmax_queued_bytes 0\n"
        )
        self._command = [program, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens. Raises TimeoutError when it does not."""
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=quiet, stderr=quiet)
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self._listens():
            if time.monotonic() > deadline:
                raise TimeoutError("mosquitto does not listen")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def version(self) -> str:
        """Return its name and version as it says them itself."""
        said = subprocess.run(
            [self._command[0], "-h"], capture_output=True, text=True, check=False
        ).stdout
        return said.split("\n", 1)[0] or "mosquitto"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def publish(port: int, wanted: Iterable[Published]) -> int:
    """Publish with QoS 1 and return how many the broker has acknowledged: all of them.

    Raises TimeoutError when it does not take them.
    """
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"bench-{os.getpid()}")
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(1000)
    sent = 0
    acknowledged = 0
    done = threading.Event()
    total: int | None = None

    def on_publish(*_: object) -> None:
        nonlocal acknowledged
        acknowledged += 1
        if acknowledged == total:
            done.set()

    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        for message in wanted:
            client.publish(message.topic, message.payload, qos=1)
            sent += 1
        total = sent
        if acknowledged == total:
            done.set()
        if not done.wait(60):
            raise TimeoutError(f"the broker took {acknowledged} of {sent} messages")
    finally:
        client.disconnect()
        client.loop_stop()
    return sent
