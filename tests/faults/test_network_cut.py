"""The network between ingest and the broker is cut under load, and comes back."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.stack import free_port
from tests.faults.installation import Installation, MosquittoStack, readiness, until
from tests.faults.network import INSIDE, OUTSIDE, Line, line
from tests.faults.run import Run, running
from tests.faults.test_shared_ingest import without_own_ingest

MISSED = 3

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks")


@asynccontextmanager
async def reachable(installation: Installation) -> AsyncIterator[Line]:
    """A line to a network of its own, whose near end the broker listens on too."""
    stack = installation.stack
    assert isinstance(stack, MosquittoStack)
    with line() as way:
        stack.addresses = (OUTSIDE,)
        await installation.end("broker")
        yield way
        stack.addresses = ()
    await installation.end("broker")


async def missed(run: Run, alarms: int) -> None:
    """Wait until devices have sent so many alarms in a row of which nothing arrives.

    What had come before the cut may still be on its way into the database.
    """
    stored, sent = -1, 0

    async def silent() -> bool:
        nonlocal stored, sent
        if (now := await run.messages()) != stored:
            stored, sent = now, len(run.load.alarms())
        return len(run.load.alarms()) >= sent + alarms

    await until(silent, f"{alarms} alarms to be sent into the broken line")


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_the_line_to_the_broker_is_cut_and_everything_is_stored_once(
    installation: Installation, name: str
) -> None:
    port = free_port("127.0.0.1", 0)
    # A session of its own, and a keep-alive short enough to be over while the line is cut.
    settings = {
        "SILVERLINE_MQTT__HOST": OUTSIDE,
        "SILVERLINE_MQTT__CLIENT_ID": "far",
        "SILVERLINE_MQTT__KEEPALIVE": "4",
        "SILVERLINE_HEALTH__HOST": INSIDE,
    }

    async def connected() -> bool:
        return await readiness(port, INSIDE) == "ready"

    async with (
        reachable(installation) as way,
        without_own_ingest(installation, "far"),
        installation.another("ingest", port, way.prefix, **settings),
    ):
        await until(connected, "ingest at the other end of the line")
        async with running(name, installation, "rescue-over-mqtt", watches=False) as run:
            await run.more()
            # Shorter than anybody notices: what was under way is sent again by TCP.
            way.cut()
            await missed(run, MISSED)
            way.mend()
            await run.more()
            # Longer than the keep-alive: the broker has given ingest up, and ingest comes back.
            way.cut()
            await missed(run, 3 * MISSED)
            way.mend()
            await until(connected, "ingest to be connected again")
            await run.more()
            await run.settle()
