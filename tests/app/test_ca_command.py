"""`silverline ca`: an authority in the data folder, certificates of devices, an end at once."""

import json
import re
import stat
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from kernel.auth.model import Actor
from kernel.db import Database
from tests.command_line import installation, silverline
from tests.devices.registry.world import add_device, add_person


@pytest.fixture
async def environment(db_url: str, db: Database, now: datetime, tmp_path: Path) -> dict[str, str]:
    async with db.transaction() as tx:
        actor: Actor = await add_person(tx, now)
        await add_device(tx, actor, now, "W-1")
    return installation(db_url) | {"SILVERLINE_DATA_DIR": str(tmp_path)}


def test_from_the_authority_to_the_list_of_revoked_certificates(
    environment: dict[str, str], tmp_path: Path
) -> None:
    refused = silverline("ca", "issue", "W-1", **environment)
    assert refused.returncode == 2
    assert "make one: silverline ca init" in " ".join(refused.stderr.split())
    assert silverline("ca", "init", "--name", "银龄", **environment).returncode == 0
    assert silverline("ca", "init", **environment).returncode == 2
    made = silverline("ca", "server", "mqtt.example", "127.0.0.1", **environment)
    assert made.returncode == 0
    out = tmp_path / "out"
    issued = silverline("ca", "issue", "W-1", "--out", str(out), "--days", "30", **environment)
    assert issued.returncode == 0
    assert stat.S_IMODE((out / "W-1.key").stat().st_mode) == 0o600
    authority = x509.load_pem_x509_certificate((tmp_path / "ca/ca.pem").read_bytes())
    for file in (out / "W-1.pem", tmp_path / "ca/server.pem"):
        certificate = x509.load_pem_x509_certificates(file.read_bytes())[0]
        certificate.verify_directly_issued_by(authority)
    [row] = json.loads(silverline("ca", "list", "W-1", **environment).stdout)
    assert row["serial"] in re.sub(r"\s", "", issued.stdout)
    ended = silverline(
        "ca", "revoke", "W-1", row["serial"], "--reason", "key_compromise", **environment
    )
    assert ended.returncode == 0
    crl = x509.load_pem_x509_crl((tmp_path / "ca/crl.pem").read_bytes())
    assert [format(one.serial_number, "x") for one in crl] == [row["serial"]]
    unknown = silverline("ca", "list", "W-9", **environment)
    assert unknown.returncode == 2
    assert "Traceback" not in unknown.stderr
