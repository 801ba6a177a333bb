"""What may be done with an elder's record; each use case takes a transaction and writes the audit
log in it. Who may is the actor's permission, whose records is the actor's division.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from care.elders import rules, store
from care.elders.masking import masked
from care.elders.model import Contact, Draft, Elder, ElderCard, Secret
from care.elders.problems import Problem, raise_if
from kernel import audit
from kernel.auth.model import Actor, Permission
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import Conflict, Forbidden, NotFound
from kernel.ids import new_id

SUBJECT = "elder"


def require(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden when none of the actor's roles has the permission."""
    if not actor.may(permission):
        raise Forbidden(f"this needs the permission {permission.value}", permission=permission)


async def write_audit(
    tx: Tx,
    actor: Actor,
    action: str,
    elder_id: uuid.UUID,
    *,
    division: str,
    now: datetime,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record an action on an elder."""
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type=SUBJECT,
        subject_id=str(elder_id),
        division=division,
        detail=dict(detail or {}),
        now=now,
    )


async def create(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    draft: Draft,
    now: datetime,
    *,
    contacts: Sequence[Contact] = (),
) -> uuid.UUID:
    """Register an elder and return the id. Raises Invalid with every problem, Forbidden."""
    require(actor, Permission.ELDER_WRITE)
    examined = rules.examine(draft, now)
    kept, contact_problems = rules.check_contacts(
        contacts, (phone.number for phone in examined.draft.phones)
    )
    problems = [*examined.problems, *contact_problems]
    problems += await _about_others(
        tx, cipher, actor, examined.draft, problems=problems, own_id=None
    )
    raise_if(problems)
    # Ids that a form sent along could be those of another record.
    fresh = replace(
        examined.draft, phones=tuple(replace(one, id=None) for one in examined.draft.phones)
    )
    elder = store.NewElder(new_id(), fresh, tuple(replace(one, id=None) for one in kept))
    await store.insert(tx, cipher, [elder], now, by=actor.user_id)
    await write_audit(tx, actor, "elder.created", elder.id, division=fresh.division_code, now=now)
    return elder.id


async def _about_others(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    draft: Draft,
    *,
    problems: Sequence[Problem],
    own_id: uuid.UUID | None,
) -> list[Problem]:
    """What only the database can tell: the division, and who has this ID number."""
    found: list[Problem] = []
    wrong = {problem.field for problem in problems}
    if "division_code" not in wrong:
        if not actor.covers(draft.division_code):
            found.append(Problem("division_code", "division_outside"))
        elif not await store.division_exists(tx, draft.division_code):
            found.append(Problem("division_code", "division_unknown"))
    if draft.id_number and "id_number" not in wrong:
        owners = await store.owners_of_id_numbers(tx, cipher, [draft.id_number])
        if owners.get(draft.id_number, own_id) != own_id:
            found.append(Problem("id_number", "id_number_taken"))
    return found


async def open_for_change(
    tx: Tx, actor: Actor, elder_id: uuid.UUID, version: int | None = None
) -> store.Head:
    """Lock a record that the actor may write.

    Raises NotFound outside of the actor's division, and Conflict when the record is no longer at
    `version`; its facts say who changed it, when, and the version of now.
    """
    require(actor, Permission.ELDER_WRITE)
    head = await store.lock(tx, elder_id)
    if head is None or not actor.covers(head.division_code):
        raise NotFound("there is no such elder", elder_id=str(elder_id))
    if version is not None and head.version != version:
        raise Conflict(
            "somebody else has changed this record in the meantime",
            by=head.updated_by,
            at=head.updated_at,
            version=head.version,
        )
    return head


async def update(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    elder_id: uuid.UUID,
    *,
    version: int,
    draft: Draft,
    now: datetime,
    keep: frozenset[Secret] = frozenset(),
) -> int:
    """Change person and home; return the new version.

    `keep` names what the form did not show and must not touch. Raises Invalid, NotFound, Conflict.
    """
    head = await open_for_change(tx, actor, elder_id, version)
    before = await store.get(tx, cipher, elder_id)
    if before is None:
        raise NotFound("there is no such elder", elder_id=str(elder_id))
    examined = rules.examine(_kept(draft, before, keep), now)
    problems = list(examined.problems)
    problems += await _about_others(
        tx, cipher, actor, examined.draft, problems=problems, own_id=elder_id
    )
    raise_if(problems)
    after = _own_phone_ids(examined.draft, before)
    changed = _changed(before, after)
    if not changed:
        return head.version
    await store.update(tx, cipher, elder_id, after)
    detail = {"fields": changed, "version": head.version + 1}
    await write_audit(
        tx, actor, "elder.updated", elder_id, division=after.division_code, now=now, detail=detail
    )
    return await store.touch(tx, elder_id, now, actor.user_id)


def _kept(draft: Draft, before: Elder, keep: frozenset[Secret]) -> Draft:
    untouched = {
        Secret.ID_NUMBER: ("id_number", before.id_number),
        Secret.ADDRESS: ("address", before.address),
        Secret.MEDICAL: ("medical_notes", before.medical_notes),
        Secret.ACCESS: ("access_notes", before.access_notes),
        Secret.PHONES: ("phones", before.phones),
    }
    values: dict[str, Any] = dict(untouched[one] for one in keep if one in untouched)
    return replace(draft, **values)


def _own_phone_ids(draft: Draft, before: Elder) -> Draft:
    own = {phone.id for phone in before.phones}
    phones = tuple(one if one.id in own else replace(one, id=None) for one in draft.phones)
    return replace(draft, phones=phones)


def _changed(before: Elder, after: Draft) -> list[str]:
    names = [name for name in Draft.__slots__ if name != "phones"]
    changed = [name for name in names if getattr(before, name) != getattr(after, name)]
    numbers = [(one.label, one.number) for one in before.phones]
    if numbers != [(one.label, one.number) for one in after.phones]:
        changed.append("phones")
    return changed


async def archive(
    tx: Tx, actor: Actor, elder_id: uuid.UUID, *, version: int, reason: str, now: datetime
) -> int:
    """Take a record out of the lists; nothing is deleted. Raises Conflict when it is archived."""
    head = await open_for_change(tx, actor, elder_id, version)
    text, problems = rules.check_text("reason", reason, rules.ADDRESS_LIMIT)
    raise_if(problems)
    if head.archived_at is not None:
        raise Conflict("this record is archived already", by=head.updated_by)
    await store.set_archived(tx, elder_id, now)
    await store.add_note(tx, elder_id, text, now, actor.user_id)
    await write_audit(tx, actor, "elder.archived", elder_id, division=head.division_code, now=now)
    return await store.touch(tx, elder_id, now, actor.user_id)


async def restore(tx: Tx, actor: Actor, elder_id: uuid.UUID, *, version: int, now: datetime) -> int:
    """Bring an archived record back into the lists. Raises Conflict when it is not archived."""
    head = await open_for_change(tx, actor, elder_id, version)
    if head.archived_at is None:
        raise Conflict("this record is not archived", by=head.updated_by)
    await store.set_archived(tx, elder_id, None)
    await write_audit(tx, actor, "elder.restored", elder_id, division=head.division_code, now=now)
    return await store.touch(tx, elder_id, now, actor.user_id)


async def set_contacts(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    elder_id: uuid.UUID,
    *,
    version: int,
    contacts: Sequence[Contact],
    now: datetime,
    keep_phones: bool = False,
) -> int:
    """Make these the emergency contacts, in this order; return the new version.

    With `keep_phones` a known contact without a number keeps the number that it has: so somebody
    who may not see the numbers can still put the contacts in another order.
    """
    head = await open_for_change(tx, actor, elder_id, version)
    before = {one.id: one for one in await store.contacts_of(tx, cipher, elder_id)}
    own = [one if one.id in before else replace(one, id=None) for one in contacts]
    if keep_phones:
        own = [
            replace(one, phone=before[one.id].phone)
            if one.id is not None and not one.phone.strip()
            else one
            for one in own
        ]
    numbers = [phone.number for phone in await store.phones_of(tx, cipher, elder_id)]
    kept, problems = rules.check_contacts(own, numbers)
    raise_if(problems)
    if list(kept) == list(before.values()):
        return head.version
    await store.replace_contacts(tx, cipher, elder_id, kept)
    detail = {"before": len(before), "after": len(kept)}
    await write_audit(
        tx,
        actor,
        "elder.contacts_set",
        elder_id,
        division=head.division_code,
        now=now,
        detail=detail,
    )
    return await store.touch(tx, elder_id, now, actor.user_id)


async def add_note(
    tx: Tx, actor: Actor, elder_id: uuid.UUID, text: str, now: datetime
) -> uuid.UUID:
    """Write on the elder's timeline. Whoever may reveal or write may do this."""
    if not actor.may(Permission.ELDER_REVEAL):
        require(actor, Permission.ELDER_WRITE)
    head = await store.lock(tx, elder_id)
    if head is None or not actor.covers(head.division_code):
        raise NotFound("there is no such elder", elder_id=str(elder_id))
    text, problems = rules.check_text("text", text, rules.NOTE_LIMIT, lines=True)
    raise_if(problems)
    note_id = await store.add_note(tx, elder_id, text, now, actor.user_id)
    await write_audit(tx, actor, "elder.note_added", elder_id, division=head.division_code, now=now)
    return note_id


async def _read(tx: Tx, cipher: FieldCipher, actor: Actor, elder_id: uuid.UUID) -> Elder:
    require(actor, Permission.ELDER_READ)
    elder = await store.get(tx, cipher, elder_id)
    if elder is None or not actor.covers(elder.division_code):
        raise NotFound("there is no such elder", elder_id=str(elder_id))
    return elder


async def get(
    tx: Tx, cipher: FieldCipher, actor: Actor, elder_id: uuid.UUID, now: datetime
) -> Elder:
    """Return a record with its secrets masked. Raises NotFound."""
    elder = await _read(tx, cipher, actor, elder_id)
    await write_audit(tx, actor, "elder.read", elder_id, division=elder.division_code, now=now)
    return masked(elder)


async def note_read(
    tx: Tx, actor: Actor, elder_id: uuid.UUID, now: datetime, **what: str | int
) -> None:
    """Audit that a part of a record is read, without reading it here. Raises NotFound.

    `what` says which part: `part="vitals", hours=24`.
    """
    require(actor, Permission.ELDER_READ)
    division = await store.division_of(tx, elder_id)
    if division is None or not actor.covers(division):
        raise NotFound("there is no such elder", elder_id=str(elder_id))
    await write_audit(tx, actor, "elder.read", elder_id, division=division, now=now, detail=what)


async def get_for_change(
    tx: Tx, cipher: FieldCipher, actor: Actor, elder_id: uuid.UUID, now: datetime
) -> Elder:
    """Return a record for its form: in plain text to who may reveal, masked to others."""
    require(actor, Permission.ELDER_WRITE)
    elder = await _read(tx, cipher, actor, elder_id)
    if not actor.may(Permission.ELDER_REVEAL):
        await write_audit(tx, actor, "elder.read", elder_id, division=elder.division_code, now=now)
        return masked(elder)
    detail = {"fields": [one.value for one in Secret], "why": "form"}
    await write_audit(
        tx, actor, "elder.revealed", elder_id, division=elder.division_code, now=now, detail=detail
    )
    return elder


async def reveal(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    elder_id: uuid.UUID,
    *,
    secret: Secret,
    now: datetime,
    item: uuid.UUID | None = None,
) -> str:
    """Return one secret in plain text; `item` says which phone or contact.

    Raises Forbidden without the permission, NotFound when there is no such thing.
    """
    require(actor, Permission.ELDER_REVEAL)
    elder = await _read(tx, cipher, actor, elder_id)
    numbers = {one.id: one.number for one in elder.phones}
    contacts = {one.id: one.phone for one in elder.contacts}
    values: dict[Secret, str | None] = {
        Secret.ID_NUMBER: elder.id_number,
        Secret.ADDRESS: elder.address,
        Secret.MEDICAL: elder.medical_notes,
        Secret.ACCESS: elder.access_notes,
        Secret.PHONES: numbers.get(item),
        Secret.CONTACTS: contacts.get(item),
    }
    value = values[secret]
    if not value:
        raise NotFound("there is nothing to show", field=secret.value)
    detail = {"fields": [secret.value]} | ({"item": str(item)} if item else {})
    await write_audit(
        tx, actor, "elder.revealed", elder_id, division=elder.division_code, now=now, detail=detail
    )
    return value


async def read_card(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    elder_id: uuid.UUID,
    now: datetime,
    *,
    why: str,
) -> ElderCard:
    """Return what somebody who handles an incident needs, in plain text, and audit it."""
    require(actor, Permission.ELDER_REVEAL)
    elder = await _read(tx, cipher, actor, elder_id)
    await write_audit(
        tx, actor, "elder.revealed", elder_id, division=elder.division_code, now=now,
        detail={"fields": [one.value for one in Secret], "why": why},
    )  # fmt: skip
    return store.card_of(elder)
