"""The words of these pages fit the codes of the kernel."""

import ast
import re
from pathlib import Path

import pytest

from dashboards.console.account.device import device_name
from dashboards.console.account.words import PROBLEMS
from dashboards.console.audit.words import ACTIONS, PAGES, SUBJECTS, subject
from dashboards.console.users.words import ROLE_HINTS
from dashboards.ui.i18n import translator
from kernel.auth.model import Role
from kernel.auth.problems import SENTENCES


def test_every_problem_has_a_sentence() -> None:
    assert set(PROBLEMS) == set(SENTENCES)


def test_every_role_is_explained() -> None:
    assert set(ROLE_HINTS) == set(Role)


def test_linked_subjects_have_a_name() -> None:
    assert set(PAGES) <= set(SUBJECTS)
    assert {code.split(".")[0] for code in ACTIONS} - {
        "login",
        "password",
        "duty",
        "dispatch",
    } <= set(SUBJECTS)


RECORDERS = {"record", "write_audit", "_audit", "_record"}


def recorded(project: Path) -> set[str]:
    """Every action that the sources write to the audit log by its name."""
    found = set()
    for part in ("app", "care", "dashboards", "devices", "hotline", "ingest", "kernel"):
        for path in (project / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and RECORDERS & {
                    getattr(node.func, "attr", ""), getattr(node.func, "id", ""),
                }:  # fmt: skip
                    texts = (
                        inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)
                    )
                    found |= {
                        text for text in texts
                        if isinstance(text, str) and re.fullmatch(r"[a-z_]+\.[a-z_]*[a-z]", text)
                    }  # fmt: skip
    return found


def test_every_recorded_action_has_its_word(project: Path) -> None:
    actions = recorded(project)
    assert {"elder.updated", "device.viewed", "login.succeeded"} <= actions
    assert actions - set(ACTIONS) == set()


def test_one_subject_is_named_as_one_in_english() -> None:
    english = translator("en")
    assert subject("device", english) == "Device"
    assert {
        code for code, text in SUBJECTS.items() if ("one", text) not in english.messages
    } == set()
    assert subject("unheard_of", english) == "unheard_of"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Edge · Windows",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox · Linux",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
            " Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari · iPhone",
        ),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 300, "x" * 40),
        ("", ""),
    ],
)
def test_a_browser_is_named_as_people_know_it(user_agent: str, name: str) -> None:
    assert device_name(user_agent) == name
