"""Gathers the newest values in memory, so that the batch path does not pay for them.

Written a second or two later in a transaction of their own, thousands of readings of a device cost
one row. What is lost when the process is killed is made right at its next start by
`store.refresh_latest`, or by the device's next reading.
"""

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np

from ingest.telemetry import store
from ingest.telemetry.model import LEFT_OUT, ReadingColumns, ReadingRow
from kernel.db import Database

_MANY = 500_000
"""Readings in columns that are kept as they come; they take 14 MB."""
_PART = 20_000


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

    async def compact(self) -> None:
        """Let go of all but the newest readings in columns, when many have been noted."""
        if self._held < _MANY:
            return
        self._note_first(await self._newest())

    async def _newest(self) -> ReadingColumns:
        """Take out what was noted in columns, the newest of it."""
        taken, self._columns, self._held = self._columns, [], 0
        try:
            # In a thread: it takes some tenths of a second, and alarms do not wait for it.
            return await asyncio.to_thread(newest_of, taken)
        except BaseException:
            for columns in reversed(taken):
                self._note_first(columns)
            raise

    def _note_first(self, columns: ReadingColumns) -> None:
        self._columns.insert(0, columns)
        self._held += len(columns)

    async def flush(self, db: Database) -> int:
        """Write what was noted and return the number of rows; what cannot be written is kept.

        Raises what the database raises.
        """
        written = await self._flush_columns(db)
        taken, self._best = self._best, {}
        try:
            async with db.transaction() as tx:
                await store.upsert_latest(tx, taken.values())
        except BaseException:
            noted_since, self._best = self._best, taken
            store.merge_newest(self._best, noted_since.values())
            raise
        return written + len(taken)

    async def _flush_columns(self, db: Database) -> int:
        """Write what was noted in columns, in parts that lock their rows for a moment only."""
        if not self._columns:
            return 0
        newest = await self._newest()
        for start in range(0, len(newest), _PART):
            try:
                async with db.transaction() as tx:
                    await store.upsert_latest_columns(tx, newest[start : start + _PART])
            except BaseException:
                self._note_first(newest[start:])
                raise
        return len(newest)


def newest_of(columns: Sequence[ReadingColumns]) -> ReadingColumns:
    """The newest reading that may be shown of each device and metric, in their order."""
    time = np.concatenate([each.time for each in columns])
    device_no = np.concatenate([each.device_no for each in columns])
    metric = np.concatenate([each.metric for each in columns])
    value = np.concatenate([each.value for each in columns])
    quality = np.concatenate([each.quality for each in columns])
    order = np.lexsort((time, device_no << 15 | metric))
    order = order[quality[order] & LEFT_OUT == 0]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (np.diff(device_no[order]) != 0) | (np.diff(metric[order]) != 0)
    order = order[last]
    return ReadingColumns(
        time[order], device_no[order], metric[order], value[order], quality[order]
    )
