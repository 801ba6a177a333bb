"""Commands to a Setracker watch, over the TCP connection that it keeps to ingest."""

import asyncio
from pathlib import Path

import pytest

from devices.codecs.setracker.commands import encode_command
from devices.commands.model import CommandState
from devices.downlink import NotNow
from ingest.run import IngestRunner
from tests.devices.codecs.asking import request
from tests.devices.commands.parts import Downlink, SimulatedDevices, entry
from tests.devices.commands.test_commands_end_to_end import online

IMEI = "867777041234567"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"[SG*8800000015*0002*LK]", b"[SG*8800000015*0004*FIND]"),
        (b"[3G*8800000015*00A7*0002*LK]", b"[3G*8800000015*00A7*0004*FIND]"),
    ],
)
def test_a_command_has_the_form_of_the_watch(frame: bytes, expected: bytes) -> None:
    assert encode_command(request("ring", last=frame)).payload == expected
    with pytest.raises(NotNow):
        encode_command(request("ring", last=b"nothing"))


async def test_a_watch_on_tcp_does_what_it_is_asked(
    downlink: Downlink, ingest: IngestRunner, tmp_path: Path, broker_port: int
) -> None:
    watch = await downlink.device("4G-0001", "setracker-4g", address=IMEI)
    early = await downlink.ask(watch.device, "ring")
    await downlink.worker.run_once()
    waiting = await downlink.command(early.id)
    assert (waiting.state, waiting.tries) == (CommandState.QUEUED, 1)

    simulated = SimulatedDevices(tmp_path, broker_port, ingest.tcp["setracker"].port)
    simulated.start(entry(watch, "setracker", imei=IMEI))
    try:
        await online(downlink, watch)
        await downlink.pass_time(early.id)
        assert await downlink.resend() == 1
        await downlink.becomes(early.id, CommandState.ACKNOWLEDGED)
        often = await downlink.ask(watch.device, "set_interval", {"seconds": 60})
        locate = await downlink.ask(watch.device, "locate")
        await downlink.worker.run_once()
        for each in (often, locate):
            done = await downlink.becomes(each.id, CommandState.ACKNOWLEDGED)
            assert done.tries == 1
        # By itself: the worker sends what is due side by side, and a watch that restarts hears
        # nothing until it is tried again.
        again = await downlink.ask(watch.device, "reboot")
        await downlink.worker.run_once()
        assert (await downlink.becomes(again.id, CommandState.ACKNOWLEDGED)).tries == 1
    finally:
        await asyncio.to_thread(simulated.stop)
