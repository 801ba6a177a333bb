"""What a soak may do to an installation under load, each by its name.

Every one returns when all processes are ready again.
"""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.disorder import counted, lives, publish_copies, watches
from tests.faults.elsewhere import cut_twice, far_ingest, without_own_ingest
from tests.faults.installation import Installation, until
from tests.faults.network import Line
from tests.faults.run import Run
from tests.faults.small_disk import Volume, use_up_the_log

PROCESSES = ("ingest", "web", "worker", "scheduler")
STALL_SECONDS = 20.0
"""How long something stands still: longer than any time limit on the way of a message."""
_MISSED = 3


@dataclass
class Scene:
    """Where it happens: the installation, its disk, the line to another network, the dice."""

    installation: Installation
    disk: Volume
    way: Line
    dice: random.Random
    copies: int = 0

    async def ready(self) -> None:
        for process in PROCESSES:
            await self.installation.ready(process)


Break = Callable[[Scene, Run], Awaitable[None]]


def _killed(process: str) -> Break:
    async def end(scene: Scene, _: Run) -> None:
        await scene.installation.end(process)

    return end


async def _broker_killed(scene: Scene, _: Run) -> None:
    await scene.installation.end("broker")
    await scene.ready()


async def _broker_restarted(scene: Scene, _: Run) -> None:
    await scene.installation.end("broker", signal.SIGTERM)
    await scene.ready()


async def _database_killed(scene: Scene, _: Run) -> None:
    await scene.installation.unwatch()
    await scene.installation.kill_database()
    # As long as a failover to a standby would take.
    await asyncio.sleep(STALL_SECONDS / 2)
    scene.installation.watch()
    await scene.ready()


def _database_stopped(how: str) -> Break:
    async def stop(scene: Scene, _: Run) -> None:
        server = scene.installation.stack.postgres
        if how == "smart":
            # Whoever is in may go on, nobody else gets in: with pools it never ends by itself.
            assert server.pid is not None
            os.kill(server.pid, signal.SIGTERM)
            await asyncio.sleep(STALL_SECONDS / 4)
        await asyncio.to_thread(server.stop, immediate=how == "immediate")
        await scene.ready()

    return stop


async def _ingest_stalled(scene: Scene, _: Run) -> None:
    """Neither dead nor alive: a machine that swaps, a virtual machine that is moved."""
    pid = scene.installation.stack.children["ingest"].process.pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(STALL_SECONDS)
    os.kill(pid, signal.SIGCONT)
    await scene.ready()


async def _network_cut(scene: Scene, run: Run) -> None:
    """Ingest goes on with its sessions at the other end of a line, which is cut, and comes back."""
    installation = scene.installation
    async with (
        without_own_ingest(installation),
        far_ingest(installation, scene.way) as connected,
    ):
        await run.more()
        await cut_twice(run, scene.way, connected)
    await scene.ready()


def _disk_full(log: bool) -> Break:
    """The tables find no room, and ingest waits; or the `log` finds none, and the server ends.

    One that ends may recover without any; one that goes on may end of its log all the same.
    """
    reasons = ("disk is full", "the database does not")

    async def fill(scene: Scene, run: Run) -> None:
        installation = scene.installation
        scene.disk.fill()
        try:
            if log:
                await use_up_the_log(installation.stack.database_url)

            async def says_so() -> bool:
                # What was deleted meanwhile gave room back.
                scene.disk.fill()
                said = await installation.readiness("ingest")
                return any(reason in said for reason in reasons)

            await until(says_so, "ingest to say why it waits")
            sent = len(run.load.alarms())

            async def waits() -> bool:
                return len(run.load.alarms()) >= sent + _MISSED

            await until(waits, f"{_MISSED} alarms that cannot be stored")
        finally:
            scene.disk.free()
        await scene.ready()

    return fill


async def _disorder(scene: Scene, run: Run) -> None:
    """Copies in any order, of sessions that these devices have never had."""
    devices = watches(scene.installation)
    scene.copies += 1
    told = lives(devices, scene.dice, f"disorder-{scene.copies}")
    run.also(*counted(devices))
    await publish_copies(scene.installation.stack.mqtt_port, told, scene.dice)


BREAKS: dict[str, Break] = {
    **{f"{process} killed": _killed(process) for process in PROCESSES},
    "broker killed": _broker_killed,
    "broker restarted": _broker_restarted,
    "database killed": _database_killed,
    "database stopped smart, then fast": _database_stopped("smart"),
    "database stopped fast": _database_stopped("fast"),
    "database stopped immediate": _database_stopped("immediate"),
    "ingest stalled": _ingest_stalled,
    "network cut": _network_cut,
    "disk full": _disk_full(log=False),
    "disk full of log": _disk_full(log=True),
    "copies in disorder": _disorder,
}


class Deck:
    """Deals the breaks in any order, each as often as every other."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._left: list[str] = []

    def deal(self) -> str:
        if not self._left:
            self._left = sorted(BREAKS)
            self._dice.shuffle(self._left)
        return self._left.pop()
