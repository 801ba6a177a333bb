"""The installations under test, one after the other, and the line that each run ends with."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.installation import Installation
from tests.faults.run import LINES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here kills processes under load and wants the machine to itself."""
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.alone)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LINES:
        terminalreporter.section("books of the faults")
        for line in LINES:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
async def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """A supervised installation with the broker that the test's parameter names."""
    one = Installation(tmp_path_factory.mktemp(request.param), request.param)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of the test: what its line begins with."""
    return str(request.node.name)
