"""What `silverline ca` does: the certificate authority of this installation, in its data folder."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from app.settings import Settings
from devices.certificates import authority as authorities
from devices.certificates import service, store
from devices.certificates.authority import Authority, PublicKey
from devices.certificates.model import CertificateRow, IssuedCertificate
from devices.registry import guard
from kernel.auth.model import SYSTEM
from kernel.clock import utcnow
from kernel.db import Database, Tx
from kernel.errors import Conflict, Invalid

SERVER_FILE, SERVER_KEY = "server.pem", "server.key"


def folder(settings: Settings) -> Path:
    """Return where the authority lies."""
    return settings.data_dir / "ca"


def passphrase(settings: Settings) -> bytes:
    """Return what opens the authority's key: the setting, or a secret of the master key's."""
    given = settings.ca_passphrase.get_secret_value()
    if given:
        return given.encode()
    return settings.cipher().blind_index("ca_passphrase", "silverline").hex().encode()


def opened(settings: Settings) -> Authority:
    """Open the authority. Raises AuthorityMissing with a sentence."""
    return authorities.load(folder(settings), passphrase(settings))


def init(settings: Settings, name: str) -> Path:
    """Make the authority; return its certificate's path. Raises Conflict when there is one."""
    made = authorities.create(name, utcnow())
    authorities.save(made, folder(settings), passphrase(settings))
    return folder(settings) / authorities.CERTIFICATE_FILE


def server(settings: Settings, names: Sequence[str], days: int) -> Path:
    """Make key and certificate for the broker; return the certificate's path.

    What was there is replaced; the broker reads it within seconds.
    """
    authority = opened(settings)
    key, private = authorities.new_key()
    certificate = authorities.sign_server(authority, names, key, utcnow(), days)
    place = folder(settings)
    (place / SERVER_KEY).unlink(missing_ok=True)
    authorities.write_private(place / SERVER_KEY, private)
    path = place / SERVER_FILE
    path.write_text(authorities.pem_of(certificate) + authority.pem, "utf-8")
    return path


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate for a device and where its files are; no key file where there was a request."""

    certificate: IssuedCertificate
    certificate_file: Path
    key_file: Path | None


def issue(
    settings: Settings, device_id: str, request: Path | None, into: Path, days: int
) -> Issued:
    """Sign a request, or a fresh key that is written beside the certificate for its owner alone."""
    authority = opened(settings)
    if not guard.DEVICE_ID.fullmatch(device_id):
        raise Invalid("This is no device id.", {"device_id": "form"})
    certificate_file, key_file = into / f"{device_id}.pem", into / f"{device_id}.key"
    if request is None and key_file.exists():
        raise Conflict(f"{key_file} is there already.")
    private = b""
    key: PublicKey
    if request is None:
        key, private = authorities.new_key()
    else:
        text = request.read_text("utf-8", errors="replace")
        key = authorities.request_key(text, device_id)
    made = asyncio.run(_sign(settings, authority, device_id, key, days))
    into.mkdir(parents=True, exist_ok=True)
    if private:
        authorities.write_private(key_file, private)
    certificate_file.write_text(made.certificate, "utf-8")
    return Issued(made, certificate_file, key_file if private else None)


async def _sign(
    settings: Settings, authority: Authority, device_id: str, key: PublicKey, days: int
) -> IssuedCertificate:
    async with _transaction(settings) as tx:
        return await service.issue(
            tx, authority, device_id, key, actor=SYSTEM, now=utcnow(), days=days
        )


async def trust(settings: Settings, device_id: str, text: str) -> str:
    """Take in a certificate (PEM) of another authority; return its serial number."""
    async with _transaction(settings) as tx:
        row = await service.trust(tx, device_id, text, actor=SYSTEM, now=utcnow())
    return row.serial


async def revoke(settings: Settings, device_id: str, serial: str, reason: str) -> None:
    """End a certificate at once."""
    async with _transaction(settings) as tx:
        await service.revoke(tx, device_id, serial, reason, actor=SYSTEM, now=utcnow())


def has_key(settings: Settings) -> bool:
    """Whether the authority is on this machine."""
    return (folder(settings) / authorities.KEY_FILE).exists()


async def write_list(settings: Settings, days: int) -> Path:
    """Write the list of revoked certificates (CRL); it counts for some days."""
    authority, now = opened(settings), utcnow()
    async with _transaction(settings) as tx:
        revoked = await store.revoked(tx, now)
    data = authorities.revocation_list(authority, revoked, now, timedelta(days=days))
    return authorities.write_list(folder(settings), data)


async def listed(settings: Settings, device_id: str) -> list[dict[str, Any]]:
    """Return the certificates of a device."""
    async with _transaction(settings) as tx:
        device = await guard.find(tx, device_id, SYSTEM)
        rows = await service.of_device(tx, device.no)
    return [_line(row) for row in rows]


def _line(row: CertificateRow) -> dict[str, Any]:
    return {
        "serial": row.serial,
        "issuer": row.issuer,
        "own": row.own,
        "not_before": row.not_before.isoformat(),
        "not_after": row.not_after.isoformat(),
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
        "revoke_reason": row.revoke_reason,
    }


@asynccontextmanager
async def _transaction(settings: Settings) -> AsyncIterator[Tx]:
    db = await Database.open(settings.database_url, max_size=2)
    try:
        async with db.transaction() as tx:
            yield tx
    finally:
        await db.close()
