"""What others make of the same messages: a straightforward paho consumer, and Node-RED."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kernel.clock import utcnow
from kernel.db import Database, fetch_value
from tools.bench import broker, floor
from tools.bench.database import BenchDatabase
from tools.bench.processes import BenchError, cpu_seconds, database_seconds
from tools.bench.report import Measurement
from tools.bench.world import Load, Published, messages

_NODE_RED = Path(__file__).parent / "nodered"
_CACHE = Path(__file__).parents[2] / "var" / "bench" / "nodered"
_LONGEST = 60.0
_SHARE = 0.05
"""This part of the messages lies behind us when measuring begins: nothing counts the start."""

Start = Callable[[int, str, Path], "subprocess.Popen[bytes]"]


async def naive(bench: BenchDatabase, program: str, load: Load) -> Measurement:
    """Measure tools/bench/naive.py."""

    def start(port: int, url: str, log: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tools.bench.naive", str(port), url]
        return _spawn(command, log, {})

    what = "a paho consumer with one INSERT a message: no batches, no rules, not exactly once"
    return await _measure(bench, program, load, start, "naive consumer", what)


async def node_red(bench: BenchDatabase, program: str, load: Load) -> Measurement:
    """Measure Node-RED. Raises BenchError when it cannot be installed."""
    folder = await asyncio.to_thread(_installed)

    def start(port: int, url: str, log: Path) -> "subprocess.Popen[bytes]":
        user = log.parent / "nodered"
        shutil.copytree(_NODE_RED, user)
        (user / "node_modules").symlink_to(folder / "node_modules")
        red = folder / "node_modules" / "node-red" / "red.js"
        command = [
            "node",
            str(red),
            "--userDir",
            str(user),
            "--settings",
            str(user / "settings.js"),
        ]
        own = {
            "BENCH_MQTT": str(port),
            "BENCH_DATABASE": url,
            "BENCH_PORT": str(broker.free_port()),
        }
        return _spawn(command, log, own)

    what = (
        "Node-RED: MQTT node, one INSERT a message from a pool of ten: no rules, not exactly once"
    )
    return await _measure(bench, program, load, start, "Node-RED", what)


def _installed() -> Path:
    """Node-RED by its lock file, kept for the next run."""
    if shutil.which("npm") is None:
        raise BenchError("npm is not installed")
    lock = (_NODE_RED / "package-lock.json").read_bytes()
    kept = _CACHE / "package-lock.json"
    if (_CACHE / "node_modules").exists() and kept.exists() and kept.read_bytes() == lock:
        return _CACHE
    _CACHE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(_NODE_RED / name, _CACHE / name)
    done = subprocess.run(
        ["npm", "ci", "--omit=dev", "--loglevel=error"],
        cwd=_CACHE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"npm cannot install Node-RED: {done.stderr[-500:]}")
    return _CACHE


def _spawn(command: list[str], log: Path, own: dict[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            command, env=os.environ | own, stdout=output, stderr=subprocess.STDOUT
        )


async def _measure(
    bench: BenchDatabase, program: str, load: Load, start: Start, name: str, what: str
) -> Measurement:
    """Let it subscribe, stop it, fill the broker, start it and count the rows that come."""
    with tempfile.TemporaryDirectory(prefix="silverline-bench-") as folder:
        server = broker.Mosquitto(program, Path(folder))
        server.start()
        try:
            log = Path(folder) / "log"
            process = start(server.port, bench.url, log)
            try:
                await _first_of_all(bench.db, server.port, process, log)
            finally:
                _end(process)
            shutil.rmtree(Path(folder) / "nodered", ignore_errors=True)
            await floor.empty(bench.db)
            stream = messages(load, "others", utcnow())
            await asyncio.to_thread(broker.publish, server.port, stream)
            process = start(server.port, bench.url, log)
            try:
                return await _drain(bench.db, server, process, load, name, what)
            finally:
                _end(process)
        finally:
            server.stop()
            await floor.empty(bench.db)


async def _first_of_all(
    db: Database, port: int, process: "subprocess.Popen[bytes]", log: Path
) -> None:
    """Wait until it stores what is published: then it is subscribed."""
    deadline = time.monotonic() + _LONGEST
    load = Load(1, 1)
    while await _stored(db) == 0:
        if time.monotonic() > deadline or process.poll() is not None:
            raise BenchError(f"it does not consume: {_last_words(log)}")
        one: list[Published] = list(messages(load, "first", utcnow()))
        await asyncio.to_thread(broker.publish, port, one)
        await asyncio.sleep(0.3)


async def _drain(
    db: Database,
    server: broker.Mosquitto,
    process: "subprocess.Popen[bytes]",
    load: Load,
    name: str,
    what: str,
) -> Measurement:
    while (first := await _stored(db)) < load.rows * _SHARE:  # noqa: ASYNC110 - other processes
        await asyncio.sleep(0.02)
    began = time.perf_counter()
    used = (cpu_seconds(server.pid), cpu_seconds(process.pid), await database_seconds(db))
    last = first
    while last < load.rows and time.perf_counter() - began < _LONGEST:
        await asyncio.sleep(0.1)
        last = await _stored(db)
    seconds = time.perf_counter() - began
    broker_s, own, database = (
        after - before
        for after, before in zip(
            (cpu_seconds(server.pid), cpu_seconds(process.pid), await database_seconds(db)),
            used,
            strict=True,
        )
    )
    rows = last - first
    cpu = {"broker": broker_s, "consumer": own, "database": database}
    return Measurement(name, what, rows // 5, rows, seconds, cpu)


async def _stored(db: Database) -> int:
    async with db.connection() as conn:
        count = await fetch_value(conn, "SELECT count(*) FROM reading")
    return int(count)


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-800:]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(10)
