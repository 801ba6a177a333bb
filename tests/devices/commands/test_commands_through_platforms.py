"""Commands through platforms on MQTT, over a real broker with the platforms' own rights."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from devices.commands import jobs
from devices.commands.model import Command, CommandState
from devices.downlink import NOT_DELIVERED
from ingest.run import IngestRunner
from kernel.clock import utcnow
from kernel.db import fetch_value
from tests.devices.commands.parts import Downlink, Login, eventually
from tests.devices.commands.test_commands_end_to_end import Recorder, pause

EUI = "24e124710c140815"
TREE = f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{EUI}"


class Platform(Recorder):
    """A platform's connection: it hears commands and tells of devices."""

    def tell(self, topic: str, **body: Any) -> None:
        self.publish(topic, json.dumps(body).encode())

    async def hears(self, count: int) -> tuple[str, Any]:
        """The last of so many commands."""
        await eventually(lambda: len(self.received) == count, 20)
        topic, payload = self.received[-1]
        return topic, json.loads(payload)


async def platform(port: int, login: Login, *topics: str) -> Platform:
    made = Platform(port, login.device.id, login.password, *topics)
    await eventually(lambda: made.ready, 20)
    return made


def uplink(payload: str) -> dict[str, Any]:
    info = {"devEui": EUI, "deviceProfileName": "Milesight WS301", "tags": {}}
    data = base64.b64encode(bytes.fromhex(payload)).decode()
    return {"time": utcnow().isoformat(), "deviceInfo": info, "fPort": 85, "data": data}


async def of_device(downlink: Downlink, login: Login, column: str) -> Any:
    statement = {
        "route": "SELECT route FROM device_route WHERE device_no = %s",
        "seen": "SELECT last_seen_at FROM device WHERE no = %s",
        "due": "SELECT max(due_at) FROM device_command WHERE device_no = %s",
    }[column]
    async with downlink.db.connection() as conn:
        return await fetch_value(conn, statement, (login.device.no,))


async def says(downlink: Downlink, command: Command, detail: str) -> Command:
    """Wait for what is said of a command that is under way."""
    async with asyncio.timeout(20):
        while (found := await downlink.command(command.id)).detail != detail:
            await pause()
    return found


async def test_a_lorawan_sensor_is_asked_once_and_answers_through_chirpstack(
    downlink: Downlink, ingest: IngestRunner, broker_port: int
) -> None:
    server = await downlink.device("NS-0001", "ls-chirpstack")
    door = await downlink.device("D-0001", "ls-ws301", address=EUI, gateway_id="NS-0001")
    network = await platform(broker_port, server, "application/+/device/+/command/+")

    early = await downlink.ask(door.device, "set_interval", {"seconds": 600})
    await downlink.worker.run_once()
    waiting = await downlink.command(early.id)
    assert (waiting.state, waiting.tries) == (CommandState.QUEUED, 1)

    network.tell(f"{TREE}/event/up", **uplink("017564030000"))
    async with asyncio.timeout(20):
        while not await of_device(downlink, door, "route"):
            await pause()
    await downlink.pass_time(early.id)
    assert await downlink.resend() == 1
    topic, body = await network.hears(1)
    assert topic == f"{TREE}/command/down"
    assert body["id"] == str(early.id)
    assert base64.b64decode(body["data"]) == bytes.fromhex("ff035802")

    # The server keeps it until the sensor speaks, which may be in half a day.
    await says(downlink, early, "handed_over")
    assert await of_device(downlink, door, "due") == early.expires_at
    await jobs.resend(downlink.db, utcnow() + timedelta(minutes=3))
    assert await downlink.worker.run_once() == 0
    network.tell(f"{TREE}/event/txack", queueItemId=str(early.id), downlinkId=1)
    assert (await says(downlink, early, "transmitted")).state is CommandState.SENT
    network.tell(f"{TREE}/event/ack", queueItemId=str(early.id), acknowledged=True)
    done = await downlink.becomes(early.id, CommandState.ACKNOWLEDGED)
    assert (done.tries, done.detail) == (2, "")

    restart = await downlink.ask(door.device, "reboot")
    await downlink.worker.run_once()
    assert (await network.hears(2))[1]["confirmed"] is False
    network.tell(f"{TREE}/event/up", **uplink("ff0bff"))
    await downlink.becomes(restart.id, CommandState.ACKNOWLEDGED)

    never = await downlink.ask(door.device, "reboot")
    await downlink.worker.run_once()
    await network.hears(3)
    await jobs.resend(downlink.db, never.expires_at)
    ended = await downlink.command(never.id)
    assert (ended.state, ended.detail) == (CommandState.EXPIRED, "handed_over")
    network.close()


async def test_a_zigbee_siren_that_is_not_reached_is_said_so_in_the_bridges_words(
    downlink: Downlink, ingest: IngestRunner, broker_port: int
) -> None:
    bridge = await downlink.device("Z-0001", "z2m-bridge")
    hall = await downlink.device("S-0001", "z2m-siren", address="hall/siren", gateway_id="Z-0001")
    bath = await downlink.device("S-0002", "z2m-siren-neo", address="bath", gateway_id="Z-0001")
    zigbee = await platform(broker_port, bridge, "zigbee2mqtt/#")
    ring = await downlink.ask(hall.device, "ring", {"seconds": 10})
    await downlink.worker.run_once()
    topic, body = await zigbee.hears(1)
    assert topic == "zigbee2mqtt/hall/siren/set"
    assert body == {"warning": {"mode": "emergency", "strobe": True, "duration": 10}}
    words = "Publish 'set' 'warning' to 'hall/siren' failed: 'Error: Timeout'"
    zigbee.tell("zigbee2mqtt/bridge/logging", level="error", message=f"z2m: {words}")
    refused = await downlink.becomes(ring.id, CommandState.REFUSED)
    assert refused.detail == NOT_DELIVERED + words
    # The bridge spoke, not the siren: it may be away for all we know.
    assert await of_device(downlink, hall, "seen") is None
    assert await of_device(downlink, bridge, "seen") is not None

    # One that tells its state answers by it.
    loud = await downlink.ask(bath.device, "ring", {"seconds": 10})
    await downlink.worker.run_once()
    await eventually(lambda: "zigbee2mqtt/bath/set" in dict(zigbee.received), 20)
    zigbee.tell("zigbee2mqtt/bath", alarm=True, linkquality=80)
    await downlink.becomes(loud.id, CommandState.ACKNOWLEDGED)
    zigbee.close()


@pytest.mark.parametrize(
    ("profile", "name", "topic", "answer"),
    [
        ("tasmota-sensor", "reboot", "cmnd/X-0001/Restart", {"Restart": "Restarting"}),
        ("owntracks-phone", "locate", "owntracks/X-0001/phone/cmd", {}),
    ],
)
async def test_a_device_on_the_broker_hears_its_own_commands_and_nobody_elses(
    downlink: Downlink, ingest: IngestRunner, broker_port: int,
    profile: str, name: str, topic: str, answer: dict[str, str],
) -> None:  # fmt: skip
    phone = profile == "owntracks-phone"
    address = {"address": "X-0001/phone"} if phone else {}
    own = await downlink.device("X-0001", profile, **address)
    other = await downlink.device("X-0002", profile)
    device = await platform(broker_port, own, topic)
    intruder = await platform(broker_port, other, topic)
    intruder.publish(topic, b"0")
    asked = await downlink.ask(own.device, name)
    await downlink.worker.run_once()
    await eventually(lambda: bool(device.received), 20)
    if phone:
        device.tell(
            "owntracks/X-0001/phone",
            _type="location", lat=40.84, lon=111.75, tst=int(utcnow().timestamp()), t="r",
        )  # fmt: skip
    else:
        device.tell("stat/X-0001/RESULT", **answer)
    await downlink.becomes(asked.id, CommandState.ACKNOWLEDGED)
    assert [heard for heard, _ in device.received] == [topic]
    assert b"0" not in dict(device.received).values()
    assert intruder.received == []
    for each in (device, intruder):
        each.close()
