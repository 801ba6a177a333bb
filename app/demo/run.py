"""`silverline demo`: with a person in front of it, or headless with a scripted operator."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import structlog

from app.demo.operator import ScriptedOperator
from app.demo.seed import Account, seed_demo
from app.demo.simulator import Simulator
from app.demo.tally import Tally, count
from app.embedded.children import EmbeddedError
from app.processes import stop_on_signals
from app.stack import Stack, StackSettings
from ingest.telemetry.modes import ensure_storage, probe
from kernel.clock import utcnow
from kernel.crypto import FieldCipher, parse_master_key
from kernel.db import TRANSIENT_ERRORS, Database, fetch_value

log = structlog.get_logger(__name__)
Progress = Callable[[str], None]
SEATS = 2
SETTLE_SECONDS = 30.0


class Demo:
    """A stack with demonstration data and simulated devices."""

    def __init__(
        self, settings: StackSettings, devices: int, progress: Progress, *, past: bool = False
    ) -> None:
        self.devices = devices
        self.past = past
        self.stack = Stack(settings, progress)
        self.accounts: list[Account] = []
        self._progress = progress
        self._simulator: Simulator | None = None

    @property
    def simulator(self) -> Simulator:
        """The simulated devices. Raises EmbeddedError before `start`."""
        if self._simulator is None:
            raise EmbeddedError("the demonstration has not started")
        return self._simulator

    async def start(self) -> None:
        """Start the database, fill it if it is empty, then the processes."""
        await self.stack.start_database()
        cipher = FieldCipher({1: parse_master_key(self.stack.secrets.master_key)})
        db = await Database.open(self.stack.database_url)
        try:
            async with db.connection() as conn:
                mode = await probe(conn)
            self._progress("体征数据表准备中 · preparing the tables of readings")
            await ensure_storage(db, mode, utcnow())
            self.accounts = await seed_demo(
                db, cipher, self.stack.data_dir, self.devices, utcnow(),
                past=self.past, progress=self._progress,
            )  # fmt: skip
        finally:
            await db.close()
        await self.stack.start_processes()
        self._simulator = Simulator(
            self.stack.data_dir, self.stack.mqtt_port, self.stack.watch_port
        )

    async def stop(self) -> None:
        """End the simulator, then the stack."""
        process = self._simulator.process if self._simulator else None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 12)
            except subprocess.TimeoutExpired:
                process.kill()
        await self.stack.stop()


async def run_with_a_person(
    settings: StackSettings, devices: int, scenario: str, progress: Progress,
    ready: Callable[[Demo], None],
) -> None:  # fmt: skip
    """Run until Ctrl-C."""
    stop = stop_on_signals()
    demo = Demo(settings, devices, progress, past=True)
    asking: asyncio.Task[None] | None = None
    try:
        await demo.start()
        progress("模拟设备上线中 · simulated devices connect")
        demo.simulator.start(scenario=scenario, devices=None, seconds=None, control=True)
        asking = asyncio.create_task(listen_for_wishes(demo))
        ready(demo)
        await demo.stack.watch(stop)
    finally:
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        progress("正在停止 · stopping")
        await demo.stop()


async def listen_for_wishes(demo: Demo) -> None:
    """Pass on what the console's demonstration buttons wish for: 模拟一次跌倒.

    The button must go the way of a real alarm, so the web process asks for it by NOTIFY and a
    simulated device publishes it.
    """
    db = await Database.open(demo.stack.database_url, max_size=2)
    try:
        while True:
            try:
                async with db.dedicated() as conn:
                    await conn.execute("LISTEN demo")
                    async for notice in conn.notifies():
                        _pass_on(demo, notice.payload)
            except TRANSIENT_ERRORS:
                await asyncio.sleep(1.0)
    finally:
        await db.close()


def _pass_on(demo: Demo, wish: str) -> None:
    try:
        demo.simulator.ask(str(json.loads(wish)["kind"]))
    except (ValueError, KeyError, TypeError) as error:
        log.warning("demo.wish_unreadable", error=type(error).__name__)
    except OSError:
        # The simulated devices have ended; the rest of the demonstration goes on.
        log.warning("demo.simulator_gone")


async def run_headless(
    data_dir: Path, devices: int, seconds: float, scenario: str, progress: Progress
) -> Tally:
    """Run for `seconds` on a database of its own, with scripted operators, and count."""
    stop = stop_on_signals()
    folder = data_dir / "headless"
    _forget(folder)
    settings = StackSettings(folder, web_port=0, mqtt_port=0, watch_port=0, demo=True)
    demo = Demo(settings, devices, progress)
    watching: asyncio.Task[None] | None = None
    seats: list[asyncio.Task[None]] = []
    try:
        await demo.start()
        watching = asyncio.create_task(demo.stack.watch(stop))
        operators = [
            ScriptedOperator(demo.stack.url, account.username, account.password)
            for account in demo.accounts
            if account.role == "operator"
        ][:SEATS]
        seats = [asyncio.create_task(operator.run()) for operator in operators]
        await _seats_taken(operators, seats)
        progress(f"模拟设备运行 {seconds:g} 秒 · {devices} devices publish for {seconds:g} s")
        demo.simulator.start(scenario=scenario, devices=devices, seconds=seconds)
        await _simulator_ends(demo, seconds, seats, stop)
        progress("等待处置完毕 · waiting until everything is stored and resolved")
        return await _settle_and_count(demo, operators)
    finally:
        for task in [*seats, *([watching] if watching else [])]:
            task.cancel()
        await asyncio.gather(*seats, *([watching] if watching else []), return_exceptions=True)
        await demo.stop()


async def _seats_taken(operators: list[ScriptedOperator], seats: list[asyncio.Task[None]]) -> None:
    """Wait until every operator hears the live feed; a seat that failed says why."""
    async with asyncio.timeout(20):
        while not all(operator.listening.is_set() for operator in operators):
            for seat in seats:
                if seat.done():
                    seat.result()
            await asyncio.sleep(0.05)


async def _simulator_ends(
    demo: Demo, seconds: float, seats: list[asyncio.Task[None]], stop: asyncio.Event
) -> None:
    process = demo.simulator.process
    async with asyncio.timeout(seconds + 90):
        while process is not None and process.poll() is None:
            for seat in seats:
                if seat.done():
                    seat.result()
            if stop.is_set():
                raise EmbeddedError("stopped before the end: nothing was counted")
            await asyncio.sleep(0.1)
    if process is None or process.returncode != 0:
        code = process.returncode if process else None
        raise EmbeddedError(f"the simulator ended with {code}; run it by hand to see why")


async def _settle_and_count(demo: Demo, operators: list[ScriptedOperator]) -> Tally:
    report = demo.simulator.report()
    db = await Database.open(demo.stack.database_url)
    try:
        async with db.connection() as conn:
            mode = await probe(conn)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        while True:
            tally = await count(
                db,
                report,
                demo.simulator.alarms(),
                [ring for operator in operators for ring in operator.rung],
                storage_mode=mode.value,
                broker=f"amqtt {metadata.version('amqtt')} (embedded)",
            )
            if tally.clean and not await _open_incidents(db):
                return tally
            if loop.time() > deadline:
                return tally
            await asyncio.sleep(0.25)
    finally:
        await db.close()


async def _open_incidents(db: Database) -> int:
    async with db.connection() as conn:
        return int(
            await fetch_value(conn, "SELECT count(*) FROM incident WHERE status <> 'resolved'")
        )


def _forget(folder: Path) -> None:
    """Remove the data of an earlier headless run, but not of one that is running."""
    if folder.exists():
        Stack.check_unused(folder)
        shutil.rmtree(folder)
