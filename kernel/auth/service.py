"""Logging in and out, and the sessions in between.

`login` and `change_password` take the database and not a transaction: hashing takes 0.1 s and no
transaction is open meanwhile.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from kernel import audit, languages
from kernel.auth import admission, attempts, passwords, problems, store
from kernel.auth.model import Actor, Session, User
from kernel.db import Database, Tx
from kernel.errors import DomainError
from kernel.tokens import new_token, token_hash

log = structlog.get_logger(__name__)

ABSOLUTE_LIMIT = timedelta(hours=12)
IDLE_LIMIT = timedelta(minutes=60)
# The idle limit is kept at this grain: a page of twenty requests writes once.
TOUCH_EVERY = timedelta(minutes=1)
USER_AGENT_LIMIT = 300

_logins = Counter("silverline_logins_total", "Attempts to log in by result", ["result"])


class LoginRefused(DomainError):
    """The name or the password is wrong, or the account is disabled: which of these is not said."""

    code = "login_refused"
    status = 401


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session with its token, which exists in clear only here and in the browser's cookie."""

    token: str
    session: Session


async def login(
    db: Database,
    *,
    username: str,
    password: str,
    client_ip: str,
    user_agent: str,
    now: datetime,
    old_token: str | None = None,
) -> NewSession:
    """Check a password and open a session; the browser's old session, if any, ends.

    Raises LoginRefused, attempts.LockedOut (facts: locked_until) or attempts.TooManyFromAddress.
    A name that does not exist takes the same way and the same time as a wrong password.
    """
    try:
        place = await admission.enter(db, username.strip(), client_ip, now)
    except (attempts.LockedOut, attempts.TooManyFromAddress) as error:
        _logins.labels(error.code).inc()
        raise
    with place:
        user, stored = await _checked(db, place.attempt, password, client_ip, now)
        async with db.transaction() as tx:
            locked = await store.get_user(tx, user.id, lock=True)
            # What was checked a moment ago must still be so: an account can be disabled meanwhile.
            still = await store.password_hash_of(tx, user.id)
            if locked is None or locked.disabled_at is not None or still != stored:
                raise LoginRefused("The username or the password is wrong.")
            await place.forgive(tx)
            if old_token:
                await store.delete_session(tx, token_hash(old_token))
            opened = await _open(tx, locked, client_ip, user_agent, now)
            await _audit(tx, opened.session.actor, "login.succeeded", now, ip=client_ip)
    _logins.labels("succeeded").inc()
    return opened


async def _checked(
    db: Database, attempt: attempts.Attempt, password: str, client_ip: str, now: datetime
) -> tuple[User, str]:
    """Return the account that the password belongs to, and its stored hash; else refuse."""
    async with db.connection() as conn:
        user = await store.get_user_by_name(conn, attempt.name)
        stored = await store.password_hash_of(conn, user.id) if user else None
    matches = await passwords.verify_password(stored or passwords.NOBODY, password)
    if user is None or stored is None or not matches or user.disabled_at is not None:
        raise await _refusal(db, attempt, user, client_ip, now)
    if passwords.needs_rehash(stored):
        fresh = await passwords.hash_password(password)
        async with db.transaction() as tx:
            await store.replace_hash(tx, user.id, stored, fresh)
        stored = fresh
    return user, stored


async def _refusal(
    db: Database, attempt: attempts.Attempt, user: User | None, client_ip: str, now: datetime
) -> DomainError:
    """Write the failure down and return the error to raise."""
    # A name that nobody has is not written down: people type their password into the wrong field.
    actor = user.as_actor() if user else Actor(None, "?", "?", frozenset(), "")
    async with db.transaction() as tx:
        await _audit(
            tx, actor, "login.failed", now, ip=client_ip, locked=attempt.locked_until is not None
        )
    _logins.labels("failed").inc()
    log.info("login.failed", known=user is not None, locked=attempt.locked_until is not None)
    if attempt.locked_until:
        return attempts.LockedOut(
            "This account is locked after too many failed logins.",
            locked_until=attempt.locked_until,
            retry_after=int((attempt.locked_until - now).total_seconds()),
        )
    return LoginRefused("The username or the password is wrong.")


async def _open(tx: Tx, user: User, client_ip: str, user_agent: str, now: datetime) -> NewSession:
    token = new_token()
    session = Session(
        actor=user.as_actor(),
        token_hash=token_hash(token),
        csrf_token=new_token(),
        must_change_password=user.must_change_password,
        created_at=now,
        last_seen_at=now,
        expires_at=now + ABSOLUTE_LIMIT,
    )
    clean_agent = user_agent.replace("\0", "")[:USER_AGENT_LIMIT]
    await store.insert_session(tx, user.id, session, client_ip, clean_agent)
    return NewSession(token, session)


async def find(db: Database, token: str, now: datetime) -> Session | None:
    """Return the session of a cookie's token, by one indexed query; moves the idle limit."""
    return await _find(db, token_hash(token), now)


async def keep_alive(db: Database, session: Session, now: datetime) -> bool:
    """True while the session holds; moves the idle limit.

    For connections that stay open (the live feed): they ask this about once a minute and end when
    it is false. A console that listens is in use, even on a night without an alarm.
    """
    return await _find(db, session.token_hash, now) is not None


async def _find(db: Database, key: bytes, now: datetime) -> Session | None:
    async with db.connection() as conn:
        session = await store.find_session(conn, key, now, now - IDLE_LIMIT)
        if session and now - session.last_seen_at >= TOUCH_EVERY:
            await store.touch_session(conn, key, now, now)
    return session


async def sessions_of(tx: Tx, person: User | Actor, now: datetime) -> list[store.SessionLine]:
    """Return the sessions of a person that hold now, the latest used first."""
    user_id = person.id if isinstance(person, User) else person.user_id
    if user_id is None:
        return []
    return list(await store.list_sessions(tx, user_id, now, now - IDLE_LIMIT))


async def end_other_sessions(tx: Tx, session: Session, now: datetime) -> int:
    """Log out everywhere but here; return how many sessions that were."""
    if session.actor.user_id is None:
        return 0
    ended = await store.delete_sessions(tx, session.actor.user_id, keep=session.token_hash)
    await _audit(tx, session.actor, "login.ended_elsewhere", now, sessions=ended)
    return ended


async def logout(tx: Tx, session: Session, now: datetime) -> None:
    """End a session."""
    if await store.delete_session(tx, session.token_hash):
        await _audit(tx, session.actor, "login.ended", now)


async def change_password(
    db: Database,
    session: Session,
    *,
    current: str,
    new: str,
    repeated: str,
    client_ip: str,
    user_agent: str,
    now: datetime,
) -> NewSession:
    """Change one's own password: every session of the person ends, a fresh one opens here.

    Raises Invalid (fields current, new, repeated) and LockedOut, since a stolen session must not
    be a way to guess the password.
    """
    actor = session.actor
    if actor.user_id is None:
        raise RuntimeError("the system has no password")
    _check_change(actor, current, new, repeated)
    with await admission.enter(db, actor.username, client_ip, now) as place:
        async with db.connection() as conn:
            stored = await store.password_hash_of(conn, actor.user_id)
        if stored is None or not await passwords.verify_password(stored, current):
            raise problems.invalid({"current": "password_wrong"})
        fresh = await passwords.hash_password(new)
        async with db.transaction() as tx:
            user = await store.get_user(tx, actor.user_id, lock=True)
            if user is None or await store.password_hash_of(tx, user.id) != stored:
                raise problems.invalid({"current": "password_wrong"})
            await place.forgive(tx)
            await store.set_password(tx, user.id, fresh, must_change=False)
            await store.delete_sessions(tx, user.id)
            changed = await store.get_user(tx, user.id) or user
            opened = await _open(tx, changed, client_ip, user_agent, now)
            await _audit(tx, actor, "password.changed", now)
    return opened


def _check_change(actor: Actor, current: str, new: str, repeated: str) -> None:
    if problem := passwords.password_problem(new, actor.username):
        raise problems.invalid({"new": problem})
    if new != repeated:
        raise problems.invalid({"repeated": "password_repeat"})
    if new == current:
        raise problems.invalid({"new": "password_same"})


async def set_preferences(tx: Tx, actor: Actor, *, locale: str, theme: str, text_size: str) -> None:
    """Store one's own language, theme and text size. Raises Invalid for an unknown choice.

    The language `auto` is that of the browser, until another one is chosen.
    """
    choices = {
        "locale": (locale, (languages.AS_THE_BROWSER, *languages.LANGUAGES)),
        "theme": (theme, ("auto", "light", "dark")),
        "text_size": (text_size, ("normal", "medium", "large")),
    }
    problems.raise_if(
        {name: "choice_unknown" for name, (value, known) in choices.items() if value not in known}
    )
    if actor.user_id is not None:
        await store.set_preferences(tx, actor.user_id, locale, theme, text_size)


async def set_on_duty(tx: Tx, actor: Actor, on_duty: bool, now: datetime) -> None:
    """Go on or off duty oneself."""
    if actor.user_id is not None and await store.set_on_duty(tx, actor.user_id, on_duty):
        await _audit(tx, actor, "duty.started" if on_duty else "duty.ended", now)


async def _audit(tx: Tx, actor: Actor, action: str, now: datetime, **detail: object) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type="user",
        subject_id=str(actor.user_id or ""),
        division=actor.division,
        detail=detail,
        now=now,
    )
