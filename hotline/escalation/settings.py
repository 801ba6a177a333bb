"""Administration of duty phones and escalation policies. Audited, within one's division."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation

from devices.alarms import Severity
from hotline.contacts.model import PHONE
from hotline.escalation import rules
from hotline.escalation import settings_store as store
from hotline.escalation.settings_store import ConfiguredPolicy, PhoneRow
from hotline.incidents.model import Status
from hotline.responders.roster import SENTENCES as RESPONDER_SENTENCES
from hotline.responders.roster import digits_of, invalid, may_manage, refuse
from kernel import audit, divisions
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import Conflict, NotFound
from kernel.ids import new_id

LAST_POSITION = 20
CLAIMERS = [Role.OPERATOR.value, Role.SUPERVISOR.value]
MOST_STEPS = 5
SENTENCES = RESPONDER_SENTENCES | {
    "position": "A whole number from 1 to 20.",
    "position_taken": "This division has a phone with this number already.",
    "account_cannot": "This account may not claim incidents of this division.",
    "steps_needed": "Critical and major incidents need a step.",
    "step_time": "Whole seconds from 10 to 7200.",
    "step_order": "Each step must come later than the one before it.",
    "step_every": "Whole seconds from 30 to 3600.",
    "step_repeat": "A whole number from 0 to 5.",
    "step_window": "A time of day such as 08:00-20:00.",
    "step_always": "A critical incident needs a step at every hour, within 300 seconds.",
    "seconds": "Whole seconds from 30 to 86400.",
}


@dataclass(frozen=True, slots=True)
class PhoneForm:
    """A duty phone as it is edited. An empty `phone` keeps the number of an existing one."""

    division: str
    position: int
    name: str
    phone: str
    user_id: uuid.UUID | None = None


async def phones(tx: Tx, actor: Actor) -> list[PhoneRow]:
    """Return the duty phones of the person's division, in the order in which they ring."""
    refuse(may_manage(actor))
    return await store.phones(tx, actor.division)


async def phone(tx: Tx, actor: Actor, phone_id: uuid.UUID, *, lock: bool = False) -> PhoneRow:
    """Return one. Raises NotFound outside of the person's division."""
    refuse(may_manage(actor))
    found = await store.phone(tx, phone_id, lock=lock)
    if found is None or not actor.covers(found.division):
        raise NotFound("There is no such duty phone.")
    return found


async def save_phone(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    phone_id: uuid.UUID | None,
    version: int,
    form: PhoneForm,
    now: datetime,
) -> uuid.UUID:
    """Add (`phone_id` None) or change a duty phone. Raises Invalid, NotFound, Conflict."""
    refuse(may_manage(actor))
    old = await phone(tx, actor, phone_id, lock=True) if phone_id else None
    if old is not None and old.version != version:
        raise Conflict("Somebody else has changed this duty phone.", version=old.version)
    problems = await _phone_problems(tx, actor, form, old)
    if problems:
        raise invalid(problems, SENTENCES)
    number = digits_of(form.phone)
    boxes = (cipher.encrypt(PHONE, number), cipher.blind_index(PHONE, number)) if number else None
    saved = old.id if old else new_id()
    try:
        async with tx.transaction():
            await store.save_phone(
                tx,
                saved,
                {
                    "division": form.division,
                    "position": form.position,
                    "name": form.name,
                    "user": form.user_id,
                },
                boxes,
                new=old is None,
            )
    except UniqueViolation as error:
        raise invalid({"position": "position_taken"}, SENTENCES) from error
    action = "duty_phone.edited" if old else "duty_phone.created"
    await _audit(tx, actor, action, "duty_phone", str(saved), form.division, now)
    return saved


async def remove_phone(
    tx: Tx, actor: Actor, phone_id: uuid.UUID, version: int, now: datetime
) -> None:
    """Remove a duty phone; calls that were made with it stay on their timelines."""
    old = await phone(tx, actor, phone_id, lock=True)
    if old.version != version:
        raise Conflict("Somebody else has changed this duty phone.", version=old.version)
    await store.remove_phone(tx, phone_id)
    await _audit(tx, actor, "duty_phone.removed", "duty_phone", str(phone_id), old.division, now)


async def _phone_problems(
    tx: Tx, actor: Actor, form: PhoneForm, old: PhoneRow | None
) -> dict[str, str]:
    found: dict[str, str] = {}
    if not form.name:
        found["name"] = "required"
    elif len(form.name) > 60:
        found["name"] = "too_long"
    if form.phone.strip():
        if not digits_of(form.phone):
            found["phone"] = "phone"
    elif old is None:
        found["phone"] = "required"
    if not 1 <= form.position <= LAST_POSITION:
        found["position"] = "position"
    found |= _division_problem(actor, form.division)
    kept = old is not None and (old.user_id, old.division) == (form.user_id, form.division)
    # Who may name an account lets that phone claim in its name: only within one's own area.
    if (
        form.user_id is not None
        and not kept
        and "division" not in found
        and not await store.may_claim(tx, form.user_id, actor.division, form.division, CLAIMERS)
    ):
        found["user_id"] = "account_cannot"
    return found


def _division_problem(actor: Actor, division: str) -> dict[str, str]:
    if division and not divisions.is_prefix(division):
        return {"division": "division_unknown"}
    return {} if division.startswith(actor.division) else {"division": "division_outside"}


async def policies(tx: Tx, actor: Actor) -> list[ConfiguredPolicy]:
    """Return what is configured in the person's division and above it (which counts there too)."""
    refuse(may_manage(actor))
    return await store.policies(tx, actor.division)


async def policy(
    tx: Tx, actor: Actor, division: str, severity: Severity
) -> tuple[rules.Policy, int]:
    """Return what counts for a division prefix, and the version of its own row (0 is none)."""
    refuse(may_manage(actor) and division.startswith(actor.division))
    found = await store.policies_for(tx, division, severity)
    if found is None:
        return rules.DEFAULTS[severity], 0
    version = found.version if found.division == division else 0
    return rules.parse_policy(found.policy), version


async def save_policy(
    tx: Tx,
    actor: Actor,
    division: str,
    severity: Severity,
    version: int,
    wanted: rules.Policy,
    now: datetime,
) -> None:
    """Store the policy of a division prefix. Incidents that run keep the one they opened with."""
    refuse(may_manage(actor))
    problems = _division_problem(actor, division) | policy_problems(severity, wanted)
    if problems:
        raise invalid(problems, SENTENCES)
    if not await store.save_policy(tx, division, severity, version, wanted.dump(), now):
        raise Conflict("Somebody else has changed this policy.")
    subject = f"{division or '*'}/{severity}"
    await _audit(tx, actor, "policy.saved", "policy", subject, division, now, **wanted.dump())


async def remove_policy(
    tx: Tx, actor: Actor, division: str, severity: Severity, version: int, now: datetime
) -> None:
    """Let the division above, or the defaults, count again. Raises Conflict."""
    refuse(may_manage(actor) and division.startswith(actor.division))
    if not await store.remove_policy(tx, division, severity, version):
        raise Conflict("Somebody else has changed this policy.")
    subject = f"{division or '*'}/{severity}"
    await _audit(tx, actor, "policy.removed", "policy", subject, division, now)


def policy_problems(severity: Severity, wanted: rules.Policy) -> dict[str, str]:
    """Return what is wrong, as codes by the field of the form (step-1-after, limit-on_scene …)."""
    found: dict[str, str] = {}
    last = 0
    for number, step in enumerate(wanted.steps, 1):
        if not 10 <= step.after_s <= 7200:
            found[f"step-{number}-after"] = "step_time"
        elif step.after_s <= last:
            found[f"step-{number}-after"] = "step_order"
        last = step.after_s
        if not 0 <= step.repeat <= rules.MAX_REPEAT:
            found[f"step-{number}-repeat"] = "step_repeat"
        if not 30 <= step.every_s <= 3600:
            found[f"step-{number}-every"] = "step_every"
        if not _window_holds(step):
            found[f"step-{number}-window"] = "step_window"
    if severity in (Severity.CRITICAL, Severity.MAJOR) and not wanted.steps:
        found["step-1-after"] = "steps_needed"
    elif severity is Severity.CRITICAL and not any(
        not step.window and step.after_s <= 300 for step in wanted.steps
    ):
        found.setdefault("step-1-after", "step_always")
    for status, seconds in wanted.limits.items():
        if not 30 <= seconds <= 86400:
            found[f"limit-{Status(status)}"] = "seconds"
    for name, seconds in (("answer", wanted.answer_s), ("stale", wanted.stale_claim_s)):
        if not 30 <= seconds <= 86400:
            found[name] = "seconds"
    return found


def _window_holds(step: rules.Step) -> bool:
    if not step.window:
        return True
    try:
        rules.in_window(step, datetime(2026, 1, 1, tzinfo=rules.LOCAL))
    except ValueError:
        return False
    first, _, last = step.window.partition("-")
    return len(first) == len(last) == 5 and first != last


async def _audit(
    tx: Tx,
    actor: Actor,
    action: str,
    subject_type: str,
    subject_id: str,
    division: str,
    now: datetime,
    **detail: Any,
) -> None:
    facts: Mapping[str, Any] = detail
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type=subject_type,
        subject_id=subject_id,
        division=division,
        detail=dict(facts),
        now=now,
    )
