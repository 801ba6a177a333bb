"""The administration of accounts. Who lies outside of the administrator's division is not found."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from kernel import audit, languages
from kernel.auth import attempts, passwords, problems, store
from kernel.auth.model import Actor, Role, User
from kernel.db import Tx
from kernel.errors import Conflict, NotFound
from kernel.ids import new_id

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}")
_DIVISION = re.compile(r"(\d{2}|\d{4}|\d{6}|\d{9}|\d{12})?")
NAME_LIMIT = 60


@dataclass(frozen=True, slots=True)
class AccountForm:
    """What the administrator decides of an account. `division` is a significant prefix."""

    display_name: str
    roles: frozenset[str]
    division: str
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class UserFilters:
    """What to list; `state` is "", active, disabled or locked."""

    text: str = ""
    role: str = ""
    state: str = ""


def _check(actor: Actor, form: AccountForm) -> dict[str, str]:
    found: dict[str, str] = {}
    if not form.display_name:
        found["display_name"] = "required"
    elif len(form.display_name) > NAME_LIMIT:
        found["display_name"] = "too_long"
    if not form.roles:
        found["roles"] = "required"
    elif form.roles - set(Role):
        found["roles"] = "role_unknown"
    if not _DIVISION.fullmatch(form.division):
        found["division"] = "division_prefix"
    elif not actor.covers(form.division):
        found["division"] = "division_outside"
    return found


async def create_user(
    tx: Tx,
    *,
    username: str,
    display_name: str,
    roles: Iterable[str],
    division: str,
    password: str,
    must_change_password: bool,
    actor: Actor,
    now: datetime,
    locale: str = languages.AS_THE_BROWSER,
) -> User:
    """Create an account; `passwords.temporary_password()` makes a password to hand over once.

    Its language is that of the browser until the person chooses one.

    Raises Invalid (fields username, display_name, roles, division, password).
    """
    form = AccountForm(display_name.strip(), frozenset(roles), division)
    found = _check(actor, form)
    username = username.strip()
    if not _USERNAME.fullmatch(username):
        found["username"] = "username_characters"
    if problem := passwords.password_problem(password, username):
        found["password"] = problem
    problems.raise_if(found)
    user = replace(
        _blank(username, form, now), locale=locale, must_change_password=must_change_password
    )
    if not await store.insert_user(tx, user, await passwords.hash_password(password)):
        raise problems.invalid({"username": "username_taken"})
    await _audit(tx, actor, "user.created", user, now, roles=sorted(user.roles))
    return user


def _blank(username: str, form: AccountForm, now: datetime) -> User:
    return User(
        id=new_id(),
        username=username,
        display_name=form.display_name,
        roles=_roles(form.roles),
        division=form.division,
        locale=languages.AS_THE_BROWSER,
        theme="auto",
        text_size="normal",
        on_duty=False,
        must_change_password=False,
        disabled_at=None,
        created_at=now,
        version=1,
    )


def _roles(names: Iterable[str]) -> frozenset[Role]:
    return frozenset(Role(name) for name in names)


async def get(tx: Tx, actor: Actor, user_id: uuid.UUID, *, lock: bool = False) -> User:
    """Return an account. Raises NotFound outside of the actor's division."""
    user = await store.get_user(tx, user_id, lock=lock)
    if user is None or not actor.covers(user.division):
        raise NotFound("There is no such user.")
    return user


async def search(
    tx: Tx,
    actor: Actor,
    filters: UserFilters,
    now: datetime,
    *,
    order: str = "username",
    limit: int = 50,
    offset: int = 0,
) -> tuple[list[User], int]:
    """Return a page of the accounts in the actor's division, and how many there are."""
    params = {
        "scope": actor.division,
        "text": filters.text,
        "role": filters.role,
        "state": filters.state,
        "now": now,
    }
    return await store.list_users(tx, params, order, limit, offset)


async def edit_user(
    tx: Tx, actor: Actor, user_id: uuid.UUID, version: int, form: AccountForm, now: datetime
) -> User:
    """Change an account; who is disabled or loses a right is logged out everywhere.

    `version` is the one that the administrator saw. Raises NotFound, Conflict (facts: version) and
    Invalid (fields display_name, roles, division, disabled).
    """
    old = await get(tx, actor, user_id, lock=True)
    if old.version != version:
        raise Conflict("Somebody else has changed this account.", version=old.version)
    form = replace(form, display_name=form.display_name.strip())
    own = _check_own(actor, old, form) if old.id == actor.user_id else {}
    problems.raise_if(own | _check(actor, form))
    user = replace(
        old,
        display_name=form.display_name,
        roles=_roles(form.roles),
        division=form.division,
        disabled_at=(old.disabled_at or now) if form.disabled else None,
    )
    changed = [name for name in _EDITABLE if getattr(old, name) != getattr(user, name)]
    if not changed:
        return old
    await store.update_user(tx, user)
    # Rights are read anew with each request, but an open feed was opened with the old ones.
    if set(changed) - {"display_name"}:
        await store.delete_sessions(tx, user.id)
    facts = {
        "changed": changed,
        "roles": [sorted(old.roles), sorted(user.roles)],
        "divisions": [old.division, user.division],
    }
    action = "user.disabled" if user.disabled_at and not old.disabled_at else "user.edited"
    await _audit(tx, actor, action, user, now, **facts)
    return replace(user, version=old.version + 1)


_EDITABLE = ("display_name", "roles", "division", "disabled_at")


def _check_own(actor: Actor, old: User, form: AccountForm) -> dict[str, str]:
    """Nobody gives rights to themselves, and nobody locks the last administrator out."""
    found: dict[str, str] = {}
    if form.roles != actor.roles:
        found["roles"] = "own_rights"
    if form.division != old.division:
        found["division"] = "own_rights"
    if form.disabled:
        found["disabled"] = "disable_self"
    return found


async def reset_password(
    tx: Tx, actor: Actor, user_id: uuid.UUID, now: datetime
) -> tuple[User, str]:
    """Give an account a temporary password, shown once; its sessions end, a lock-out too."""
    secret = passwords.temporary_password()
    hashed = await passwords.hash_password(secret)
    user = await get(tx, actor, user_id, lock=True)
    await store.set_password(tx, user.id, hashed, must_change=True)
    await store.delete_sessions(tx, user.id)
    await attempts.unlock(tx, user.username)
    await _audit(tx, actor, "user.password_reset", user, now)
    return user, secret


async def unlock_user(tx: Tx, actor: Actor, user_id: uuid.UUID, now: datetime) -> User:
    """End a lock-out before its time."""
    user = await get(tx, actor, user_id, lock=True)
    if await attempts.unlock(tx, user.username):
        await _audit(tx, actor, "user.unlocked", user, now)
    return user


async def end_sessions(tx: Tx, actor: Actor, user_id: uuid.UUID, now: datetime) -> tuple[User, int]:
    """Log a person out everywhere; return how many sessions that were."""
    user = await get(tx, actor, user_id, lock=True)
    ended = await store.delete_sessions(tx, user.id)
    await _audit(tx, actor, "user.logged_out", user, now, sessions=ended)
    return user, ended


async def set_on_duty(
    tx: Tx, actor: Actor, user_id: uuid.UUID, on_duty: bool, now: datetime
) -> User:
    """Put a person on or off duty."""
    user = await get(tx, actor, user_id, lock=True)
    if await store.set_on_duty(tx, user.id, on_duty):
        await _audit(tx, actor, "duty.started" if on_duty else "duty.ended", user, now)
    return replace(user, on_duty=on_duty)


async def _audit(
    tx: Tx, actor: Actor, action: str, user: User, now: datetime, **detail: object
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="user",
        subject_id=str(user.id),
        division=user.division,
        detail=detail,
        now=now,
    )
