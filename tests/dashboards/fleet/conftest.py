"""The fleet's pages on a site of their own, with a technician."""

import pytest

from tests.dashboards.fleet.yard import site, supervisor, technician

__all__ = ["site", "supervisor", "technician"]


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template
