"""From the request to the device and back, on a real broker, ingest and simulated devices."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices.commands.model import CommandState
from devices.commands.publisher import CommandPublisher, DownlinkError, DownlinkSettings
from ingest import store
from ingest.run import IngestRunner
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_value
from tests.devices.commands.parts import (
    SERVICE,
    Downlink,
    Login,
    SimulatedDevices,
    entry,
    eventually,
)
from tests.ingest.broker import Mosquitto
from tests.ports import free_port


class Recorder:
    """A device that only listens to its commands."""

    def __init__(self, port: int, user: str, password: str, *topics: str) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.ready = False
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user)
        self._client.username_pw_set(user, password)
        self._client.on_connect = lambda c, *_: c.subscribe([(t, 1) for t in topics])
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _subscribed(self, *_: object) -> None:
        self.ready = True

    def _message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        self.received.append((message.topic, bytes(message.payload)))

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def online(downlink: Downlink, login: Login) -> None:
    """Wait until ingest has heard the device."""

    async def heard() -> Any:
        async with downlink.db.connection() as conn:
            return await fetch_value(
                conn, "SELECT online FROM device WHERE no = %s", (login.device.no,)
            )

    for _ in range(1500):
        if await heard():
            return
        await pause()
    raise AssertionError("the device was not heard")


async def pause() -> None:
    await asyncio.sleep(0.01)


async def test_a_device_does_what_it_is_asked_and_its_answer_is_written(
    downlink: Downlink, ingest: IngestRunner, simulated: SimulatedDevices
) -> None:
    watch = await downlink.device("W-0193")
    bed = await downlink.device("B-0001", "sl-bed-1")
    simulated.start(entry(watch), entry(bed, "bed_sensor"))
    await online(downlink, watch)
    await online(downlink, bed)
    locate = await downlink.ask(watch.device, "locate")
    ring = await downlink.ask(watch.device, "ring", {"seconds": 20})
    often = await downlink.ask(bed.device, "set_interval", {"seconds": 600})
    assert {c.state for c in (locate, ring, often)} == {CommandState.QUEUED}
    assert await downlink.worker.run_once() == 3
    for asked in (locate, ring, often):
        done = await downlink.becomes(asked.id, CommandState.ACKNOWLEDGED)
        assert done.tries == 1
        assert done.sent_at is not None
        assert done.settled_at is not None
    async with downlink.db.connection() as conn:
        found = await fetch_value(
            conn, "SELECT position_at FROM device WHERE no = %s", (watch.device.no,)
        )
    assert found >= locate.created_at - timedelta(seconds=5)
    assert await downlink.resend() == 0


async def test_what_a_device_refuses_keeps_its_words(
    downlink: Downlink, ingest: IngestRunner, simulated: SimulatedDevices
) -> None:
    # The registry takes it for a watch that knows where it is; the device knows better.
    bed = await downlink.device("B-0001", "sl-watch-1")
    simulated.start(entry(bed, "bed_sensor"))
    await online(downlink, bed)
    asked = await downlink.ask(bed.device, "locate")
    await downlink.worker.run_once()
    refused = await downlink.becomes(asked.id, CommandState.REFUSED)
    assert refused.detail == "this device does not know where it is"


async def test_a_device_that_was_away_gets_its_command_when_it_is_back(
    downlink: Downlink, ingest: IngestRunner, simulated: SimulatedDevices
) -> None:
    pendant = await downlink.device("P-0001", "sl-pendant-1")
    asked = await downlink.ask(pendant.device, "ring")
    await downlink.worker.run_once()
    sent = await downlink.becomes(asked.id, CommandState.SENT)
    await downlink.pass_time(asked.id)
    assert await downlink.resend() == 0
    assert sent.tries == 1

    simulated.start(entry(pendant, "pendant"))
    await online(downlink, pendant)
    assert await downlink.resend() == 1
    done = await downlink.becomes(asked.id, CommandState.ACKNOWLEDGED)
    assert done.tries == 2


async def test_an_expired_command_is_never_sent(downlink: Downlink, broker_port: int) -> None:
    watch = await downlink.device("W-0193")
    own = "silverline/v1/W-0193/command"
    device = Recorder(broker_port, "W-0193", watch.password, own)
    await eventually(lambda: device.ready)
    late = await downlink.ask(
        watch.device, "ring", {"seconds": 1}, utcnow() + timedelta(milliseconds=50)
    )
    while utcnow() <= late.expires_at:
        await pause()
    await downlink.worker.run_once()
    await downlink.resend()
    ended = await downlink.command(late.id)
    assert (ended.state, ended.tries, ended.sent_at) == (CommandState.EXPIRED, 0, None)
    current = await downlink.ask(watch.device, "ring", {"seconds": 2})
    await downlink.worker.run_once()
    await eventually(lambda: bool(device.received))
    assert [str(current.id) in payload.decode() for _, payload in device.received] == [True]
    device.close()


async def test_nobody_but_the_server_may_send_commands(
    downlink: Downlink, broker_port: int
) -> None:
    victim = await downlink.device("W-0193")
    other = await downlink.device("W-0666")
    own = "silverline/v1/W-0193/command"
    listener = Recorder(broker_port, "W-0193", victim.password, own)
    # Whoever subscribes to another's commands hears nothing either.
    intruder = Recorder(broker_port, "W-0666", other.password, own)
    await eventually(lambda: listener.ready and intruder.ready)
    intruder.publish(own, b'{"id":"1","name":"reboot","args":{},"expires":9999999999999}')
    listener.publish(own, b'{"id":"2","name":"reboot","args":{},"expires":9999999999999}')
    asked = await downlink.ask(victim.device, "ring")
    await downlink.worker.run_once()
    await eventually(lambda: bool(listener.received))
    assert [str(asked.id) in payload.decode() for _, payload in listener.received] == [True]
    assert intruder.received == []
    for each in (listener, intruder):
        each.close()


async def test_a_command_waits_for_a_broker_that_is_away(
    downlink: Downlink, ingest: IngestRunner, simulated: SimulatedDevices
) -> None:
    watch = await downlink.device("W-0193")
    simulated.start(entry(watch))
    await online(downlink, watch)
    nowhere = Downlink(
        downlink.db,
        downlink._cipher,
        CommandPublisher(DownlinkSettings("127.0.0.1", free_port(), *SERVICE)),
    )
    asked = await downlink.ask(watch.device, "ring")
    await nowhere.worker.run_once()
    kept = await downlink.command(asked.id)
    assert (kept.state, kept.tries) == (CommandState.QUEUED, 1)
    assert await downlink.resend() == 0
    await downlink.pass_time(asked.id)
    assert await downlink.resend() == 1
    await downlink.becomes(asked.id, CommandState.ACKNOWLEDGED)


async def test_a_wrong_password_is_said_and_the_next_try_connects_anew(broker_port: int) -> None:
    publisher = CommandPublisher(
        DownlinkSettings("127.0.0.1", broker_port, SERVICE[0], "not it", timeout_seconds=5)
    )
    for _ in range(2):
        with pytest.raises(DownlinkError):
            await publisher.publish("silverline/v1/W-1/command", b"{}")
    await publisher.close()


async def test_what_nobody_is_there_to_hear_has_not_left(
    db: Database, cipher: FieldCipher, tmp_path: Path
) -> None:
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    publisher = CommandPublisher(DownlinkSettings("127.0.0.1", broker.port, *SERVICE, mqtt5=True))
    downlink = Downlink(db, cipher, publisher)
    await downlink.person()
    sensor = await downlink.device("D-0001", "ls-ws301", address="24e124710c140815")
    async with db.transaction() as tx:
        await store.note_routes(tx, {sensor.device.no: ("chirpstack", "care")})
    asked = await downlink.ask(sensor.device, "reboot")
    await downlink.worker.run_once()
    waiting = await downlink.command(asked.id)
    # It was not handed to a server that is away, or it would never be said again.
    assert (waiting.state, waiting.tries, waiting.detail) == (CommandState.QUEUED, 1, "")
    server = Recorder(broker.port, "server", "", "application/+/device/+/command/down")
    await eventually(lambda: server.ready)
    await downlink.pass_time(asked.id)
    assert await downlink.resend() == 1
    await eventually(lambda: bool(server.received))
    assert (await downlink.becomes(asked.id, CommandState.SENT)).detail == "handed_over"
    server.close()
    await publisher.close()
    broker.stop()
