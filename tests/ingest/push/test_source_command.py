"""`silverline source`: a token that is shown once, a list without it, an end at once."""

import json
import re

import pytest

from kernel.db import Database
from tests.command_line import installation, silverline
from tests.ingest.home import Home


@pytest.fixture
def environment(db_url: str) -> dict[str, str]:
    return installation(db_url)


async def test_add_list_and_revoke(environment: dict[str, str], db: Database, home: Home) -> None:
    added = silverline("source", "add", "chirpstack-1", "--codec", "chirpstack", **environment)
    assert added.returncode == 0
    token = added.stdout.strip()
    assert re.fullmatch(r"sls_[A-Za-z0-9_-]{43}", token)
    assert token not in added.stderr
    twice = silverline("source", "add", "chirpstack-1", "--codec", "chirpstack", **environment)
    assert twice.returncode == 2
    assert "There is a source chirpstack-1 already" in twice.stderr
    listed = silverline("source", "list", **environment)
    [source] = json.loads(listed.stdout)
    assert (source["name"], source["codec"], source["revoked_at"]) == (
        "chirpstack-1", "chirpstack", None,
    )  # fmt: skip
    assert token not in listed.stdout
    assert silverline("source", "revoke", "chirpstack-1", **environment).returncode == 0
    assert silverline("source", "revoke", "chirpstack-1", **environment).returncode == 2
    assert await home.value("SELECT count(*) FROM ingest_source WHERE revoked_at IS NOT NULL") == 1


def test_what_cannot_be_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    refused = silverline(
        "source", "add", "a b", "--codec", "gt06", "--division", "15010", **environment
    )
    assert refused.returncode == 2
    for said in ("name: 1 to 64", "codec: gt06 is not pushed", "division: is no division code"):
        assert said in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
