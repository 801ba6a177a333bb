"""The network between ingest and the broker is cut under load, and comes back."""

import pytest

from tests.faults.elsewhere import cut_twice, far_ingest, reachable, sessions, without_own_ingest
from tests.faults.installation import Installation
from tests.faults.run import running

pytestmark = pytest.mark.isolated


@pytest.mark.parametrize("installation", ["mosquitto"], indirect=True)
async def test_the_line_to_the_broker_is_cut_and_everything_is_stored_once(
    installation: Installation, name: str
) -> None:
    async with (
        reachable(installation) as way,
        without_own_ingest(installation),
        sessions(installation, "far"),
        far_ingest(installation, way, "far") as connected,
        running(name, installation, "rescue-over-mqtt", watches=False) as run,
    ):
        await run.more()
        await cut_twice(run, way, connected)
        await run.settle()
