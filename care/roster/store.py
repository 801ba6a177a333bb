"""The list of elders in the database."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString

from care.elders.ages import births_of
from care.elders.model import LivingSituation, Sex
from care.elders.store import ID_NUMBER, PHONE
from care.roster.model import Filters, Order, RosterRow, Sort
from care.roster.rules import Wanted, like
from kernel.crypto import FieldCipher, mask_phone
from kernel.db import Tx, fetch_all, fetch_tuples, fetch_value

# An incident belongs to the hotline, which lies above care; this reads its table and nothing else
# of it, because "has an open incident" has to filter and count in one statement.
_OPEN_INCIDENT: LiteralString = (
    "EXISTS (SELECT FROM incident i WHERE i.elder_id = e.id AND i.status <> 'resolved')"
)
_DEVICE: LiteralString = (
    "EXISTS (SELECT FROM device d WHERE d.elder_id = e.id AND d.state = 'bound')"
)


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row of the list as it is stored, its telephone number encrypted."""

    id: uuid.UUID
    name: str
    sex: str
    birth_date: date | None
    division_code: str
    area: str
    living_situation: str
    risk_notes: str
    phone_enc: bytes | None
    devices: int
    devices_offline: int
    open_incidents: int
    worst_severity: str | None
    archived_at: datetime | None
    updated_at: datetime


# The page is cut first and dressed afterwards: fifty rows are looked up, not the whole roster.
_DRESSED: LiteralString = """
    SELECT e.id, e.name, e.sex, e.birth_date, e.division_code,
           concat_ws(' ', county.name, town.name) AS area,
           e.living_situation, e.risk_notes, p.phone_enc,
           d.devices, d.devices_offline, i.open_incidents, i.worst_severity,
           e.archived_at, e.updated_at
    FROM page
    JOIN elder e ON e.id = page.id
    LEFT JOIN division county ON county.code = left(e.division_code, 6) || '000000'
    LEFT JOIN division town ON town.code = left(e.division_code, 9) || '000'
        AND substr(e.division_code, 7, 3) <> '000'
    LEFT JOIN elder_phone p ON p.elder_id = e.id AND p.position = 1
    CROSS JOIN LATERAL (
        SELECT count(*) AS devices, count(*) FILTER (WHERE d.online IS FALSE) AS devices_offline
        FROM device d WHERE d.elder_id = e.id AND d.state = 'bound') d
    CROSS JOIN LATERAL (
        SELECT count(*) AS open_incidents,
               (array_agg(i.severity ORDER BY array_position(
                   ARRAY['critical', 'major', 'minor', 'technical'], i.severity)))[1]
                   AS worst_severity
        FROM incident i WHERE i.elder_id = e.id AND i.status <> 'resolved') i
"""
_IN_PLACE: LiteralString = " ORDER BY page.place"

_ORDER: dict[tuple[Sort, bool], LiteralString] = {
    (Sort.NAME, False): "e.pinyin, e.name, e.id",
    (Sort.NAME, True): "e.pinyin DESC, e.name DESC, e.id DESC",
    (Sort.AGE, False): "e.birth_date DESC NULLS LAST, e.id",
    (Sort.AGE, True): "e.birth_date NULLS LAST, e.id",
    (Sort.DIVISION, False): "e.division_code, e.pinyin, e.id",
    (Sort.DIVISION, True): "e.division_code DESC, e.pinyin, e.id",
    (Sort.UPDATED, False): "e.updated_at, e.id",
    (Sort.UPDATED, True): "e.updated_at DESC, e.id DESC",
}
# Whoever the query names from the beginning comes before whoever only contains it.
_BEST_FIRST: LiteralString = (
    "(CASE WHEN e.name = %(name)s THEN 0 WHEN e.name LIKE %(name_start)s"
    " OR e.pinyin_initials LIKE %(letters_start)s OR e.pinyin LIKE %(letters_start)s THEN 1"
    " ELSE 2 END), "
)


def _conditions(filters: Filters, scope: str, now: datetime) -> tuple[list[LiteralString], Any]:
    where: list[LiteralString] = ["e.division_code LIKE %(scope)s"]
    params: dict[str, Any] = {"scope": like(scope) + "%"}
    where.append("e.archived_at IS NOT NULL" if filters.archived else "e.archived_at IS NULL")
    if filters.division:
        where.append("e.division_code LIKE %(division)s")
        params["division"] = like(filters.division) + "%"
    if filters.living_situation is not None:
        where.append("e.living_situation = %(living)s")
        params["living"] = filters.living_situation.value
    if filters.age_band is not None:
        after, until = births_of(filters.age_band, now)
        where.append("e.birth_date <= %(born_until)s")
        params["born_until"] = until
        if after is not None:
            where.append("e.birth_date > %(born_after)s")
            params["born_after"] = after
    if filters.open_incident:
        where.append(_OPEN_INCIDENT)
    if filters.no_device:
        where.append("NOT " + _DEVICE)
    return where, params


def _meaning(cipher: FieldCipher, wanted: Wanted) -> tuple[LiteralString, dict[str, Any]]:
    """Return the condition that any reading of the query fits."""
    ways: list[LiteralString] = []
    params: dict[str, Any] = {"name": None, "name_start": None, "letters_start": None}
    if wanted.name:
        ways.append("e.name ILIKE %(name_part)s")
        name = like(wanted.name)
        params |= {"name": wanted.name, "name_start": f"{name}%", "name_part": f"%{name}%"}
    if wanted.letters:
        ways += [
            "e.pinyin LIKE %(letters_start)s",
            "e.pinyin LIKE %(letters_later)s",
            "e.pinyin_initials LIKE %(letters_start)s",
            "e.pinyin_initials LIKE %(letters_later)s",
        ]
        params |= {"letters_start": wanted.letters + "%", "letters_later": f"% {wanted.letters}%"}
    if wanted.phone:
        ways += [
            "e.id IN (SELECT elder_id FROM elder_phone WHERE phone_index = %(phone)s)",
            "e.id IN (SELECT elder_id FROM elder_contact WHERE phone_index = %(phone)s)",
        ]
        params["phone"] = cipher.blind_index(PHONE, wanted.phone)
    if wanted.id_number:
        ways.append("e.id_number_index = %(id_number)s")
        params["id_number"] = cipher.blind_index(ID_NUMBER, wanted.id_number)
    if wanted.device:
        ways += [
            "e.id IN (SELECT elder_id FROM device WHERE id ILIKE %(device)s)",
            "e.id IN (SELECT d.elder_id FROM device_alias a JOIN device d ON d.no = a.device_no"
            " WHERE a.address = %(address)s)",
        ]
        params |= {"device": f"%{like(wanted.device)}%", "address": wanted.device}
    return "(" + " OR ".join(ways) + ")", params


async def search(
    tx: Tx,
    cipher: FieldCipher,
    filters: Filters,
    wanted: Wanted,
    order: Order,
    *,
    scope: str,
    now: datetime,
) -> list[RosterRow]:
    """Return one page of the list within the division prefix `scope`, phones masked."""
    page, params = _page(cipher, filters, wanted, order, scope, now)
    sql = "WITH page AS (" + page + ")" + _DRESSED + _IN_PLACE
    return opened(cipher, await fetch_all(tx, SealedRow, sql, params), whole_phones=False)


async def ids(
    tx: Tx,
    cipher: FieldCipher,
    filters: Filters,
    wanted: Wanted,
    order: Order,
    *,
    scope: str,
    now: datetime,
) -> list[uuid.UUID]:
    """Return whose rows `search` would return, in its order."""
    page, params = _page(cipher, filters, wanted, order, scope, now)
    return [row[0] for row in await fetch_tuples(tx, page, params)]


async def rows_of(tx: Tx, elders: Sequence[uuid.UUID], *, scope: str) -> list[SealedRow]:
    """Return the rows of these elders in this order; who has left `scope` meanwhile is left out."""
    return await fetch_all(
        tx,
        SealedRow,
        "WITH page AS (SELECT id, place"  # noqa: S608 - literals of this module
        " FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS p(id, place))"
        + _DRESSED
        + " WHERE starts_with(e.division_code, %(scope)s)"
        + _IN_PLACE,
        {"ids": list(elders), "scope": scope},
    )


def _page(
    cipher: FieldCipher, filters: Filters, wanted: Wanted, order: Order, scope: str, now: datetime
) -> tuple[LiteralString, dict[str, Any]]:
    """Return the statement that finds a page of elders, as (id, place), and its parameters."""
    where, params = _conditions(filters, scope, now)
    best_first: LiteralString = ""
    if filters.query:
        condition, more = _meaning(cipher, wanted)
        where.append(condition)
        params |= more
        best_first = _BEST_FIRST
    by = best_first + _ORDER[order.sort, order.descending]
    # Every part is a literal of this module; what people typed are parameters.
    sql: LiteralString = (
        "SELECT e.id, row_number() OVER (ORDER BY " + by + ") AS place FROM elder e"  # noqa: S608
        " WHERE " + " AND ".join(where) + " ORDER BY place LIMIT %(limit)s OFFSET %(offset)s"
    )
    return sql, params | {"limit": order.limit, "offset": order.offset}


async def count(
    tx: Tx, cipher: FieldCipher, filters: Filters, wanted: Wanted, *, scope: str, now: datetime
) -> int:
    """Return how many elders the filters find."""
    where, params = _conditions(filters, scope, now)
    if filters.query:
        condition, more = _meaning(cipher, wanted)
        where.append(condition)
        params |= more
    found: LiteralString = " AND ".join(where)
    sql = "SELECT count(*) FROM elder e WHERE " + found  # noqa: S608 - literals, as in `search`
    return int(await fetch_value(tx, sql, params))


def opened(
    cipher: FieldCipher, rows: Sequence[SealedRow], *, whole_phones: bool
) -> list[RosterRow]:
    """Decrypt rows: about 10 µs of the processor each, so that many of them want a thread."""
    return [_opened(cipher, row, whole_phones) for row in rows]


def _opened(cipher: FieldCipher, row: SealedRow, whole_phone: bool) -> RosterRow:
    phone = cipher.decrypt(PHONE, row.phone_enc) if row.phone_enc else ""
    return RosterRow(
        id=row.id,
        name=row.name,
        sex=Sex(row.sex),
        birth_date=row.birth_date,
        division_code=row.division_code,
        area=row.area,
        living_situation=LivingSituation(row.living_situation),
        risk_notes=row.risk_notes,
        phone=phone if whole_phone or not phone else mask_phone(phone),
        devices=row.devices,
        devices_offline=row.devices_offline,
        open_incidents=row.open_incidents,
        worst_severity=row.worst_severity,
        archived_at=row.archived_at,
        updated_at=row.updated_at,
    )


@dataclass(frozen=True, slots=True)
class DivisionChoice:
    """A division to filter by, with how many elders live there."""

    code: str
    name: str
    level: int
    elders: int


async def divisions_in_use(tx: Tx, scope: str) -> Sequence[DivisionChoice]:
    """Return the counties and townships below `scope` where elders live, in the order of codes."""
    return await fetch_all(
        tx,
        DivisionChoice,
        "SELECT v.code, v.name, v.level::int AS level, sum(e.elders)::int AS elders FROM division v"
        " JOIN (SELECT division_code, count(*) AS elders FROM elder"
        "       WHERE archived_at IS NULL AND division_code LIKE %s GROUP BY division_code) e"
        "   ON v.level = 3 AND left(e.division_code, 6) = left(v.code, 6)"
        "   OR v.level = 4 AND left(e.division_code, 9) = left(v.code, 9)"
        " GROUP BY v.code, v.name, v.level ORDER BY v.code",
        (like(scope) + "%",),
    )
