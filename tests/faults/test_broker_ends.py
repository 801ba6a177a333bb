"""The broker ends in the middle of a rescue and comes back; devices and ingest find it again."""

import signal

import pytest

from tests.faults.installation import DEVICES, Installation
from tests.faults.run import Run, running


async def end_broker(installation: Installation, run: Run, how: signal.Signals) -> None:
    await run.more()
    await installation.end("broker", how)
    await installation.ready("ingest")
    await run.more()


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_a_broker_with_its_sessions_on_disk_is_killed_and_ended_and_nothing_is_lost(
    installation: Installation, name: str
) -> None:
    async with running(name, installation) as run:
        for how in (signal.SIGKILL, signal.SIGTERM):
            await end_broker(installation, run, how)
        # A broker that is away reports nobody as cut off.
        await run.settle(wills=False)


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_the_embedded_broker_is_ended_and_what_it_acknowledged_is_handed_over(
    installation: Installation, name: str
) -> None:
    async with running(name, installation) as run:
        await end_broker(installation, run, signal.SIGTERM)
        await run.settle(wills=False)


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_the_embedded_broker_is_killed_and_loses_at_most_what_it_had_not_delivered(
    installation: Installation, name: str
) -> None:
    async with running(name, installation) as run:
        await end_broker(installation, run, signal.SIGKILL)
        # In memory only (ADR 0004): what is promised is that devices send the rest again, that
        # nothing is doubled, and that it is milliseconds' worth: less than a message a device.
        await run.settle(wills=False, may_lose=DEVICES)
