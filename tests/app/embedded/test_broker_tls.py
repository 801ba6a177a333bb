"""The embedded broker over TLS: client certificates, and that revoking one is felt at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from app.embedded.broker import BrokerSettings, EmbeddedBroker
from app.embedded.tls import TlsListener
from devices.certificates import authority as authorities
from devices.certificates import service, store
from devices.certificates.authority import Authority
from devices.registry import guard
from kernel.auth.model import SYSTEM
from kernel.clock import utcnow
from kernel.db import Database
from tests.app.embedded.test_broker import SERVICE, Client, device, eventually
from tests.ports import free_port


class TlsClient(Client):
    """As `Client`, over TLS and with the key pair of a file stem, if there is one."""

    def __init__(self, port: int, ca: Path, pair: Path | None, user: str = "", **more: str) -> None:
        self._ca, self._pair = ca, pair
        super().__init__(port, more.get("client_id", user), user, more.get("password", ""))

    def prepare(self, client: mqtt.Client, user: str, password: str) -> None:
        context = ssl.create_default_context(cafile=str(self._ca))
        if self._pair is not None:
            context.load_cert_chain(self._pair.with_suffix(".pem"), self._pair.with_suffix(".key"))
        client.tls_set_context(context)
        if user:
            client.username_pw_set(user, password or None)


async def open_tls(
    port: int, ca: Path, pair: Path | None, user: str = "", **more: str
) -> TlsClient:
    """Connect in a thread: paho waits for the handshake, which the broker does on this loop."""
    return await asyncio.to_thread(TlsClient, port, ca, pair, user, **more)


async def close(*clients: TlsClient) -> None:
    """Close clients in a thread: one that is in a handshake again waits for the broker."""
    for client in clients:
        await asyncio.to_thread(client.close)


async def gets_in(port: int, ca: Path, pair: Path, user: str) -> bool:
    """Whether the broker accepts; with TLS 1.3 a refusal comes after the handshake."""
    try:
        client = await open_tls(port, ca, pair, user)
    except (ssl.SSLError, ConnectionError):
        return False
    await eventually(lambda: client.connected.is_set() or client.lost.is_set())
    await close(client)
    if str(client.refused) == "Server unavailable":
        # The broker could not ask the registry in time; it is asked again.
        return await gets_in(port, ca, pair, user)
    return client.connected.is_set()


class Place:
    """An authority in a folder, with the broker's certificate."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.folder = folder
        self.authority: Authority = authorities.create("test", now)
        self.ca = folder / "ca.pem"
        self.ca.write_text(self.authority.pem)
        key, private = authorities.new_key()
        certificate = authorities.sign_server(
            self.authority, ["localhost", "127.0.0.1"], key, now, 1
        )
        self.server = folder / "server.pem"
        self.server.write_text(authorities.pem_of(certificate))
        (folder / "server.key").write_bytes(private)

    async def pair(self, db: Database, device_id: str) -> tuple[Path, str]:
        """Issue a certificate; return the stem of its files, and its serial number."""
        key, private = authorities.new_key()
        async with db.transaction() as tx:
            made = await service.issue(
                tx, self.authority, device_id, key, actor=SYSTEM, now=utcnow()
            )
        stem = self.folder / f"{device_id}-{made.serial}"
        stem.with_suffix(".key").write_bytes(private)
        stem.with_suffix(".pem").write_text(made.certificate)
        return stem, made.serial


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, utcnow())


@pytest.fixture
async def port(db_url: str, db: Database, place: Place) -> AsyncIterator[int]:
    secure = free_port()
    tls = TlsListener(
        "127.0.0.1", secure, place.server, place.folder / "server.key", client_ca=place.ca
    )
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", free_port(), *SERVICE, {}, tls), db_url)
    await broker.start()
    yield secure
    await broker.stop()


async def test_a_device_with_a_certificate_is_held_to_its_topics_and_dropped_when_revoked(
    db: Database, port: int, place: Place, now: datetime
) -> None:
    await device(db, "P-0001", now)
    stem, serial = await place.pair(db, "P-0001")
    listener = await open_tls(port, place.ca, None, SERVICE[0], password=SERVICE[1], client_id="in")
    await eventually(listener.connected.is_set)
    listener.mqtt.subscribe("#", 1)
    await eventually(listener.subscribed.is_set)
    nameless = await open_tls(port, place.ca, stem, client_id="P-0001")
    await eventually(nameless.connected.is_set)
    for topic in ("silverline/v1/P-0002/alarm", "silverline/v1/P-0001/command"):
        nameless.publish(topic, "{}")
    nameless.publish("silverline/v1/P-0001/alarm", "{}")
    await eventually(lambda: bool(listener.received), 20)
    assert [topic for topic, _ in listener.received] == ["silverline/v1/P-0001/alarm"]
    other = await open_tls(port, place.ca, stem, "P-0002")
    await eventually(lambda: other.refused is not None, 20)
    async with db.transaction() as tx:
        await service.revoke(tx, "P-0001", serial, "key_compromise", actor=SYSTEM, now=utcnow())
    await eventually(nameless.lost.is_set, 20)
    await eventually(lambda: nameless.refused is not None, 20)
    await close(nameless, other, listener)


async def test_a_password_still_counts_where_a_certificate_was_revoked_and_the_other_way(
    db: Database, port: int, place: Place, now: datetime
) -> None:
    _, password = await device(db, "P-0001", now)
    stem, serial = await place.pair(db, "P-0001")
    second, _ = await place.pair(db, "P-0001")
    async with db.transaction() as tx:
        await service.revoke(tx, "P-0001", serial, "superseded", actor=SYSTEM, now=utcnow())
    revoked = await open_tls(port, place.ca, stem, "P-0001", password=password)
    by_password = await open_tls(port, place.ca, None, "P-0001", password=password, client_id="a")
    renewed = await open_tls(port, place.ca, second, "P-0001", client_id="b")
    await eventually(by_password.connected.is_set, 20)
    await eventually(renewed.connected.is_set, 20)
    await eventually(lambda: revoked.refused is not None, 20)
    await close(revoked, by_password, renewed)


async def test_another_authoritys_list_of_revoked_certificates_is_read_anew(
    db: Database, db_url: str, place: Place, tmp_path: Path, now: datetime
) -> None:
    await device(db, "P-0001", now)
    key, private = authorities.new_key()
    moment = utcnow()
    certificate = authorities.sign_device(place.authority, "P-0001", key, moment, 1)
    stem = tmp_path / "foreign"
    stem.with_suffix(".key").write_bytes(private)
    stem.with_suffix(".pem").write_text(authorities.pem_of(certificate))
    week = timedelta(days=7)
    # OpenSSL takes the newer of two lists, if it is not from the future.
    earlier, later = moment - timedelta(hours=1), moment - timedelta(minutes=1)
    crl = authorities.write_list(
        tmp_path, authorities.revocation_list(place.authority, [], earlier, week)
    )
    secure = free_port()
    tls = TlsListener(
        "127.0.0.1", secure, place.server, tmp_path / "server.key",
        client_ca=place.ca, crl=crl, required=True, adopt=True,
    )  # fmt: skip
    broker = EmbeddedBroker(BrokerSettings("127.0.0.1", free_port(), *SERVICE, {}, tls), db_url)
    await broker.start()
    try:
        assert await gets_in(secure, place.ca, stem, "P-0001")
        async with db.connection() as conn:
            [row] = await service.of_device(conn, (await guard.find(conn, "P-0001", SYSTEM)).no)
        assert not row.own
        revoked = store.RevokedSerial(row.serial, moment, "key_compromise")
        listed = authorities.revocation_list(place.authority, [revoked], later, week)
        authorities.write_list(tmp_path, listed)
        assert broker.refresh_tls()
        assert not await gets_in(secure, place.ca, stem, "P-0001")
    finally:
        await broker.stop()
