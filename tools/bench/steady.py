"""Whether ingest stays what it is: its memory at full rate, its cost with many devices.

    python -m tools.bench.steady [--minutes M] [--rate MESSAGES_A_SECOND] [--devices N ...]

Memory: vitals flow faster than ingest can take them, or at `--rate`, for so many minutes; the
resident memory of the process is looked at every second. Cost: a backlog of vitals of all devices
that are registered is drained, for each number of devices; what counts is the second half, when
everybody is known.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from ingest.telemetry.model import StorageMode
from kernel.clock import utcnow
from tools.bench import backlog, broker, floor
from tools.bench.database import BenchDatabase, bench_database, bench_server
from tools.bench.processes import BenchError, Ingest, flood, memory_bytes
from tools.bench.report import machine, write_json
from tools.bench.world import Load, make_devices

_MESSAGES = 200_000
_DEVICES = 1000
_MEGABYTE = 1024 * 1024
_WARM = 0.2
"""This part of the time is not counted: caches fill."""


async def costs(bench: BenchDatabase, program: str, devices: list[int]) -> list[dict[str, float]]:
    """Microseconds of processor time of a message, by number of devices."""
    found: list[dict[str, float]] = []
    for number in devices:
        await floor.empty(bench.db, devices=True)
        await make_devices(bench.db, number, 1, utcnow())
        load = Load(number, max(2, _MESSAGES // number))
        measured, _ = await backlog.measure(bench, program, load, 1, skip=0.5)
        found.append(
            {
                "devices": number,
                "messages": measured.messages,
                "wall": round(measured.micros(measured.seconds), 1),
                **{name: round(measured.micros(value), 1) for name, value in measured.cpu.items()},
            }
        )
        await floor.check(bench.db, load)
    return found


async def memory(
    bench: BenchDatabase, program: str, seconds: float, rate: float
) -> dict[str, float]:
    """Megabytes at the beginning and at the end, and how fast they grow."""
    await floor.empty(bench.db, devices=True)
    await make_devices(bench.db, _DEVICES, 1, utcnow())
    with tempfile.TemporaryDirectory(prefix="silverline-bench-") as name:
        server = broker.Mosquitto(program, Path(name))
        server.start()
        ingest = Ingest(bench.url, server.port, Path(name) / "ingest.log")
        try:
            await ingest.ready()
            async with flood(server.port, _DEVICES, rate):
                samples = await _sampled(bench, ingest, seconds)
            stored = (await ingest.metrics())["silverline_ingest_messages_total"]
        finally:
            ingest.end()
            server.stop()
    late = samples[int(len(samples) * _WARM) :]
    half = len(late) // 2
    first, last = sum(late[:half]) / half, sum(late[-half:]) / half
    return {
        "seconds": round(seconds),
        "messages a second": round(stored / seconds),
        "MB at the beginning": round(late[0], 1),
        "MB at the end": round(late[-1], 1),
        "MB at most": round(max(late), 1),
        "MB a minute": round((last - first) / (half / 60), 2),
    }


async def _sampled(bench: BenchDatabase, ingest: Ingest, seconds: float) -> list[float]:
    """Resident megabytes, once a second; the tables are emptied once a minute."""
    samples: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(1)
        samples.append(memory_bytes(ingest.pid) / _MEGABYTE)
        if len(samples) % 60 == 0:
            # Ten minutes at full rate would be a hundred million rows on somebody's disk.
            await floor.empty(bench.db)
    return samples


async def run(url: str, options: argparse.Namespace) -> dict[str, object]:
    """Measure both and return the figures."""
    program = broker.find_mosquitto()
    if program is None:
        raise BenchError("mosquitto is not installed")
    now = utcnow()
    async with bench_database(url, StorageMode.PLAIN, now) as bench:
        figures: dict[str, object] = {"at": now.isoformat(), **machine(), **await bench.facts()}
        figures["µs of a message by devices"] = await costs(bench, program, options.devices)
        if options.minutes > 0:
            seconds = options.minutes * 60
            figures["memory"] = await memory(bench, program, seconds, options.rate)
        return figures


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.steady")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=200_000.0)
    parser.add_argument("--devices", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    try:
        with bench_server(StorageMode.PLAIN) as url:
            figures = asyncio.run(run(url, options))
    except (BenchError, TimeoutError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for name, value in figures.items():
        for line in value if isinstance(value, list) else [value]:
            print(f"{name}: {line}")
    print(write_json(options.output, "steady", utcnow(), figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
