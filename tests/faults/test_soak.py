"""The long form of the fault suite (`make soak MINUTES=60`): anything ends at any time, for hours.

The load goes on in rounds; in each round several things are broken, one after the other, dealt at
random, and at its end the books must balance to the message. The seed is printed, so that a round
that found something can be had again (SILVERLINE_SOAK_SEED).

The database lies on a disk of its own, in memory: it takes some hundred megabytes an hour, at most
SILVERLINE_SOAK_DISK_MB.
"""

import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.books import Balance
from tests.faults.breaks import BREAKS, PROCESSES, Deck, Scene
from tests.faults.elsewhere import reachable
from tests.faults.installation import Installation
from tests.faults.run import LINES, running
from tests.faults.small_disk import Volume

MINUTES = float(os.environ.get("SILVERLINE_SOAK_MINUTES", "0"))
SEED = int(os.environ.get("SILVERLINE_SOAK_SEED", time.time_ns() % 1_000_000))
DISK_MB = int(os.environ.get("SILVERLINE_SOAK_DISK_MB", "4096"))
IN_A_ROUND = 5


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """An installation whose database may run out of disk, and a network that ingest may go to."""
    folder = tmp_path / "soak"
    disk = Volume(folder / "postgres", DISK_MB)
    disk.mount()
    installation = Installation(folder, "mosquitto", disk)
    try:
        await installation.start()
        async with reachable(installation) as way:
            yield Scene(installation, disk, way, random.Random(SEED))
        await installation.stop()
    finally:
        disk.unmount()


async def play(number: int, scene: Scene, deck: Deck) -> tuple[list[str], Balance]:
    """One round; returns what was broken in it, and how the books stand."""
    broken = []
    async with running(f"round {number}", scene.installation) as run:
        for _ in range(IN_A_ROUND):
            await run.more()
            broken.append(deck.deal())
            await BREAKS[broken[-1]](scene, run)
        await run.more()
        # A broker that is away has nobody to report as cut off.
        return broken, await run.settle(wills=False)


def say(line: str) -> None:
    LINES.append(line)
    print(line)  # noqa: T201 - the line of the round


@pytest.mark.soak
@pytest.mark.isolated(always=True)
@pytest.mark.timeout(0)
async def test_anything_ends_at_any_time_and_nothing_is_lost_or_doubled(scene: Scene) -> None:
    deck, done = Deck(scene.dice), Counter[str]()
    results: list[Balance] = []
    say(f"seed {SEED}, {MINUTES:g} minutes")
    begun = time.monotonic()
    while not results or time.monotonic() < begun + MINUTES * 60:
        broken, result = await play(len(results) + 1, scene, deck)
        results.append(result)
        done.update(broken)
        held = [f"{p} {scene.installation.memory(p) // 1_000_000} MB" for p in PROCESSES]
        held.append(f"disk {scene.disk.used // 1_000_000} MB")
        say(f"  {'; '.join(broken)} · {', '.join(held)}")
    say(
        f"{len(results)} rounds in {(time.monotonic() - begun) / 60:.1f} minutes:"
        f" sent {sum(r.sent for r in results)} stored {sum(r.stored for r in results)}"
        f" doubled {sum(r.doubled for r in results)} lost {sum(r.lost for r in results)}"
    )
    say("  " + ", ".join(f"{what} {number}×" for what, number in sorted(done.items())))
