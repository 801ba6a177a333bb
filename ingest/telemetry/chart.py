"""How a chart gets its points: single readings, or buckets from the coarsest rollup that fits."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from ingest.telemetry import chart_store
from ingest.telemetry.model import Series, Window
from ingest.telemetry.rules import (
    RAW,
    Level,
    Lines,
    cascade,
    ceil_to,
    choose_level,
    choose_step,
    floor_to,
    split,
    windows,
)
from kernel.db import Tx

# Readings of many elders lie on as many pages: they are counted, by the quarter of an hour up to
# this span and by the day beyond it, before any is fetched only to find that there are too many.
_SHORT_SPAN = timedelta(hours=48)
# Beyond this one they are not looked at: the planner alone takes 0.1 ms for every day.
_LONG_SPAN = timedelta(days=100)


async def series(
    tx: Tx, elder_id: UUID, metric: int, start: datetime, end: datetime, max_points: int = 500
) -> Series:
    """Return an elder's metric from `start` to before `end`, in about `max_points` points.

    Single readings when there are no more than that; else buckets, from the readings or from the
    coarsest rollup that fits. Only what was measured while the device was the elder's counts.
    Raises ValueError if `max_points` is below 1.
    """
    bindings = await chart_store.bindings(tx, elder_id, start, end)
    if not bindings or start >= end:
        return Series(None, ())
    lines = await chart_store.lines(tx)
    step = choose_step(end - start, max_points)
    exact = windows(bindings, start, end)
    if await _few(tx, metric, exact, start, end, lines, max_points):
        points = await chart_store.single(tx, metric, exact, max_points + 1)
        if len(points) <= max_points:
            return Series(None, tuple(points))
    wanted = windows(bindings, floor_to(step, start), ceil_to(step, end))
    pieces = _pieces(wanted, choose_level(step), lines)
    return Series(step, tuple(await chart_store.buckets(tx, metric, pieces, step)))


async def _few(
    tx: Tx,
    metric: int,
    exact: Sequence[Window],
    start: datetime,
    end: datetime,
    lines: Lines,
    max_points: int,
) -> bool:
    """Whether it is worth looking at single readings: they may be few, and are all still there."""
    if end - start <= _SHORT_SPAN:
        return await chart_store.count_closed_quarters(tx, metric, exact) <= max_points
    if end - start > _LONG_SPAN or start < lines.raw:
        return False
    return await chart_store.count_closed_days(tx, metric, exact) <= max_points


def _pieces(
    wanted: Sequence[Window], level: Level | None, lines: Lines
) -> Mapping[str, Sequence[Window]]:
    """Cut windows by where their buckets come from."""
    if level is None:
        return {RAW: wanted}
    whole, ends = split(wanted, level.width)
    if lines.aggregates:
        return {f"view_{level.name}": whole, "ends": ends}
    return {**cascade(level, whole, lines), "ends": ends}
