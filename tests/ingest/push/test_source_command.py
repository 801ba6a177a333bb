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
    assert "until it is revoked" in added.stderr
    assert (source["name"], source["codec"], source["revoked_at"], source["expires_at"]) == (
        "chirpstack-1", "chirpstack", None, None,
    )  # fmt: skip
    assert token not in listed.stdout
    assert silverline("source", "revoke", "chirpstack-1", **environment).returncode == 0
    assert silverline("source", "revoke", "chirpstack-1", **environment).returncode == 2
    assert await home.value("SELECT count(*) FROM ingest_source WHERE revoked_at IS NOT NULL") == 1


async def test_a_token_to_read_ends_after_a_year_or_as_said(
    environment: dict[str, str], home: Home
) -> None:
    added = silverline("source", "add", "his", "--codec", "fhir", **environment)
    assert re.search(r"his may read until 20\d\d-\d\d-\d\d", " ".join(added.stderr.split()))
    silverline("source", "add", "gis", "--codec", "fhir", "--days", "30", **environment)
    held = "SELECT extract(day FROM expires_at - created_at)::int FROM ingest_source WHERE name = "
    assert [await home.value(held + f"'{name}'") for name in ("his", "gis")] == [365, 30]
    refused = silverline("source", "add", "x", "--codec", "fhir", "--days", "4000", **environment)
    assert refused.returncode == 2
    assert "days: 0 to 3650" in " ".join(refused.stderr.split())


def test_what_cannot_be_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    refused = silverline(
        "source", "add", "a b", "--codec", "gt06", "--division", "15010", **environment
    )
    assert refused.returncode == 2
    for said in ("name: 1 to 64", "codec: gt06 is not pushed", "division: is no division code"):
        assert said in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
