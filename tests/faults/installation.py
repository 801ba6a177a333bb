"""A whole installation under its supervisor, as `silverline demo` starts it, to break parts of."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from app.demo.operator import ScriptedOperator
from app.demo.run import Demo
from app.embedded.children import spawn
from app.embedded.postgres import EmbeddedPostgres
from app.stack import Stack, StackSettings
from kernel.crypto import FieldCipher, parse_master_key
from kernel.db import Database, Tx, fetch_value
from tests.faults.small_disk import SETTINGS, Volume
from tests.ingest.broker import mosquitto_command

DEVICES = 60
PATIENCE = 60.0
"""Seconds after which a condition counts as never to come: the machine may be busy."""


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, seconds: float = PATIENCE
) -> None:
    """Wait for a condition. Raises TimeoutError with what was waited for."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        await asyncio.sleep(0.05)


class MosquittoStack(Stack):
    """The stack with mosquitto for a broker: MQTT 5, sessions on disk.

    `addresses` are those of this machine that it listens on beside loopback from its next start on.
    """

    addresses: tuple[str, ...] = ()

    def environment(self, health_port: int) -> dict[str, str]:
        return super().environment(health_port) | {"SILVERLINE_MQTT__PROTOCOL": "5"}

    def command(self, name: str) -> list[str]:
        if name != "broker":
            return super().command(name)
        folder = self.data_dir / "mosquitto"
        return mosquitto_command(
            folder, self.mqtt_port, every_change=True, addresses=self.addresses
        )


class Installation:
    """The stack, supervised, with the demonstration's homes, devices and accounts.

    Its database may lie on a `disk` that can be filled, mounted by whoever asks for it.
    """

    def __init__(self, folder: Path, broker: str, disk: Volume | None = None) -> None:
        self.broker = broker
        self.said: list[str] = []
        settings = StackSettings(folder, web_port=0, mqtt_port=0, watch_port=0, demo=True)
        self._demo = Demo(settings, DEVICES, self.said.append)
        if broker == "mosquitto":
            self._demo.stack = MosquittoStack(settings, self.said.append)
        if disk is not None:
            self.stack.postgres = EmbeddedPostgres(disk.folder, SETTINGS)
        self.db: Database
        self._stop = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def stack(self) -> Stack:
        return self._demo.stack

    @property
    def cipher(self) -> FieldCipher:
        return FieldCipher({1: parse_master_key(self.stack.secrets.master_key)})

    async def start(self) -> None:
        await self._demo.start()
        self.db = await Database.open(self.stack.database_url, max_size=4)
        self.watch()

    async def stop(self) -> None:
        await self.unwatch()
        await self.db.close()
        await self._demo.stop()

    def watch(self) -> None:
        """Have what ends started again, as always."""
        self._watching = asyncio.create_task(self.stack.watch(self._stop))

    async def unwatch(self) -> None:
        """Leave what ends alone from now on."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    def kill(self, name: str) -> None:
        """End a process of ours, and nothing more."""
        os.kill(self.stack.children[name].process.pid, signal.SIGKILL)

    async def kill_database(self) -> None:
        """End the postmaster and every process of its own, all at once."""
        postmaster = self.stack.postgres.pid
        assert postmaster is not None
        for pid in (postmaster, *_children(postmaster)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        async def gone() -> bool:
            return not self.stack.postgres.running

        await until(gone, "the end of the database")

    def memory(self, name: str) -> int:
        """Bytes that a process holds in memory now."""
        pid = self.stack.children[name].process.pid
        status = Path(f"/proc/{pid}/status").read_text("ascii")
        held = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(held.split()[1]) * 1024

    async def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End a process of ours and wait until the supervisor has another one ready."""
        child = self.stack.children[name]
        os.kill(child.process.pid, how)

        async def replaced() -> bool:
            return self.stack.children[name] is not child

        await until(replaced, f"another {name}")
        await self.ready(name)

    async def ready(self, name: str) -> None:
        async def is_ready() -> bool:
            return (await self.readiness(name)) == "ready"

        await until(is_ready, f"{name} to be ready")

    async def readiness(self, name: str) -> str:
        """What the process says of itself; "" when it does not answer."""
        if name == "broker":
            return await _listens(self.stack.mqtt_port)
        return await readiness(self.stack.children[name].health_port)

    async def metric(self, name: str, sample: str) -> float | None:
        """A sample of a process's metrics by its name with labels; None when it does not answer."""
        return await metric(self.stack.children[name].health_port, sample)

    @asynccontextmanager
    async def another(
        self, name: str, port: int, prefix: Sequence[str] = (), **settings: str
    ) -> AsyncIterator[int]:
        """A further process beside the supervisor's; yields its process id.

        `prefix` is the command that runs it, for example in a network of its own.
        """
        environment = self.stack.environment(port) | {"SILVERLINE_WATCH__PORT": "0"} | settings
        process = spawn([*prefix, *self.stack.command(name)], env=environment)
        try:
            yield process.pid
        finally:
            if process.poll() is None:
                process.terminate()
            await asyncio.to_thread(process.wait, 20)

    @asynccontextmanager
    async def operators(self) -> AsyncIterator[list[ScriptedOperator]]:
        """Two operators at their seats, on the live feed."""
        seats = [
            ScriptedOperator(self.stack.url, account.username, account.password)
            for account in self._demo.accounts
            if account.role == "operator"
        ]
        tasks = [asyncio.create_task(seat.run()) for seat in seats]

        async def listening() -> bool:
            for task in tasks:
                if task.done():
                    task.result()
            return all(seat.listening.is_set() for seat in seats)

        try:
            await until(listening, "the operators to hear the feed")
            yield seats
            assert not any(task.done() for task in tasks), "an operator left"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def count(self, query: str, *values: object) -> int:
        """The one number of a query."""
        async with self.db.connection() as conn:
            return int(await value(conn, query, *values))


def _children(parent: int) -> list[int]:
    """The processes whose parent is `parent`."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii")
    return [int(pid) for pid in listed.split()]


async def value(conn: Tx, query: str, *values: object) -> int:
    return int(await fetch_value(conn, query, values) or 0)


async def readiness(port: int, host: str = "127.0.0.1") -> str:
    """What the process with this health port says of itself; "" when it does not answer."""
    return await _get(f"http://{host}:{port}/readyz")


async def metric(port: int, sample: str, host: str = "127.0.0.1") -> float | None:
    """A sample of the metrics served on a port, for example `x_total{lane="bulk"}`."""
    for line in (await _get(f"http://{host}:{port}/metrics")).splitlines():
        name, _, number = line.rpartition(" ")
        if name == sample:
            return float(number)
    return None


async def _get(url: str) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        try:
            return (await client.get(url)).text
        except httpx.HTTPError:
            return ""


async def _listens(port: int) -> str:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return ""
    writer.close()
    return "ready"
