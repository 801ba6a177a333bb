"""`silverline responder` and `silverline duty-phone` on an installation without pages."""

import json

import pytest

from tests.command_line import installation, silverline

SIQIN = ("responder", "add", "斯琴", "--phone", "139 4710 0001", "--division", "150102")


@pytest.fixture
def ready(db_url: str) -> dict[str, str]:
    """The installation with its tables and the divisions."""
    return installation(db_url)


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


def test_an_administrator_without_a_browser_makes_an_installation_that_can_dispatch(
    ready: dict[str, str],
) -> None:
    added = silverline(*SIQIN, "--skill", "first_aid", "--station", "海东路", "--on-duty", **ready)
    assert (added.returncode, added.stderr) == (0, "")
    [one] = json.loads(silverline("responder", "list", **ready).stdout)
    assert (one["name"], one["skills"], one["on_duty"]) == ("斯琴", ["first_aid"], True)
    assert (one["division"], one["phone"]) == ("150102000000", "139****0001")
    wrong = silverline(*SIQIN, "--skill", "flying", **ready)
    assert wrong.returncode == 2
    assert "no such skill" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    for number in ("13947100009", "13947100010"):
        answer = silverline("duty-phone", "set", "值班", "--phone", number, **ready)
        assert (answer.returncode, answer.stderr) == (0, "")
    nowhere = silverline("duty-phone", "set", "值班", "--phone", "123", "--division", "99", **ready)
    assert nowhere.returncode == 2
    assert "no such division" in nowhere.stderr
