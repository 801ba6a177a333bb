"""How fast ingest is, beside a bare binary COPY of the same rows into the same table.

    python -m tools.bench.ingest [--mode plain|apache] [--shape single|gateway|both]
                                 [--messages N] [--devices N] [--processes N] [--full]
                                 [--beside]

Three ways, in one run and for each shape of message: the whole path (a backlog in the broker's
persistent session, drained by the ingest process as it runs in production), the same pipeline
without a broker, and COPY alone. Everything is counted from the database; a run in which a reading
is missing or doubled fails. `--full` makes the backlog a million messages, `--beside` measures what
one would write first (paho, one INSERT a message) and Node-RED in the same run.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from ingest.telemetry.model import StorageMode
from kernel.clock import utcnow
from tools.bench import backlog, broker, floor, others, pipeline
from tools.bench.database import BenchDatabase, bench_database, bench_server
from tools.bench.processes import BenchError
from tools.bench.report import Measurement, Report, machine
from tools.bench.world import Load, make_devices

_BATCH = 20
_FULL = 1_000_000
_OTHERS = 20_000


async def run(bench: BenchDatabase, load: Load, processes: int, *, beside: bool) -> Report:
    """Measure one shape of message. Raises BenchError when readings were lost or doubled."""
    now = utcnow()
    await floor.empty(bench.db, devices=True)
    await make_devices(bench.db, load.devices, load.batch, now)
    environment = machine() | await bench.facts()
    found: list[Measurement] = []
    notes: list[str] = []
    program = broker.find_mosquitto()
    if program is None:
        notes.append("mosquitto is not installed: the whole path was not measured")
    else:
        for count in range(1, processes + 1):
            whole, version = await backlog.measure(bench, program, load, count)
            found.append(whole)
            environment["broker"] = version
            await floor.check(bench.db, load)
            await floor.empty(bench.db)
        if beside and load.batch == 1:
            found += await _beside(bench, program, load, notes)
    found.append(await pipeline.measure(bench.db, load))
    await floor.check(bench.db, load)
    found.append(await floor.bare_copy(bench.db))
    name = "gateways" if load.batch > 1 else "ingest"
    return Report(now, _title(load), environment, found[::-1], notes, name)


async def _beside(
    bench: BenchDatabase, program: str, load: Load, notes: list[str]
) -> list[Measurement]:
    """What others make of it, with as many messages as they can take in a reasonable time."""
    small = Load(load.devices, max(1, _OTHERS // load.devices))
    found = [await others.naive(bench, program, small)]
    try:
        found.append(await others.node_red(bench, program, small))
    except BenchError as error:
        notes.append(f"Node-RED was not measured: {error}")
    return found


def _title(load: Load) -> str:
    shape = f"gateway batches of {load.batch}" if load.batch > 1 else "single wearables' messages"
    return f"{load.messages:,} messages of {load.devices:,} devices, {shape}, five metrics each"


async def run_all(
    url: str, mode: StorageMode, loads: list[Load], processes: int, *, beside: bool
) -> list[Report]:
    """Measure every shape in one database."""
    async with bench_database(url, mode, utcnow()) as bench:
        return [await run(bench, load, processes, beside=beside) for load in loads]


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.ingest")
    parser.add_argument("--mode", choices=[mode.value for mode in StorageMode], default="plain")
    parser.add_argument("--shape", choices=["single", "gateway", "both"], default="both")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100_000, help="of all devices")
    parser.add_argument("--full", action="store_true", help="a million messages")
    parser.add_argument("--processes", type=int, default=1, help="up to so many that share")
    parser.add_argument(
        "--beside", action="store_true", help="also a naive consumer and Node-RED (npm)"
    )
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    each = max(1, (_FULL if options.full else options.messages) // options.devices)
    shapes = {"single": [1], "gateway": [_BATCH], "both": [1, _BATCH]}[options.shape]
    try:
        mode = StorageMode(options.mode)
        loads = [Load(options.devices, each, batch) for batch in shapes]
        with bench_server(mode) as url:
            beside = options.beside
            reports = asyncio.run(run_all(url, mode, loads, options.processes, beside=beside))
    except (BenchError, TimeoutError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for report in reports:
        print(f"{report.table()}\n")
        print(f"{report.write(options.output)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
