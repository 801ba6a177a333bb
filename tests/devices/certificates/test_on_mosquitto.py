"""A real Mosquitto with TLS and dynamic security: certificates, revocation, commands down."""

import asyncio
import json
import shutil
import signal
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices.certificates import authority as authorities
from devices.certificates import service, store
from devices.commands.model import CommandState
from devices.commands.publisher import CommandPublisher, DownlinkSettings
from devices.credentials import service as credentials
from devices.credentials.dynsec import DynamicSecurity, DynsecSettings, service_commands
from devices.credentials.jobs import outbox_handlers
from kernel.auth.model import SYSTEM
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.outbox import OutboxWorker
from tests.app.embedded.test_broker import eventually
from tests.app.embedded.test_broker_tls import Place
from tests.conftest import IN_CI
from tests.devices.commands.parts import SERVICE, Downlink, Login
from tests.ports import free_port

PLUGINS = sorted(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so"))
MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
pytestmark = pytest.mark.skipif(
    not IN_CI and not (MOSQUITTO and PLUGINS), reason="mosquitto is not installed"
)
ADMIN = ("admin", "of-this-test")


class Watch:
    """A device on its own thread, over TLS, by certificate or by password."""

    def __init__(self, port: int, ca: Path, user: str = "", password: str = "") -> None:
        self.received: list[dict[str, Any]] = []
        self.accepted = threading.Event()
        self.refused = threading.Event()
        self.lost = threading.Event()
        self.subscribed = threading.Event()
        self._port = port
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self.context = ssl.create_default_context(cafile=str(ca))
        if user:
            self.client.username_pw_set(user, password)
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _c, _u, m: self.received.append(json.loads(m.payload))

    def _connected(self, _c: object, _u: object, _f: object, reason: Any, _p: object) -> None:
        (self.refused if reason.is_failure else self.accepted).set()

    async def open(self, pair: Path | None = None) -> bool:
        """Connect; False when the broker refuses, in the handshake or after it."""
        if pair is not None:
            self.context.load_cert_chain(pair.with_suffix(".pem"), pair.with_suffix(".key"))
        self.client.tls_set_context(self.context)
        try:
            await asyncio.to_thread(self.client.connect, "127.0.0.1", self._port)
        except (ssl.SSLError, ConnectionError):
            return False
        self.client.loop_start()
        await eventually(
            lambda: self.accepted.is_set() or self.refused.is_set() or self.lost.is_set(), 20
        )
        return self.accepted.is_set()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Mosquitto:
    """A broker with three doors: plain for its administrator, TLS, TLS with certificates."""

    plain: int
    tls: int
    certificates: int
    process: "subprocess.Popen[bytes]"
    place: Place
    watches: list[Watch] = field(default_factory=list)

    def watch(self, *, by_certificate: bool, user: str = "", password: str = "") -> Watch:
        port = self.certificates if by_certificate else self.tls
        made = Watch(port, self.place.ca, user, password)
        self.watches.append(made)
        return made

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)


def configuration(place: Place, listing: Path, ports: tuple[int, int, int]) -> str:
    """As deploy/mosquitto/tls.conf, on ports of this test."""
    pair = f"certfile {place.server}\nkeyfile {place.folder / 'server.key'}\n"
    return (
        f"per_listener_settings false\nallow_anonymous false\nuser root\n"
        f"plugin {PLUGINS[0]}\nplugin_opt_config_file {listing}\n"
        f"listener {ports[0]} 127.0.0.1\n"
        f"listener {ports[1]} 127.0.0.1\n{pair}"
        f"listener {ports[2]} 127.0.0.1\n{pair}cafile {place.ca}\n"
        f"crlfile {place.folder / 'crl.pem'}\n"
        "require_certificate true\nuse_identity_as_username true\n"
    )


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    place = Place(tmp_path, utcnow())
    write_list(place, [])
    listing = tmp_path / "dynsec.json"
    control = shutil.which("mosquitto_ctrl") or "/usr/bin/mosquitto_ctrl"
    subprocess.run([control, "dynsec", "init", str(listing), *ADMIN], check=True)
    ports = (free_port(), free_port(), free_port())
    config = tmp_path / "mosquitto.conf"
    config.write_text(configuration(place, listing, ports))
    assert MOSQUITTO
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
    made = Mosquitto(*ports, process, place)
    yield made
    for watch in made.watches:
        watch.close()
    process.terminate()
    process.wait(10)


def write_list(place: Place, revoked: list[store.RevokedSerial]) -> None:
    data = authorities.revocation_list(place.authority, revoked, utcnow(), timedelta(days=7))
    authorities.write_list(place.folder, data)


@dataclass
class Bench:
    """The registry, the worker that carries rights to the broker, and the way down over TLS."""

    broker: Mosquitto
    downlink: Downlink
    rights: OutboxWorker

    async def certificate(self, login: Login) -> tuple[Path, str]:
        found = await self.broker.place.pair(self.downlink.db, login.device.id)
        await self.rights.run_once()
        return found


@pytest.fixture
async def bench(db: Database, cipher: FieldCipher, mosquitto: Mosquitto) -> AsyncIterator[Bench]:
    ca = str(mosquitto.place.ca)
    security = DynamicSecurity(DynsecSettings("127.0.0.1", mosquitto.tls, *ADMIN, True, ca))
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", mosquitto.tls)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            break
    await security.send(service_commands(*SERVICE))
    publisher = CommandPublisher(
        DownlinkSettings("127.0.0.1", mosquitto.tls, *SERVICE, tls=True, ca_file=ca)
    )
    downlink = Downlink(db, cipher, publisher)
    await downlink.person()
    yield Bench(mosquitto, downlink, OutboxWorker(db, outbox_handlers(db, cipher, security)))
    await publisher.close()


async def hears(bench: Bench, watch: Watch, login: Login) -> None:
    """A command reaches the device, over TLS all the way and by rights of dynamic security."""
    before = len(watch.received)
    watch.client.subscribe(f"silverline/v1/{login.device.id}/command", 1)
    await eventually(watch.subscribed.is_set, 20)
    asked = await bench.downlink.ask(login.device, "ring", {"seconds": 5})
    await bench.downlink.worker.run_once()
    await eventually(lambda: len(watch.received) > before, 20)
    assert watch.received[-1]["id"] == str(asked.id)
    await bench.downlink.becomes(asked.id, CommandState.SENT)


async def test_commands_go_down_over_tls_to_devices_with_passwords_and_rotation_cuts_at_once(
    bench: Bench, cipher: FieldCipher
) -> None:
    login = await bench.downlink.device("W-1")
    await bench.rights.run_once()
    watch = bench.broker.watch(by_certificate=False, user="W-1", password=login.password)
    assert await watch.open()
    await hears(bench, watch, login)
    async with bench.downlink.db.transaction() as tx:
        fresh = await credentials.issue(tx, login.device.no, cipher=cipher, now=utcnow())
    await bench.rights.run_once()
    await eventually(watch.lost.is_set, 20)
    again = bench.broker.watch(by_certificate=False, user="W-1", password=login.password)
    assert not await again.open()
    renewed = bench.broker.watch(by_certificate=False, user="W-1", password=fresh.password)
    assert await renewed.open()
    async with bench.downlink.db.transaction() as tx:
        await credentials.revoke(tx, login.device.no, now=utcnow())
    await bench.rights.run_once()
    await eventually(renewed.lost.is_set, 20)


async def test_a_certificate_alone_is_enough_and_revoked_it_is_cut_and_stays_out(
    bench: Bench,
) -> None:
    login = await bench.downlink.device("W-1")
    async with bench.downlink.db.transaction() as tx:
        await credentials.revoke(tx, login.device.no, now=utcnow())
    stem, serial = await bench.certificate(login)
    watch = bench.broker.watch(by_certificate=True)
    assert await watch.open(stem)
    await hears(bench, watch, login)
    no_password = bench.broker.watch(by_certificate=False, user="W-1", password="")
    assert not await no_password.open()
    async with bench.downlink.db.transaction() as tx:
        await service.revoke(tx, "W-1", serial, "key_compromise", actor=SYSTEM, now=utcnow())
    await bench.rights.run_once()
    await eventually(watch.lost.is_set, 20)
    # Before the list of revoked ones is read anew it may connect, but has no right to anything.
    back = bench.broker.watch(by_certificate=True)
    if await back.open(stem):
        listener = bench.broker.watch(by_certificate=False, user=SERVICE[0], password=SERVICE[1])
        heard: list[str] = []
        listener.client.on_message = lambda _c, _u, m: heard.append(m.topic)
        assert await listener.open()
        listener.client.subscribe("silverline/#", 1)
        await eventually(listener.subscribed.is_set, 20)
        back.client.publish("silverline/v1/W-1/alarm", b"{}", qos=1)
        listener.client.publish("silverline/v1/W-9/command", b"{}", qos=1)
        await eventually(lambda: bool(heard), 20)
        assert heard == ["silverline/v1/W-9/command"]
    async with bench.downlink.db.connection() as conn:
        write_list(bench.broker.place, await store.revoked(conn, utcnow()))
    bench.broker.reload()

    async def kept_out() -> bool:
        return not await bench.broker.watch(by_certificate=True).open(stem)

    async with asyncio.timeout(20):
        while not await kept_out():
            await asyncio.sleep(0.1)
    fresh, _ = await bench.certificate(login)
    assert await bench.broker.watch(by_certificate=True).open(fresh)


async def test_of_two_certificates_and_a_password_each_counts_without_the_others(
    bench: Bench,
) -> None:
    login = await bench.downlink.device("W-1")
    await bench.rights.run_once()
    old, serial = await bench.certificate(login)
    new, _ = await bench.certificate(login)
    watch = bench.broker.watch(by_certificate=True)
    assert await watch.open(old)
    async with bench.downlink.db.transaction() as tx:
        await service.revoke(tx, "W-1", serial, "superseded", actor=SYSTEM, now=utcnow())
    await bench.rights.run_once()
    await eventually(watch.lost.is_set, 20)
    renewed = bench.broker.watch(by_certificate=True)
    assert await renewed.open(new)
    await hears(bench, renewed, login)
    by_password = bench.broker.watch(by_certificate=False, user="W-1", password=login.password)
    assert await by_password.open()
