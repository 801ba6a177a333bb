"""Debian's mosquitto for the benchmark, and a publisher that fills it."""

import itertools
import os
import select
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.bench.world import Published

_WAIT_SECONDS = 15.0
_WINDOW = 20_000
"""Messages under way to the broker; packet identifiers are 16 bits."""
_PART = 200


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

    @property
    def pid(self) -> int:
        """The number of its process. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("mosquitto was not started")
        return self._process.pid

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


class Publisher:
    """Publishes with QoS 1 over a socket of its own (MQTT 3.1.1), as fast as the broker takes it.

    A client library would take longer to fill the broker than ingest takes to empty it.
    """

    def __init__(self, port: int, name: str = "bench") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_WAIT_SECONDS)
        client_id = f"{name}-{os.getpid()}".encode()
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(client_id)) + client_id
        self._socket.sendall(bytes((0x10, len(body))) + body)
        answer = self._socket.recv(4)
        if answer[:1] != b"\x20" or answer[3:4] != b"\x00":
            raise ConnectionError(f"the broker does not take the publisher in: {answer.hex()}")
        self._ids = itertools.cycle(range(1, 65_536))
        self._under_way = 0
        self._left_over = 0

    def publish(self, wanted: Iterable[Published], *, wait: bool = True) -> int:
        """Publish and return how many there were; the broker has acknowledged all of them.

        Without `wait` the last ones may still be under way. Raises TimeoutError when the broker
        does not take them.
        """
        sent = 0
        for part in _parts(wanted):
            while self._under_way > _WINDOW:
                self._hear(_WAIT_SECONDS)
            self._socket.sendall(b"".join(self._packet(each) for each in part))
            self._under_way += len(part)
            sent += len(part)
            self._hear(0)
        while wait and self._under_way:
            self._hear(_WAIT_SECONDS)
        return sent

    def close(self) -> None:
        """Say goodbye."""
        self._socket.sendall(b"\xe0\x00")
        self._socket.close()

    def _packet(self, message: Published) -> bytes:
        topic = message.topic.encode()
        head = struct.pack(">H", len(topic)) + topic + struct.pack(">H", next(self._ids))
        return b"\x32" + _length(len(head) + len(message.payload)) + head + message.payload

    def _hear(self, seconds: float) -> None:
        """Take in acknowledgements (4 bytes each) for at most so long."""
        readable, _, _ = select.select([self._socket], [], [], seconds)
        if not readable:
            if seconds:
                raise TimeoutError(f"the broker still owes {self._under_way} acknowledgements")
            return
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the broker hung up")
        whole, self._left_over = divmod(self._left_over + len(data), 4)
        self._under_way -= whole


def publish(port: int, wanted: Iterable[Published]) -> int:
    """Publish with QoS 1 and return how many the broker has acknowledged: all of them."""
    publisher = Publisher(port)
    try:
        return publisher.publish(wanted)
    finally:
        publisher.close()


def _parts(wanted: Iterable[Published]) -> Iterator[list[Published]]:
    stream = iter(wanted)
    while part := list(itertools.islice(stream, _PART)):
        yield part


def _length(size: int) -> bytes:
    """MQTT's variable byte integer (3.1.1, 2.2.3)."""
    found = bytearray()
    while size > 127:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found)
