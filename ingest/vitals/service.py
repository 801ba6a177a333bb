"""What a batch does with vitals in columns; each step is one of the pipeline's (ADR 0011)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from ingest import metrics
from ingest.detection.store import Movement
from ingest.telemetry.model import ReadingColumns
from ingest.vitals import store
from ingest.vitals.model import Batch, Columns, Ints, Mask, Speaker, micros
from kernel.db import Tx

TOUCH_EVERY = timedelta(seconds=20)
"""So often is it written that a device was heard. Sweeps ask for minutes of silence; a device that
was taken to be gone was not heard for minutes, so that its first word is always written."""


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


async def to_judge(tx: Tx, fresh: Fresh, devices: Iterable[int]) -> list[tuple[Columns, int]]:
    """Which messages the rules must see, in the order of their arrival.

    Those near a limit, those of whom a condition is open, and all of `devices`. For any other
    message every rule finds what was already so: normal.
    """
    speakers = fresh.speakers()
    subjects = [subject for speaker in speakers for subject in speaker.subjects]
    held = await store.open_subjects(tx, subjects)
    numbers = set(devices)
    numbers.update(each.no for each in speakers if not held.isdisjoint(each.subjects))
    batch = fresh.batch
    wanted: set[int] = set()
    if numbers:
        of_them = np.isin(batch.device_no[fresh.order], list(numbers))
        wanted.update(fresh.order[of_them].tolist())
    near = _all_places(batch, [part.near for part in batch.parts])
    if near:
        wanted.update(np.intersect1d(near, fresh.order).tolist())
    return list(batch.places(sorted(wanted)))


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
            moment = _moment(part, at)
            found.append(Movement(device.elder_id, moment, device.no, part.moved[index]))
    return found


def _moment(part: Columns, at: int) -> datetime:
    received = part.sheaf.received_at
    return received + timedelta(microseconds=at - micros(received))


def _all_places(batch: Batch, places: Sequence[Sequence[int]]) -> list[int]:
    found: list[int] = []
    first = 0
    for part, own in zip(batch.parts, places, strict=True):
        found.extend(first + index for index in own)
        first += part.weight
    return found


def heard(fresh: Fresh, now: datetime) -> list[Speaker]:
    """Devices, and the gateways that they spoke through, of whom it is time to write it down."""
    before = micros(now) - TOUCH_EVERY // timedelta(microseconds=1)
    found = {each.no: each for each in fresh.speakers() if each.touched < before}
    for part in fresh.batch.parts:
        found.update({each.no: each for each in part.gateways if each.touched < before})
    return list(found.values())
