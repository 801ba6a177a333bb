"""SQL of the administration of responders."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True, slots=True)
class Row:
    """A responder as the administration sees it. `busy` counts dispatches that are not over."""

    id: uuid.UUID
    name: str
    station: str
    skills: list[str]
    division_code: str
    phone_enc: bytes
    on_duty: bool
    fix_at: datetime | None
    disabled_at: datetime | None
    user_id: uuid.UUID | None
    account: str | None
    version: int
    busy: int


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; empty fields do not filter. `state`: on_duty, off_duty, disabled."""

    text: str = ""
    skill: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """An account to choose."""

    id: uuid.UUID
    username: str
    display_name: str


_COLUMNS: LiteralString = """
    SELECT r.id, r.name, r.station, r.skills, r.division_code, r.phone_enc, r.on_duty, r.fix_at,
        r.disabled_at, r.user_id, u.username AS account, r.version,
        (SELECT count(*) FROM dispatch d WHERE d.responder_id = r.id
            AND d.status NOT IN ('completed', 'declined', 'withdrawn')) AS busy
    FROM responder r LEFT JOIN user_account u ON u.id = r.user_id
"""
_FILTER: LiteralString = """
    WHERE starts_with(r.division_code, %(scope)s)
        AND (%(text)s = '' OR position(lower(%(text)s) IN lower(r.name)) > 0
            OR position(lower(%(text)s) IN lower(r.station)) > 0)
        AND (%(skill)s = '' OR %(skill)s = ANY (r.skills))
        AND CASE %(state)s WHEN 'on_duty' THEN r.on_duty AND r.disabled_at IS NULL
                           WHEN 'off_duty' THEN NOT r.on_duty AND r.disabled_at IS NULL
                           WHEN 'disabled' THEN r.disabled_at IS NOT NULL
                           ELSE r.disabled_at IS NULL END
"""
_COUNT: LiteralString = "SELECT count(*) FROM responder r"
_ORDERS: Mapping[str, LiteralString] = {
    "name": " ORDER BY r.name, r.id",
    "-name": " ORDER BY r.name DESC, r.id",
    "duty": " ORDER BY r.on_duty DESC, r.name, r.id",
    "-duty": " ORDER BY r.on_duty, r.name, r.id",
    "division": " ORDER BY r.division_code, r.name, r.id",
    "-division": " ORDER BY r.division_code DESC, r.name, r.id",
}


async def search(
    tx: Tx, scope: str, filters: Filters, order: str, limit: int, offset: int
) -> tuple[list[Row], int]:
    """Return a page of responders of a division prefix, and the count of all."""
    params = {
        "scope": scope,
        "text": filters.text,
        "skill": filters.skill,
        "state": filters.state,
        "limit": limit,
        "offset": offset,
    }
    rows = await fetch_all(
        tx, Row, _COLUMNS + _FILTER + _ORDERS[order] + " LIMIT %(limit)s OFFSET %(offset)s", params
    )
    total = await fetch_value(tx, _COUNT + _FILTER, params)
    return rows, int(total)


async def get(tx: Tx, responder_id: uuid.UUID, *, lock: bool = False) -> Row | None:
    """Return a responder; `lock` holds the row until the end of the transaction."""
    return await fetch_one(
        tx,
        Row,
        _COLUMNS + " WHERE r.id = %s" + (" FOR UPDATE OF r" if lock else ""),
        (responder_id,),
    )


async def save(
    tx: Tx,
    responder_id: uuid.UUID,
    values: Mapping[str, Any],
    phone: tuple[bytes, bytes] | None,
    *,
    new: bool,
) -> None:
    """Insert or update a responder; None keeps the number. Who is disabled goes off duty."""
    box, index = phone or (None, None)
    params = {"id": responder_id, "box": box, "index": index, **values}
    if new:
        await execute(
            tx,
            "INSERT INTO responder (id, user_id, name, phone_enc, phone_index, skills,"
            " division_code, station, created_at) VALUES (%(id)s, %(user)s, %(name)s, %(box)s,"
            " %(index)s, %(skills)s, %(division)s, %(station)s, %(now)s)",
            params,
        )
        return
    await execute(
        tx,
        "UPDATE responder SET user_id = %(user)s, name = %(name)s,"
        " phone_enc = coalesce(%(box)s, phone_enc), phone_index = coalesce(%(index)s, phone_index),"
        " skills = %(skills)s, division_code = %(division)s, station = %(station)s,"
        " disabled_at = %(disabled_at)s,"
        " on_duty = on_duty AND %(disabled_at)s::timestamptz IS NULL,"
        " version = version + 1 WHERE id = %(id)s",
        params,
    )


async def set_duty(tx: Tx, responder_id: uuid.UUID, on_duty: bool) -> bool:
    """Take a responder on or off duty; True when that was news."""
    touched = await execute(
        tx,
        "UPDATE responder SET on_duty = %s, version = version + 1 WHERE id = %s AND on_duty <> %s",
        (on_duty, responder_id, on_duty),
    )
    return touched == 1


async def account_in(tx: Tx, user_id: uuid.UUID, scope: str) -> bool:
    """True for an account in use within a division prefix."""
    return bool(
        await fetch_value(
            tx,
            "SELECT EXISTS (SELECT 1 FROM user_account WHERE id = %s AND disabled_at IS NULL"
            " AND starts_with(division, %s))",
            (user_id, scope),
        )
    )


async def accounts(tx: Tx, scope: str, roles: list[str] | None = None) -> list[Account]:
    """Return the accounts in use within a division prefix (500 at most), by name."""
    return await fetch_all(
        tx,
        Account,
        "SELECT id, username, display_name FROM user_account WHERE disabled_at IS NULL"
        " AND starts_with(division, %(scope)s) AND (%(roles)s::text[] IS NULL"
        " OR roles && %(roles)s)"
        " ORDER BY display_name, username LIMIT 500",
        {"scope": scope, "roles": roles},
    )
