"""Use cases of calling: the elder, one contact, the contacts in order; the carrier's reports.

Whoever holds the incident calls, or a supervisor (else Forbidden), until it is resolved (Conflict).
Every carrier ends in `attempt_progress`: a real one by its webhook, the simulated one directly.
"""

import uuid
from datetime import datetime, timedelta

from hotline.contacts import machine, store
from hotline.contacts.duty import ring_duty_phone, target_of
from hotline.contacts.model import (
    Attempt,
    AttemptStatus,
    Channel,
    Key,
    Purpose,
    Target,
)
from hotline.contacts.outgoing import queue_call, queue_text
from hotline.dispatch import service as dispatches
from hotline.dispatch.model import DispatchAction
from hotline.escalation import rules
from hotline.escalation import store as escalation
from hotline.escalation.model import DeadlineKind
from hotline.incidents import store as incidents
from hotline.incidents.model import Action, Incident, Status
from hotline.incidents.steps import (
    arm_escalation,
    check_reach,
    lock,
    make_louder,
    move,
    publish_change,
)
from kernel.auth.model import SYSTEM, Actor
from kernel.db import Tx
from kernel.errors import Conflict, Invalid, NotFound

_DISPATCH_KEYS: dict[Key, DispatchAction] = {
    Key.ACKNOWLEDGE: DispatchAction.ACCEPT,
    Key.ON_MY_WAY: DispatchAction.DEPART,
    Key.CANNOT: DispatchAction.DECLINE,
}


async def call_elder(tx: Tx, incident_id: uuid.UUID, actor: Actor, now: datetime) -> uuid.UUID:
    """Call the elder's first number. Raises NotFound when there is none."""
    incident, elder_id = await _with_elder(tx, incident_id, actor)
    target = await store.elder_phone(tx, elder_id)
    if target is None:
        raise NotFound("the elder has no phone number")
    return await _call(tx, incident, Purpose.ELDER, target, actor, now)


async def call_contact(
    tx: Tx, incident_id: uuid.UUID, contact_id: uuid.UUID, actor: Actor, now: datetime
) -> uuid.UUID:
    """Call one contact. Raises NotFound when it is none of the elder's."""
    incident, elder_id = await _with_elder(tx, incident_id, actor)
    target = await store.contact(tx, elder_id, contact_id)
    if target is None:
        raise NotFound("there is no such contact")
    return await _call(tx, incident, Purpose.CONTACT, target, actor, now)


async def call_contacts_in_order(
    tx: Tx, incident_id: uuid.UUID, actor: Actor, now: datetime
) -> uuid.UUID:
    """Call the first contact; who does not answer or does not confirm is followed by the next.

    Raises Conflict while this runs already, NotFound when there are no contacts.
    """
    incident, elder_id = await _with_elder(tx, incident_id, actor)
    if await store.chain_in_progress(tx, incident.id):
        raise Conflict("the contacts are being called already")
    target = await store.contact_after(tx, elder_id, 0)
    if target is None:
        raise NotFound("the elder has no contacts")
    return await _call(tx, incident, Purpose.CHAIN, target, actor, now)


async def text_contact(
    tx: Tx, incident_id: uuid.UUID, contact_id: uuid.UUID, actor: Actor, now: datetime
) -> uuid.UUID:
    """Text one contact what has happened, in fixed words."""
    incident, elder_id = await _with_elder(tx, incident_id, actor)
    target = await store.contact(tx, elder_id, contact_id)
    if target is None:
        raise NotFound("there is no such contact")
    attempt_id = await queue_text(tx, incident, Purpose.CONTACT, target, actor, now)
    await publish_change(tx, incident.id)
    return attempt_id


async def attempt_progress(
    tx: Tx,
    reference: str,
    status: str,
    digits: str | None,
    now: datetime,
    *,
    error: str | None = None,
) -> None:
    """Take a carrier's report about a call or a text.

    `status` is a word of AttemptStatus, `digits` what was pressed so far. Reports come late, twice
    and out of order: what is no news changes nothing, an unknown reference is ignored.
    """
    try:
        attempt_id, reported = uuid.UUID(reference), AttemptStatus(status)
    except ValueError as wrong:
        raise Invalid("this is no report of ours", {"reference": reference[:64]}) from wrong
    found = await store.get(tx, attempt_id)
    if found is None:
        return
    incident = await incidents.lock(tx, found.incident_id) if found.incident_id else None
    attempt = await store.lock(tx, attempt_id)
    if attempt is None:
        return
    news = machine.follows(attempt.status, reported)
    pressed = digits if digits and attempt.digits is None else None
    if attempt.status in machine.FINAL or not (news or pressed):
        return
    kept = reported if news else attempt.status
    await store.save_progress(tx, attempt_id, kept, digits=pressed, error=error, now=now)
    if incident is None:
        return
    if pressed is not None:
        await _pressed(tx, incident, attempt, pressed, now)
    if news and reported in machine.FINAL:
        await _ended(tx, attempt, reported, pressed or attempt.digits, now)
    await publish_change(tx, incident.id)


async def _pressed(
    tx: Tx, incident: Incident, attempt: Attempt, digits: str, now: datetime
) -> None:
    """A key on the phone: 1 acknowledge, 2 on my way, 3 cannot; others are only written down."""
    data = {"attempt": str(attempt.id), "purpose": attempt.purpose, "to": attempt.to_name}
    await incidents.add_event(
        tx, incident.id, "contact.pressed", actor=SYSTEM, now=now, data=data | {"key": digits}
    )
    key = Key(digits) if digits in set(Key) else None
    if key is None:
        return
    if attempt.purpose is Purpose.DISPATCH and attempt.dispatch_id is not None:
        try:
            await dispatches.respond(tx, attempt.dispatch_id, _DISPATCH_KEYS[key], now)
        except Conflict:
            # The link was tapped differently meanwhile; the timeline has both.
            return
    elif attempt.purpose is Purpose.DUTY and key is not Key.CANNOT:
        await _claimed_by_phone(tx, incident, attempt, now)


async def _claimed_by_phone(tx: Tx, incident: Incident, attempt: Attempt, now: datetime) -> None:
    if incident.status is not Status.OPEN:
        return
    phone = (
        await escalation.duty_phone(tx, attempt.duty_phone_id) if attempt.duty_phone_id else None
    )
    if phone is None or phone.user_id is None:
        # Somebody has heard it but nobody of ours holds it: quiet for a while, then from the start.
        policy = rules.parse_policy(incident.escalation_policy)
        await escalation.cancel_deadlines(tx, incident.id, [DeadlineKind.ESCALATE], now)
        pause = timedelta(seconds=policy.stale_claim_s)
        await arm_escalation(tx, incident.id, policy, now + pause)
        return
    actor = Actor(phone.user_id, "duty_phone", phone.name, frozenset(), "")
    await move(
        tx, incident, None, Action.ACKNOWLEDGE, actor, now,
        holder=phone.user_id, data={"by_phone": True},
    )  # fmt: skip


async def _ended(
    tx: Tx, attempt: Attempt, status: AttemptStatus, digits: str | None, now: datetime
) -> None:
    if attempt.incident_id is None:
        return
    incident = await incidents.lock(tx, attempt.incident_id)
    if incident is None:
        return
    data = {
        "attempt": str(attempt.id),
        "purpose": attempt.purpose,
        "channel": attempt.channel,
        "to": attempt.to_name,
        "status": status,
    }
    if status is not AttemptStatus.DELIVERED:
        await incidents.add_event(
            tx, incident.id, "contact.ended", actor=SYSTEM, now=now, data=data
        )
    confirmed = digits in {Key.ACKNOWLEDGE, Key.ON_MY_WAY}
    if attempt.channel is Channel.SMS:
        if status is AttemptStatus.FAILED and attempt.purpose is Purpose.DISPATCH:
            await _call_responder_instead(tx, incident, attempt, now)
    elif attempt.purpose is Purpose.CHAIN and not confirmed:
        await _next_contact(tx, incident, attempt, now)
    elif attempt.purpose is Purpose.DUTY and not confirmed:
        await _next_duty_phone(tx, incident, attempt, now)


async def _next_contact(tx: Tx, incident: Incident, attempt: Attempt, now: datetime) -> None:
    if incident.status is Status.RESOLVED or incident.elder_id is None:
        return
    target = await store.contact_after(tx, incident.elder_id, attempt.position or 0)
    if target is not None:
        await queue_call(tx, incident, Purpose.CHAIN, target, SYSTEM, now)
    else:
        await make_louder(tx, incident, "no_contact_reached", now)


async def _next_duty_phone(tx: Tx, incident: Incident, attempt: Attempt, now: datetime) -> None:
    if incident.status is not Status.OPEN:
        return
    phones = await escalation.duty_phones(tx, incident.division_code)
    later = [phone for phone in phones if phone.position > (attempt.position or 0)]
    # After the last one the repeats of the policy's step begin again with the first.
    if attempt.duty_phone_id is not None and later:
        await ring_duty_phone(tx, incident, [target_of(phone) for phone in later], now)


async def _call_responder_instead(
    tx: Tx, incident: Incident, attempt: Attempt, now: datetime
) -> None:
    """The text with the link did not arrive: ring, with the same keys, and tell the console."""
    if attempt.dispatch_id is not None:
        await dispatches.unanswered(tx, incident, attempt.dispatch_id, now)


async def _with_elder(tx: Tx, incident_id: uuid.UUID, actor: Actor) -> tuple[Incident, uuid.UUID]:
    incident = await lock(tx, incident_id, actor)
    await check_reach(tx, incident, actor)
    if incident.elder_id is None:
        raise NotFound("this device is bound to nobody: there is no one to call")
    return incident, incident.elder_id


async def _call(
    tx: Tx, incident: Incident, purpose: Purpose, target: Target, actor: Actor, now: datetime
) -> uuid.UUID:
    attempt_id = await queue_call(tx, incident, purpose, target, actor, now)
    await publish_change(tx, incident.id)
    return attempt_id
