"""The words of these pages fit the codes of the kernel."""

from dashboards.console.account.words import PROBLEMS
from dashboards.console.audit.words import ACTIONS, PAGES, SUBJECTS
from dashboards.console.users.words import ROLE_HINTS
from kernel.auth.model import Role
from kernel.auth.problems import SENTENCES


def test_every_problem_has_a_sentence() -> None:
    assert set(PROBLEMS) == set(SENTENCES)


def test_every_role_is_explained() -> None:
    assert set(ROLE_HINTS) == set(Role)


def test_linked_subjects_have_a_name() -> None:
    assert set(PAGES) <= set(SUBJECTS)
    assert {code.split(".")[0] for code in ACTIONS} - {"login", "password", "duty"} <= set(SUBJECTS)
