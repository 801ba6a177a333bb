"""How fast ingest is, beside a bare binary COPY of the same rows into the same table.

    python -m tools.bench.ingest [--mode plain|apache] [--devices N] [--messages N]

Three ways, in one run: the whole path (a broker full of messages, the ingest process as it runs in
production), the same pipeline without a broker, and COPY alone. Everything is counted from the
database; a run in which a reading is missing or doubled fails.
"""

import argparse
import asyncio
import base64
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from ingest.telemetry.model import ReadingRow, StorageMode
from kernel.clock import utcnow
from kernel.db import Database, fetch_tuples, fetch_value
from tools.bench import broker, pipeline
from tools.bench.database import BenchDatabase, bench_database, bench_server
from tools.bench.report import Measurement, Report, machine
from tools.bench.world import Load, make_devices, messages

_READY_SECONDS = 30.0
_DRAIN_SECONDS = 60.0
_COPY_ROUNDS = 3


class BenchError(Exception):
    """The run cannot be made or its result cannot be trusted."""


async def run(url: str, mode: StorageMode, load: Load) -> Report:
    """Measure and return the figures. Raises BenchError when readings were lost or doubled."""
    now = utcnow()
    found: list[Measurement] = []
    notes: list[str] = []
    async with bench_database(url, mode, now) as bench:
        await make_devices(bench.db, load.devices, now)
        environment = machine() | await bench.facts()
        program = broker.find_mosquitto()
        if program is None:
            notes.append("mosquitto is not installed: the whole path was not measured")
        else:
            whole, version = await _whole_path(bench, program, load)
            found.append(whole)
            environment["broker"] = version
            await _empty(bench.db)
        found.append(await pipeline.measure(bench.db, load))
        rows = await _stored(bench.db)
        await _empty(bench.db)
        found.append(await _bare_copy(bench.db, rows))
    return Report(now, environment, found[::-1], notes)


async def _whole_path(bench: BenchDatabase, program: str, load: Load) -> tuple[Measurement, str]:
    """Fill a broker while the ingest process is halted, let it go, and wait for the last row."""
    with tempfile.TemporaryDirectory(prefix="silverline-bench-") as name:
        folder = Path(name)
        server = broker.Mosquitto(program, folder)
        server.start()
        try:
            process, health = _start_ingest(bench.url, server.port, folder / "ingest.log")
            try:
                await _wait_ready(process, health, folder / "ingest.log")
                # Halted rather than stopped: what is measured is work, not the start of Python.
                os.kill(process.pid, signal.SIGSTOP)
                stream = messages(load, "whole", utcnow())
                sent = await asyncio.to_thread(broker.publish, server.port, stream)
                cpu = _cpu_seconds(process.pid)
                began = time.perf_counter()
                os.kill(process.pid, signal.SIGCONT)
                await _wait_stored(bench.db, sent)
                seconds = time.perf_counter() - began
                cpu = _cpu_seconds(process.pid) - cpu
            finally:
                _end(process)
        finally:
            server.stop()
        rows = await _check(bench.db, sent, load)
        what = "mosquitto → MQTT → the ingest process → PostgreSQL, a backlog being caught up"
        return Measurement("whole path", what, sent, rows, seconds, cpu), server.version()


def _start_ingest(url: str, mqtt_port: int, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = broker.free_port()
    environment = os.environ | {
        "SILVERLINE_DATABASE__URL": url,
        "SILVERLINE_MQTT__PORT": str(mqtt_port),
        "SILVERLINE_MQTT__PASSWORD": "bench",
        "SILVERLINE_WATCH__PORT": "0",
        "SILVERLINE_HEALTH__PORT": str(port),
        "SILVERLINE_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "SILVERLINE_LOG_LEVEL": "WARNING",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "ingest"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, f"http://127.0.0.1:{port}/readyz"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    process.wait(20)


async def _wait_ready(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if (await client.get(health)).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise BenchError(f"ingest does not get ready:\n{_last_words(log)}")


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _wait_stored(db: Database, expected: int) -> None:
    """Wait until as many messages are committed, by their exactly-once marks: the fewest rows."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    async with db.connection() as conn:
        while True:
            count = await fetch_value(conn, "SELECT count(*) FROM ingest_message")
            await conn.commit()
            if count >= expected:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"{count} of {expected} messages after {_DRAIN_SECONDS:.0f} s")
            await asyncio.sleep(0.02)


async def _check(db: Database, sent: int, load: Load) -> int:
    """Return how many readings are stored. Raises BenchError if it is not what was sent."""
    async with db.connection() as conn:
        stored = await fetch_value(conn, "SELECT count(*) FROM reading")
        distinct = await fetch_value(
            conn, "SELECT count(*) FROM (SELECT DISTINCT time, device_no, metric FROM reading)"
        )
    expected = load.messages * 6
    if sent != load.messages or stored != expected or distinct != expected:
        raise BenchError(
            f"{sent} messages with {expected} readings were sent, "
            f"{stored} readings were stored, {distinct} of them different"
        )
    return expected


async def _stored(db: Database) -> list[ReadingRow]:
    async with db.connection() as conn:
        rows = await fetch_tuples(
            conn, "SELECT time, device_no, metric, value, quality FROM reading ORDER BY time"
        )
    return [ReadingRow(*row) for row in rows]


async def _empty(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("TRUNCATE reading, ingest_message, latest_reading, reading_late")


async def _bare_copy(db: Database, rows: Sequence[ReadingRow]) -> Measurement:
    """COPY and nothing else: one statement, one transaction. The median of several rounds."""
    rounds: list[tuple[float, float]] = []
    for _ in range(_COPY_ROUNDS):
        await _empty(db)
        began, cpu = time.perf_counter(), time.process_time()
        async with (
            db.transaction() as tx,
            tx.cursor() as cursor,
            cursor.copy(
                "COPY reading (time, device_no, metric, value, quality) FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(("timestamptz", "int8", "int2", "float8", "int2"))
            for row in rows:
                await copy.write_row(row)
        rounds.append((time.perf_counter() - began, time.process_time() - cpu))
    seconds, cpu = sorted(rounds)[_COPY_ROUNDS // 2]
    what = f"the same rows by one binary COPY into the same table, median of {_COPY_ROUNDS}"
    return Measurement("bare COPY", what, 0, len(rows), seconds, cpu)


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, from /proc (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--mode", choices=["plain", "apache"], default="plain")
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--messages", type=int, default=50, help="of each device")
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    load = Load(options.devices, options.messages)
    try:
        mode = StorageMode(options.mode)
        with bench_server(mode) as url:
            report = asyncio.run(run(url, mode, load))
    except (BenchError, TimeoutError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report.table())
    print(f"\n{report.write(options.output)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
