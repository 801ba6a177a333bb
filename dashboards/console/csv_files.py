"""CSV files that are sent while they are made, so that they hold neither memory nor the loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from starlette.responses import StreamingResponse

from care.sheets.writing import CSV_TYPE, Value, csv_head, csv_lines
from dashboards.ui.filters import LOCAL

T = TypeVar("T")
Line = Sequence[Value]


def csv_file(
    name: str,
    now: datetime,
    header: Sequence[str],
    batches: AsyncIterator[Sequence[T]],
    line: Callable[[T], Line],
) -> StreamingResponse:
    """Return a download `<name>-<local time>.csv`; `line` makes the cells of a row, in a thread.

    A batch is asked for when the one before has been sent. Whoever makes them must hold nothing of
    the database meanwhile: the reader may be slow.
    """
    return StreamingResponse(
        _pieces(header, batches, line),
        media_type=CSV_TYPE,
        headers={
            "Content-Disposition": (
                f'attachment; filename="{name}-{now.astimezone(LOCAL):%Y%m%d-%H%M}.csv"'
            ),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _pieces(
    header: Sequence[str], batches: AsyncIterator[Sequence[T]], line: Callable[[T], Line]
) -> AsyncIterator[bytes]:
    yield csv_head(header)
    async for batch in batches:
        yield await asyncio.to_thread(_written, batch, line)


def _written(batch: Sequence[T], line: Callable[[T], Line]) -> bytes:
    return csv_lines(line(row) for row in batch)
