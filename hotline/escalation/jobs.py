"""Does what incidents are waiting for; run every second by the workers.

Each incident's due deadline is a transaction of its own: the incident's row is taken with SKIP
LOCKED, so that several workers share the work, and whatever a killed worker had not committed is
found by the next.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from hotline.contacts import store as contacts
from hotline.contacts.duty import ring_duty_phone, target_of
from hotline.contacts.machine import FINAL
from hotline.contacts.model import PHONE, AttemptStatus, Target
from hotline.contacts.service import attempt_progress
from hotline.dispatch import service as dispatches
from hotline.escalation import rules, store
from hotline.escalation.model import Deadline, DeadlineKind
from hotline.incidents import store as incidents
from hotline.incidents.model import Incident, Status
from hotline.incidents.steps import make_louder
from kernel.auth.model import SYSTEM
from kernel.crypto import FieldCipher
from kernel.db import TRANSIENT_ERRORS, Database, Tx
from kernel.logs import describe
from kernel.phones import phone_of

log = structlog.get_logger(__name__)
BATCH = 200
RETRY_SECONDS = 30
# A call whose end was never reported is over after this long.
LONGEST_TALK_SECONDS = 900

_done = Counter("silverline_deadlines_total", "Deadlines that came due, by kind", ["kind"])


@dataclass(frozen=True, slots=True)
class FallbackPhone:
    """The duty phone of the settings, for divisions that have none of their own; "" is none."""

    number: str
    cipher: FieldCipher

    def target(self) -> Target | None:
        """Return it as somebody to call."""
        digits = phone_of(self.number)
        if len(digits) < 3:
            return None
        return Target(
            "值班电话",
            self.cipher.encrypt(PHONE, digits),
            phone_index=self.cipher.blind_index(PHONE, digits),
        )


async def due_deadlines(db: Database, now: datetime, fallback: FallbackPhone | None = None) -> int:
    """Handle what is due at `now`; return how many deadlines that was (at most 200 at a time)."""
    handled = 0
    for _ in range(BATCH):
        count = await _one(db, now, fallback)
        if count is None:
            break
        handled += count
    return handled


async def _one(db: Database, now: datetime, fallback: FallbackPhone | None) -> int | None:
    """Handle one deadline and return 1; 0 when another worker had it, None when nothing is due."""
    failed: tuple[uuid.UUID, str] | None = None
    async with db.transaction() as tx:
        incident = await incidents.lock_one_due(tx, now)
        if incident is None:
            return None
        deadline = await store.due_of(tx, incident.id, now)
        if deadline is None:
            # Done or cancelled after our look at it; the next one has a fresh snapshot.
            return 0
        try:
            async with tx.transaction():
                await _handle(tx, incident, deadline, now, fallback)
                await store.finish_deadline(tx, deadline.id, now)
            _done.labels(deadline.kind).inc()
        except TRANSIENT_ERRORS:
            raise
        # Whatever is wrong with one deadline must not keep all others waiting behind it.
        except Exception as error:
            log.exception("deadline.failed", kind=deadline.kind, incident=str(incident.id))
            failed = (deadline.id, describe(error))
        if failed is not None:
            pause = timedelta(seconds=RETRY_SECONDS * 2 ** min(deadline.attempts, 6))
            await store.postpone_deadline(tx, failed[0], now + pause, failed[1])
    return 1


async def _handle(
    tx: Tx, incident: Incident, deadline: Deadline, now: datetime, fallback: FallbackPhone | None
) -> None:
    match deadline.kind:
        case DeadlineKind.ESCALATE:
            await _escalate(tx, incident, deadline, now, fallback)
        case DeadlineKind.TIME_IN_STATUS:
            await _warn(tx, incident, deadline, now)
        case DeadlineKind.DISPATCH_ANSWER:
            if incident.status is not Status.RESOLVED:
                await dispatches.unanswered(tx, incident, uuid.UUID(deadline.data["dispatch"]), now)
        case DeadlineKind.CALL_ANSWER:
            await _give_up_call(tx, incident, deadline, now)


async def _escalate(
    tx: Tx, incident: Incident, deadline: Deadline, now: datetime, fallback: FallbackPhone | None
) -> None:
    """Nobody has claimed: say it louder, or ring the duty phone; and again, as the step says."""
    if incident.status is not Status.OPEN:
        return
    if "waiting_for" in deadline.data:
        await _ring_duty(tx, incident, now, fallback, deadline)
        return
    policy = rules.parse_policy(incident.escalation_policy)
    if deadline.step >= len(policy.steps):
        return
    step = policy.steps[deadline.step]
    turn = int(deadline.data.get("round", 0))
    if turn < step.repeat:
        await store.add_deadline(
            tx,
            incident.id,
            DeadlineKind.ESCALATE,
            now + timedelta(seconds=step.every_s),
            step=deadline.step,
            data=dict(deadline.data) | {"round": turn + 1},
        )
    if not rules.in_window(step, now):
        data = {"step": deadline.step, "window": step.window}
        await incidents.add_event(
            tx, incident.id, "escalation.skipped", actor=SYSTEM, now=now, data=data
        )
        return
    level = max(incident.escalation_level, deadline.step + 1)
    since = deadline.data.get("since", incident.opened_at.isoformat())
    seconds = int((now - datetime.fromisoformat(since)).total_seconds())
    data = {"notify": step.notify, "step": deadline.step, "round": turn, "seconds": seconds}
    incident = await make_louder(tx, incident, "unacknowledged", now, level=level, data=data)
    if step.notify is rules.Notify.DUTY_PHONE:
        await _ring_duty(tx, incident, now, fallback)


async def _ring_duty(
    tx: Tx,
    incident: Incident,
    now: datetime,
    fallback: FallbackPhone | None,
    waiting: Deadline | None = None,
) -> None:
    phones = await store.duty_phones(tx, incident.division_code)
    targets = [target_of(phone) for phone in phones]
    if not phones and fallback is not None and (only := fallback.target()) is not None:
        targets = [only]
    # Whoever waits for the second phone has had the first one: only those behind it are tried.
    wanted = str(waiting.data.get("duty_phone", "")) if waiting else ""
    places = [place for place, phone in enumerate(phones) if str(phone.id) == wanted]
    if targets:
        behind = targets[places[0] :] if places else targets
        await ring_duty_phone(tx, incident, behind, now, waiting=waiting)
        return
    await incidents.add_event(tx, incident.id, "escalation.no_duty_phone", actor=SYSTEM, now=now)


async def _warn(tx: Tx, incident: Incident, deadline: Deadline, now: datetime) -> None:
    """It stands still in a status for too long: everybody is warned, a few times."""
    if incident.status != deadline.data["status"]:
        return
    seconds, turn = int(deadline.data["seconds"]), int(deadline.data.get("round", 0))
    data = {"status": incident.status, "seconds": seconds * (turn + 1)}
    await make_louder(tx, incident, "time_in_status", now, data=data)
    if turn < rules.MAX_REPEAT:
        await store.add_deadline(
            tx,
            incident.id,
            DeadlineKind.TIME_IN_STATUS,
            now + timedelta(seconds=seconds),
            data=dict(deadline.data) | {"round": turn + 1},
        )


async def _give_up_call(tx: Tx, incident: Incident, deadline: Deadline, now: datetime) -> None:
    """The carrier never said how the call ended: for the chain that is no answer."""
    attempt_id = uuid.UUID(deadline.data["attempt"])
    attempt = await contacts.get(tx, attempt_id)
    if attempt is None or attempt.status in FINAL:
        return
    talking = attempt.status is AttemptStatus.IN_PROGRESS
    if talking and "talking" not in deadline.data:
        await store.add_deadline(
            tx,
            incident.id,
            DeadlineKind.CALL_ANSWER,
            now + timedelta(seconds=LONGEST_TALK_SECONDS),
            data=dict(deadline.data) | {"talking": True},
        )
        return
    status = AttemptStatus.FAILED if talking else AttemptStatus.NO_ANSWER
    await attempt_progress(tx, str(attempt_id), status, None, now, error="no report in time")
