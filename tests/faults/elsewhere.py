"""Ingest somewhere else than under the supervisor: beside it, or at the end of a line to cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from app.stack import free_port
from tests.faults.installation import Installation, MosquittoStack, readiness, until
from tests.faults.network import INSIDE, OUTSIDE, Line, line
from tests.faults.run import Run

OWN = "silverline-ingest"
MISSED = 3
# Short enough to be over while the line is cut.
KEEPALIVE = "4"


@asynccontextmanager
async def without_own_ingest(installation: Installation) -> AsyncIterator[None]:
    """The supervisor's ingest is away; afterwards it is back. Nothing is supervised meanwhile."""
    await installation.unwatch()
    ingest = installation.stack.children["ingest"].process
    ingest.terminate()
    await asyncio.to_thread(ingest.wait, 20)
    try:
        yield
    finally:
        installation.watch()
        await installation.ready("ingest")


@asynccontextmanager
async def sessions(installation: Installation, *names: str) -> AsyncIterator[None]:
    """Sessions of ingest of these names, and none of its own, at the broker; then the reverse.

    What is left of a session would wait for it, and be dealt its share, for days.
    """
    await _forget_sessions(installation, OWN)
    try:
        yield
    finally:
        await _forget_sessions(installation, *names)


async def _forget_sessions(installation: Installation, *names: str) -> None:
    for name in names:
        for lane in ("bulk", "express"):
            await _forget_session(installation.stack.mqtt_port, f"{name}-{lane}")


async def _forget_session(port: int, name: str) -> None:
    """A clean connection under a name ends the session that the broker keeps for it."""
    client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=True)
    client.connect("127.0.0.1", port)
    client.loop_start()

    async def connected() -> bool:
        return client.is_connected()

    await until(connected, f"the broker to take in {name}")
    client.disconnect()
    client.loop_stop()


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


@asynccontextmanager
async def far_ingest(
    installation: Installation, way: Line, name: str = OWN
) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """An ingest at the other end of the line; yields whether it is connected to the broker."""
    port = free_port("127.0.0.1", 0)
    settings = {
        "SILVERLINE_MQTT__HOST": OUTSIDE,
        "SILVERLINE_MQTT__CLIENT_ID": name,
        "SILVERLINE_MQTT__KEEPALIVE": KEEPALIVE,
        "SILVERLINE_HEALTH__HOST": INSIDE,
    }

    async def connected() -> bool:
        return await readiness(port, INSIDE) == "ready"

    async with installation.another("ingest", port, way.prefix, **settings):
        await until(connected, "ingest at the other end of the line")
        yield connected


async def cut_twice(run: Run, way: Line, connected: Callable[[], Awaitable[bool]]) -> None:
    """Cut the line for a moment, then for so long that the broker gives ingest up."""
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
