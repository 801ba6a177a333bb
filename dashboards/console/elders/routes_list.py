"""The list of elders, its export, and the search box of the top bar."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from care.elders.ages import AGE_BANDS, band_of
from care.elders.model import LivingSituation
from care.roster import service as roster
from care.roster import store as roster_store
from care.roster.model import Filters, Order, RosterRow, Sort
from care.sheets.writing import Value
from dashboards.console.csv_files import csv_file
from dashboards.console.devices.frame import path_of as device_path
from dashboards.console.elders.frame import (
    ROOT,
    Context,
    Now,
    Reader,
    form_values,
    language,
    see_other,
    show,
)
from dashboards.console.elders.words import AGE_BANDS as AGE_WORDS
from dashboards.console.sealed import elsewhere, ended, plain, sealed, sent_on
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.listing import Listing
from dashboards.ui.words import word
from devices.registry import guard
from kernel.auth.model import Actor, Permission
from kernel.db import Tx
from kernel.divisions.codes import significant_prefix
from kernel.errors import NotFound

router = APIRouter()

SORTS = [sort.value for sort in Sort]
FILTERS = ("q", "division", "living", "age", "state")
STATES = {
    "incident": N_("有未结警情"),
    "no_device": N_("没有设备"),
    "archived": N_("已归档"),
}


def filters_of(query: Mapping[str, str]) -> Filters:
    """Return the filters of a URL; what is no choice of ours does not filter."""
    living = query.get("living", "")
    return Filters(
        query=query.get("q", "").strip(),
        division=query.get("division", "") if query.get("division", "").isdigit() else "",
        living_situation=LivingSituation(living) if living in set(LivingSituation) else None,
        age_band=band_of(query.get("age", "")),
        open_incident=query.get("state") == "incident",
        no_device=query.get("state") == "no_device",
        archived=query.get("state") == "archived",
    )


def order_of(listing: Listing) -> Order:
    """Return the order and the part of a listing."""
    return Order(Sort(listing.sort), listing.descending, listing.per_page, listing.offset)


def _listing(request: Request) -> Listing:
    return Listing.from_query(ROOT, request.query_params, sorts=SORTS, filters=FILTERS)


@router.post(f"{ROOT}/find")
async def find(request: Request, actor: Reader, ctx: Context) -> Response:
    """Search and filter: on to the list, whose address names nobody."""
    return await sent_on(request, ctx.cipher, actor, ROOT, sorts=SORTS, filters=FILTERS)


@router.get(ROOT)
async def elders(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The list, filtered by the URL."""
    listing = _listing(request)
    if address := elsewhere(ctx.cipher, actor, listing):
        return see_other(address)
    filters = filters_of(plain(ctx.cipher, actor, listing))
    async with ctx.db.transaction() as tx:
        page = await roster.search(tx, ctx.cipher, actor, filters, order_of(listing), now)
        if page.total and not page.rows:
            # Somebody asked for a page behind the end.
            listing = listing.of(page.total)
            page = await roster.search(tx, ctx.cipher, actor, filters, order_of(listing), now)
        divisions = await roster_store.divisions_in_use(tx, actor.division)
    tr = language(actor)
    listing = listing.of(page.total)
    return show(
        request,
        "list.html",
        actor,
        now,
        listing=listing,
        query=filters.query,
        rows=page.rows,
        filtered=bool(listing.filters),
        divisions=[
            (significant_prefix(one.code), ("　" if one.level == 4 else "") + one.name)
            for one in divisions
        ],
        ages=[(band.code, tr.gettext(AGE_WORDS[band.code])) for band in AGE_BANDS],
        states=[(code, tr.gettext(label)) for code, label in STATES.items()],
        export_url=listing.url(page=None).replace(ROOT, f"{ROOT}/export.csv", 1),
    )


@router.get(f"{ROOT}/export.csv")
async def export(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The whole filtered list as CSV; in the audit log."""
    listing = _listing(request)
    if address := ended(ctx.cipher, actor, listing):
        return see_other(address)
    filters = filters_of(plain(ctx.cipher, actor, listing))
    async with ctx.db.transaction() as tx:
        taken = await roster.export(tx, ctx.cipher, actor, filters, order_of(listing), now)
    tr = language(actor)
    return csv_file(
        "elders",
        now,
        [tr.gettext(title) for title in COLUMNS],
        roster.exported(ctx.db, ctx.cipher, taken),
        lambda row: _line(row, tr, now),
    )


COLUMNS = (
    N_("姓名"),
    N_("性别"),
    N_("出生日期"),
    N_("年龄"),
    N_("居住情况"),
    N_("区域"),
    N_("区划代码"),
    N_("电话"),
    N_("风险提示"),
    N_("设备数"),
    N_("未结警情"),
)


def _line(row: RosterRow, tr: Translator, now: Now) -> list[Value]:
    return [
        row.name,
        word(row.sex, "sex", tr),
        row.birth_date.isoformat() if row.birth_date else "",
        row.age(now),
        word(row.living_situation, "living_situation", tr),
        row.area,
        row.division_code,
        row.phone,
        row.risk_notes,
        row.devices,
        row.open_incidents,
    ]


@router.post("/console/search")
async def search(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The top bar: the elder's page when the words mean exactly one, else the list.

    Who looks after devices gets to the device of that number; everybody where it is nobody's.
    """
    query = (await form_values(request)).get("q", "").strip()
    if query:
        async with ctx.db.transaction() as tx:
            found = await roster.find(tx, ctx.cipher, actor, query, now, limit=2)
            device = await _device(tx, query, actor)
        fixes = actor.may(Permission.DEVICE_WRITE) and not actor.may(Permission.INCIDENT_HANDLE)
        if device and (fixes or found.total == 0):
            return see_other(device_path(device))
        if found.total == 1:
            return see_other(f"{ROOT}/{found.rows[0].id}")
    listing = Listing(ROOT, sort=SORTS[0], filters={"q": sealed(ctx.cipher, actor, query)})
    return see_other(listing.url(sort=None))


async def _device(tx: Tx, query: str, actor: Actor) -> str | None:
    """The number of the device that is meant, if the person may see it; numbers are in capitals."""
    if not actor.may(Permission.DEVICE_READ):
        return None
    for number in dict.fromkeys((query, query.upper())):
        try:
            return (await guard.find(tx, number, actor)).id
        except NotFound:
            continue
    return None
