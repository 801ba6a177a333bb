"""How long an alarm takes while vitals flow: publish → row committed → event at an operator's seat.

    python -m tools.bench.alarms [--alarms N] [--rate MESSAGES_A_SECOND] [--mode plain|apache]

Without `--rate` the vitals flow at half of the maximum, which is measured first: the same backlog
as in tools.bench.ingest. Broker, database, ingest, web, the sender of the vitals and this program
share the machine. Each alarm is an SOS of another elder and opens an incident; it is published when
the one before it has arrived, after a pause of random length.
"""

import argparse
import asyncio
import json
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ingest.telemetry.model import StorageMode
from kernel.auth.model import SYSTEM, Role
from kernel.auth.users import create_user
from kernel.clock import utcnow
from kernel.db import fetch_value
from tools.bench import backlog, broker, floor
from tools.bench.database import BenchDatabase, bench_database, bench_server
from tools.bench.processes import BenchError, Ingest, Web, flood
from tools.bench.report import machine, write_json
from tools.bench.world import Load, Published, make_devices

_DEVICES = 1000
_WARM_SECONDS = 3.0
_PATIENCE = 30.0


@dataclass(slots=True)
class Trip:
    """When an alarm was published, committed and shown, by the clock of this program (s)."""

    published: float
    committed: float = 0.0
    shown: float = 0.0


class Seat:
    """An operator's browser: logged in, on the live feed. And the database's own word beside it."""

    def __init__(self, bench: BenchDatabase, base_url: str, username: str, password: str):
        self._bench = bench
        self._base_url = base_url
        self._username, self._password = username, password
        self.shown: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        self.committed: dict[str, float] = {}
        self.listening = asyncio.Event()
        self.notified = asyncio.Event()

    async def watch(self) -> None:
        """Be told of incidents until cancelled."""
        async with httpx.AsyncClient(
            base_url=self._base_url, timeout=30, trust_env=False
        ) as client:
            page = await client.get("/login", headers={"Accept": "application/json"})
            token = page.json()["csrf_token"]
            form = {"username": self._username, "password": self._password, "_csrf": token}
            await client.post("/login", data=form, headers={"Origin": self._base_url})
            async with client.stream("GET", "/live", timeout=None) as stream:
                stream.raise_for_status()
                async for line in stream.aiter_lines():
                    event = json.loads(line[5:]) if line.startswith("data:") else {}
                    if event.get("event") == "resync":
                        self.listening.set()
                    elif event.get("event") == "incident.opened":
                        self.shown.put_nowait((event["id"], time.perf_counter()))

    async def overhear(self) -> None:
        """Note when transactions are committed: that is when their notifications come."""
        async with self._bench.db.dedicated() as conn:
            await conn.execute("LISTEN live")
            self.notified.set()
            async for notice in conn.notifies():
                event = json.loads(notice.payload)
                if event["event"] == "incident.opened":
                    self.committed[event["data"]["id"]] = time.perf_counter()


async def run(url: str, mode: StorageMode, alarms: int, rate: float) -> dict[str, object]:
    """Measure and return the figures. Raises BenchError when an alarm does not arrive."""
    program = broker.find_mosquitto()
    if program is None:
        raise BenchError("mosquitto is not installed")
    now = utcnow()
    async with bench_database(url, mode, now) as bench:
        await make_devices(bench.db, max(_DEVICES, alarms), 1, now)
        figures: dict[str, object] = {"at": now.isoformat(), **machine(), **await bench.facts()}
        if rate <= 0:
            whole, _ = await backlog.measure(bench, program, Load(_DEVICES, 200), 1)
            figures["maximum, messages/s"] = round(whole.messages / whole.seconds)
            rate = whole.messages / whole.seconds / 2
            await floor.empty(bench.db)
        for name, flow in (("alone", 0.0), ("under load", rate)):
            trips = await _measure(bench, program, alarms, flow, figures)
            figures[name] = _summary(trips)
            await _forget_incidents(bench)
        return figures


async def _measure(
    bench: BenchDatabase, program: str, alarms: int, rate: float, figures: dict[str, object]
) -> list[Trip]:
    async with _running(bench, program) as (port, seat):
        if rate <= 0:
            return await _alarms(port, seat, alarms)
        async with flood(port, _DEVICES, rate):
            await asyncio.sleep(_WARM_SECONDS)
            begun, before = time.perf_counter(), await _stored(bench)
            trips = await _alarms(port, seat, alarms)
            stored, took = await _stored(bench) - before, time.perf_counter() - begun
        figures["vitals wanted, messages/s"] = round(rate)
        figures["vitals stored meanwhile, messages/s"] = round(stored / took)
        return trips


@asynccontextmanager
async def _running(bench: BenchDatabase, program: str) -> AsyncIterator[tuple[int, Seat]]:
    """Broker, ingest, web and an operator who listens."""
    password, username = secrets.token_urlsafe(18), f"bench{secrets.token_hex(4)}"
    async with bench.db.transaction() as tx:
        await create_user(
            tx,
            username=username,
            display_name="席位",
            roles=[Role.OPERATOR],
            division="15",
            password=password,
            must_change_password=False,
            actor=SYSTEM,
            now=utcnow(),
        )
    with tempfile.TemporaryDirectory(prefix="silverline-bench-") as name:
        folder = Path(name)
        server = broker.Mosquitto(program, folder)
        server.start()
        ingest = Ingest(bench.url, server.port, folder / "ingest.log")
        web = Web(bench.url, folder / "web.log")
        try:
            await ingest.ready()
            await web.ready()
            seat = Seat(bench, web.base_url, username, password)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(seat.watch()), group.create_task(seat.overhear())]
                async with asyncio.timeout(_PATIENCE):
                    await seat.listening.wait()
                    await seat.notified.wait()
                yield server.port, seat
                for task in tasks:
                    task.cancel()
        finally:
            web.end()
            ingest.end()
            server.stop()


async def _alarms(port: int, seat: Seat, alarms: int) -> list[Trip]:
    chance = random.Random(12349)  # noqa: S311 - pauses, not secrets
    publisher = await asyncio.to_thread(broker.Publisher, port, "pendant")
    trips: list[Trip] = []
    for number in range(1, alarms + 1):
        await asyncio.sleep(chance.uniform(0.01, 0.09))
        at = int(utcnow().timestamp() * 1000)
        body = f'{{"seq":{time.time_ns() % 10**15},"t":{at},"alarm":"sos"}}'.encode()
        message = Published(f"silverline/v1/BENCH-{number:06d}/alarm", body)
        trip = Trip(time.perf_counter())
        publisher.publish([message], wait=False)
        async with asyncio.timeout(_PATIENCE):
            incident, trip.shown = await seat.shown.get()
            while incident not in seat.committed:  # noqa: ASYNC110 - it is on its way
                await asyncio.sleep(0.001)
        trip.committed = seat.committed[incident]
        trips.append(trip)
    publisher.close()
    return trips


async def _stored(bench: BenchDatabase) -> int:
    async with bench.db.connection() as conn:
        return int(await fetch_value(conn, "SELECT count(*) FROM ingest_message"))


async def _forget_incidents(bench: BenchDatabase) -> None:
    await floor.empty(bench.db)
    async with bench.db.transaction() as tx:
        await tx.execute("TRUNCATE incident, alarm, outbox CASCADE")


def _summary(trips: list[Trip]) -> dict[str, dict[str, float]]:
    """Milliseconds from publishing on."""

    def spread(values: list[float]) -> dict[str, float]:
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        found = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
        return {name: round(value * 1000, 1) for name, value in found.items()}

    return {
        "row committed": spread([trip.committed - trip.published for trip in trips]),
        "event at the seat": spread([trip.shown - trip.published for trip in trips]),
    }


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.alarms")
    parser.add_argument("--mode", choices=[mode.value for mode in StorageMode], default="plain")
    parser.add_argument("--alarms", type=int, default=200)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    try:
        mode = StorageMode(options.mode)
        with bench_server(mode) as url:
            figures = asyncio.run(run(url, mode, options.alarms, options.rate))
    except (BenchError, TimeoutError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(write_json(options.output, "alarms", utcnow(), figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
