"""The embedded stack: PostgreSQL and our processes as children of one supervisor.

A child that ends, or the database, is started again after a pause; when the supervisor ends, the
children end in the reverse order of their start, the database last.
"""

import asyncio
import contextlib
import fcntl
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import structlog

from app.embedded.children import EmbeddedError, spawn
from app.embedded.postgres import EmbeddedPostgres
from app.installation import Addresses
from app.secrets import EmbeddedSecrets, load_or_make
from dashboards.ui.assets import Assets, AssetsMissing
from kernel.db import Database
from kernel.divisions import load_divisions
from kernel.migrate import migrate

log = structlog.get_logger(__name__)
Progress = Callable[[str], None]
PROCESSES = ("broker", "ingest", "worker", "scheduler", "web")
_UNUSUAL_PORTS = range(20_000, 32_000)
# After so long without news we say for whom we are waiting.
_PATIENCE_SECONDS = 5.0
_BRIEF_SECONDS = 0.5
# What of the caller's settings the children get as well: how the pages look and are reached, whom
# to call, what to log. Database, broker and keys are the stack's own.
_INHERITED = (
    "SILVERLINE_WEB__", "SILVERLINE_WATCH__PORTS", "SILVERLINE_SCAIP__",
    "SILVERLINE_MQTTS__", "SILVERLINE_CA_PASSPHRASE",
    "SILVERLINE_DUTY_PHONE", "SILVERLINE_LOG_",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StackSettings:
    """Where the stack keeps its data and which ports it would like (0 is any free one)."""

    data_dir: Path
    web_port: int = 8080
    mqtt_port: int = 1883
    watch_port: int = 5093
    host: str = "127.0.0.1"
    demo: bool = False
    fixed_ports: bool = False


def free_port(host: str, wanted: int) -> int:
    """Return `wanted` if it is free, else the next free one of the following twenty, else any.

    Any: below the range that the system itself takes ports from. Until the child listens, a second
    later, a connection that somebody opens could be given one of those.
    """
    near = range(wanted, wanted + 20) if wanted else ()
    for port in (*near, *random.sample(_UNUSUAL_PORTS, 50), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedError(f"no free port on {host}")


@dataclass
class _Child:
    name: str
    process: subprocess.Popen[bytes]
    health_port: int
    started: float = field(default_factory=time.monotonic)
    restarts: int = 0


class Stack:
    """Starts, watches and stops the whole of Silverline on one machine."""

    def __init__(self, settings: StackSettings, progress: Progress) -> None:
        self.settings = settings
        self._progress = progress
        self.data_dir = settings.data_dir.resolve()
        self.postgres = EmbeddedPostgres(self.data_dir / "postgres")
        self.secrets: EmbeddedSecrets
        self.database_url = ""
        self.children: dict[str, _Child] = {}
        self._lock: IO[str] | None = None
        self._said_at = 0.0
        self.web_port = self.mqtt_port = self.watch_port = 0

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"http://{self.settings.host}:{self.web_port}"

    async def start_database(self) -> None:
        """Start PostgreSQL and bring the schema up to date."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _lock_folder(self.data_dir)
        self.secrets = load_or_make(self.data_dir / "secrets.json")
        _check_assets()
        self._progress("页面素材齐全 · scripts and styles of the pages are there")
        if not self.postgres.exists:
            self._progress(
                f"首次启动，新建数据库 · first start: making the database in {self.data_dir}"
            )
            await asyncio.to_thread(self.postgres.initialise)
        self._progress("数据库启动中 · starting PostgreSQL")
        await asyncio.to_thread(self.postgres.start)
        self.database_url = await asyncio.to_thread(self.postgres.ensure_database)
        applied = await migrate(self.database_url, progress=self._say_migration)
        if applied:
            self._progress("行政区划载入中 · loading the administrative divisions")
            db = await Database.open(self.database_url)
            try:
                async with db.transaction() as tx:
                    await load_divisions(tx)
            finally:
                await db.close()

    async def start_processes(self) -> None:
        """Start broker, ingest, worker, scheduler and web, and wait until each is ready."""
        settings = self.settings
        self.mqtt_port = self._port("MQTT", settings.mqtt_port)
        self.watch_port = self._port("TCP", settings.watch_port)
        self.web_port = self._port("HTTP", settings.web_port)
        self._progress("消息服务器启动中 · starting the broker")
        self._start("broker")
        # Ingest would find nobody, wait, and complain.
        await self._wait_port("broker", self.mqtt_port)
        others = [name for name in PROCESSES if name != "broker"]
        self._progress(f"进程启动中 · starting {', '.join(others)}")
        for name in others:
            self._start(name)
        await self._wait_for_all(others)
        Addresses(self.web_port, self.mqtt_port).write(self.data_dir)

    async def _wait_for_all(self, names: Sequence[str]) -> None:
        """Say of each process when it is ready, and for whom we wait when nothing happens."""
        tasks = [
            asyncio.create_task(self._wait_ready(self.children[name]), name=name) for name in names
        ]
        waiting = set(tasks)
        try:
            while waiting:
                ready, waiting = await asyncio.wait(
                    waiting, timeout=_PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for one in ready:
                    one.result()
                    self._progress(f"{one.get_name()} 已就绪 · ready")
                if waiting and not ready:
                    late = ", ".join(sorted(one.get_name() for one in waiting))
                    self._progress(f"仍在等待 · still waiting for {late}")
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _say_migration(self, name: str, number: int, total: int) -> None:
        """Say which one is at work, unless one was named a moment ago: most take milliseconds."""
        at = time.monotonic()
        if number in (1, total) or at - self._said_at > _BRIEF_SECONDS:
            self._said_at = at
            name = name.removesuffix(".sql")
            self._progress(f"数据库结构更新 · migration {number} of {total}: {name}")

    async def watch(self, stop: asyncio.Event) -> None:
        """Start again what ends, until `stop` is set."""
        # Apart from each other: a database that recovers takes its time, a child must not wait.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_database(stop))
            group.create_task(self._watch_children(stop))

    async def _watch_database(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if not self.postgres.running:
                log.warning("stack.database_ended")
                self._progress("数据库已退出，正在重启 · PostgreSQL ended, restarting")
                try:
                    await asyncio.to_thread(self.postgres.start)
                except EmbeddedError as error:
                    # What a killed server left behind may still be ending: once more.
                    log.warning("stack.database_refused", error=str(error))
            await _pause(stop)

    async def _watch_children(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for child in list(self.children.values()):
                if child.process.poll() is not None:
                    code = child.process.returncode
                    log.warning("stack.child_ended", name=child.name, code=code)
                    self._progress(f"{child.name} 已退出（{code}），正在重启 · restarting")
                    self._start(child.name, child.restarts + 1)
            await _pause(stop)

    async def stop(self) -> None:
        """End the children in order, the database last."""
        for name in reversed(PROCESSES):
            child = self.children.pop(name, None)
            if child is None:
                continue
            if child.process.poll() is None:
                child.process.terminate()
            try:
                await asyncio.to_thread(child.process.wait, 10)
            except subprocess.TimeoutExpired:
                child.process.kill()
                await asyncio.to_thread(child.process.wait, 5)
        await asyncio.to_thread(self.postgres.stop)
        # Without the lock it is another supervisor that runs here.
        if self._lock is not None:
            Addresses.forget(self.data_dir)
            self._lock.close()

    def environment(self, health_port: int) -> dict[str, str]:
        """Return the environment of a child: the settings as variables.

        What the stack decides wins over the caller's environment, the caller's over our defaults.
        """
        defaults = {
            "WEB__PUBLIC_URL": self.url,
            # The embedded stack speaks plain HTTP on loopback; a proxy in front sets this to true.
            "WEB__SECURE_COOKIES": "false",
            "LOG_FORMAT": "console" if sys.stderr.isatty() else "json",
            "LOG_LEVEL": "WARNING",
        }
        decided = {
            "DATABASE__URL": self.database_url,
            "MASTER_KEY": self.secrets.master_key,
            "MQTT__HOST": "127.0.0.1",
            "MQTT__BIND": self.settings.host,
            # amqtt speaks nothing newer; asking for 5 first would cost ten seconds.
            "MQTT__PROTOCOL": "3.1.1",
            "MQTT__PORT": str(self.mqtt_port),
            "MQTT__PASSWORD": self.secrets.mqtt_password,
            "WATCH__HOST": self.settings.host,
            "WATCH__PORT": str(self.watch_port),
            "WEB__HOST": self.settings.host,
            "WEB__PORT": str(self.web_port),
            "HEALTH__PORT": str(health_port),
            "DEMO": "true" if self.settings.demo else "false",
            "DATA_DIR": str(self.data_dir),
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SILVERLINE_") or name.startswith(_INHERITED)
        }
        return _prefixed(defaults) | inherited | _prefixed(decided)

    def command(self, name: str) -> list[str]:
        """Return the command line of a child."""
        return [sys.executable, "-m", "app.cli", name]

    def _port(self, what: str, wanted: int) -> int:
        port = free_port(self.settings.host, wanted)
        if wanted and port != wanted:
            if self.settings.fixed_ports:
                raise EmbeddedError(f"{what} port {wanted} is taken by another program")
            self._progress(
                f"端口 {wanted} 被占用，改用 {port} · port {wanted} is taken, using {port}"
            )
        return port

    @staticmethod
    def check_unused(data_dir: Path) -> None:
        """Raise EmbeddedError when another supervisor runs on the folder."""
        _lock_folder(data_dir).close()

    def _start(self, name: str, restarts: int = 0) -> None:
        health = (
            self.children[name].health_port if name in self.children else free_port("127.0.0.1", 0)
        )
        process = spawn(self.command(name), env=self.environment(health))
        self.children[name] = _Child(name, process, health, restarts=restarts)

    async def _wait_port(self, name: str, port: int, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                self._check_alive(name, deadline, "does not listen")
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    async def _wait_ready(self, child: _Child, seconds: float = 45.0) -> None:
        port = self.web_port if child.name == "web" else child.health_port
        deadline = time.monotonic() + seconds
        said = "does not answer"
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    answer = await client.get(f"http://127.0.0.1:{port}/readyz", timeout=2)
                    if answer.status_code == 200:
                        return
                    said = answer.text
                except httpx.HTTPError:
                    pass
                self._check_alive(child.name, deadline, said)
                await asyncio.sleep(0.05)

    def _check_alive(self, name: str, deadline: float, said: str) -> None:
        code = self.children[name].process.poll()
        if code is not None:
            raise EmbeddedError(f"{name} ended with {code} while starting; its messages are above")
        if time.monotonic() > deadline:
            raise EmbeddedError(f"{name} is not ready: {said}")


def _check_assets() -> None:
    """Rather now than after everything else has started. Raises EmbeddedError."""
    try:
        Assets()
    except AssetsMissing as error:
        raise EmbeddedError(f"the pages' scripts and styles: {error}") from error


def _prefixed(values: dict[str, str]) -> dict[str, str]:
    return {f"SILVERLINE_{name}": value for name, value in values.items()}


async def _pause(stop: asyncio.Event, seconds: float = 0.5) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _lock_folder(data_dir: Path) -> IO[str]:
    """Hold the folder until the file is closed: two supervisors would fight over one database."""
    lock = (data_dir / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise EmbeddedError(
            f"Silverline already runs on {data_dir}; stop it first (Ctrl-C in its terminal)"
        ) from error
    return lock
