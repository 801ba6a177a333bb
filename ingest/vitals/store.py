"""SQL of vitals in columns: exactly-once marks, and whose conditions are open."""

import uuid
from collections.abc import Sequence

import numpy as np

from ingest import metrics, store
from ingest.copying import binary_copy, timestamps, uuids
from ingest.vitals.model import Batch, Ints
from kernel.db import Tx, fetch_tuples


async def copy_marks(tx: Tx, batch: Batch, order: Ints) -> None:
    """Mark messages as stored, all of them for the first time.

    Two thirds of the cost of `insert_marks`. Raises psycopg.errors.UniqueViolation when one of them
    was stored before; another transaction that stores one at this moment is waited for.
    """
    with metrics.cpu("write"):
        data = binary_copy(
            [
                (">i8", batch.device_no[order]),
                uuids(batch.high[order], batch.low[order]),
                timestamps(batch.arrivals()[order]),
            ]
        )
    async with (
        tx.cursor() as cursor,
        cursor.copy(
            "COPY ingest_message (device_no, identity, received_at) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        await copy.write(data)


async def insert_marks(tx: Tx, batch: Batch, order: Ints) -> Ints:
    """Mark messages as stored and return those that were not before, in the same order."""
    moments = [part.sheaf.received_at for part in batch.parts for _ in range(part.weight)]
    wanted = order.tolist()
    halves = zip(
        batch.device_no[order].tolist(),
        batch.high[order].tolist(),
        batch.low[order].tolist(),
        strict=True,
    )
    keys = [(no, uuid.UUID(int=high << 64 | low)) for no, high, low in halves]
    marks = {key: moments[index] for key, index in zip(keys, wanted, strict=True)}
    stored = await store.insert_identities(tx, marks)
    fresh = [index for key, index in zip(keys, wanted, strict=True) if key in stored]
    return np.array(fresh, dtype=np.int64)


async def open_subjects(tx: Tx, subjects: Sequence[str]) -> set[str]:
    """Of these subjects, return those of whom any condition is held in `detection_state`."""
    rows = await fetch_tuples(
        tx,
        "SELECT DISTINCT subject FROM detection_state WHERE subject = ANY(%s)",
        (list(subjects),),
    )
    return {row[0] for row in rows}
