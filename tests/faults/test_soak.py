"""The long form of the fault suite (`make soak MINUTES=60`): anything ends at any time, for hours.

The load goes on in rounds; in each round several parts are ended, one after the other, drawn at
random, and at its end the books must balance to the message. The seed is printed, so that a round
that found something can be had again (SILVERLINE_SOAK_SEED).
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.installation import Installation
from tests.faults.run import LINES, Run, running

MINUTES = float(os.environ.get("SILVERLINE_SOAK_MINUTES", "0"))
SEED = int(os.environ.get("SILVERLINE_SOAK_SEED", time.time_ns() % 1_000_000))
IN_A_ROUND = 6
STALL_SECONDS = 20.0
PROCESSES = ("ingest", "web", "worker", "scheduler")

Break = Callable[[Installation], Awaitable[None]]


def _killed(process: str) -> Break:
    async def end(installation: Installation) -> None:
        await installation.end(process)

    return end


async def _broker_killed(installation: Installation) -> None:
    await installation.end("broker")
    await installation.ready("ingest")


async def _broker_restarted(installation: Installation) -> None:
    await installation.end("broker", signal.SIGTERM)
    await installation.ready("ingest")


async def _database_killed(installation: Installation) -> None:
    await installation.unwatch()
    await installation.kill_database()
    # As long as a failover to a standby would take.
    await asyncio.sleep(STALL_SECONDS / 2)
    installation.watch()
    for process in PROCESSES:
        await installation.ready(process)


async def _ingest_stalled(installation: Installation) -> None:
    """Neither dead nor alive: a machine that swaps, a virtual machine that is moved."""
    pid = installation.stack.children["ingest"].process.pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(STALL_SECONDS)
    os.kill(pid, signal.SIGCONT)
    await installation.ready("ingest")


BREAKS: dict[str, Break] = {
    **{f"{process} killed": _killed(process) for process in PROCESSES},
    "broker killed": _broker_killed,
    "broker restarted": _broker_restarted,
    "database killed": _database_killed,
    "ingest stalled": _ingest_stalled,
}


async def _round(run: Run, installation: Installation, dice: random.Random) -> list[str]:
    """Load with several parts ending in it; return which."""
    ended = []
    for _ in range(IN_A_ROUND):
        await run.more()
        what = dice.choice(sorted(BREAKS))
        ended.append(what)
        await BREAKS[what](installation)
    await run.more()
    # A broker that is away has nobody to report as cut off.
    await run.settle(wills=False)
    return ended


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_anything_ends_at_any_time_and_nothing_is_lost_or_doubled(
    installation: Installation,
) -> None:
    dice = random.Random(SEED)
    LINES.append(f"seed {SEED}, {MINUTES:g} minutes")
    until = time.monotonic() + MINUTES * 60
    number = 0
    while number == 0 or time.monotonic() < until:
        number += 1
        async with running(f"round {number}", installation) as run:
            ended = await _round(run, installation, dice)
        held = ", ".join(f"{p} {installation.memory(p) // 1_000_000} MB" for p in PROCESSES)
        LINES.append(f"  {'; '.join(ended)} · {held}")
        print(LINES[-1])  # noqa: T201 - the line of the round
