"""Gathers the newest values in memory, so that the batch path does not pay for them.

Written a second or two later in a transaction of their own, thousands of readings of a device cost
one row. What is lost when the process is killed is made right at its next start by
`store.refresh_latest`, or by the device's next reading.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from ingest.telemetry import store
from ingest.telemetry.model import LEFT_OUT, ReadingColumns, ReadingRow
from kernel.db import Database

_MOST_HELD = 400_000
"""Readings that are kept as they come; then the older ones of a device and metric are let go."""


class LatestBuffer:
    """The newest reading of each device and metric since the last flush. Not thread-safe."""

    def __init__(self) -> None:
        self._best: dict[tuple[int, int], ReadingRow] = {}
        self._columns: list[ReadingColumns] = []
        self._held = 0

    def __len__(self) -> int:
        return len(self._best) + self._held

    def note(self, rows: Iterable[ReadingRow]) -> None:
        """Remember readings; call it after their transaction has been committed."""
        store.merge_newest(self._best, rows)

    def note_columns(self, columns: ReadingColumns) -> None:
        """Remember readings in columns, after their commit as well."""
        if not len(columns):
            return
        self._columns.append(columns)
        self._held += len(columns)
        if self._held >= _MOST_HELD:
            newest = newest_of(self._columns)
            # Where there are so many devices that this does not help, the next flush will.
            self._columns, self._held = [newest], min(len(newest), _MOST_HELD // 2)

    async def flush(self, db: Database) -> int:
        """Write what was noted and return the number of rows; what cannot be written is kept.

        Raises what the database raises.
        """
        taken, self._best = self._best, {}
        columns, self._columns, self._held = self._columns, [], 0
        try:
            async with db.transaction() as tx:
                await store.upsert_latest(tx, taken.values())
                if columns:
                    columns = [newest_of(columns)]
                    await store.upsert_latest_columns(tx, columns[0])
        except BaseException:
            noted_since, self._best = self._best, taken
            store.merge_newest(self._best, noted_since.values())
            self._columns = columns + self._columns
            self._held = sum(map(len, self._columns))
            raise
        return len(taken) + sum(map(len, columns))


def newest_of(columns: Sequence[ReadingColumns]) -> ReadingColumns:
    """The newest reading that may be shown of each device and metric, in their order."""
    time = np.concatenate([each.time for each in columns])
    device_no = np.concatenate([each.device_no for each in columns])
    metric = np.concatenate([each.metric for each in columns])
    value = np.concatenate([each.value for each in columns])
    quality = np.concatenate([each.quality for each in columns])
    order = np.lexsort((time, metric, device_no))
    order = order[quality[order] & LEFT_OUT == 0]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (np.diff(device_no[order]) != 0) | (np.diff(metric[order]) != 0)
    order = order[last]
    return ReadingColumns(
        time[order], device_no[order], metric[order], value[order], quality[order]
    )
