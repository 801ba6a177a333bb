"""compose.yaml and the Containerfile: what runs, as whom, with which rights and secrets."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import WatchSection
from devices.codecs import CODECS

_OURS = ("migrate", "web", "ingest", "worker", "scheduler")
_OTHERS = ("database", "broker", "proxy", "prometheus", "grafana")
Compose = dict[str, Any]


@pytest.fixture(scope="module")
def compose(project: Path) -> Compose:
    loaded: Compose = yaml.safe_load((project / "compose.yaml").read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module")
def containerfile(project: Path) -> str:
    return (project / "Containerfile").read_text("utf-8").replace("\\\n", " ")


def test_every_part_of_production_is_a_service(compose: Compose) -> None:
    assert set(compose["services"]) == {*_OURS, *_OTHERS}


@pytest.mark.parametrize("name", _OURS)
def test_our_processes_have_no_rights_and_their_limits(compose: Compose, name: str) -> None:
    service = compose["services"][name]
    assert service["command"] == [name]
    assert service["read_only"]
    assert service["volumes"] == ["data:/var/lib/silverline"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert "user" not in service, "the image says who it runs as"


@pytest.mark.parametrize("name", [*_OURS, *_OTHERS])
def test_what_ends_is_started_again_and_logs_do_not_fill_the_disk(
    compose: Compose, name: str
) -> None:
    service = compose["services"][name]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert service["logging"]["options"] == {"max-size": "20m", "max-file": "5"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "memory" in service["deploy"]["resources"]["limits"]


@pytest.mark.parametrize("name", _OTHERS)
def test_the_others_have_a_health_check_of_ours(compose: Compose, name: str) -> None:
    check = compose["services"][name]["healthcheck"]
    assert check["retries"] > 1
    assert check["timeout"].endswith("s")


def test_the_image_checks_its_own_health(containerfile: str) -> None:
    assert re.search(r"^HEALTHCHECK .*CMD .*127\.0\.0\.1:9100/readyz", containerfile, re.M)
    assert "SILVERLINE_HEALTH__PORT=9100" in containerfile


def test_images_are_pinned_to_a_version(compose: Compose) -> None:
    for name in _OTHERS:
        image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", compose["services"][name]["image"])
        assert re.search(r":v?\d", image), image


def test_no_secret_is_in_the_file_or_in_a_variable(compose: Compose, project: Path) -> None:
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY", variable):
                assert str(value).startswith("/run/secrets/"), f"{name}: {variable}"
            assert not re.search(r"://[^/@\s]+:[^/@\s]+@", str(value)), f"{name}: {variable}"
    example = (project / "deploy/example.env").read_text("utf-8")
    assert not re.search(r"^\w*(PASSWORD|SECRET|KEY)\w*=", example, re.M)


def test_every_secret_is_made_and_kept_out_of_git_and_of_the_image(
    compose: Compose, project: Path
) -> None:
    script = (project / "deploy/make-secrets").read_text("utf-8")
    made = set(re.findall(r"^make (\w+) ", script, re.M))
    files = {name: secret["file"] for name, secret in compose["secrets"].items()}
    assert set(files) == made
    assert set(files.values()) == {f"./secrets/{name}" for name in made}
    ignored = (project / ".gitignore").read_text("utf-8").split()
    assert {"/secrets/", "/.env"} <= set(ignored)
    # The build sees what is named and nothing else.
    assert (project / ".dockerignore").read_text("utf-8").split()[0] == "*"


def test_each_process_gets_the_secrets_that_it_needs(compose: Compose) -> None:
    given = {
        name: {secret["source"] for secret in compose["services"][name]["secrets"]}
        for name in _OURS
    }
    always = {"database_password", "master_key"}
    assert given["web"] == given["scheduler"] == always
    assert given["ingest"] == always | {"mqtt_ingest_password"}
    assert given["worker"] == given["migrate"] == set(compose["secrets"]) - {"grafana_password"}


def test_every_listener_has_its_port(compose: Compose) -> None:
    ingest = compose["services"]["ingest"]
    table = yaml.safe_load(ingest["environment"]["SILVERLINE_WATCH__PORTS"])
    streams = {name for name, codec in CODECS.items() if codec.split is not None}
    assert set(WatchSection(ports=table).ports) == streams
    published = [port.rsplit(":", 1)[1] for port in ingest["ports"]]
    assert published == ["5093-5097", "5060/udp", "5060/tcp"]
    assert sorted(table.values()) == list(range(5093, 5098))
    assert ingest["environment"]["SILVERLINE_SCAIP__PORT"] == "5060"
    # Protocols in clear: for this machine alone until somebody says otherwise.
    for port in [*ingest["ports"], *compose["services"]["broker"]["ports"]]:
        assert re.match(r"\$\{\w+_BIND:-127\.0\.0\.1\}:", port), port


def test_only_the_proxy_and_the_listeners_are_published(compose: Compose) -> None:
    published = {name for name, service in compose["services"].items() if service.get("ports")}
    assert published == {"proxy", "broker", "ingest"}
    assert compose["networks"]["inside"]["internal"]
    assert compose["services"]["database"]["networks"] == ["inside"]


def test_the_proxy_passes_the_feed_on_at_once(project: Path, compose: Compose) -> None:
    caddyfile = (project / "deploy/caddy/Caddyfile").read_text("utf-8")
    assert "flush_interval -1" in caddyfile
    # What is missing is said inside; `/metrics` the web process does not serve at all.
    assert re.search(r"handle /readyz \{\s*respond 404\s*\}", caddyfile)
    assert re.search(r"@packable not path /live\b", caddyfile)
    assert "443:443/udp" in compose["services"]["proxy"]["ports"]
    trusted = compose["services"]["web"]["environment"]["SILVERLINE_WEB__TRUSTED_PROXIES"]
    address = compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    assert yaml.safe_load(trusted) == [address]


def test_mosquitto_keeps_everything_and_knows_everybody(project: Path, compose: Compose) -> None:
    text = (project / "deploy/mosquitto/mosquitto.conf").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert "allow_anonymous false" in lines
    assert "global_plugin /usr/lib/mosquitto_persist_sqlite.so" in lines
    assert lines[lines.index("plugin_opt_sync full") + 1] == "plugin_opt_flush_period 0"
    # Both at once would be two books of the same messages.
    assert "persistence true" not in lines
    assert "plugin_opt_password_init_file /run/secrets/mqtt_admin_password" in lines
    broker = compose["services"]["broker"]
    assert broker["secrets"] == ["mqtt_admin_password"]
    assert "broker:/mosquitto/data" in broker["volumes"]


def test_the_image_runs_as_a_number_that_is_not_root(containerfile: str) -> None:
    users = re.findall(r"^USER (\S+)$", containerfile, re.M)
    assert users == ["10001:10001"]
    assert containerfile.index("USER 10001") > containerfile.rindex("COPY ")


def test_what_is_kept_in_files_lies_where_the_volume_is(containerfile: str) -> None:
    assert "SILVERLINE_DATA_DIR=/var/lib/silverline" in containerfile
    assert re.search(r"install -d -o silverline .* /var/lib/silverline", containerfile)


def test_the_image_is_built_from_the_lock_files(containerfile: str) -> None:
    for line in re.findall(r"uv sync.*", containerfile):
        assert "--frozen" in line
    assert re.search(r'pip install .*"uv==\$UV_VERSION"', containerfile)
    assert "tools/assets.py build" in containerfile


def test_every_package_of_ours_is_in_the_image(containerfile: str, project: Path) -> None:
    pyproject = (project / "pyproject.toml").read_text("utf-8")
    packages = re.search(r"^packages = \[(.*?)\]", pyproject, re.M | re.S)
    assert packages is not None
    ours = set(re.findall(r'"(\w+)"', packages[1]))
    copied = {m[1] for m in re.finditer(r"^COPY ([\w-]+) \1$", containerfile, re.M)}
    assert ours | {"firmware-sim"} == copied
    allowed = set((project / ".dockerignore").read_text("utf-8").split())
    assert {f"!{name}" for name in copied} <= allowed


def test_no_registry_and_no_machine_is_named(project: Path) -> None:
    files = [project / "Containerfile", project / "compose.yaml", *(project / "deploy").rglob("*")]
    for path in files:
        if path.is_file():
            text = path.read_text("utf-8")
            assert not re.search(r"\b(docker|quay|ghcr|gcr|pypi|npmjs)\.(io|com|org)\b", text), path
