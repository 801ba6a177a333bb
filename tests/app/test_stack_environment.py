"""What the embedded stack passes on to its processes, and what it decides itself."""

import fcntl
from pathlib import Path

import pytest

from app.embedded.children import EmbeddedError
from app.installation import Addresses
from app.secrets import EmbeddedSecrets
from app.settings import Settings
from app.stack import Stack, StackSettings
from kernel.crypto import new_master_key


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    made = Stack(StackSettings(tmp_path, host="127.0.0.1"), print)
    made.secrets = EmbeddedSecrets(new_master_key(), "mqtt-password")
    made.database_url = "postgresql://embedded/silverline"
    made.web_port = 8081
    return made


def read_by_a_child(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **settings: str
) -> Settings:
    for name, value in settings.items():
        monkeypatch.setenv(f"SILVERLINE_{name}", value)
    passed_on = stack.environment(0)
    for name in settings:
        monkeypatch.delenv(f"SILVERLINE_{name}")
    for name, value in passed_on.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Settings()


def test_without_settings_pages_are_reached_on_loopback(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = read_by_a_child(stack, monkeypatch, tmp_path)
    assert child.web.public_url == "http://127.0.0.1:8081"
    assert not child.web.secure_cookies
    assert child.log_level == "WARNING"


def test_a_small_centre_behind_a_proxy_says_how_it_is_reached(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = read_by_a_child(
        stack, monkeypatch, tmp_path,
        WEB__PUBLIC_URL="https://12349.example.cn", WEB__SECURE_COOKIES="true",
        WEB__TRUSTED_PROXIES='["10.0.0.2"]', WEB__CENTRE="包头市", DUTY_PHONE="0472-1234567",
    )  # fmt: skip
    # The link in a responder's text begins with it.
    assert child.web.public_url == "https://12349.example.cn"
    assert child.web.secure_cookies
    assert child.web.trusted_proxies == ("10.0.0.2",)
    assert child.web.centre == "包头市"
    assert child.duty_phone == "0472-1234567"


async def test_a_second_supervisor_leaves_word_of_the_first_where_it_is(tmp_path: Path) -> None:
    Addresses(web_port=8080, mqtt_port=1883).write(tmp_path)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = Stack(StackSettings(tmp_path), print)
        with pytest.raises(EmbeddedError, match="already runs"):
            await second.start_database()
        await second.stop()
    assert Addresses.read(tmp_path) == Addresses(web_port=8080, mqtt_port=1883)


def test_database_broker_and_keys_are_the_stack_s_own(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = read_by_a_child(
        stack, monkeypatch, tmp_path,
        DATABASE__URL="postgresql://elsewhere/x", MQTT__HOST="broker.example", MQTT__TLS="true",
        MASTER_KEY=new_master_key(), WEB__PORT="9999", DEMO="true",
    )  # fmt: skip
    assert child.database_url == "postgresql://embedded/silverline"
    assert not child.mqtt.tls
    assert (child.mqtt.host, child.web.port, child.demo) == ("127.0.0.1", 8081, False)
    assert child.master_key.get_secret_value() == stack.secrets.master_key
