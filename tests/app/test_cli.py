"""The command line as an administrator meets it: sentences and exit codes, never a trace."""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from app.embedded.postgres import EmbeddedPostgres
from app.secrets import load_or_make
from kernel.crypto import FieldCipher
from tests.command_line import installation, silverline


@pytest.fixture
def empty(pg_server: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """The settings of an installation whose database is empty."""
    name = f"cli_{os.getpid()}_{os.urandom(3).hex()}"
    yield installation(pg_server.ensure_database(name))
    with psycopg.connect(pg_server.url("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@pytest.fixture
def db_template(divided_template: str) -> str:
    """What `silverline migrate` makes."""
    return divided_template


@pytest.mark.parametrize("name", ["web", "migrate"])
def test_without_settings_a_process_refuses_with_a_sentence(name: str) -> None:
    result = silverline(name)
    assert result.returncode == 2
    assert "SILVERLINE_DATABASE__URL is not set" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_option_is_a_sentence_too() -> None:
    result = silverline("migrate", "--sideways")
    assert result.returncode == 2
    assert "--sideways" in result.stderr


def test_a_wrong_setting_is_named() -> None:
    result = silverline("migrate", SILVERLINE_WEB__PORT="many")
    assert result.returncode == 2
    assert "SILVERLINE_WEB__PORT" in result.stderr


def test_a_secret_is_never_in_the_complaint() -> None:
    result = silverline("migrate", SILVERLINE_MASTER_KEY="hunter2", SILVERLINE_DATABASE__URL="x=y")
    assert result.returncode != 0
    assert "hunter2" not in result.stderr + result.stdout


def test_migrate_user_add_and_audit_verify(empty: dict[str, str]) -> None:
    first = silverline("migrate", **empty)
    assert first.returncode == 0, first.stderr
    assert "0001_kernel.sql" in first.stdout
    assert "nothing to apply" in silverline("migrate", **empty).stdout

    words = (
        "user",
        "add",
        "wangfang",
        "--name",
        "王芳",
        "--role",
        "operator",
        "--division",
        "1501",
    )
    added = silverline(*words, **empty)
    assert added.returncode == 0, added.stderr
    assert "First password" in added.stdout
    again = silverline(*words, **empty)
    assert again.returncode == 2
    assert "Traceback" not in again.stderr

    verified = silverline("audit", "verify", **empty)
    assert verified.returncode == 0
    assert "intact" in verified.stdout


def test_what_is_set_up_from_the_command_line_goes_to_the_installation_of_up(
    tmp_path: Path,
) -> None:
    """Nothing is set but the folder; commands find database and key of `silverline up` in it."""
    here = {"SILVERLINE_DATA_DIR": str(tmp_path)}
    secrets = load_or_make(tmp_path / "secrets.json")
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        url = server.ensure_database()
        key = {"SILVERLINE_DATABASE__URL": url, "SILVERLINE_MASTER_KEY": secrets.master_key}
        assert silverline("migrate", **key).returncode == 0
        added = silverline("responder", "add", "斯琴", "--phone", "13947100001",
                           "--division", "150102", **here)  # fmt: skip
        assert added.returncode == 0, added.stderr
        assert str(tmp_path) in "".join(added.stderr.split())
        assert "斯琴" in silverline("responder", "list", **key).stdout
        assert "intact" in silverline("audit", "verify", **here).stdout
        examined = " ".join(silverline("doctor", **here).stdout.split())
        assert f"the one in {tmp_path}, which runs" in examined
        assert "master key: is set" in examined
        assert "SILVERLINE_MASTER_KEY" not in examined
    finally:
        server.stop()
    away = silverline("responder", "list", **here)
    assert away.returncode == 2
    assert "the database does not answer" in away.stderr
    assert "Traceback" not in away.stderr
    examined = " ".join(silverline("doctor", **here).stdout.split())
    assert "does not run" in examined
    assert "`silverline up`" in examined


def test_doctor_tells_a_key_that_does_not_open_what_is_stored(
    db_url: str, cipher: FieldCipher
) -> None:
    with psycopg.connect(db_url) as conn:
        conn.execute(
            "INSERT INTO elder (id, name, sex, division_code, created_at, updated_at)"
            " VALUES (%(id)s, '云桂兰', 'female', '150105002003', now(), now())",
            {"id": (elder := uuid.uuid4())},
        )
        conn.execute(
            "INSERT INTO elder_phone (id, elder_id, position, phone_enc, phone_index)"
            " VALUES (%s, %s, 0, %s, %s)",
            (uuid.uuid4(), elder, cipher.encrypt("phone", "13947100001"), b"index"),
        )
    result = silverline("doctor", **installation(db_url))
    assert result.returncode == 1
    assert "put back the key" in " ".join(result.stdout.split())


def test_an_unknown_role_is_answered_with_the_known_ones(db_url: str) -> None:
    words = ("user", "add", "x", "--name", "X", "--role", "emperor")
    result = silverline(*words, **installation(db_url))
    assert result.returncode == 2
    assert "subsidy_officer" in result.stderr


def test_doctor_finds_what_is_missing_and_says_how_to_mend_it(
    empty: dict[str, str], db_url: str
) -> None:
    before = silverline("doctor", **empty)
    assert before.returncode == 1
    assert "run `silverline migrate`" in before.stdout
    assert "MQTT broker" in before.stdout
    after = silverline("doctor", **installation(db_url))
    assert "there is no administrator" in after.stdout
    assert "up to date" in after.stdout
    assert "intact" in after.stdout


def test_doctor_without_settings_says_that_up_needs_none(tmp_path: Path) -> None:
    result = silverline("doctor", SILVERLINE_DATA_DIR=str(tmp_path))
    assert "`silverline up` and `silverline demo` need none of this" in " ".join(
        result.stdout.split()
    )


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_the_headless_demonstration_loses_nothing_and_leaves_nothing_open(tmp_path: Path) -> None:
    result = silverline(
        "demo", "--headless", "--seconds", "8", "--devices", "60", "--json",
        "--data-dir", str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    tally = json.loads(result.stdout.strip().splitlines()[-1])
    assert tally["devices"] == 60
    assert tally["lost"] == tally["duplicates"] == tally["dead_letters"] == 0
    assert tally["messages_published"] == tally["messages_ingested"] > 100
    assert tally["readings_published"] == tally["readings_stored"] > 100
    assert tally["incidents_opened"] == tally["incidents_resolved"] > 5
    assert tally["alarm_to_operator_ms"]["p99"] > 0
    assert tally["storage_mode"] == "plain"
    for step in ("first start", "migration 1 of", "broker", "web 已就绪", "devices publish"):
        assert step in result.stderr
