"""SQL of the readings: the write path of the ingest process and what charts read."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import numpy as np

from ingest import metrics
from ingest.copying import binary_copy, timestamps
from ingest.telemetry import past_store
from ingest.telemetry.model import (
    LEFT_OUT,
    LatestReading,
    ReadingColumns,
    ReadingRow,
)
from kernel.db import Tx, execute, fetch_all, fetch_value

# Up to this span the readings themselves are looked at first; beyond it they are counted first.
_SHORT_SPAN = timedelta(hours=48)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE_ALL = -(2**63)
_HOUR_MICROS = 3_600_000_000
_COPY: LiteralString = (
    "COPY reading (time, device_no, metric, value, quality) FROM STDIN (FORMAT BINARY)"
)
_COPY_PAST: LiteralString = _COPY.replace("COPY reading ", "COPY reading_past ")
_READING_TYPES = ("timestamptz", "int8", "int2", "float8", "int2")


async def enter(tx: Tx) -> datetime | None:
    """Say that readings will be written, and return the moment before which they are late.

    Holds a shared lock until the end of the transaction, that the rollup waits for; so the
    transaction should be short.
    """
    late_before: datetime | None = await fetch_value(tx, "SELECT telemetry_enter()")
    return late_before


async def copy_readings(tx: Tx, rows: Sequence[ReadingRow]) -> None:
    """`enter` and `append_readings` in one."""
    if rows:
        await append_readings(tx, rows, await enter(tx))


async def append_readings(tx: Tx, rows: Sequence[ReadingRow], late_before: datetime | None) -> None:
    """Append readings by binary COPY, and mark the hours of those that come after their rollup.

    Nothing is refused for its time: what has no partition goes to the default one, and what is of a
    day that has been deleted to `reading_past`. Values must be finite. `late_before` is what
    `enter` said.
    """
    late = [] if late_before is None else [row for row in rows if row.time < late_before]
    if late and (line := await past_store.line(tx)) is not None:
        past = [row for row in rows if row.time < line]
        if past:
            await _copy_rows(tx, _COPY_PAST, past)
            late = [row for row in late if row.time >= line]
            rows = [row for row in rows if row.time >= line]
    if rows:
        await _copy_rows(tx, _COPY, rows)
    if late:
        await _copy_late(
            tx, {(r.device_no, r.time.replace(minute=0, second=0, microsecond=0)) for r in late}
        )


async def _copy_rows(tx: Tx, statement: LiteralString, rows: Sequence[ReadingRow]) -> None:
    async with tx.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(_READING_TYPES)
        for row in rows:
            await copy.write_row(row)


async def _copy_late(tx: Tx, hours: Iterable[tuple[int, datetime]]) -> None:
    async with (
        tx.cursor() as cursor,
        cursor.copy("COPY reading_late (device_no, hour) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(("int8", "timestamptz"))
        for mark in hours:
            await copy.write_row(mark)


async def append_columns(tx: Tx, columns: ReadingColumns, late_before: datetime | None) -> None:
    """Append readings in columns; all else is as in `append_readings`."""
    if not len(columns):
        return
    line = _micros(late_before) if late_before is not None else _BEFORE_ALL
    late = columns.time < line
    if late.any():
        columns = await _set_past_aside(tx, columns)
        late = columns.time < line
    await _copy_columns(tx, _COPY, columns)
    if late.any():
        hours = columns.time[late] // _HOUR_MICROS
        marks = np.unique(np.stack((columns.device_no[late], hours)), axis=1).tolist()
        await _copy_late(
            tx, [(no, _EPOCH + timedelta(hours=hour)) for no, hour in zip(*marks, strict=True)]
        )


async def _set_past_aside(tx: Tx, columns: ReadingColumns) -> ReadingColumns:
    """Put aside what is of a day that has been deleted; return the rest."""
    line = await past_store.line(tx)
    if line is None:
        return columns
    past = columns.time < _micros(line)
    await _copy_columns(tx, _COPY_PAST, columns[past])
    return columns[~past]


async def _copy_columns(tx: Tx, statement: LiteralString, columns: ReadingColumns) -> None:
    if not len(columns):
        return
    with metrics.cpu("write"):
        data = _binary(columns)
    async with tx.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(data)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def merge_newest(best: dict[tuple[int, int], ReadingRow], rows: Iterable[ReadingRow]) -> None:
    """Keep in `best`, by device and metric, the newest reading that may be shown."""
    for row in rows:
        key = (row.device_no, row.metric)
        known = best.get(key)
        if (known is None or known.time <= row.time) and not row.quality & LEFT_OUT:
            best[key] = row


async def upsert_latest(tx: Tx, rows: Iterable[ReadingRow]) -> None:
    """Bring `latest_reading` up to date; an older reading never replaces a newer one.

    It costs about twice as much as copying the same readings: `latest.LatestBuffer` gathers what
    is said in a second or two, so that it is paid once for many readings.
    """
    best: dict[tuple[int, int], ReadingRow] = {}
    merge_newest(best, rows)
    if not best:
        return
    # Always in the same order, so that two ingest processes cannot wait for each other's rows.
    ordered = [best[key] for key in sorted(best)]
    times, devices, codes, values, qualities = zip(*ordered, strict=True)
    await execute(
        tx,
        """
        INSERT INTO latest_reading AS l (device_no, metric, time, value, quality)
        SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::timestamptz[],
                             %s::double precision[], %s::smallint[])
        ON CONFLICT (device_no, metric) DO UPDATE
        SET time = excluded.time, value = excluded.value, quality = excluded.quality
        WHERE excluded.time >= l.time
        """,
        (list(devices), list(codes), list(times), list(values), list(qualities)),
    )


async def upsert_latest_columns(tx: Tx, columns: ReadingColumns) -> None:
    """The same for readings in columns: one of each device and metric, in their order."""
    await tx.execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS latest_said (LIKE latest_reading)"
        " ON COMMIT DELETE ROWS"
    )
    async with (
        tx.cursor() as cursor,
        cursor.copy(
            "COPY latest_said (time, device_no, metric, value, quality) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        await copy.write(_binary(columns))
    await execute(
        tx,
        """
        INSERT INTO latest_reading AS l (device_no, metric, time, value, quality)
        SELECT device_no, metric, time, value, quality FROM latest_said
        ON CONFLICT (device_no, metric) DO UPDATE
        SET time = excluded.time, value = excluded.value, quality = excluded.quality
        WHERE excluded.time >= l.time
        """,
    )


def _binary(columns: ReadingColumns) -> bytes:
    return binary_copy(
        [
            timestamps(columns.time),
            (">i8", columns.device_no),
            (">i2", columns.metric),
            (">f8", columns.value),
            (">i2", columns.quality),
        ]
    )


async def refresh_latest(tx: Tx, since: datetime) -> None:
    """Make `latest_reading` right again from the readings since a moment: after a crash."""
    await execute(
        tx,
        """
        INSERT INTO latest_reading AS l (device_no, metric, time, value, quality)
        SELECT DISTINCT ON (device_no, metric) device_no, metric, time, value, quality
        FROM reading WHERE time >= %s AND quality & %s = 0
        ORDER BY device_no, metric, time DESC
        ON CONFLICT (device_no, metric) DO UPDATE
        SET time = excluded.time, value = excluded.value, quality = excluded.quality
        WHERE excluded.time > l.time
        """,
        (since, LEFT_OUT),
    )


async def latest_for_devices(tx: Tx, device_nos: Sequence[int]) -> list[LatestReading]:
    """Return the newest value of each metric of each of the devices, by device and metric."""
    return await fetch_all(
        tx,
        LatestReading,
        """
        SELECT metric, time, value, quality, device_no FROM latest_reading
        WHERE device_no = ANY(%s::bigint[]) ORDER BY device_no, metric
        """,
        (list(device_nos),),
    )
