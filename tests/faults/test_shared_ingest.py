"""Two ingest processes share what comes over MQTT 5; one of them is killed."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from app.stack import free_port
from tests.faults.installation import Installation, MosquittoStack, metric, until
from tests.faults.run import running

GROUP = "SILVERLINE_MQTT__SHARE_GROUP"
NAME = "SILVERLINE_MQTT__CLIENT_ID"
TAKEN = "silverline_ingest_messages_total"


@asynccontextmanager
async def sharing(installation: Installation) -> AsyncIterator[None]:
    """The supervisor's ingest is the first of the group; afterwards everything is as it was."""
    stack = installation.stack
    assert isinstance(stack, MosquittoStack)
    for settings, old in (({GROUP: "ingest", NAME: "one"}, "silverline-ingest"), ({}, "one")):
        stack.more = settings
        await installation.end("ingest", signal.SIGTERM)
        # What is left of a session would wait for it, and count, for days.
        for lane in ("bulk", "express"):
            await forget_session(stack.mqtt_port, f"{old}-{lane}")
        if settings:
            yield


async def forget_session(port: int, name: str) -> None:
    """A clean connection under a name ends the session that the broker keeps for it."""
    client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=True)
    client.connect("127.0.0.1", port)
    client.loop_start()

    async def connected() -> bool:
        return client.is_connected()

    await until(connected, f"the broker to take in {name}")
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_one_of_two_that_share_is_killed_and_nothing_is_lost_or_doubled(
    installation: Installation, name: str
) -> None:
    port = free_port("127.0.0.1", 0)
    second = {GROUP: "ingest", NAME: "two"}

    async def takes_in() -> bool:
        return (await metric(port, TAKEN) or 0) > 0

    async with sharing(installation), running(name, installation) as run:
        async with installation.another("ingest", port, **second) as pid:
            await until(takes_in, "the second ingest to take its share")
            await run.more()
            os.kill(pid, signal.SIGKILL)
            # The broker goes on dealing to both: what the second is dealt waits for it.
            await run.more(messages=50)
        async with installation.another("ingest", port, **second):
            await until(takes_in, "the second ingest to be back")
            await run.more()
            await run.settle()
        for lane in ("bulk", "express"):
            await forget_session(installation.stack.mqtt_port, f"two-{lane}")
