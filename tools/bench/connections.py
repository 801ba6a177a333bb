"""What a connection costs that is only there: memory and processor of web, ingest and broker.

    python -m tools.bench.connections [--feeds 1000] [--watches 5000] [--mqtt 5000]

Browsers on the live feed (/live of `silverline web`), watches on the TCP listener of `silverline
ingest` that have said who they are, and devices on mosquitto. The first hundred connections are not
counted: with them a process loads what it needs for the first. Idle means that nothing but the
feed's own beat is sent. Writes bench-results/connections-….json.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from ingest.telemetry.model import StorageMode
from kernel.auth.model import SYSTEM, Role
from kernel.auth.users import create_user
from kernel.clock import utcnow
from kernel.db import Database
from kernel.live import publish
from tools.bench.broker import Mosquitto, find_mosquitto, free_port
from tools.bench.database import bench_database, bench_server
from tools.bench.processes import BenchError, cpu_seconds
from tools.bench.report import machine, write_json
from tools.bench.world import make_devices

_WARM_UP = 100
_IDLE_SECONDS = 30.0
_PATIENCE_SECONDS = 60.0
_AT_ONCE = 100
_EVENTS = 20
_PASSWORD = "four-horses-run"  # noqa: S105 - of a database that lives for a minute

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[int], Awaitable[Line]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What `connections` idle connections cost a process beyond the first hundred.

    Memory is private to the process, without the kernel's buffers; `idle_cpu` is the share of one
    core that all of them together use while nothing happens.
    """

    name: str
    what: str
    connections: int
    bytes_per_connection: float
    idle_cpu: float
    connects_per_second: float
    micros_per_event: float | None = None

    def line(self) -> str:
        """Return one row of the table."""
        event = "" if self.micros_per_event is None else f"{self.micros_per_event:>10.1f}"
        return (
            f"{self.name:12}{self.connections:>12,}{self.bytes_per_connection:>14,.0f}"
            f"{self.idle_cpu:>11.2%}{self.connects_per_second:>13,.0f}{event}"
        )


async def measure(options: argparse.Namespace, url: str) -> tuple[list[Cost], dict[str, str]]:
    """Measure the three kinds one after the other."""
    now = utcnow()
    costs: list[Cost] = []
    async with bench_database(url, StorageMode.PLAIN, now) as bench:
        environment = machine() | await bench.facts()
        await make_devices(bench.db, options.watches, 1, now)
        await _name_watches(bench.db)
        await _add_operator(bench.db)
        program = find_mosquitto()
        if program is None:
            raise BenchError("mosquitto is not installed")
        with tempfile.TemporaryDirectory(prefix="silverline-bench-") as name:
            broker = Mosquitto(program, Path(name))
            broker.start()
            try:
                environment["broker"] = broker.version()
                costs.append(await _feeds(bench.db, url, options.feeds))
                costs.append(await _watches(url, broker.port, options.watches))
                costs.append(await _mqtt(broker, options.mqtt))
            finally:
                broker.stop()
    return costs, environment


async def _feeds(db: Database, url: str, count: int) -> Cost:
    port = free_port()
    async with _process("web", url, SILVERLINE_WEB__PORT=str(port)) as pid:
        cookie = await _log_in(port)
        request = (
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n"
            "Accept: text/event-stream\r\n\r\n"
        ).encode()

        async def connect(_number: int) -> Line:
            line = await asyncio.open_connection("127.0.0.1", port)
            line[1].write(request)
            await _until(line[0], b"resync")
            return line

        async def event(lines: list[Line]) -> float:
            before = cpu_seconds(pid)
            for number in range(_EVENTS):
                async with db.transaction() as tx:
                    await publish(tx, "bench", division="150102", data={"number": number})
                await asyncio.gather(*(_until(line[0], b'"bench"') for line in lines))
            return (cpu_seconds(pid) - before) / _EVENTS / len(lines) * 1e6

        what = "a browser on the live feed of one web process, a beat every 15 s"
        return await _cost("live feed", what, pid, count, connect, event)


async def _watches(url: str, mqtt_port: int, count: int) -> Cost:
    port = free_port()
    settings = {"SILVERLINE_WATCH__PORT": str(port), "SILVERLINE_MQTT__PORT": str(mqtt_port)}
    async with _process("ingest", url, **settings) as pid:

        async def connect(number: int) -> Line:
            # A listener lets only so many in from one address.
            source = (f"127.0.0.{2 + number // 1500}", 0)
            line = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
            line[1].write(f"[3G*{_watch_id(number)}*0002*LK]".encode())
            await _until(line[0], b"LK]")
            return line

        what = "a Setracker watch on the TCP listener of one ingest process, known by its number"
        return await _cost("TCP watch", what, pid, count, connect)


async def _mqtt(broker: Mosquitto, count: int) -> Cost:
    async def connect(number: int) -> Line:
        line = await asyncio.open_connection("127.0.0.1", broker.port)
        name = f"BENCH-{number + 1:06d}".encode()
        body = b"\x00\x04MQTT\x04\x02\x02\x58" + len(name).to_bytes(2) + name
        line[1].write(bytes([0x10, len(body)]) + body)
        if (await line[0].readexactly(4))[3] != 0:
            raise BenchError("mosquitto refuses a connection")
        topic = b"silverline/v1/" + name + b"/command"
        body = b"\x00\x01" + len(topic).to_bytes(2) + topic + b"\x01"
        line[1].write(bytes([0x82, len(body)]) + body)
        await line[0].readexactly(5)
        return line

    what = "a device on mosquitto with one subscription (MQTT 3.1.1, clean session)"
    return await _cost("MQTT device", what, broker.pid, count, connect)


async def _cost(
    name: str,
    what: str,
    pid: int,
    count: int,
    connect: Connect,
    event: Callable[[list[Line]], Awaitable[float]] | None = None,
) -> Cost:
    lines = await _open(connect, range(_WARM_UP))
    if event is not None:
        await event(lines)
    memory, began = _private_bytes(pid), time.perf_counter()
    lines += await _open(connect, range(_WARM_UP, count))
    seconds = time.perf_counter() - began
    grown = _private_bytes(pid) - memory
    cpu = cpu_seconds(pid)
    await asyncio.sleep(_IDLE_SECONDS)
    idle = (cpu_seconds(pid) - cpu) / _IDLE_SECONDS
    each = await event(lines) if event is not None else None
    for _, writer in lines:
        writer.close()
    more = count - _WARM_UP
    return Cost(name, what, count, grown / more, idle, more / seconds, each)


async def _open(connect: Connect, numbers: range) -> list[Line]:
    lines: list[Line] = []
    for start in range(numbers.start, numbers.stop, _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, numbers.stop))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            lines += await asyncio.gather(*(connect(number) for number in part))
    return lines


async def _until(reader: asyncio.StreamReader, word: bytes) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            data = await reader.readuntil(b"\n") if word != b"LK]" else await reader.read(4096)
            if word in data:
                return
            if not data:
                raise BenchError("the connection was closed")


def _private_bytes(pid: int) -> int:
    """Memory that nobody shares with the process: what really grows (proc_pid_smaps(5))."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = dict(line.split()[:2] for line in text.splitlines()[1:])
    return (int(sizes["Private_Dirty:"]) + int(sizes["Private_Clean:"])) * 1024


@asynccontextmanager
async def _process(name: str, url: str, **settings: str) -> AsyncIterator[int]:
    health = free_port()
    environment = os.environ | settings | {
        "SILVERLINE_DATABASE__URL": url,
        "SILVERLINE_MQTT__PASSWORD": "bench",
        "SILVERLINE_HEALTH__PORT": str(health),
        "SILVERLINE_MASTER_KEY": b64encode(secrets.token_bytes(32)).decode(),
        "SILVERLINE_WEB__SECURE_COOKIES": "false",
        "SILVERLINE_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    process = _start(name, environment)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{health}/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _start(name: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "app.cli", name], env=environment)


async def _log_in(port: int) -> str:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        page = await client.get("/login", headers={"Accept": "application/json"})
        token = page.json()["csrf_token"]
        form = {"username": "bench", "password": _PASSWORD, "_csrf": token}
        answer = await client.post("/login", data=form)
        if answer.status_code >= 400:
            raise BenchError(f"cannot log in: {answer.status_code} {answer.text[:200]}")
        return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


async def _add_operator(db: Database) -> None:
    async with db.transaction() as tx:
        await create_user(
            tx, username="bench", display_name="测量", roles=frozenset([Role.OPERATOR]),
            division="", password=_PASSWORD, must_change_password=False, actor=SYSTEM,
            now=utcnow(),
        )  # fmt: skip


def _watch_id(number: int) -> str:
    return f"{4_000_000_000 + number}"


async def _name_watches(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO device_alias (codec, address, device_no)"
            " SELECT 'setracker', (3999999999 + row_number() OVER (ORDER BY no))::text, no"
            " FROM device"
        )


def main() -> None:
    """Measure, print a table, write the file."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.connections")
    parser.add_argument("--feeds", type=int, default=1000)
    parser.add_argument("--watches", type=int, default=5000)
    parser.add_argument("--mqtt", type=int, default=5000)
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with bench_server(StorageMode.PLAIN) as url:
        costs, environment = asyncio.run(measure(options, url))
    print(f"{'':12}{'connections':>12}{'bytes each':>14}{'idle CPU':>11}{'connects/s':>13}"
          f"{'µs/event':>10}")  # fmt: skip
    print("\n".join(cost.line() for cost in costs))
    print("", *(f"{cost.name}: {cost.what}" for cost in costs), sep="\n")
    document: dict[str, object] = {
        "at": utcnow().isoformat(),
        "environment": environment,
        "connections": [asdict(cost) for cost in costs],
    }
    print(write_json(options.output, "connections", utcnow(), document))


if __name__ == "__main__":
    main()
