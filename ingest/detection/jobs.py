"""The sweeps: jobs that look for what has not happened, independent of any message.

Each asks once for everybody in one statement and then deals with each finding in a transaction of
its own, where the finding is looked at once more under a lock: what has spoken, closed or moved in
between is left alone, and a fault with one does not keep the others from being found.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
import structlog

from devices.alarms import AlarmKind, Severity
from devices.profiles import PROFILES
from devices.registry import store as registry
from ingest.detection import defaults, rules, silence, store, sweep_store
from ingest.detection.model import NO_WATCH, ElderWatch, Raise, Result, Rule, State
from ingest.detection.sweep_store import Held, QuietElder, SilentDevice
from ingest.raising import TESTED, Occasion, Raiser
from kernel.db import TRANSIENT_ERRORS, Database, Tx
from kernel.jobs import Job

log = structlog.get_logger(__name__)
T = TypeVar("T")
_LISTENING_FRESH = timedelta(seconds=60)
_HEARD_FOR = timedelta(minutes=30)
"""So long ingest must have listened before quiet homes are believed: a door sensor sends seldom."""
_SHORTEST_DOOR = timedelta(minutes=1)
_SHORTEST_QUIET = timedelta(minutes=30)
_ALWAYS = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def sweeps(raiser: Raiser) -> list[Job]:
    """Return the jobs of detection."""

    async def offline(db: Database, now: datetime) -> None:
        await sweep_offline(db, raiser, now)

    async def doors(db: Database, now: datetime) -> None:
        await sweep_doors(db, raiser, now)

    async def beds(db: Database, now: datetime) -> None:
        await sweep_beds(db, raiser, now)

    async def inactivity(db: Database, now: datetime) -> None:
        await sweep_inactivity(db, raiser, now)

    return [
        Job("detection.offline", offline, every_seconds=30),
        Job("detection.doors", doors, every_seconds=30),
        Job("detection.beds", beds, every_seconds=60),
        Job("detection.inactivity", inactivity, every_seconds=60),
    ]


async def sweep_offline(db: Database, raiser: Raiser, now: datetime) -> int:
    """Raise DEVICE_OFFLINE for devices that are silent; returns for how many.

    Only silence that we were there to hear counts: after an outage of our own every device is given
    its time again. What a mode or a silent gateway holds back is marked offline all the same.
    """
    limits = {code: profile.offline_after_seconds for code, profile in PROFILES.items()}
    async with db.connection() as conn:
        heard_since = await _heard_since(conn, now)
        if heard_since is None:
            return 0
        await sweep_store.forget_out_of_service(conn)
        silent = await sweep_store.silent_devices(conn, limits, heard_since, now)

    async def settle(tx: Tx, device: SilentDevice) -> bool:
        if not await sweep_store.mark_offline(tx, device, heard_since, now):
            return False
        # What stands behind a silent gateway is silent too; the gateway's own alarm says it all.
        reason: str | None = "gateway_offline"
        if not device.behind:
            detail = {"minutes": device.minutes}
            event = Raise(AlarmKind.DEVICE_OFFLINE, Severity.TECHNICAL, detail)
            reason = await raise_now(tx, raiser, event, device.no, now)
        if reason is not None:
            await sweep_store.note_held_back(tx, device.no, reason)
        return reason is None

    return sum([await settle_each(db, settle, device) for device in silent])


async def sweep_doors(db: Database, raiser: Raiser, now: datetime) -> int:
    """Raise DOOR_OPEN for doors that stand open for too long; returns for how many."""

    def due(state: State, watch: ElderWatch) -> Result:
        major = watch.door_major or defaults.DOOR_MAJOR
        critical = watch.door_critical or defaults.DOOR_CRITICAL
        return rules.door_due(state, major, critical, now)

    return await _sweep_states(db, raiser, Rule.DOOR, _SHORTEST_DOOR, {"level": None}, due, now)


async def sweep_beds(db: Database, raiser: Raiser, now: datetime) -> int:
    """Raise BED_EXIT for whoever left the bed at night and is not back; returns for how many."""

    def due(state: State, _: ElderWatch) -> Result:
        return silence.bed_due(state, now)

    return await _sweep_states(
        db, raiser, Rule.BED, defaults.BED_EXIT, {"raised_at": None}, due, now
    )


async def sweep_inactivity(db: Database, raiser: Raiser, now: datetime) -> int:
    """Raise INACTIVITY for elders who have not moved for too long; returns for how many."""
    async with db.connection() as conn:
        heard_since = await _heard_since(conn, now)
        if heard_since is None or now - heard_since < _HEARD_FOR:
            return 0
        quiet = await sweep_store.quiet_elders(conn, now - _SHORTEST_QUIET, now)
        watches = await store.load_watches(conn, [elder.elder_id for elder in quiet])

    async def settle(tx: Tx, elder: QuietElder) -> bool:
        if not await sweep_store.still_quiet(tx, elder):
            return False
        subject, watch = f"e:{elder.elder_id}", watches[elder.elder_id]
        state = await sweep_store.lock_state(tx, subject, Rule.INACTIVITY)
        if state is not None and "suppressed" in state and not elder.in_test:
            state = None
        result = silence.inactivity(state, elder.since, watch, now)
        following = result.state
        for event in result.events:
            if isinstance(event, Raise):
                reason = await raise_now(tx, raiser, event, elder.device_no, now)
                if reason == TESTED and following is not None:
                    following = {**following, "suppressed": reason}
        await store.save_states(tx, {(subject, Rule.INACTIVITY): following}, now)
        return bool(result.events)

    # The limit differs from hour to hour, so it is not for SQL to say whose time is up.
    late = [
        elder
        for elder in quiet
        if silence.inactivity(None, elder.since, watches[elder.elder_id], now).events
    ]
    return sum([await settle_each(db, settle, elder) for elder in late])


async def _sweep_states(
    db: Database,
    raiser: Raiser,
    rule: Rule,
    shortest: timedelta,
    unraised: State,
    due: Callable[[State, ElderWatch], Result],
    now: datetime,
) -> int:
    """Look at every state of a rule that has lasted for `shortest`, and raise what is due.

    What was suppressed (a mode of the device, elder away) or told to nobody (test mode) is looked
    at as if it had not been raised once that is over; `unraised` says how the state looks then.
    """
    async with db.connection() as conn:
        held = await sweep_store.waiting_conditions(conn, rule, now - shortest, now)
        elders = {each.elder_id for each in held if each.elder_id is not None}
        watches = await store.load_watches(conn, elders)

    def judge(each: Held, state: State) -> Result:
        if "suppressed" in state:
            state = {key: value for key, value in state.items() if key != "suppressed"}
            state |= unraised
        return due(state, watches[each.elder_id] if each.elder_id is not None else NO_WATCH)

    async def settle(tx: Tx, each: Held) -> bool:
        subject = f"d:{each.no}"
        state = await sweep_store.lock_state(tx, subject, rule)
        if state is None:
            return False
        result = judge(each, state)
        following = result.state
        for event in result.events:
            if isinstance(event, Raise) and following is not None:
                reason = await raise_now(tx, raiser, event, each.no, now)
                following = following if reason is None else {**following, "suppressed": reason}
        await store.save_states(tx, {(subject, rule): following}, now)
        return bool(result.events)

    ready = [each for each in held if judge(each, each.state).events]
    return sum([await settle_each(db, settle, each) for each in ready])


async def _heard_since(conn: Tx, now: datetime) -> datetime | None:
    found = await sweep_store.listening(conn, now, _LISTENING_FRESH)
    return found.since if found.known else _ALWAYS


async def raise_now(tx: Tx, raiser: Raiser, event: Raise, no: int, now: datetime) -> str | None:
    """Raise an alarm of a device now; returns why it was suppressed."""
    device = await registry.by_number(tx, no)
    if device is None:
        return "no_device"
    watch = NO_WATCH
    if device.elder_id is not None:
        watch = (await store.load_watches(tx, [device.elder_id]))[device.elder_id]
    occasion = Occasion(device, watch, received_at=now)
    return await raiser.raise_alarm(tx, event, occasion, by_device=False, now=now)


async def settle_each(db: Database, settle: Callable[[Tx, T], Awaitable[bool]], found: T) -> bool:
    """Deal with one finding in a transaction of its own; returns what `settle` says.

    A fault with one is logged and does not keep the others from being dealt with; an absent
    database is raised.
    """
    try:
        async with db.transaction() as tx:
            return await settle(tx, found)
    except psycopg.errors.DeadlockDetected:
        log.warning("detection.sweep_deadlock")
        return False
    except TRANSIENT_ERRORS:
        raise
    # One that fails must not keep the others from being found; the next sweep tries it again.
    except Exception:
        log.exception("detection.sweep_failed")
        return False
