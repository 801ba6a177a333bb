"""Mosquitto's own list of devices follows our registry: let in, held to its topics, put out."""

import base64
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices.credentials import service as credentials
from devices.credentials.dynsec import (
    DynamicSecurity,
    DynsecError,
    DynsecSettings,
    service_commands,
)
from devices.credentials.jobs import outbox_handlers
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_value
from kernel.outbox import OutboxWorker
from tests.conftest import IN_CI

PLUGINS = sorted(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so"))
MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
pytestmark = pytest.mark.skipif(
    not IN_CI and not (MOSQUITTO and PLUGINS), reason="mosquitto is not installed"
)


OLDER_RIGHTS = [
    {"acltype": "subscribePattern", "topic": "#", "allow": True, "priority": 0},
    {"acltype": "publishClientReceive", "topic": "#", "allow": True, "priority": 0},
    {
        "acltype": "publishClientSend", "topic": "silverline/v1/+/command",
        "allow": True, "priority": 0,
    },
]  # fmt: skip


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[DynsecSettings]:
    listing = tmp_path / "dynsec.json"
    control = shutil.which("mosquitto_ctrl") or "/usr/bin/mosquitto_ctrl"
    subprocess.run([control, "dynsec", "init", str(listing), "admin", "of-this-test"], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\nuser root\n"
        f"plugin {PLUGINS[0]}\nplugin_opt_config_file {listing}\n"
    )
    assert MOSQUITTO
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    yield DynsecSettings("127.0.0.1", port, "admin", "of-this-test")
    process.terminate()
    process.wait(10)


def connects(settings: DynsecSettings, user: str, password: str) -> bool:
    answered = threading.Event()
    accepted: list[bool] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, password)

    def on_connect(_c: object, _u: object, _f: object, reason: object, _p: object) -> None:
        accepted.append(not getattr(reason, "is_failure", True))
        answered.set()

    client.on_connect = on_connect
    client.connect(settings.host, settings.port)
    client.loop_start()
    assert answered.wait(30)
    client.disconnect()
    client.loop_stop()
    return accepted[0]


def dies(settings: DynsecSettings, user: str, password: str, will: str) -> None:
    """Break off a connection that left a last will, if it got in at all with it."""
    answered = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.username_pw_set(user, password)
    client.will_set(will, b"{}", qos=1)
    client.on_connect = lambda *_: answered.set()
    client.on_disconnect = lambda *_: answered.set()
    client.connect(settings.host, settings.port)
    client.loop_start()
    assert answered.wait(30)
    if (line := client.socket()) is not None:
        line.shutdown(socket.SHUT_RDWR)
    client.loop_stop()


def reaches(settings: DynsecSettings, user: str, password: str, topics: list[str]) -> list[str]:
    """Publish on each topic as the device; return those that our own user received.

    On the first one it also leaves a last will.
    """
    received: list[str] = []
    ready, last = threading.Event(), threading.Event()
    listener = mqtt.Client(CallbackAPIVersion.VERSION2)
    listener.username_pw_set("ingest", "of-ingest")
    listener.on_connect = lambda c, *_: c.subscribe("#", 1)
    listener.on_subscribe = lambda *_: ready.set()

    def on_message(_c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        received.append(message.topic)
        if message.topic == topics[-1]:
            last.set()

    listener.on_message = on_message
    listener.connect(settings.host, settings.port)
    listener.loop_start()
    assert ready.wait(30)
    dies(settings, user, password, topics[0])
    device = mqtt.Client(CallbackAPIVersion.VERSION2)
    device.username_pw_set(user, password)
    device.connect(settings.host, settings.port)
    device.loop_start()
    for topic in topics:
        device.publish(topic, b"{}", qos=1)
    assert last.wait(30)
    for client in (device, listener):
        client.disconnect()
        client.loop_stop()
    return received


async def test_a_device_is_let_in_held_to_its_topics_and_put_out(
    db: Database, cipher: FieldCipher, broker: DynsecSettings, now: datetime
) -> None:
    security = DynamicSecurity(broker)
    await security.send(service_commands("ingest", "of-ingest"))
    await security.send(service_commands("ingest", "of-ingest"))
    worker = OutboxWorker(db, outbox_handlers(db, cipher, security))
    async with db.transaction() as tx:
        no = await fetch_value(
            tx,
            "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
            " VALUES ('P-1', 'sl-pendant-1', '150102000000', %s, %s) RETURNING no",
            (now, now),
        )
        first = await credentials.issue(tx, no, cipher=cipher, now=now)
    await worker.run_once()
    allowed = reaches(
        broker,
        "P-1",
        first.password,
        ["silverline/v1/P-2/alarm", "silverline/v1/P-1/command", "silverline/v1/P-1/alarm"],
    )
    assert allowed == ["silverline/v1/P-1/alarm"]

    async with db.transaction() as tx:
        second = await credentials.issue(tx, no, cipher=cipher, now=now)
    await worker.run_once()
    assert not connects(broker, "P-1", first.password)
    assert connects(broker, "P-1", second.password)

    async with db.transaction() as tx:
        await credentials.revoke(tx, no, now=now)
    await worker.run_once()
    assert not connects(broker, "P-1", second.password)


async def test_our_own_user_may_send_commands_and_nothing_else(broker: DynsecSettings) -> None:
    security = DynamicSecurity(broker)
    # A role as a version before this one made it gets the rights that came later.
    await security.send(
        [{"command": "createRole", "rolename": "silverline", "acls": OLDER_RIGHTS}]
    )  # fmt: skip
    await security.send(service_commands("ingest", "of-ingest"))
    commands = [
        "application/a-1/device/24e124710c140815/command/down",
        "v3/care@ttn/devices/door-3/down/push",
        "zigbee2mqtt/hall/siren/set",
        "cmnd/T-0001/Restart",
        "owntracks/FM-1/phone/cmd",
        "silverline/v1/W-0193/command",
    ]
    others = ["silverline/v1/W-0193/alarm", "application/a-1/device/x/event/up", "tele/T-1/STATE"]
    assert reaches(broker, "ingest", "of-ingest", [*others, *commands]) == commands


async def test_a_tasmota_device_hears_its_own_commands(
    db: Database, cipher: FieldCipher, broker: DynsecSettings, now: datetime
) -> None:
    security = DynamicSecurity(broker)
    await security.send(service_commands("ingest", "of-ingest"))
    async with db.transaction() as tx:
        no = await fetch_value(
            tx,
            "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
            " VALUES ('T-1', 'tasmota-sensor', '150102000000', %s, %s) RETURNING no",
            (now, now),
        )
        secret = await credentials.issue(tx, no, cipher=cipher, now=now)
    await OutboxWorker(db, outbox_handlers(db, cipher, security)).run_once()
    allowed: dict[str, bool] = {}
    done = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("T-1", secret.password)
    wanted = ["cmnd/T-1/#", "cmnd/T-2/#"]

    def answered(_c: object, _u: object, _mid: int, reasons: list[object], _p: object) -> None:
        refused = [bool(getattr(each, "is_failure", True)) for each in reasons]
        allowed.update(zip(wanted, (not each for each in refused), strict=True))
        done.set()

    client.on_connect = lambda c, *_: c.subscribe([(each, 1) for each in wanted])
    client.on_subscribe = answered
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert done.wait(20)
    client.disconnect()
    client.loop_stop()
    assert allowed == {"cmnd/T-1/#": True, "cmnd/T-2/#": False}


async def test_a_late_item_does_not_bring_an_old_secret_back(
    db: Database, cipher: FieldCipher, broker: DynsecSettings, now: datetime
) -> None:
    async with db.transaction() as tx:
        no = await fetch_value(
            tx,
            "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
            " VALUES ('P-1', 'sl-pendant-1', '150102000000', %s, %s) RETURNING no",
            (now, now),
        )
        old = await credentials.issue(tx, no, cipher=cipher, now=now)
        new = await credentials.issue(tx, no, cipher=cipher, now=now)
        # The newer item is worked off first.
        await tx.execute(
            "UPDATE outbox SET available_at = now() + interval '1 hour' WHERE id ="
            " (SELECT id FROM outbox ORDER BY id LIMIT 1)"
        )
    worker = OutboxWorker(db, outbox_handlers(db, cipher, DynamicSecurity(broker)))
    await worker.run_once()
    async with db.transaction() as tx:
        await tx.execute("UPDATE outbox SET available_at = now() WHERE done_at IS NULL")
    await worker.run_once()
    assert connects(broker, "P-1", new.password)
    assert not connects(broker, "P-1", old.password)


async def test_the_secret_is_never_in_clear_in_the_outbox(
    db: Database, cipher: FieldCipher, now: datetime
) -> None:
    async with db.transaction() as tx:
        no = await fetch_value(
            tx,
            "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
            " VALUES ('P-1', 'sl-pendant-1', '150102000000', %s, %s) RETURNING no",
            (now, now),
        )
        secret = await credentials.issue(tx, no, cipher=cipher, now=now)
        payload = await fetch_value(tx, "SELECT payload::text FROM outbox")
        kept = await fetch_value(tx, "SELECT encode(secret_hash, 'base64') FROM device_credential")
    assert secret.password not in payload
    assert base64.b64encode(secret.password.encode()).decode() not in payload + kept


async def test_a_wrong_administrator_is_said_so(broker: DynsecSettings) -> None:
    wrong = DynsecSettings(broker.host, broker.port, "admin", "not it", timeout_seconds=5)
    with pytest.raises(DynsecError, match="refused its administrator"):
        await DynamicSecurity(wrong).send([{"command": "listClients"}])
