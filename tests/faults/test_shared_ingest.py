"""Two ingest processes share what comes over MQTT 5; one of them is killed."""

import os
import signal

import pytest

from app.stack import free_port
from tests.faults.elsewhere import sessions, without_own_ingest
from tests.faults.installation import Installation, metric, readiness, until
from tests.faults.run import running

GROUP = "SILVERLINE_MQTT__SHARE_GROUP"
NAME = "SILVERLINE_MQTT__CLIENT_ID"
TAKEN = "silverline_ingest_messages_total"


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_one_of_two_that_share_is_killed_and_nothing_is_lost_or_doubled(
    installation: Installation, name: str
) -> None:
    ports = free_port("127.0.0.1", 0), free_port("127.0.0.1", 0)
    one, two = ({GROUP: "ingest", NAME: each} for each in ("one", "two"))
    one["SILVERLINE_WATCH__PORT"] = str(installation.stack.watch_port)

    async def ready() -> bool:
        return [await readiness(port) for port in ports] == ["ready", "ready"]

    async def both_take() -> bool:
        taken = [await metric(port, TAKEN) or 0 for port in ports]
        return min(taken) > 0

    async with (
        without_own_ingest(installation),
        sessions(installation, "one", "two"),
        installation.another("ingest", ports[0], **one),
        installation.another("ingest", ports[1], **two) as pid,
    ):
        await until(ready, "both ingest processes")
        async with running(name, installation) as run:
            await run.more()
            await until(both_take, "both to take their share")
            os.kill(pid, signal.SIGKILL)
            # The broker goes on dealing to both: what the second is dealt waits for it.
            await run.more(messages=50)
            async with installation.another("ingest", ports[1], **two):
                await until(both_take, "the second to be back")
                await run.more()
                await run.settle()
