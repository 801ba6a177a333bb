"""The installations under test, one after the other, and the line that each run ends with."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults import isolation
from tests.faults.installation import Installation
from tests.faults.run import LINES

BOOKS = "books"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here kills processes under load; those of one installation come one by one."""
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.alone)
            call = getattr(item, "callspec", None)
            group = call.params.get("installation") if call else None
            item.add_marker(pytest.mark.xdist_group(group or item.path.stem))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Have a test run in namespaces of its own where it cannot run here."""
    if not isolation.wanted(item):
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    with tempfile.TemporaryDirectory() as folder:
        books = Path(folder) / "books"
        call = pytest.CallInfo.from_call(
            lambda: isolation.run(item, books), "call", reraise=(KeyboardInterrupt,)
        )
        lines = books.read_text("utf-8").splitlines() if books.exists() else []
    item.user_properties.extend((BOOKS, line) for line in lines)
    report = hook.pytest_runtest_makereport(item=item, call=call)
    hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show every line once: each report of a test's phases has those of the test so far."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    lines = dict.fromkeys(
        (report.nodeid, line)
        for report in reports
        for name, line in getattr(report, "user_properties", ())
        if name == BOOKS
    )
    if lines:
        terminalreporter.section("books of the faults")
        for _, line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def books_in_the_report(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the lines of the runs to the report: another process may have to show them."""
    before = len(LINES)
    yield
    request.node.user_properties.extend((BOOKS, line) for line in LINES[before:])
    isolation.hand_over(LINES[before:])


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
