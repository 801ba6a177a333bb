"""`silverline ca`: an authority in the data folder, certificates of devices, an end at once."""

import asyncio
import json
import stat
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from app import authority
from app.settings import Settings
from devices.certificates.authority import AuthorityMissing
from kernel.crypto import new_master_key
from kernel.db import Database
from kernel.errors import Conflict, NotFound
from tests.command_line import installation, silverline
from tests.devices.registry.world import add_device, add_person


@pytest.fixture
async def settings(db_url: str, db: Database, now: datetime, tmp_path: Path) -> Settings:
    async with db.transaction() as tx:
        await add_device(tx, await add_person(tx, now), now, "W-1")
    return Settings.model_validate(
        {"database": {"url": db_url}, "master_key": new_master_key(), "data_dir": tmp_path}
    )


def test_from_the_authority_to_the_list_of_revoked_certificates(
    settings: Settings, tmp_path: Path, db_url: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(AuthorityMissing, match="silverline ca init"):
        authority.issue(settings, "W-1", None, out, 30)
    authority.init(settings, "银龄")
    with pytest.raises(Conflict):
        authority.init(settings, "银龄")
    server = authority.server(settings, ["mqtt.example", "127.0.0.1"], 30)
    issued = authority.issue(settings, "W-1", None, out, 30)
    assert stat.S_IMODE((out / "W-1.key").stat().st_mode) == 0o600
    own = x509.load_pem_x509_certificate((tmp_path / "ca/ca.pem").read_bytes())
    for file in (issued.certificate_file, server):
        x509.load_pem_x509_certificates(file.read_bytes())[0].verify_directly_issued_by(own)
    with pytest.raises(Conflict):
        authority.issue(settings, "W-1", None, out, 30)
    serial = issued.certificate.serial
    asyncio.run(authority.revoke(settings, "W-1", serial, "key_compromise"))
    crl = x509.load_pem_x509_crl(asyncio.run(authority.write_list(settings, 7)).read_bytes())
    assert [format(one.serial_number, "x") for one in crl] == [serial]
    with pytest.raises(NotFound):
        asyncio.run(authority.listed(settings, "W-9"))
    listed = silverline("ca", "list", "W-1", **installation(db_url))
    [row] = json.loads(listed.stdout)
    assert (row["serial"], row["revoke_reason"]) == (serial, "key_compromise")


def test_another_master_key_does_not_open_the_authority(settings: Settings) -> None:
    authority.init(settings, "银龄")
    other = settings.model_copy(
        update={"master_key": Settings.model_validate({"master_key": new_master_key()}).master_key}
    )
    with pytest.raises(AuthorityMissing, match="wrong passphrase or master key"):
        authority.opened(other)
