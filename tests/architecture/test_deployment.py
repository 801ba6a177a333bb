"""What the deployment files and the README say of settings is what the settings are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from app.settings import Settings
from app.stack import PROCESSES


def setting_names() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (f"SILVERLINE_{name}__{inner}".upper() for inner in kind.model_fields)
        else:
            yield f"SILVERLINE_{name}".upper()


@pytest.fixture
def compose(project: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((project / "compose.yaml").read_text("utf-8"))
    return loaded


def test_every_variable_of_the_compose_file_is_a_setting(compose: dict[str, Any]) -> None:
    used = {
        name
        for service in compose["services"].values()
        for name in service.get("environment", {})
        if name.startswith("SILVERLINE_")
    }
    assert used
    assert used <= set(setting_names())


def test_every_process_has_a_service(compose: dict[str, Any]) -> None:
    assert set(PROCESSES) | {"database", "proxy", "grafana"} <= set(compose["services"])


def test_every_variable_without_a_default_is_in_the_example(
    project: Path, compose: dict[str, Any]
) -> None:
    required = set(re.findall(r"\$\{(\w+):\?", (project / "compose.yaml").read_text("utf-8")))
    example = (project / "deploy/example.env").read_text("utf-8")
    assert required == required & set(re.findall(r"^(\w+)=", example, re.M))


def test_files_that_are_mounted_are_there(project: Path, compose: dict[str, Any]) -> None:
    mounted = [
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert mounted
    assert [path for path in mounted if not (project / path).exists()] == []


def test_the_readme_lists_every_setting(project: Path) -> None:
    text = (project / "README.md").read_text("utf-8")
    internal = {"SILVERLINE_CARRIER", "SILVERLINE_DEMO", "SILVERLINE_DATA_DIR",
                "SILVERLINE_MQTT__BIND"}  # fmt: skip
    missing = [
        name
        for name in setting_names()
        if name not in internal and name.removeprefix("SILVERLINE_").split("__")[-1] not in text
    ]
    assert missing == []


def test_every_file_on_the_map_is_there(project: Path) -> None:
    text = (project / "docs/map.md").read_text("utf-8")
    roots = {path.name for path in project.iterdir()}
    named = {
        word
        for word in re.findall(r"`([\w./*<>-]+)`", text)
        if word.split("/")[0] in roots and "<" not in word
    }
    assert len(named) > 60
    assert [name for name in sorted(named) if not list(project.glob(name))] == []
