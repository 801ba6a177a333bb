"""Secrets come as files where Docker and Kubernetes put them, so that no variable holds one."""

import os
import tempfile
from pathlib import Path

import psycopg
import pytest

from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings, SettingsError, load_settings
from kernel.crypto import new_master_key


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("SILVERLINE_SECRETS_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_file_named_like_a_variable_is_read(secrets: Path) -> None:
    key = new_master_key()
    (secrets / "SILVERLINE_MASTER_KEY").write_text(f"{key}\n")
    (secrets / "SILVERLINE_MQTT__DYNSEC_PASSWORD").write_text("of the broker")
    # What the platform puts there beside ours is none of our business.
    (secrets / "kubernetes.io").mkdir()
    (secrets / "kubernetes.io" / "token").write_text("x")
    (secrets / "postgres").write_text("x")
    settings = Settings()
    assert settings.master_key.get_secret_value() == key
    assert settings.mqtt.dynsec_password.get_secret_value() == "of the broker"


def test_a_variable_wins_over_a_file_and_a_file_over_the_toml(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("silverline.toml").write_text('duty_phone = "toml"\n[mqtt]\nhost = "toml"\nport = 1\n')
    (secrets / "SILVERLINE_MQTT__HOST").write_text("file")
    (secrets / "SILVERLINE_MQTT__PORT").write_text("2")
    monkeypatch.setenv("SILVERLINE_MQTT__HOST", "variable")
    settings = Settings()
    assert (settings.mqtt.host, settings.mqtt.port) == ("variable", 2)
    assert settings.duty_phone == "toml"


def test_the_password_of_the_database_may_lie_apart_from_its_address(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, pg_server: EmbeddedPostgres
) -> None:
    monkeypatch.setenv("SILVERLINE_DATABASE__URL", pg_server.url("postgres"))
    (secrets / "SILVERLINE_DATABASE__PASSWORD").write_text("a b'c@/\\d\n")
    url = Settings().database_url
    assert psycopg.conninfo.conninfo_to_dict(url)["password"] == "a b'c@/\\d"
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_secret_that_cannot_be_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "SILVERLINE_MASTER_KEY").touch(0o000)
        monkeypatch.setenv("SILVERLINE_SECRETS_DIR", folder)
        monkeypatch.chdir(folder)
        user = os.geteuid()
        if user == 0:
            # Root reads everything.
            os.seteuid(65534)
        try:
            with pytest.raises(SettingsError, match="SILVERLINE_MASTER_KEY"):
                load_settings()
        finally:
            os.seteuid(user)


def test_without_the_folder_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILVERLINE_SECRETS_DIR", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    assert Settings().log_format == "json"
