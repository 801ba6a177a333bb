"""SQL of accounts, sessions and login attempts."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from kernel.auth.model import Actor, Role, Session, User
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True, slots=True)
class _UserRow:
    id: uuid.UUID
    username: str
    display_name: str
    roles: list[str]
    division: str
    locale: str
    theme: str
    text_size: str
    on_duty: bool
    must_change_password: bool
    disabled_at: datetime | None
    created_at: datetime
    version: int
    locked_until: datetime | None
    last_login_at: datetime | None

    def user(self) -> User:
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "roles"}
        return User(roles=frozenset(Role(role) for role in self.roles), **fields)


_USER: LiteralString = """
    SELECT u.id, u.username, u.display_name, u.roles, u.division, u.locale, u.theme, u.text_size,
           u.on_duty, u.must_change_password, u.disabled_at, u.created_at, u.version,
           u.last_login_at, l.locked_until
    FROM user_account u LEFT JOIN login_lock l ON l.username = lower(u.username)
"""


async def get_user(tx: Tx, user_id: uuid.UUID, *, lock: bool = False) -> User | None:
    """Return an account; `lock` holds its row until the end of the transaction."""
    sql = _USER + " WHERE u.id = %s" + (" FOR UPDATE OF u" if lock else "")
    row = await fetch_one(tx, _UserRow, sql, (user_id,))
    return row.user() if row else None


async def get_user_by_name(tx: Tx, username: str) -> User | None:
    """Return an account by its name; upper and lower case are the same."""
    row = await fetch_one(tx, _UserRow, _USER + " WHERE lower(u.username) = lower(%s)", (username,))
    return row.user() if row else None


_FILTER: LiteralString = """
    WHERE starts_with(u.division, %(scope)s)
      AND (%(text)s = '' OR position(lower(%(text)s) IN lower(u.username)) > 0
           OR position(lower(%(text)s) IN lower(u.display_name)) > 0)
      AND (%(role)s = '' OR %(role)s = ANY (u.roles))
      AND CASE %(state)s WHEN 'disabled' THEN u.disabled_at IS NOT NULL
                         WHEN 'active' THEN u.disabled_at IS NULL
                         WHEN 'locked' THEN l.locked_until > %(now)s
                         ELSE true END
"""
_ORDERS: dict[str, LiteralString] = {
    "username": " ORDER BY lower(u.username)",
    "-username": " ORDER BY lower(u.username) DESC",
    "display_name": " ORDER BY u.display_name, u.id",
    "-display_name": " ORDER BY u.display_name DESC, u.id",
    "created": " ORDER BY u.created_at, u.id",
    "-created": " ORDER BY u.created_at DESC, u.id",
}
_COUNT: LiteralString = """
    SELECT count(*) FROM user_account u LEFT JOIN login_lock l ON l.username = lower(u.username)
"""


async def list_users(
    tx: Tx, params: dict[str, Any], order: str, limit: int, offset: int
) -> tuple[list[User], int]:
    """Return a page of accounts and the count; `params` has scope, text, role, state and now."""
    total = await fetch_value(tx, _COUNT + _FILTER, params)
    sql = _USER + _FILTER + _ORDERS[order] + " LIMIT %(limit)s OFFSET %(offset)s"
    rows = await fetch_all(tx, _UserRow, sql, params | {"limit": limit, "offset": offset})
    return [row.user() for row in rows], total or 0


async def insert_user(tx: Tx, user: User, password_hash: str) -> bool:
    """Insert an account; False when the name is taken."""
    added = await execute(
        tx,
        "INSERT INTO user_account (id, username, display_name, password_hash, roles, division,"
        " locale, must_change_password, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (lower(username)) DO NOTHING",
        (
            user.id,
            user.username,
            user.display_name,
            password_hash,
            sorted(user.roles),
            user.division,
            user.locale,
            user.must_change_password,
            user.created_at,
        ),
    )
    return added == 1


async def update_user(tx: Tx, user: User) -> None:
    """Store the editable fields of a locked account and count its version up."""
    await execute(
        tx,
        "UPDATE user_account SET display_name = %s, roles = %s, division = %s, disabled_at = %s,"
        " version = version + 1 WHERE id = %s",
        (user.display_name, sorted(user.roles), user.division, user.disabled_at, user.id),
    )


async def set_preferences(
    tx: Tx, user_id: uuid.UUID, locale: str, theme: str, text_size: str
) -> None:
    """Store how a person wants the pages to look."""
    await execute(
        tx,
        "UPDATE user_account SET locale = %s, theme = %s, text_size = %s WHERE id = %s",
        (locale, theme, text_size, user_id),
    )


async def set_on_duty(tx: Tx, user_id: uuid.UUID, on_duty: bool) -> bool:
    """Store whether a person is on duty; False when that is no change."""
    changed = await execute(
        tx,
        "UPDATE user_account SET on_duty = %s WHERE id = %s AND on_duty <> %s",
        (on_duty, user_id, on_duty),
    )
    return changed == 1


async def set_password(
    tx: Tx, user_id: uuid.UUID, password_hash: str, *, must_change: bool
) -> None:
    """Store a new password."""
    await execute(
        tx,
        "UPDATE user_account SET password_hash = %s, must_change_password = %s,"
        " version = version + 1 WHERE id = %s",
        (password_hash, must_change, user_id),
    )


async def replace_hash(tx: Tx, user_id: uuid.UUID, old: str, new: str) -> None:
    """Store the same password hashed with today's parameters, unless it changed meanwhile."""
    await execute(
        tx,
        "UPDATE user_account SET password_hash = %s WHERE id = %s AND password_hash = %s",
        (new, user_id, old),
    )


async def password_hash_of(tx: Tx, user_id: uuid.UUID) -> str | None:
    """Return the stored hash of an account."""
    found = await fetch_value(
        tx, "SELECT password_hash FROM user_account WHERE id = %s", (user_id,)
    )
    return str(found) if found is not None else None


@dataclass(frozen=True, slots=True)
class _SessionRow:
    token_hash: bytes
    csrf_token: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_id: uuid.UUID
    username: str
    display_name: str
    roles: list[str]
    division: str
    locale: str
    theme: str
    text_size: str
    on_duty: bool
    must_change_password: bool

    def session(self) -> Session:
        roles = frozenset(Role(role) for role in self.roles)
        actor = Actor(
            self.user_id,
            self.username,
            self.display_name,
            roles,
            self.division,
            self.locale,
            self.theme,
            self.text_size,
            self.on_duty,
        )
        return Session(
            actor,
            self.token_hash,
            self.csrf_token,
            self.must_change_password,
            self.created_at,
            self.last_seen_at,
            self.expires_at,
        )


async def find_session(
    tx: Tx, token_hash: bytes, now: datetime, idle_since: datetime
) -> Session | None:
    """Return the session that holds now: not expired, not idle, of an enabled account."""
    row = await fetch_one(
        tx,
        _SessionRow,
        "SELECT s.token_hash, s.csrf_token, s.created_at, s.last_seen_at, s.expires_at,"
        " u.id AS user_id, u.username, u.display_name, u.roles, u.division, u.locale, u.theme,"
        " u.text_size, u.on_duty, u.must_change_password"
        " FROM user_session s JOIN user_account u ON u.id = s.user_id"
        " WHERE s.token_hash = %s AND s.expires_at > %s AND s.last_seen_at > %s"
        " AND u.disabled_at IS NULL",
        (token_hash, now, idle_since),
    )
    return row.session() if row else None


async def insert_session(
    tx: Tx, user_id: uuid.UUID, session: Session, client_ip: str, user_agent: str
) -> None:
    """Store a new session and when the person was last here."""
    await execute(
        tx,
        "UPDATE user_account SET last_login_at = %s WHERE id = %s",
        (session.created_at, user_id),
    )
    await execute(
        tx,
        "INSERT INTO user_session (token_hash, user_id, csrf_token, created_at, last_seen_at,"
        " expires_at, client_ip, user_agent) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            session.token_hash,
            user_id,
            session.csrf_token,
            session.created_at,
            session.last_seen_at,
            session.expires_at,
            client_ip,
            user_agent,
        ),
    )


async def touch_session(tx: Tx, token_hash: bytes, now: datetime, seen_before: datetime) -> None:
    """Move the idle limit, unless another request has just done so."""
    await execute(
        tx,
        "UPDATE user_session SET last_seen_at = %s WHERE token_hash = %s AND last_seen_at < %s",
        (now, token_hash, seen_before),
    )


async def delete_session(tx: Tx, token_hash: bytes) -> bool:
    """End a session; False when it had ended."""
    return (await execute(tx, "DELETE FROM user_session WHERE token_hash = %s", (token_hash,))) == 1


async def delete_sessions(tx: Tx, user_id: uuid.UUID, keep: bytes | None = None) -> int:
    """End the sessions of a person, perhaps except one; return how many."""
    return await execute(
        tx,
        "DELETE FROM user_session WHERE user_id = %s AND token_hash IS DISTINCT FROM %s",
        (user_id, keep),
    )


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session as its owner or the administrator sees it."""

    token_hash: bytes
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    client_ip: str
    user_agent: str


async def list_sessions(
    tx: Tx, user_id: uuid.UUID, now: datetime, idle_since: datetime
) -> Sequence[SessionLine]:
    """Return the sessions of a person that hold now, the latest used first."""
    return await fetch_all(
        tx,
        SessionLine,
        "SELECT token_hash, created_at, last_seen_at, expires_at,"
        " coalesce(host(client_ip), '') AS client_ip, user_agent FROM user_session"
        " WHERE user_id = %s AND expires_at > %s AND last_seen_at > %s"
        " ORDER BY last_seen_at DESC",
        (user_id, now, idle_since),
    )
