"""The embedded broker: who gets in, where they may publish, and that nothing sent is forgotten."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from psycopg import sql
from structlog.testing import capture_logs

from app.embedded.broker import BrokerSettings, EmbeddedBroker
from app.embedded.postgres import EmbeddedPostgres
from devices.credentials import service as credentials
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_value
from tests.ports import free_port

SERVICE = ("ingest-service", "a-password-of-this-test")


async def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
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
        self.prepare(self.mqtt, user, password)
        self.mqtt.on_message = self._message
        self.mqtt.on_connect = self._connect
        self.mqtt.on_subscribe = self._subscribe
        self.mqtt.on_disconnect = lambda *_: self.lost.set()
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.loop_start()

    def prepare(self, client: mqtt.Client, user: str, password: str) -> None:
        client.username_pw_set(user, password)

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
    free = free_port()
    broker = EmbeddedBroker(
        BrokerSettings("127.0.0.1", free, *SERVICE, {"expected": ["late/#"]}), db_url
    )
    await broker.start()
    yield free
    await broker.stop()


def remaining_length(length: int) -> bytes:
    out = b""
    while True:
        length, digit = divmod(length, 128)
        out += bytes([digit | (128 if length else 0)])
        if not length:
            return out


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + remaining_length(len(body)) + body


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def connect_packet(client_id: str, user: str, password: str, *, clean: bool = True) -> bytes:
    flags = bytes([4, 0xC2 if clean else 0xC0, 0, 30])
    return packet(0x10, text("MQTT") + flags + text(client_id) + text(user) + text(password))


async def subscribed(port: int, client_id: str, topics: str, **options: bool) -> Client:
    client = Client(port, client_id, *SERVICE, clean=False, **options)
    await eventually(client.connected.is_set)
    client.mqtt.subscribe(topics, 1)
    await eventually(client.subscribed.is_set)
    return client


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
    with capture_logs() as logs:
        for topic in ("P-0002/alarm", "P-0002/alarm", "P-0001/command", "P-0001/alarm"):
            sender.publish(f"silverline/v1/{topic}", "{}")
        await eventually(lambda: bool(listener.received))
    # The device is told nothing: whoever sets it up finds it here, each topic once.
    said = [(one["device"], one["topic"]) for one in logs if one["event"].endswith("topic_refused")]
    assert said == [
        ("P-0001", "silverline/v1/P-0002/alarm"), ("P-0001", "silverline/v1/P-0001/command"),
    ]  # fmt: skip
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


async def test_who_is_revoked_while_the_broker_cannot_hear_it_is_dropped_when_it_can(
    db: Database, port: int, now: datetime
) -> None:
    no, password = await device(db, "P-0001", now)
    client = Client(port, "P-0001", "P-0001", password)
    _, other = await device(db, "P-0002", now)
    stays = Client(port, "P-0002", "P-0002", other)
    await eventually(lambda: client.connected.is_set() and stays.connected.is_set())
    async with db.transaction() as tx:
        await tx.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'silverline-dedicated'"
        )
        assert await credentials.revoke(tx, no, now=now)
    await eventually(client.lost.is_set)
    sent = stays.publish("silverline/v1/P-0002/status", "{}")
    await eventually(sent.is_published)
    assert not stays.lost.is_set()
    for each in (client, stays):
        each.close()


async def test_rotation_cuts_the_old_connection_and_leaves_the_new_one(
    db: Database, db_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.embedded.broker.SETTLED_SECONDS", 0.3)
    port = free_port()
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", port, *SERVICE), db_url)
    await broker.start()
    no, old = await device(db, "P-0001", now)
    before = Client(port, "P-0001", "P-0001", old)
    await eventually(before.connected.is_set)
    async with db.transaction() as tx:
        secret = await credentials.issue(tx, no, cipher=FieldCipher({1: bytes(32)}), now=now)
    await eventually(before.lost.is_set)
    after = Client(port, "P-0001", "P-0001", secret.password)
    await eventually(after.connected.is_set)
    # The second look, for who slipped in before the change, is over once its task is.
    await eventually(
        lambda: not any(t.get_name() == "broker-late-drop" for t in asyncio.all_tasks())
    )
    sent = after.publish("silverline/v1/P-0001/status", "{}")
    await eventually(sent.is_published)
    assert not after.lost.is_set()
    before.close()
    after.close()
    await broker.stop()


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


@pytest.mark.parametrize("goodbye", [False, True], ids=["cut off", "disconnects"])
async def test_what_was_acknowledged_to_a_device_arrives_although_it_leaves_at_once(
    port: int, goodbye: bool
) -> None:
    listener = await subscribed(port, "ingest", "t/#")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect_packet("device", *SERVICE))
    await reader.readexactly(4)
    sent = [str(number).encode() for number in range(1, 301)]
    for number, payload in enumerate(sent, 1):
        writer.write(packet(0x32, text("t/a") + number.to_bytes(2, "big") + payload))
    await reader.readexactly(4 * len(sent))
    if goodbye:
        writer.write(packet(0xE0, b""))
        writer.close()
    else:
        writer.transport.abort()
    await eventually(lambda: len(listener.received) >= len(sent))
    assert [payload for _, payload in listener.received] == sent
    listener.close()


async def test_what_devices_send_before_the_subscriber_is_there_is_kept_for_it(port: int) -> None:
    sender = Client(port, "sender", *SERVICE)
    await eventually(sender.connected.is_set)
    sent = {str(i).encode() for i in range(50)}
    infos = [sender.publish("late/a", payload.decode()) for payload in sent]
    await eventually(lambda: all(info.is_published() for info in infos))
    late = Client(port, "expected", *SERVICE, clean=False)
    await eventually(lambda: {payload for _, payload in late.received} == sent)
    sender.close()
    late.close()


async def test_a_session_that_is_taken_over_gets_what_comes(port: int) -> None:
    connect = connect_packet("ingest", *SERVICE, clean=False)
    _, old = opened = await asyncio.open_connection("127.0.0.1", port)
    old.write(connect + packet(0x82, b"\0\1" + text("t/#") + b"\1"))
    await opened[0].readexactly(4 + 5)
    reader, new = await asyncio.open_connection("127.0.0.1", port)
    new.write(connect)
    assert await reader.readexactly(4) == bytes([0x20, 2, 1, 0])
    sender = Client(port, "sender", *SERVICE)
    await eventually(sender.connected.is_set)
    sender.publish("t/a", "for the new one")
    async with asyncio.timeout(30):
        assert (await reader.readexactly(1))[0] >> 4 == 3
    sender.close()
    for writer in (old, new):
        writer.close()


async def test_who_is_not_let_in_ends_nobodys_session(port: int) -> None:
    listener = await subscribed(port, "ingest", "t/#")
    for clean in (True, False):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect_packet("ingest", SERVICE[0], "a guess", clean=clean))
        assert (await reader.readexactly(4))[3] == 5
        writer.close()
    assert not listener.lost.is_set()
    sender = Client(port, "sender", *SERVICE)
    await eventually(sender.connected.is_set)
    sender.publish("t/a", "still here")
    await eventually(lambda: bool(listener.received))
    sender.close()
    listener.close()


async def test_a_device_has_sessions_of_its_own_whatever_it_calls_them(
    db: Database, port: int, now: datetime
) -> None:
    _, password = await device(db, "P-0001", now)
    listener = await subscribed(port, "ingest", "t/#")
    impostor = Client(port, "ingest", "P-0001", password)
    await eventually(impostor.connected.is_set)
    sender = Client(port, "sender", *SERVICE)
    await eventually(sender.connected.is_set)
    sender.publish("t/a", "for ingest alone")
    await eventually(lambda: bool(listener.received))
    assert not listener.lost.is_set()
    for client in (impostor, sender, listener):
        client.close()


async def test_what_was_revoked_is_dropped_also_when_the_registry_was_away_at_the_start(
    db: Database, db_url: str, pg_server: EmbeddedPostgres, now: datetime
) -> None:
    name = sql.Identifier(db_url.rsplit("/", 1)[-1].split("?", maxsplit=1)[0])
    no, password = await device(db, "P-0001", now)
    with psycopg.connect(pg_server.url("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
    port = free_port()
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", port, *SERVICE), db_url)
    with capture_logs() as logs:
        await broker.start()
        await eventually(lambda: any(log["event"] == "broker.revocations_lost" for log in logs))
    with psycopg.connect(pg_server.url("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    client = Client(port, "P-0001", "P-0001", password)
    await eventually(client.connected.is_set)
    async with db.transaction() as tx:
        assert await credentials.revoke(tx, no, now=now)
    await eventually(client.lost.is_set)
    client.close()
    await broker.stop()


async def test_a_device_is_told_to_try_again_while_the_registry_is_away() -> None:
    port = free_port()
    nowhere = "postgresql://nobody@/nothing?host=/nonexistent"
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", port, *SERVICE), nowhere)
    await broker.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect_packet("P-0001", "P-0001", "its secret"))
    # Server unavailable (MQTT 3.1.1, table 3.1), not "wrong secret": nobody could look it up.
    assert await reader.readexactly(4) == bytes([0x20, 2, 0, 3])
    writer.close()
    await broker.stop()


async def test_a_broker_that_stops_hands_over_what_it_has_acknowledged(db_url: str) -> None:
    port = free_port()
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", port, *SERVICE), db_url)
    await broker.start()
    listener = await subscribed(port, "ingest", "t/#")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect_packet("device", *SERVICE))
    await reader.readexactly(4)
    for number in range(1, 2001):
        writer.write(packet(0x32, text("t/a") + number.to_bytes(2, "big") + str(number).encode()))
    acknowledged: list[int] = []

    async def read_acknowledgements() -> None:
        while answer := await reader.read(4):
            acknowledged.append(int.from_bytes(answer[2:4], "big"))

    reading = asyncio.create_task(read_acknowledgements())
    await eventually(lambda: len(acknowledged) > 100)
    await broker.stop()
    await asyncio.gather(reading, return_exceptions=True)
    received = {int(payload) for _, payload in listener.received}
    assert set(acknowledged) <= received
    writer.close()
    listener.close()
