"""kill -9 of the web process: the operators come back, and what happened meanwhile is on screen."""

import pytest

from tests.faults.installation import Installation
from tests.faults.run import running


@pytest.mark.parametrize("installation", ["embedded"], indirect=True)
async def test_web_is_killed_and_no_incident_is_missed_or_claimed_twice(
    installation: Installation, name: str
) -> None:
    async with running(name, installation) as run:
        await run.more()
        # Long enough away for alarms that nobody hears.
        await installation.unwatch()
        installation.kill("web")
        await run.more(messages=50, activations=5)
        installation.watch()
        await installation.ready("web")
        await run.more()
        await run.settle()
