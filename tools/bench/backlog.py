"""The whole path: a backlog that waits in the broker's persistent session is drained."""

import asyncio
import tempfile
import time
from pathlib import Path

from kernel.clock import utcnow
from tools.bench import broker
from tools.bench.database import BenchDatabase
from tools.bench.processes import BenchError, Ingest, Spent, spent
from tools.bench.report import Measurement
from tools.bench.world import READINGS, Load, messages

_STALLED_SECONDS = 30.0
_NAMES = {1: "whole path", 2: "two processes"}


async def measure(
    bench: BenchDatabase, program: str, load: Load, processes: int, *, skip: float = 0.0
) -> tuple[Measurement, str]:
    """Let ingest subscribe and leave, fill the broker, start ingest again and watch it drain.

    What counts is the time from the first commit that is seen to the last, and the messages in
    between: work, not the start of Python. With `skip` it begins when that share is stored.
    """
    with tempfile.TemporaryDirectory(prefix="silverline-bench-") as name:
        folder = Path(name)
        server = broker.Mosquitto(program, folder)
        server.start()
        try:
            for each in await _start(bench.url, server.port, folder, processes):
                each.end()
            stream = messages(load, f"whole{processes}", utcnow())
            frames = await asyncio.to_thread(broker.publish, server.port, stream)
            if frames != load.frames:
                raise BenchError(f"{frames} of {load.frames} frames were published")
            ingests = await _start(bench.url, server.port, folder, processes, wait=False)
            try:
                stored, seconds, used = await _drain(bench, server.pid, ingests, load, skip)
            finally:
                for each in ingests:
                    each.end()
        finally:
            server.stop()
    what = "backlog in mosquitto → MQTT → ingest → PostgreSQL"
    if processes > 1:
        what += f", {processes} ingest processes on a shared subscription"
    cpu = {"broker": used.broker, "ingest": used.ingest, "database": used.database}
    name = _NAMES.get(processes, f"{processes} processes")
    measured = Measurement(name, what, stored, stored * READINGS, seconds, cpu, used.stages)
    return measured, server.version()


async def _start(
    url: str, port: int, folder: Path, processes: int, *, wait: bool = True
) -> list[Ingest]:
    share = "bench" if processes > 1 else ""
    started = [
        Ingest(url, port, folder / f"ingest-{n}.log", share=share, name=f"bench-{n}")
        for n in range(processes)
    ]
    if wait:
        for each in started:
            await each.ready()
    return started


async def _drain(
    bench: BenchDatabase, broker_pid: int, ingests: list[Ingest], load: Load, skip: float
) -> tuple[int, float, Spent]:
    """(messages, seconds, processor time) from the first messages stored to the last."""
    first, began = 0, time.perf_counter()
    before = await spent(broker_pid, ingests, bench.db)
    while first <= load.messages * skip:
        first = await _stored(ingests, load)
    seen, seen_at = first, time.perf_counter()
    if first >= load.messages:
        # So few that the start of Python is most of it: such a run only shows that it runs.
        first = 0
    else:
        before = await spent(broker_pid, ingests, bench.db)
        first = seen = await _stored(ingests, load)
        began = seen_at = time.perf_counter()
    while seen < load.messages:
        now = await _stored(ingests, load)
        if now > seen:
            seen, seen_at = now, time.perf_counter()
        elif time.perf_counter() - seen_at > _STALLED_SECONDS:
            raise BenchError(f"{seen} of {load.messages} messages, and no more come")
    ended, after = time.perf_counter(), await spent(broker_pid, ingests, bench.db)
    return seen - first, ended - began, after.since(before)


async def _stored(ingests: list[Ingest], load: Load) -> int:
    await asyncio.sleep(0.02 if load.messages < 50_000 else 0.1)
    found = [await each.metrics() for each in ingests]
    return int(sum(each.get("silverline_ingest_messages_total", 0) for each in found))
