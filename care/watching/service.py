"""Setting an elder's own limits and watch settings."""

import uuid
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

from care.elders import service as elders
from care.elders.problems import Problem, raise_if
from care.elders.store import touch
from care.watching import rules, store
from care.watching.model import Threshold, Watch
from kernel.auth.model import Actor
from kernel.db import Tx

LIMITS = rules.LIMIT_NAMES


async def set_thresholds(
    tx: Tx,
    actor: Actor,
    elder_id: uuid.UUID,
    *,
    version: int,
    thresholds: Sequence[Threshold],
    now: datetime,
) -> int:
    """Make these the elder's only own limits; return the record's new version.

    A threshold without any limit is left out. Raises Invalid, NotFound, Conflict.
    """
    head = await elders.open_for_change(tx, actor, elder_id, version)
    given = [one for one in thresholds if any(getattr(one, n) is not None for n in LIMITS)]
    raise_if(rules.check_thresholds(given))
    await store.replace_thresholds(tx, elder_id, given, now)
    # Limits are medical orders: the log keeps what was in force when.
    detail = {one.metric: [getattr(one, name) for name in LIMITS] for one in given}
    await elders.write_audit(
        tx,
        actor,
        "elder.thresholds_set",
        elder_id,
        division=head.division_code,
        now=now,
        detail=detail,
    )
    return await touch(tx, elder_id, now, actor.user_id)


async def set_watching(
    tx: Tx,
    actor: Actor,
    elder_id: uuid.UUID,
    *,
    version: int,
    thresholds: Sequence[Threshold],
    watch: Watch,
    now: datetime,
    unreadable: Sequence[Problem] = (),
) -> int:
    """Set limits and watch settings at once, as one form shows them; return the new version.

    `unreadable` is what the form could not read: everything that is wrong is said together.
    """
    problems = [*unreadable, *rules.check_thresholds(thresholds), *rules.check_watch(watch)]
    raise_if(problems)
    version = await set_thresholds(
        tx, actor, elder_id, version=version, thresholds=thresholds, now=now
    )
    return await set_watch(tx, actor, elder_id, version=version, watch=watch, now=now)


async def set_watch(
    tx: Tx, actor: Actor, elder_id: uuid.UUID, *, version: int, watch: Watch, now: datetime
) -> int:
    """Make these the elder's watch settings; return the record's new version."""
    head = await elders.open_for_change(tx, actor, elder_id, version)
    raise_if(rules.check_watch(watch))
    await store.replace_watch(tx, elder_id, watch, now)
    # Where the fence lies is personal data and stays out of the log.
    changed = [one.name for one in fields(watch) if getattr(watch, one.name) is not None]
    detail = {"fields": changed}
    await elders.write_audit(
        tx, actor, "elder.watch_set", elder_id, division=head.division_code, now=now, detail=detail
    )
    return await touch(tx, elder_id, now, actor.user_id)
