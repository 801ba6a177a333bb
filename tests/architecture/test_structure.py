"""Promises of the house that no single part can keep alone."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from fastapi import FastAPI

from app import wiring
from app.settings import Settings
from app.web import create_app
from dashboards.console.outbox import words as outbox_words
from devices.codecs import CODECS
from kernel.auth.web import route_rules
from kernel.crypto import new_master_key
from kernel.db import Database
from kernel.live import LiveHub

PACKAGES = ("app", "dashboards", "ingest", "hotline", "care", "devices", "kernel")
MOST_LINES = 400
MOST_FUNCTION_LINES = 40
# Longer on purpose, with the reason.
LONG_FUNCTIONS = {
    "ingest/transports/mqtt_packets.py read": "runs once a message: a call inside would cost more",
}
# Open on purpose: logging in, health, the responder's signed link, built files, and what platforms
# push or read (FHIR) with a token of their own, devices of a batch with its key, and a device's own
# link to its firmware.
PUBLIC = re.compile(
    r"^/(login|healthz|readyz|r/\{token\}.*|preferences|ui(/.*)?|ingest/http/\{codec\}|fhir/.*"
    r"|provision|firmware/\{token\})$"
)


@pytest.fixture
def settings(db_url: str) -> Settings:
    return Settings.model_validate(
        {"database": {"url": db_url}, "master_key": new_master_key(), "demo": True}
    )


@pytest.fixture
def web(settings: Settings, db: Database) -> FastAPI:
    return create_app(settings, db, LiveHub(db))


def sources(project: Path) -> list[Path]:
    return [path for name in PACKAGES for path in sorted((project / name).rglob("*.py"))
            if "node_modules" not in path.parts]  # fmt: skip


def test_every_route_says_who_may(web: FastAPI) -> None:
    rules = list(route_rules(web))
    assert len(rules) > 40
    assert [rule.path for rule in rules if not rule.guarded] == []


def test_only_known_routes_are_open_to_everybody(web: FastAPI) -> None:
    open_paths = [rule.path for rule in route_rules(web) if rule.public]
    assert [path for path in open_paths if not PUBLIC.match(path)] == []


def test_no_route_stands_twice(web: FastAPI) -> None:
    seen = [(rule.path, method) for rule in route_rules(web) for method in rule.methods]
    assert len(seen) == len(set(seen))


async def test_every_outbox_topic_has_a_handler(
    project: Path, settings: Settings, db: Database
) -> None:
    """Topics are constants that are named …TOPIC; each must be in the worker's table."""
    carrier, downlink = wiring.carrier(settings, db), wiring.command_publisher(settings)
    handled = set(wiring.outbox_handlers(settings, db, carrier, downlink))
    topics = {
        node.value.value
        for path in sources(project)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and "." in node.value.value
        and any(isinstance(t, ast.Name) and t.id.endswith("TOPIC") for t in node.targets)
    }
    assert topics
    assert topics <= handled
    assert handled <= topics
    # The administrator's page of what failed names each of them.
    assert handled <= outbox_words.TOPIC.keys()


async def test_every_job_has_a_name_of_its_own_and_a_schedule(
    settings: Settings, db: Database
) -> None:
    jobs = await wiring.jobs(settings, db)
    assert len({job.name for job in jobs}) == len(jobs)
    assert all(job.every_seconds >= 5 for job in jobs)


def test_every_codec_has_frames(project: Path) -> None:
    frames = {path.stem for path in (project / "tests/contract/frames").glob("*.jsonl")}
    assert {codec.replace("-", "_") for codec in CODECS} <= {f.replace("-", "_") for f in frames}


def test_every_codec_is_a_module_or_a_folder_of_its_name() -> None:
    named = {name: import_module(f"devices.codecs.{name}").CODEC for name in CODECS}
    assert named == CODECS


def test_files_stay_short(project: Path) -> None:
    long = {
        str(path.relative_to(project)): count
        for path in [*sources(project), *sorted((project / "firmware-sim").rglob("*.py"))]
        if (count := len(path.read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_functions_stay_short(project: Path) -> None:
    """Counted without the docstring; a statement in SQL, being text, is one line however long."""
    long = {
        f"{path.relative_to(project)} {node.name}": count
        for path in [*sources(project), *sorted((project / "firmware-sim").rglob("*.py"))]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (count := lines_of(node)) > MOST_FUNCTION_LINES
    }
    assert {name: count for name, count in long.items() if name not in LONG_FUNCTIONS} == {}
    assert LONG_FUNCTIONS.keys() <= long.keys(), "an exception is no longer needed"


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(function)
        if isinstance(node, ast.Constant | ast.JoinedStr)
        and isinstance(getattr(node, "value", ""), str)
    ]
    within = {line for first, last in spans for line in range(first + 1, last + 1)}
    doc = function.body[0] if ast.get_docstring(function) is not None else None
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    return lines - len(within) - (1 if doc is not None else 0)


def test_sql_lives_in_stores(project: Path) -> None:
    """Statements outside of a store (or the kernel) are how rules drift into queries."""
    statement = re.compile(r"^\s*(SELECT\s.+\sFROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\s", re.M)
    allowed = re.compile(r"(^|/)(store|inventory|latest|\w+_store)\.py$|^kernel/|^app/")
    offenders = [
        str(path.relative_to(project))
        for path in sources(project)
        if not allowed.search(str(path.relative_to(project)))
        and any(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and statement.search(node.value)
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        )
    ]
    assert offenders == []


def test_only_the_clock_asks_for_the_time(project: Path) -> None:
    asked = re.compile(r"datetime\.(now|utcnow|today)\(|\bdate\.today\(|\btime\.time\(")
    offenders = [
        str(path.relative_to(project))
        for path in sources(project)
        if path != project / "kernel/clock.py" and asked.search(path.read_text("utf-8"))
    ]
    assert offenders == []


def test_no_file_names_a_registry_or_a_folder_of_the_machine(project: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    forbidden = re.compile(
        r"registry\.npmjs|deb\.debian\.org|(?<![\w}])/root/|(?<!\w)/home/[a-z]+/"
    )
    offenders = [
        name
        for name in listed
        if name
        and not name.endswith((".png", ".jpg", ".lock", ".ico"))
        and name != "tests/architecture/test_structure.py"
        and (project / name).is_file()
        and forbidden.search((project / name).read_text("utf-8", errors="ignore"))
    ]
    assert offenders == []


def test_imports_point_down(project: Path) -> None:
    result = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
