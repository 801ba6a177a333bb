"""Finding elders within one's own division, and exporting the list."""

from datetime import datetime

from care.elders.service import SUBJECT, require
from care.roster import store
from care.roster.model import Filters, Order, RosterPage, RosterRow
from care.roster.rules import Wanted, read_query
from kernel import audit
from kernel.auth.model import Actor, Permission
from kernel.crypto import FieldCipher
from kernel.db import Tx

EXPORT_LIMIT = 20_000


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


async def export(
    tx: Tx, cipher: FieldCipher, actor: Actor, filters: Filters, order: Order, now: datetime
) -> list[RosterRow]:
    """Return every row of the list, numbers whole for who may reveal them; audited.

    At most EXPORT_LIMIT rows.
    """
    require(actor, Permission.ELDER_READ)
    wanted = read_query(filters.query)
    whole = actor.may(Permission.ELDER_REVEAL)
    rows: list[RosterRow] = []
    if not filters.query or wanted.is_anything:
        every = Order(order.sort, order.descending, EXPORT_LIMIT, 0)
        rows = await store.search(
            tx,
            cipher,
            filters,
            wanted,
            every,
            scope=actor.division,
            now=now,
            whole_phones=whole,
        )
    detail = _how(wanted) | {"rows": len(rows), "whole_phones": whole}
    await _record(tx, actor, "elder.exported", now, detail | _chosen(filters))
    return rows


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
