"""Rings duty phones, one call at a time for each number.

Ten incidents in a minute are one person's phone: it can take one call. Whoever comes second waits
as a deadline of its own incident, in the order critical first, then longest waiting, and looks
again every few seconds, so that nothing is lost with a worker that dies. A claim cancels the wait
like every other escalation.
"""

from datetime import datetime, timedelta

from hotline.contacts import store
from hotline.contacts.model import Purpose, Target
from hotline.contacts.outgoing import queue_call, queue_text
from hotline.escalation import store as escalation
from hotline.escalation.model import Deadline, DeadlineKind, DutyPhone
from hotline.incidents import store as incidents
from hotline.incidents.model import Incident
from kernel.auth.model import SYSTEM
from kernel.db import Tx

# How soon a waiting incident looks again whether the phone is free.
LOOK_AGAIN_SECONDS = 5
# Between two texts to one phone; the call and the later text say how many wait.
TEXT_PAUSE_SECONDS = 60
# A call whose end is not reported keeps a phone for this long, and not the whole of a long talk.
LONGEST_HOLD_SECONDS = 300


def target_of(phone: DutyPhone) -> Target:
    """Return a duty phone as somebody to call."""
    return Target(
        phone.name,
        phone.phone_enc,
        duty_phone_id=phone.id,
        position=phone.position,
        phone_index=phone.phone_index,
    )


async def ring_duty_phone(
    tx: Tx,
    incident: Incident,
    phone: DutyPhone | Target,
    now: datetime,
    *,
    waiting: Deadline | None = None,
) -> bool:
    """Call and text a duty phone about a held incident that nobody has claimed.

    False when the phone is busy with another incident: then this one waits for it. `waiting` is the
    wait that is over now. The lock of the number comes after that of the incident, as everywhere.
    """
    target = target_of(phone) if isinstance(phone, DutyPhone) else phone
    number = target.phone_index or b""
    await store.lock_number(tx, number)
    since = str(waiting.data["waiting_since"]) if waiting else now.isoformat()
    hold = now - timedelta(seconds=LONGEST_HOLD_SECONDS)
    if await store.duty_call_running(tx, number, hold) or await escalation.others_before(
        tx, incident.id, incident.severity, number.hex(), since, now
    ):
        await _wait(tx, incident, target, since, now, waiting)
        return False
    await queue_call(tx, incident, Purpose.DUTY, target, SYSTEM, now)
    await _text(tx, incident, target, now)
    return True


async def _wait(
    tx: Tx,
    incident: Incident,
    target: Target,
    since: str,
    now: datetime,
    waiting: Deadline | None,
) -> None:
    number = (target.phone_index or b"").hex()
    if waiting is None:
        if await escalation.waits_for(tx, incident.id, number):
            # It waits since an earlier round of the same step: once in the queue is enough.
            return
        data = {"to": target.name}
        await incidents.add_event(
            tx, incident.id, "escalation.waiting", actor=SYSTEM, now=now, data=data
        )
        await _text(tx, incident, target, now)
    await escalation.add_deadline(
        tx,
        incident.id,
        DeadlineKind.ESCALATE,
        now + timedelta(seconds=LOOK_AGAIN_SECONDS),
        step=waiting.step if waiting else 0,
        data={
            "waiting_for": number,
            "waiting_since": since,
            "duty_phone": str(target.duty_phone_id) if target.duty_phone_id else "",
        },
    )


async def _text(tx: Tx, incident: Incident, target: Target, now: datetime) -> None:
    since = now - timedelta(seconds=TEXT_PAUSE_SECONDS)
    if not await store.duty_texted_since(tx, target.phone_index or b"", since):
        await queue_text(tx, incident, Purpose.DUTY, target, SYSTEM, now)
