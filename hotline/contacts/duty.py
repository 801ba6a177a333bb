"""Rings duty phones, one call at a time for each number.

Ten incidents in a minute are one person's phone: it can take one call. Whoever comes second goes on
to the next duty phone of its division that is free, and where none is, waits as a deadline of its
own incident, in the order critical first, then longest waiting, and looks again every few seconds,
so that nothing is lost with a worker that dies. A claim cancels the wait like every other
escalation.
"""

from collections.abc import Sequence
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
    phones: Sequence[Target],
    now: datetime,
    *,
    waiting: Deadline | None = None,
) -> bool:
    """Call and text the first free of these duty phones about a held, unclaimed incident.

    False when all of them are busy with other incidents: then this one waits for the first.
    `waiting` is the wait that is over now. The locks of the numbers come after that of the
    incident, as everywhere, and in one order.
    """
    for number in sorted({_number(phone) for phone in phones}):
        await store.lock_number(tx, number)
    since = str(waiting.data["waiting_since"]) if waiting else now.isoformat()
    chosen = await _free(tx, incident, phones, since, now)
    if chosen is None:
        await _wait(tx, incident, phones[0], since, now, waiting)
        return False
    if chosen is not phones[0]:
        data = {"to": phones[0].name, "next": chosen.name}
        await incidents.add_event(
            tx, incident.id, "escalation.next_phone", actor=SYSTEM, now=now, data=data
        )
    await queue_call(tx, incident, Purpose.DUTY, chosen, SYSTEM, now)
    await _text(tx, incident, chosen, now)
    return True


async def _free(
    tx: Tx, incident: Incident, phones: Sequence[Target], since: str, now: datetime
) -> Target | None:
    """The first phone that is free for this incident, None while it has to wait.

    Whoever waits for the first phone, and comes before, takes the next one before as well. A phone
    that rings about this very incident is no reason to ring another.
    """
    hold = now - timedelta(seconds=LONGEST_HOLD_SECONDS)
    for place, phone in enumerate(phones):
        number = _number(phone)
        if await escalation.others_before(
            tx, incident.id, incident.severity, number.hex(), since, now
        ):
            if place == 0:
                return None
            continue
        caller = await store.duty_call_about(tx, number, hold)
        if caller is None:
            return phone
        if caller == incident.id:
            return None
    return None


def _number(phone: Target) -> bytes:
    return phone.phone_index or b""


async def _wait(
    tx: Tx,
    incident: Incident,
    target: Target,
    since: str,
    now: datetime,
    waiting: Deadline | None,
) -> None:
    number = _number(target).hex()
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
    if not await store.duty_texted_since(tx, _number(target), since):
        await queue_text(tx, incident, Purpose.DUTY, target, SYSTEM, now)
