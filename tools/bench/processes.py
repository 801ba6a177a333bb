"""The ingest process under measurement, and where the processor's time goes: from /proc."""

import asyncio
import base64
import contextlib
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from kernel.db import Database, fetch_value
from tools.bench.broker import free_port

_READY_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchError(Exception):
    """The run cannot be made or its result cannot be trusted."""


_MASTER_KEY = base64.b64encode(secrets.token_bytes(32)).decode()


class _Process:
    """One of Silverline's processes, with a port for its health and a log."""

    def __init__(self, command: str, url: str, log: Path, own: dict[str, str]) -> None:
        self._health = free_port()
        self._log = log
        environment = os.environ | {
            "SILVERLINE_DATABASE__URL": url,
            "SILVERLINE_HEALTH__PORT": str(self._health),
            "SILVERLINE_MASTER_KEY": _MASTER_KEY,
            "SILVERLINE_LOG_LEVEL": "WARNING",
        }
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", command],
                env=environment | own,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def end(self) -> None:
        """Stop it in order; what it has taken in is finished."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(30)

    async def ready(self) -> None:
        """Wait until it says that it is ready. Raises BenchError when it does not."""
        deadline = time.monotonic() + _READY_SECONDS
        async with httpx.AsyncClient(trust_env=False) as client:
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    answer = await client.get(f"http://127.0.0.1:{self._health}/readyz")
                    if answer.status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise BenchError(f"it does not get ready:\n{self.last_words()}")

    async def metrics(self) -> dict[str, float]:
        """What the process says of itself, by name and labels. Empty while it does not answer."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{self._health}/metrics")
            except httpx.TransportError:
                return {}
        lines = (line.rpartition(" ") for line in answer.text.splitlines() if line[:1] != "#")
        return {name: float(value) for name, _, value in lines}

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:]


class Ingest(_Process):
    """`silverline ingest` as it runs in production."""

    def __init__(self, url: str, mqtt_port: int, log: Path, *, share: str = "", name: str = ""):
        own = {
            "SILVERLINE_MQTT__PORT": str(mqtt_port),
            "SILVERLINE_MQTT__PASSWORD": "bench",
            "SILVERLINE_MQTT__SHARE_GROUP": share,
            "SILVERLINE_MQTT__CLIENT_ID": name,
            "SILVERLINE_WATCH__PORT": "0",
        }
        super().__init__("ingest", url, log, own)


class Web(_Process):
    """`silverline web`, on a port of its own."""

    def __init__(self, url: str, log: Path) -> None:
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        own = {
            "SILVERLINE_WEB__PORT": str(port),
            "SILVERLINE_WEB__PUBLIC_URL": self.base_url,
            "SILVERLINE_WEB__SECURE_COOKIES": "false",
        }
        super().__init__("web", url, log, own)


@asynccontextmanager
async def flood(port: int, devices: int, rate: float, batch: int = 1) -> AsyncIterator[None]:
    """Vitals at a steady rate (messages a second), for as long as the context lasts."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tools.bench.flood",
            f"{port}",
            f"{devices}",
            f"{rate}",
            f"{batch}",
        ),
        stdout=subprocess.PIPE,
    )
    try:
        if process.stdout is None or not await process.stdout.readline():
            raise BenchError("the flood does not begin")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds since the start of each part."""

    broker: float
    ingest: float
    database: float
    stages: dict[str, float]

    def since(self, before: "Spent") -> "Spent":
        """What was spent between two moments."""
        return Spent(
            self.broker - before.broker,
            self.ingest - before.ingest,
            self.database - before.database,
            {name: value - before.stages.get(name, 0.0) for name, value in self.stages.items()},
        )


async def spent(broker_pid: int | None, ingests: Sequence[Ingest], db: Database) -> Spent:
    """Read the clocks of all processes."""
    stages: dict[str, float] = {}
    for each in ingests:
        for name, value in (await each.metrics()).items():
            found = re.fullmatch(r'silverline_ingest_cpu_seconds_total\{stage="(\w+)"\}', name)
            if found:
                stages[found[1]] = stages.get(found[1], 0.0) + value
    return Spent(
        cpu_seconds(broker_pid) if broker_pid else 0.0,
        sum(cpu_seconds(each.pid) for each in ingests),
        await database_seconds(db),
        stages,
    )


async def database_seconds(db: Database) -> float:
    """Processor seconds of the database server and all of its processes, ended ones included."""
    async with db.connection() as conn:
        backend = await fetch_value(conn, "SELECT pg_backend_pid()")
    postmaster = _parent(backend)
    return cpu_seconds(postmaster, children=True) + sum(_each_child(postmaster))


def _each_child(parent: int) -> Iterator[float]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if _parent(int(entry.name)) == parent:
                    yield cpu_seconds(int(entry.name))


def cpu_seconds(pid: int, *, children: bool = False) -> float:
    """Return the processor time that a process has used, from /proc (proc_pid_stat(5)).

    With `children` also what those of its children used that have ended.
    """
    fields = _fields(pid)
    return sum(int(each) for each in fields[11 : 15 if children else 13]) / _TICKS


def memory_bytes(pid: int) -> int:
    """Return the memory that a process holds (resident)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _parent(pid: int) -> int:
    return int(_fields(pid)[1])


def _fields(pid: int) -> list[str]:
    # After the name in brackets, which may hold anything.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
