"""What a batch does with vitals in columns; each step is one of the pipeline's (ADR 0013)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from ingest import metrics
from ingest.detection.store import Movement
from ingest.presence import LIVE
from ingest.telemetry.model import ReadingColumns
from ingest.vitals import store
from ingest.vitals.model import Batch, Columns, Ints, Mask, Speaker, micros, moment
from kernel.db import Tx

TOUCH_EVERY = timedelta(seconds=20)
"""So often is it written that a device was heard. Sweeps ask for minutes of silence; a device that
was taken to be gone was not heard for minutes, so that its first word is always written."""
_TOUCH_EVERY = TOUCH_EVERY // timedelta(microseconds=1)


@dataclass(slots=True, eq=False)
class Fresh:
    """The messages of a batch that were never stored before, by device and identity.

    `order` are their places in the batch, `firsts` the places in `order` where a device begins.
    """

    batch: Batch
    order: Ints
    firsts: Ints

    def __len__(self) -> int:
        return len(self.order)

    def speakers(self) -> list[Speaker]:
        """Every device once."""
        everybody = self.batch.speakers
        return [everybody[index] for index in self.order[self.firsts].tolist()]


async def mark(tx: Tx, parts: Sequence[Columns], *, careful: bool) -> Fresh:
    """Leave the exactly-once mark of each message; what has one already is not fresh.

    Raises psycopg.errors.UniqueViolation when there is such a message, unless `careful`.
    """
    with metrics.cpu("check"):
        batch = Batch.of(parts)
        order = _in_order(batch)
    if careful:
        order = await store.insert_marks(tx, batch, order)
    elif len(order):
        await store.copy_marks(tx, batch, order)
    return Fresh(batch, order, np.flatnonzero(_begins(batch.device_no[order])))


def _in_order(batch: Batch) -> Ints:
    """Every message once, by device and identity.

    Copies lie side by side, all processes go in the same order, and the indexes are filled from
    left to right.
    """
    order = np.lexsort((batch.low, batch.high, batch.device_no))
    own = np.zeros(len(order), dtype=np.bool_)
    for column in (batch.device_no, batch.high, batch.low):
        own |= _begins(column[order])
    return order[own]


def _begins(values: npt.NDArray[np.generic]) -> Mask:
    """Where a value is another one than the one before."""
    found = np.ones(len(values), dtype=np.bool_)
    found[1:] = values[1:] != values[:-1]
    return found


def readings(fresh: Fresh) -> ReadingColumns:
    """The readings of all fresh messages, by device."""
    with metrics.cpu("check"):
        return _readings(fresh)


def _readings(fresh: Fresh) -> ReadingColumns:
    batch = fresh.batch
    rank = np.full(len(batch), -1, dtype=np.int64)
    rank[fresh.order] = np.arange(len(fresh.order))
    ranks = rank[batch.owner]
    wanted = np.argsort(ranks, kind="stable")
    wanted = wanted[np.searchsorted(ranks[wanted], 0) :]
    owner = batch.owner[wanted]
    return ReadingColumns(
        time=batch.time[owner],
        device_no=batch.device_no[owner],
        metric=batch.metric[wanted],
        value=batch.value[wanted],
        quality=batch.quality[wanted],
    )


async def to_judge(tx: Tx, fresh: Fresh, others: Iterable[str]) -> list[tuple[Columns, int]]:
    """Which messages the rules must see, in the order of their arrival.

    Those near a limit; and every one of whom a condition is open or may be opened by this very
    batch: by a message near a limit, or by what `others` (subjects) said outside of the columns.
    For any other message each rule finds what was already so: normal.
    """
    batch = fresh.batch
    speakers = fresh.speakers()
    subjects = [subject for speaker in speakers for subject in speaker.subjects]
    held = await store.open_subjects(tx, subjects)
    held.update(others)
    near = np.intersect1d(_all_places(batch, [part.near for part in batch.parts]), fresh.order)
    for index in near.tolist():
        held.update(batch.speakers[index].subjects)
    if not held:
        return []
    numbers = [each.no for each in speakers if not held.isdisjoint(each.subjects)]
    wanted = fresh.order[np.isin(batch.device_no[fresh.order], numbers)]
    return list(batch.places(sorted(wanted.tolist())))


def movements(fresh: Fresh) -> list[Movement]:
    """The signs of movement in fresh messages."""
    batch = fresh.batch
    moved = _all_places(batch, [list(part.moved) for part in batch.parts])
    if not moved:
        return []
    found: list[Movement] = []
    for part, index in batch.places(np.intersect1d(moved, fresh.order).tolist()):
        device, at = part.speakers[index].device, int(part.time[index])
        if device.elder_id is not None:
            found.append(Movement(device.elder_id, moment(at), device.no, part.moved[index]))
    return found


def _all_places(batch: Batch, places: Sequence[Sequence[int]]) -> list[int]:
    found: list[int] = []
    first = 0
    for part, own in zip(batch.parts, places, strict=True):
        found.extend(first + index for index in own)
        first += part.weight
    return found


def heard(fresh: Fresh, now: datetime) -> list[tuple[Speaker, datetime]]:
    """Devices and gateways of whom it is time to write down when they were heard, and when.

    What was received too long ago (the database was away) says nothing of how the device is now.
    """
    batch = fresh.batch
    found: dict[int, tuple[Speaker, datetime]] = {}
    if len(fresh):
        last = np.maximum.reduceat(batch.arrivals()[fresh.order], fresh.firsts).tolist()
        for speaker, at in zip(fresh.speakers(), last, strict=True):
            if at - speaker.touched >= _TOUCH_EVERY:
                found[speaker.no] = speaker, moment(at)
    for part in batch.parts:
        at = micros(part.sheaf.received_at)
        for speaker in part.gateways:
            if at - speaker.touched >= _TOUCH_EVERY:
                found[speaker.no] = speaker, part.sheaf.received_at
    return [(speaker, at) for speaker, at in found.values() if now - at < LIVE]
