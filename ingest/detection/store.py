"""SQL of detection: states of the rules, limits of the elders, signs of movement."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from care.watching import store as watching
from care.watching.model import ElderThreshold
from care.watching.model import ElderWatch as WatchRow
from ingest.detection.model import ElderWatch, Fence, Limits, State
from kernel.db import Tx, execute, fetch_all

Key = tuple[str, str]
"""(subject, rule) of a row: `e:<elder id>` or `d:<device no>`, and the rule's name."""


@dataclass(frozen=True, slots=True)
class _StateRow:
    subject: str
    rule: str
    state: dict[str, Any]


async def load_states(tx: Tx, subjects: Collection[str]) -> dict[Key, State]:
    """Return every condition that is held for these subjects, locked until the transaction ends."""
    if not subjects:
        return {}
    rows = await fetch_all(
        tx,
        _StateRow,
        "SELECT subject, rule, state FROM detection_state WHERE subject = ANY(%s)"
        " ORDER BY subject, rule FOR UPDATE",
        (sorted(set(subjects)),),
    )
    return {(row.subject, row.rule): row.state for row in rows}


def _by_key(item: tuple[Key, State | None]) -> Key:
    return item[0]


async def save_states(tx: Tx, changed: Mapping[Key, State | None], now: datetime) -> None:
    """Write states; None removes the row, because normal has none."""
    kept = [
        (key, state) for key, state in sorted(changed.items(), key=_by_key) if state is not None
    ]
    gone = sorted(key for key, state in changed.items() if state is None)
    if kept:
        await execute(
            tx,
            "INSERT INTO detection_state (subject, rule, state, updated_at)"
            " SELECT s, r, v, %s FROM unnest(%s::text[], %s::text[], %s::jsonb[]) AS x (s, r, v)"
            " ON CONFLICT (subject, rule) DO UPDATE"
            " SET state = excluded.state, updated_at = excluded.updated_at",
            (
                now,
                [key[0] for key, _ in kept],
                [key[1] for key, _ in kept],
                [Jsonb(dict(state)) for _, state in kept],
            ),
        )
    if gone:
        await execute(
            tx,
            "DELETE FROM detection_state AS d USING unnest(%s::text[], %s::text[]) AS x (s, r)"
            " WHERE d.subject = x.s AND d.rule = x.r",
            ([key[0] for key in gone], [key[1] for key in gone]),
        )


@dataclass(frozen=True, slots=True)
class Returned:
    """A device that was held to be offline and has spoken."""

    no: int
    elder_id: uuid.UUID | None


async def take_offline(tx: Tx, device_nos: Collection[int]) -> list[Returned]:
    """Of these devices, return those that were held to be offline; they no longer are.

    To be called after the devices' rows were locked by an update: an offline sweep that has locked
    them before has committed by then, and its alarm is seen and cleared here.
    """
    if not device_nos:
        return []
    return await fetch_all(
        tx,
        Returned,
        "DELETE FROM detection_state s USING device d"
        " WHERE s.rule = 'offline' AND s.subject = ANY(%s) AND s.subject = 'd:' || d.no"
        " RETURNING d.no, d.elder_id",
        ([f"d:{no}" for no in sorted(device_nos)],),
    )


async def load_watches(tx: Tx, elder_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ElderWatch]:
    """Return how each of these elders is watched over; who has no settings has the defaults."""
    wanted = list(set(elder_ids))
    limits: dict[uuid.UUID, dict[str, Limits]] = {}
    for row in await watching.thresholds_of(tx, wanted):
        limits.setdefault(row.elder_id, {})[row.metric] = _limits(row)
    rows = {row.elder_id: row for row in await watching.watch_of(tx, wanted)}
    return {elder_id: _watch(rows.get(elder_id), limits.get(elder_id, {})) for elder_id in wanted}


def _limits(row: ElderThreshold) -> Limits:
    return Limits(row.low_critical, row.low_major, row.high_major, row.high_critical)


def _watch(row: WatchRow | None, limits: Mapping[str, Limits]) -> ElderWatch:
    if row is None:
        return ElderWatch(limits)
    fence = None
    if row.fence_lat is not None and row.fence_lon is not None and row.fence_radius_m is not None:
        fence = Fence(row.fence_lat, row.fence_lon, row.fence_radius_m)
    return ElderWatch(
        limits=limits,
        fence=fence,
        away_until=row.away_until,
        door_major=_minutes(row.door_open_major_min),
        door_critical=_minutes(row.door_open_critical_min),
        inactivity_day=_minutes(row.inactivity_day_min),
        inactivity_night=_minutes(row.inactivity_night_min),
    )


def _minutes(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(minutes=value)


@dataclass(frozen=True, slots=True)
class Movement:
    """A sign that somebody moved about in an elder's home or with an elder's device."""

    elder_id: uuid.UUID
    at: datetime
    device_no: int
    sign: str


async def note_movements(tx: Tx, movements: Collection[Movement]) -> None:
    """Remember the newest sign of each elder; an older one never replaces a newer one."""
    newest: dict[uuid.UUID, Movement] = {}
    for movement in movements:
        known = newest.get(movement.elder_id)
        if known is None or known.at < movement.at:
            newest[movement.elder_id] = movement
    if not newest:
        return
    ordered = [newest[key] for key in sorted(newest)]
    await execute(
        tx,
        """
        INSERT INTO elder_activity AS a (elder_id, at, device_no, sign)
        SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::bigint[], %s::text[])
        ON CONFLICT (elder_id) DO UPDATE
        SET at = excluded.at, device_no = excluded.device_no, sign = excluded.sign
        WHERE excluded.at > a.at
        """,
        (
            [each.elder_id for each in ordered],
            [each.at for each in ordered],
            [each.device_no for each in ordered],
            [each.sign for each in ordered],
        ),
    )
