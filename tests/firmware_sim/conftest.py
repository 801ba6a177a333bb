"""A real mosquitto, a subscriber that writes everything down, and the simulator as a process."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from tests.ports import free_port

FOLDER = Path(__file__).parents[2] / "firmware-sim"
# Last, so that the plain module names of the simulator hide nobody else's.
sys.path.append(str(FOLDER))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain for {what}")
        pause.wait(0.01)


class Broker:
    """Debian's mosquitto on a free port, with a session store that survives a restart."""

    def __init__(self, program: str, folder: Path, *, passwords: Path | None = None) -> None:
        self.port = free_port()
        self._program = program
        self._config = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            f"password_file {passwords}" if passwords else "allow_anonymous true",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # or it drops to a user who cannot write the folder
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, "mosquitto to listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber:
    """A persistent MQTT session that keeps every message in the order of arrival."""

    def __init__(self, port: int, username: str = "", password: str = "") -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id="witness", clean_session=False
        )
        if username:
            self._client.username_pw_set(username, password)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(30)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: dict[str, Any]) -> None:
        self._client.publish(topic, json.dumps(payload), qos=1).wait_for_publish(10)

    def catch_up(self) -> None:
        """Return when everything that was published before this call has arrived."""
        mark = f"mark/{time.monotonic_ns()}"
        self.publish(mark, {})
        wait_until(lambda: any(topic == mark for topic, _ in list(self.messages)), mark)

    def topic(self, name: str) -> list[dict[str, Any]]:
        return [payload for topic, payload in list(self.messages) if topic == name]

    def by_device(self) -> dict[str, list[dict[str, Any]]]:
        """Numbered messages by device, in order of arrival; batches are taken apart."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for topic, payload in list(self.messages):
            parts = topic.split("/")
            if topic.startswith("silverline/v1/") and parts[3] != "command":
                for element in payload.get("batch", [payload]):
                    if "seq" in element:
                        kind = {"kind": parts[3], "via": parts[2]}
                        found[element.get("device", parts[2])].append({**element, **kind})
        return dict(found)

    def _take(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        self.messages.append((message.topic, json.loads(message.payload)))


FRAME = re.compile(rb"\[3G\*(\d{15})\*([0-9A-F]{4})\*([^\[\]]*)\]")


class WatchServer:
    """Answers LK and AL, keeps all frames, can send a command to all watches."""

    def __init__(self) -> None:
        self.port = free_port()
        self.frames: list[tuple[str, bytes]] = []
        self.connections = 0
        self._writers: dict[asyncio.StreamWriter, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", self.port), self._loop
        )
        self._server = started.result(60)

    def command(self, content: bytes) -> None:
        def write() -> None:
            for writer, device in self._writers.items():
                writer.write(b"[3G*%s*%04X*%s]" % (device.encode(), len(content), content))

        self._loop.call_soon_threadsafe(write)

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def words(self) -> list[str]:
        return [content.split(b",")[0].decode() for _, content in list(self.frames)]

    def contents(self, word: str) -> list[list[str]]:
        """The fields of every frame of this command; escapes are left as they are."""
        return [
            content.decode("latin-1").split(",")[1:]
            for _, content in list(self.frames)
            if content.split(b",")[0].decode() == word
        ]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        buffer = b""
        while data := await reader.read(4096):
            buffer += data
            while b"]" in buffer:
                raw, _, buffer = buffer.partition(b"]")
                self._take(raw + b"]", writer)
        del self._writers[writer]
        writer.close()

    def _take(self, raw: bytes, writer: asyncio.StreamWriter) -> None:
        match = FRAME.fullmatch(raw)
        assert match, raw
        device, length, content = match[1].decode(), int(match[2], 16), match[3]
        assert length == len(content)
        self._writers[writer] = device
        self.frames.append((device, content))
        word = content.split(b",")[0].decode()
        if word == "LK" or word.startswith("AL"):
            writer.write(b"[3G*%s*0002*%s]" % (match[1], word[:2].encode()))


class Simulator:
    """The simulator as a process of its own."""

    def __init__(self, folder: Path, broker: str, *options: str) -> None:
        self._report = folder / "report.json"
        self.alarm_log = folder / "alarms.jsonl"
        self._report.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                *(sys.executable, str(FOLDER), "--broker", broker, "--report", str(self._report)),
                *("--alarm-log", str(self.alarm_log), "--quiet", *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str) -> dict[str, Any]:
        """One line of control and its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def finish(self, expect: int = 0) -> dict[str, Any]:
        """Wait for the end; the report."""
        _, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == expect, errors
        report: dict[str, Any] = json.loads(self._report.read_text("utf-8"))
        return report

    def alarms(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.alarm_log.read_text().splitlines()]


@pytest.fixture
def server() -> Iterator[WatchServer]:
    server = WatchServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """Path of the broker's program."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        text = "mosquitto is not installed (apt-get install mosquitto)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(text)
    return program


@pytest.fixture
def mqtt_broker(mosquitto: str, tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(mosquitto, tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def witness(mqtt_broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(mqtt_broker.port)
    yield subscriber
    subscriber.close()


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Start a simulator; it is ended after the test, whatever happened."""
    started: list[Simulator] = []

    def start(broker: str, *options: str) -> Simulator:
        started.append(Simulator(tmp_path, broker, *options))
        return started[-1]

    yield start
    for simulator in started:
        if simulator.process.poll() is None:
            simulator.process.kill()
        simulator.process.communicate()


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[[str], str]:
    """Write a scenario; its path."""

    def write(text: str) -> str:
        path = tmp_path / "own.toml"
        path.write_text(text, "utf-8")
        return str(path)

    return write
