"""What the scheduler runs for baselines: learning, an hour's share of the elders, and the sweeps.

A warning of a metric whose fixed limit has rung already would only say it twice: it is not given.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from devices.alarms import ClearedCondition
from devices.metrics import by_id
from ingest.baselines import rules, store
from ingest.baselines.model import Levels, Recent, Watched
from ingest.baselines.rules import WATCHED
from ingest.detection import store as states
from ingest.detection import sweep_store
from ingest.detection.jobs import raise_now, settle_each
from ingest.detection.model import Clear, Result, Rule, State
from ingest.raising import Raiser
from kernel.db import Database, Tx
from kernel.jobs import Job

_TURNS = 24
_AT_ONCE = 200
"""Elders whose baselines are learned in one transaction: about a second of work."""


def jobs(raiser: Raiser) -> list[Job]:
    """Return the jobs of baselines."""

    async def learn(db: Database, now: datetime) -> None:
        await learn_turn(db, raiser, now)

    async def sweep(db: Database, now: datetime) -> None:
        await sweep_deviations(db, raiser, now)

    return [
        Job("baselines.learn", learn, every_seconds=3600),
        Job("baselines.deviations", sweep, every_seconds=300),
    ]


async def learn_turn(db: Database, raiser: Raiser, now: datetime) -> int:
    """Learn anew what is ordinary for the elders whose hour it is, and warn of what drifts.

    Returns how many warnings there were. In a day everybody has had their turn.
    """
    turn = int(now.timestamp() // 3600) % _TURNS
    async with db.connection() as conn:
        elders = await store.elders_of_turn(conn, turn, _TURNS)
    warned = 0
    for start in range(0, len(elders), _AT_ONCE):
        some = elders[start : start + _AT_ONCE]
        async with db.transaction() as tx:
            await store.learn(tx, some, now)
        warned += await sweep_drifts(db, raiser, some, now)
    return warned


async def relearn(tx: Tx, hours: Collection[tuple[int, datetime]], now: datetime) -> None:
    """Learn anew for elders whose devices sent readings of the last two weeks late.

    For some of them at once; whoever is left out has their turn within the day.
    """
    elders = await store.elders_of_hours(tx, hours, now, _AT_ONCE)
    if elders:
        await store.learn(tx, elders, now)


async def sweep_deviations(db: Database, raiser: Raiser, now: datetime) -> int:
    """Warn of vital signs that have left what is ordinary at this hour; returns of how many."""
    async with db.connection() as conn:
        found = await store.recent(conn, now)

    async def settle(tx: Tx, each: Recent) -> bool:
        watched = WATCHED[by_id(each.metric).code]
        return await _settle(
            tx, raiser, Rule.BASELINE, each, watched, now,
            lambda state: rules.deviation(state, each, watched),
        )  # fmt: skip

    return sum([await settle_each(db, settle, each) for each in found])


async def sweep_drifts(
    db: Database, raiser: Raiser, elders: Sequence[uuid.UUID], now: datetime
) -> int:
    """Warn of levels that have moved over days; returns of how many."""
    async with db.connection() as conn:
        found = await store.levels(conn, elders, now)

    async def settle(tx: Tx, each: Levels) -> bool:
        watched = WATCHED[by_id(each.metric).code]
        return await _settle(
            tx, raiser, Rule.DRIFT, each, watched, now,
            lambda state: rules.drift(state, each, watched, now),
        )  # fmt: skip

    return sum([await settle_each(db, settle, each) for each in found])


async def _settle(
    tx: Tx,
    raiser: Raiser,
    rule: Rule,
    found: Recent | Levels,
    watched: Watched,
    now: datetime,
    judge: Callable[[State | None], Result],
) -> bool:
    """Judge under a lock, warn and keep the state; returns whether there was a warning."""
    subject, name = f"e:{found.elder_id}", rule.of(watched.metric)
    state = await sweep_store.lock_state(tx, subject, name)
    result = judge(state)
    if result.state is None and state is None:
        return False
    # The same lock that readings of the elder are judged under.
    limit = await sweep_store.lock_state(tx, subject, Rule.VITAL.of(watched.metric))
    loud = limit is not None and limit["level"] is not None
    warned = False
    for event in result.events:
        if isinstance(event, Clear):
            if not loud:
                cleared = ClearedCondition(event.kind, found.device_no, found.elder_id, now)
                await raiser.clear(tx, cleared, now)
        elif not loud:
            await raise_now(tx, raiser, event, found.device_no, now)
            warned = True
    if not loud or result.state is None:
        await states.save_states(tx, {(subject, name): result.state}, now)
    return warned
