"""Recording a consent and its withdrawal."""

import uuid
from datetime import datetime

from care.consents import store
from care.consents.model import Consent, ConsentPurpose
from care.elders import rules
from care.elders import service as elders
from care.elders.problems import Problem, raise_if
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict
from kernel.ids import new_id


async def give(
    tx: Tx,
    actor: Actor,
    elder_id: uuid.UUID,
    *,
    purpose: ConsentPurpose,
    text_version: str,
    given_by: str,
    now: datetime,
) -> uuid.UUID:
    """Record that somebody agreed to a purpose on a version of the text; return the consent's id.

    Raises Invalid, also when the same consent stands already.
    """
    head = await elders.open_for_change(tx, actor, elder_id)
    text_version, version_problems = rules.check_text("text_version", text_version, 20)
    given_by, by_problems = rules.check_text("given_by", given_by, rules.NAME_LIMIT)
    problems = [*version_problems, *by_problems]
    if await store.is_given(tx, elder_id, purpose.value):
        problems.append(Problem("purpose", "already_given"))
    raise_if(problems)
    consent = Consent(new_id(), purpose.value, text_version, given_by, now, None, None)
    await store.add(tx, [(elder_id, consent)], by=actor.user_id)
    detail = {"purpose": purpose.value, "text_version": text_version}
    await elders.write_audit(
        tx,
        actor,
        "elder.consent_given",
        elder_id,
        division=head.division_code,
        now=now,
        detail=detail,
    )
    return consent.id


async def withdraw(
    tx: Tx, actor: Actor, elder_id: uuid.UUID, consent_id: uuid.UUID, now: datetime
) -> None:
    """End a consent. Raises Conflict when it does not stand any more."""
    head = await elders.open_for_change(tx, actor, elder_id)
    purpose = await store.withdraw(tx, elder_id, consent_id, now)
    if purpose is None:
        raise Conflict("this consent does not stand any more", consent_id=str(consent_id))
    await elders.write_audit(
        tx, actor, "elder.consent_withdrawn", elder_id, division=head.division_code, now=now,
        detail={"purpose": purpose},
    )  # fmt: skip
