"""The embedded broker: who gets in, where they may publish, and that nothing sent is forgotten."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from app.embedded.broker import BrokerSettings, EmbeddedBroker
from devices.credentials import service as credentials
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_value

SERVICE = ("ingest-service", "a-password-of-this-test")


async def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class Client:
    """A paho client on its own thread that records what happened."""

    def __init__(
        self, port: int, client_id: str, user: str, password: str, **options: bool
    ) -> None:
        self.acknowledge = options.get("acknowledge", True)
        self.received: list[tuple[str, bytes]] = []
        self.refused: object = None
        self.subscribed = threading.Event()
        self.connected = threading.Event()
        self.lost = threading.Event()
        clean = options.get("clean", True)
        self.mqtt = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, manual_ack=True
        )
        self.mqtt.username_pw_set(user, password)
        self.mqtt.on_message = self._message
        self.mqtt.on_connect = self._connect
        self.mqtt.on_subscribe = self._subscribe
        self.mqtt.on_disconnect = lambda *_: self.lost.set()
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.loop_start()

    def _connect(self, _c: object, _u: object, _f: object, reason: object, _p: object) -> None:
        if getattr(reason, "is_failure", False):
            self.refused = reason
        else:
            self.connected.set()

    def _subscribe(self, _c: object, _u: object, _m: int, codes: list[object], _p: object) -> None:
        self.granted = codes
        self.subscribed.set()

    def _message(self, client: mqtt.Client, _u: object, message: mqtt.MQTTMessage) -> None:
        self.received.append((message.topic, message.payload))
        if self.acknowledge:
            client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: str) -> mqtt.MQTTMessageInfo:
        return self.mqtt.publish(topic, payload, qos=1)

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


@pytest.fixture
async def port(db_url: str, db: Database) -> AsyncIterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", free, *SERVICE), db_url)
    await broker.start()
    yield free
    await broker.stop()


async def device(db: Database, device_id: str, now: datetime) -> tuple[int, str]:
    async with db.transaction() as tx:
        no = await fetch_value(
            tx,
            "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
            " VALUES (%s, 'sl-pendant-1', '150102000000', %s, %s) RETURNING no",
            (device_id, now, now),
        )
        secret = await credentials.issue(tx, no, cipher=FieldCipher({1: bytes(32)}), now=now)
    return no, secret.password


async def test_a_device_gets_in_with_its_secret_and_nobody_else(
    db: Database, port: int, now: datetime
) -> None:
    _, password = await device(db, "P-0001", now)
    good = Client(port, "P-0001", "P-0001", password)
    wrong = Client(port, "x1", "P-0001", "not the secret")
    unknown = Client(port, "x2", "P-9999", password)
    await eventually(good.connected.is_set)
    await eventually(lambda: wrong.refused is not None and unknown.refused is not None)
    for client in (good, wrong, unknown):
        client.close()


async def test_a_device_publishes_under_its_own_id_only(
    db: Database, port: int, now: datetime
) -> None:
    _, password = await device(db, "P-0001", now)
    listener = Client(port, "listener", *SERVICE, clean=False)
    await eventually(listener.connected.is_set)
    listener.mqtt.subscribe("silverline/v1/#", 1)
    await eventually(listener.subscribed.is_set)
    sender = Client(port, "P-0001", "P-0001", password)
    await eventually(sender.connected.is_set)
    for topic in ("P-0002/alarm", "P-0001/command", "P-0001/alarm"):
        sender.publish(f"silverline/v1/{topic}", "{}")
    await eventually(lambda: bool(listener.received))
    assert [topic for topic, _ in listener.received] == ["silverline/v1/P-0001/alarm"]
    sender.mqtt.subscribe("silverline/v1/+/alarm", 1)
    await eventually(sender.subscribed.is_set)
    assert all(getattr(code, "is_failure", False) for code in sender.granted)
    sender.close()
    listener.close()


async def test_a_revoked_device_is_dropped_at_once_and_stays_out(
    db: Database, port: int, now: datetime
) -> None:
    no, password = await device(db, "P-0001", now)
    client = Client(port, "P-0001", "P-0001", password)
    await eventually(client.connected.is_set)
    async with db.transaction() as tx:
        assert await credentials.revoke(tx, no, now=now)
    await eventually(client.lost.is_set)
    await eventually(lambda: client.refused is not None)
    client.close()


async def test_what_was_not_acknowledged_comes_again_on_the_next_connection(port: int) -> None:
    silent = Client(port, "ingest", *SERVICE, clean=False, acknowledge=False)
    await eventually(silent.connected.is_set)
    silent.mqtt.subscribe("t/#", 1)
    await eventually(silent.subscribed.is_set)
    sender = Client(port, "sender", *SERVICE)
    await eventually(sender.connected.is_set)
    sent = {str(i).encode() for i in range(700)}
    for payload in sorted(sent):
        sender.publish("t/a", payload.decode())
    await eventually(lambda: len(silent.received) >= 500)
    silent.close()
    later = {str(i).encode() for i in range(700, 900)}
    infos = [sender.publish("t/a", payload.decode()) for payload in later]
    await eventually(lambda: all(info.is_published() for info in infos))
    again = Client(port, "ingest", *SERVICE, clean=False)
    await eventually(lambda: {p for _, p in again.received} == sent | later, 30)
    sender.close()
    again.close()
