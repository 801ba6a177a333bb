"""Finding elders within one's own division, and exporting the list."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from care.elders.service import SUBJECT, require
from care.roster import store
from care.roster.model import Filters, Order, RosterPage, RosterRow
from care.roster.rules import Wanted, read_query
from kernel import audit
from kernel.auth.model import Actor, Permission
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx

EXPORT_LIMIT = 20_000
EXPORT_AT_ONCE = 500


async def search(
    tx: Tx, cipher: FieldCipher, actor: Actor, filters: Filters, order: Order, now: datetime
) -> RosterPage:
    """Return one page of the list, telephone numbers masked, and the count of all found."""
    require(actor, Permission.ELDER_READ)
    wanted = read_query(filters.query)
    if filters.query and not wanted.is_anything:
        return RosterPage((), 0)
    scope = actor.division
    total = await store.count(tx, cipher, filters, wanted, scope=scope, now=now)
    rows = await store.search(tx, cipher, filters, wanted, order, scope=scope, now=now)
    if wanted.is_personal:
        await _record(tx, actor, "elder.looked_up", now, _how(wanted) | {"found": total})
    return RosterPage(tuple(rows), total)


async def find(
    tx: Tx, cipher: FieldCipher, actor: Actor, query: str, now: datetime, *, limit: int = 10
) -> RosterPage:
    """Return who the query may mean, the best first: for search boxes and screen-pops."""
    return await search(tx, cipher, actor, Filters(query=query), Order(limit=limit), now)


@dataclass(frozen=True, slots=True)
class Export:
    """Whose rows somebody takes away, in order, and whether with whole telephone numbers."""

    elders: tuple[uuid.UUID, ...]
    whole_phones: bool
    scope: str


async def export(
    tx: Tx, cipher: FieldCipher, actor: Actor, filters: Filters, order: Order, now: datetime
) -> Export:
    """Return what is taken away, numbers whole for who may reveal them; audited.

    At most EXPORT_LIMIT rows; `exported` reads them.
    """
    require(actor, Permission.ELDER_READ)
    wanted = read_query(filters.query)
    whole = actor.may(Permission.ELDER_REVEAL)
    found: list[uuid.UUID] = []
    if not filters.query or wanted.is_anything:
        every = Order(order.sort, order.descending, EXPORT_LIMIT, 0)
        found = await store.ids(tx, cipher, filters, wanted, every, scope=actor.division, now=now)
    detail = _how(wanted) | {"rows": len(found), "whole_phones": whole}
    await _record(tx, actor, "elder.exported", now, detail | _chosen(filters))
    return Export(tuple(found), whole, actor.division)


async def exported(
    db: Database, cipher: FieldCipher, export: Export
) -> AsyncIterator[list[RosterRow]]:
    """Yield the rows of an export, EXPORT_AT_ONCE at a time, decrypted in a thread.

    Between two batches nothing is held, neither a connection nor the rows that went before.
    """
    for first in range(0, len(export.elders), EXPORT_AT_ONCE):
        some = export.elders[first : first + EXPORT_AT_ONCE]
        async with db.connection() as conn:
            rows = await store.rows_of(conn, some, scope=export.scope)
        yield await asyncio.to_thread(store.opened, cipher, rows, whole_phones=export.whole_phones)


def _how(wanted: Wanted) -> dict[str, object]:
    # By which kind of number, never the number.
    kinds = [name for name in ("phone", "id_number") if getattr(wanted, name)]
    return {"by": kinds} if kinds else {}


def _chosen(filters: Filters) -> dict[str, object]:
    band, living = filters.age_band, filters.living_situation
    chosen = {
        "division": filters.division,
        "living_situation": living.value if living else "",
        "age_band": band.code if band else "",
        "open_incident": filters.open_incident,
        "no_device": filters.no_device,
        "archived": filters.archived,
    }
    return {name: value for name, value in chosen.items() if value}


async def _record(
    tx: Tx, actor: Actor, action: str, now: datetime, detail: dict[str, object]
) -> None:
    await audit.record(
        tx,
        actor=actor,
        action=action,
        subject_type=SUBJECT,
        subject_id="",
        division=actor.division,
        detail=detail,
        now=now,
    )
