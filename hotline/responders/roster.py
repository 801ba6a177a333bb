"""Administration of responders: list, add, edit, disable, duty. Audited, within one's division."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import UniqueViolation

from hotline.contacts.model import PHONE
from hotline.responders import roster_store as store
from hotline.responders.model import Skill
from hotline.responders.roster_store import Filters, Row
from kernel import audit
from kernel.auth.model import SYSTEM, Actor, Permission
from kernel.crypto import FieldCipher
from kernel.db import Tx
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from kernel.ids import new_id
from kernel.phones import phone_of

NAME_LIMIT, STATION_LIMIT = 60, 120
SENTENCES = {
    "required": "This is needed.",
    "too_long": "This is too long.",
    "phone": "A phone number has 3 to 15 digits.",
    "skill_unknown": "There is no such skill.",
    "division_outside": "This division is outside of your area.",
    "division_unknown": "There is no such division.",
    "account_unknown": "There is no such account in your area.",
    "account_taken": "This account belongs to another responder already.",
    "busy": "This responder still has a dispatch that is not over.",
}


@dataclass(frozen=True, slots=True)
class Form:
    """What can be edited. An empty `phone` keeps the number that an existing row has."""

    name: str
    phone: str
    skills: Sequence[str]
    division_code: str
    station: str = ""
    user_id: uuid.UUID | None = None
    disabled: bool = False


def may_manage(actor: Actor) -> bool:
    """True for who maintains responders, duty phones and policies."""
    return (
        actor == SYSTEM
        or actor.may(Permission.USER_ADMIN)
        or actor.may(Permission.INCIDENT_SUPERVISE)
    )


def may_see(actor: Actor) -> bool:
    """True for who sees the responders and switches their duty."""
    return may_manage(actor) or actor.may(Permission.INCIDENT_HANDLE)


def refuse(allowed: bool) -> None:
    """Raise Forbidden unless allowed."""
    if not allowed:
        raise Forbidden("Your roles do not permit this.")


def invalid(problems: dict[str, str], sentences: dict[str, str]) -> Invalid:
    """Return the error for codes by field; `facts["problems"]` keeps the codes."""
    fields = {name: sentences[code] for name, code in problems.items()}
    return Invalid("This cannot be stored.", fields, problems=problems)


def digits_of(phone: str) -> str:
    """Return the digits of a number, "" for what is none."""
    number = phone_of(phone)
    return number if re.fullmatch(r"\+?[0-9]{3,15}", number) else ""


async def search(
    tx: Tx, actor: Actor, filters: Filters, *, order: str, limit: int, offset: int
) -> tuple[list[Row], int]:
    """Return responders of the person's division and how many there are."""
    refuse(may_see(actor))
    return await store.search(tx, actor.division, filters, order, limit, offset)


async def get(tx: Tx, actor: Actor, responder_id: uuid.UUID, *, lock: bool = False) -> Row:
    """Return one, disabled ones too. Raises NotFound outside of the person's division."""
    found = await store.get(tx, responder_id, lock=lock)
    if found is None or not actor.covers(found.division_code):
        raise NotFound("There is no such responder.")
    return found


async def create(tx: Tx, cipher: FieldCipher, actor: Actor, form: Form, now: datetime) -> uuid.UUID:
    """Add a responder, off duty. Raises Invalid with the problems, Forbidden."""
    refuse(may_manage(actor))
    problems = await _check(tx, actor, form, None)
    if not form.phone.strip():
        problems["phone"] = "required"
    if problems:
        raise invalid(problems, SENTENCES)
    responder_id = new_id()
    await _write(tx, cipher, responder_id, form, None, now)
    await _audit(tx, actor, "responder.created", responder_id, form.division_code, now)
    return responder_id


async def edit(
    tx: Tx,
    cipher: FieldCipher,
    actor: Actor,
    responder_id: uuid.UUID,
    version: int,
    form: Form,
    now: datetime,
) -> None:
    """Change a responder. Raises Invalid, Forbidden, NotFound, Conflict for an old version."""
    refuse(may_manage(actor))
    old = await get(tx, actor, responder_id, lock=True)
    if old.version != version:
        raise Conflict("Somebody else has changed this responder.", version=old.version)
    problems = await _check(tx, actor, form, old)
    if form.disabled and not old.disabled_at and old.busy:
        problems["disabled"] = "busy"
    if problems:
        raise invalid(problems, SENTENCES)
    await _write(tx, cipher, responder_id, form, old, now)
    changed = [
        name
        for name in ("name", "station", "division_code", "user_id")
        if getattr(old, name) != getattr(form, name)
    ]
    changed += ["phone"] if form.phone.strip() else []
    changed += ["skills"] if set(old.skills) != set(form.skills) else []
    action = "responder.edited"
    if form.disabled != (old.disabled_at is not None):
        action = "responder.disabled" if form.disabled else "responder.enabled"
    await _audit(tx, actor, action, responder_id, form.division_code, now, changed=changed)


async def set_duty(
    tx: Tx, actor: Actor, responder_id: uuid.UUID, on_duty: bool, now: datetime
) -> None:
    """Put a responder on or off duty. Raises Conflict for one who is disabled."""
    refuse(may_see(actor))
    one = await get(tx, actor, responder_id, lock=True)
    if one.disabled_at is not None:
        raise Conflict("This responder is disabled.")
    if await store.set_duty(tx, responder_id, on_duty):
        action = "responder.on_duty" if on_duty else "responder.off_duty"
        await _audit(tx, actor, action, responder_id, one.division_code, now)


async def _check(tx: Tx, actor: Actor, form: Form, old: Row | None) -> dict[str, str]:
    found: dict[str, str] = {}
    if not form.name:
        found["name"] = "required"
    elif len(form.name) > NAME_LIMIT:
        found["name"] = "too_long"
    if form.phone.strip() and not digits_of(form.phone):
        found["phone"] = "phone"
    if set(form.skills) - set(Skill):
        found["skills"] = "skill_unknown"
    if not re.fullmatch(r"[0-9]{12}", form.division_code):
        found["division"] = "division_unknown"
    elif not actor.covers(form.division_code):
        found["division"] = "division_outside"
    if len(form.station) > STATION_LIMIT:
        found["station"] = "too_long"
    kept = old is not None and old.user_id == form.user_id
    if form.user_id is not None and not kept:
        known = await store.account_in(tx, form.user_id, actor.division)
        if not known:
            found["user_id"] = "account_unknown"
    return found


async def _write(
    tx: Tx,
    cipher: FieldCipher,
    responder_id: uuid.UUID,
    form: Form,
    old: Row | None,
    now: datetime,
) -> None:
    number = digits_of(form.phone)
    phone = (cipher.encrypt(PHONE, number), cipher.blind_index(PHONE, number)) if number else None
    disabled_at = ((old.disabled_at if old else None) or now) if form.disabled else None
    try:
        async with tx.transaction():
            await store.save(
                tx,
                responder_id,
                {
                    "name": form.name,
                    "skills": sorted(set(form.skills)),
                    "division": form.division_code,
                    "station": form.station,
                    "user": form.user_id,
                    "disabled_at": disabled_at,
                    "now": now,
                },
                phone,
                new=old is None,
            )
    except UniqueViolation as error:
        raise invalid({"user_id": "account_taken"}, SENTENCES) from error


async def _audit(
    tx: Tx,
    actor: Actor,
    action: str,
    responder_id: uuid.UUID,
    division: str,
    now: datetime,
    **detail: object,
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="responder",
        subject_id=str(responder_id),
        division=division,
        detail=detail,
        now=now,
    )
