"""Gathers the newest values in memory, so that the batch path does not pay for them.

Written a second or two later in a transaction of their own, thousands of readings of a device cost
one row. What is lost when the process is killed is made right at its next start by
`store.refresh_latest`, or by the device's next reading.
"""

from collections.abc import Iterable

from ingest.telemetry import store
from ingest.telemetry.model import ReadingRow
from kernel.db import Database


class LatestBuffer:
    """The newest reading of each device and metric since the last flush. Not thread-safe."""

    def __init__(self) -> None:
        self._best: dict[tuple[int, int], ReadingRow] = {}

    def __len__(self) -> int:
        return len(self._best)

    def note(self, rows: Iterable[ReadingRow]) -> None:
        """Remember readings; call it after their transaction has been committed."""
        store.merge_newest(self._best, rows)

    async def flush(self, db: Database) -> int:
        """Write what was noted and return the number of rows; what cannot be written is kept.

        Raises what the database raises.
        """
        taken, self._best = self._best, {}
        try:
            async with db.transaction() as tx:
                await store.upsert_latest(tx, taken.values())
        except BaseException:
            noted_since, self._best = self._best, taken
            store.merge_newest(self._best, noted_since.values())
            raise
        return len(taken)
