"""The list of devices and its export."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from care.roster import store as roster_store
from care.sheets.writing import CSV_TYPE, XLSX_TYPE, Sheet, write_csv, write_xlsx
from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    Now,
    Reader,
    download,
    see_other,
    show,
)
from dashboards.console.sealed import elsewhere, ended, plain, sent_on
from dashboards.console.show import words_of
from dashboards.ui.filters import LOCAL
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.listing import Listing
from dashboards.ui.words import DEVICE_STATUS
from devices.modes.model import DeviceMode
from devices.profiles import PROFILES
from devices.registry import finding
from devices.registry.inventory import USUAL_LOW_BATTERY
from devices.registry.model import (
    Connection,
    Device,
    DeviceFilters,
    DeviceOrder,
    DeviceSort,
    DeviceState,
)
from kernel.auth.model import Actor, Permission
from kernel.crypto import mask_name
from kernel.divisions.codes import significant_prefix
from kernel.web import WebContext

router = APIRouter()

SORTS = [sort.value for sort in DeviceSort]
FILTERS = ("q", "state", "profile", "connection", "battery", "held", "division")


def filters_of(query: Mapping[str, str]) -> DeviceFilters:
    """Return the filters of a URL; what is no choice of ours does not filter."""
    state, connection = query.get("state", ""), query.get("connection", "")
    division = query.get("division", "")
    return DeviceFilters(
        text=query.get("q", "").replace("\0", ""),
        state=DeviceState(state) if state in set(DeviceState) else None,
        profile=query.get("profile", "") if query.get("profile", "") in PROFILES else "",
        connection=Connection(connection) if connection in set(Connection) else None,
        low_battery=query.get("battery") == "low",
        held_back=query.get("held") == "1",
        division=division if division.isascii() and division.isdigit() else "",
    )


def order_of(listing: Listing) -> DeviceOrder:
    """Return the order and the part of a listing."""
    return DeviceOrder(
        finding.sort_of(listing.sort), listing.descending, listing.per_page, listing.offset
    )


def low_battery(device: Device) -> bool:
    """Whether the battery is at its model's limit or below."""
    model = PROFILES.get(device.profile)
    limit = model.low_battery_percent if model else None
    limit = USUAL_LOW_BATTERY if limit is None else limit
    return device.battery_percent is not None and device.battery_percent <= limit


def _listing(request: Request) -> Listing:
    return Listing.from_query(ROOT, request.query_params, sorts=SORTS, filters=FILTERS)


@router.post(f"{ROOT}/find")
async def find(request: Request, actor: Reader, ctx: Context) -> Response:
    """Search and filter: on to the list, whose address names nobody."""
    return await sent_on(request, ctx.cipher, actor, ROOT, sorts=SORTS, filters=FILTERS)


@router.get(ROOT)
async def devices(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The list, filtered by the URL."""
    listing = _listing(request)
    if address := elsewhere(ctx.cipher, actor, listing):
        return see_other(address)
    filters = filters_of(plain(ctx.cipher, actor, listing))
    async with ctx.db.connection() as conn:
        page = await finding.search(conn, actor, filters, order_of(listing), now)
        if page.total and not page.devices:
            # Somebody asked for a page behind the end.
            listing = listing.of(page.total)
            page = await finding.search(conn, actor, filters, order_of(listing), now)
        divisions = await roster_store.divisions_in_use(conn, actor.division)
    tr = words_of(request, now)
    listing = listing.of(page.total)
    return show(
        request,
        "list.html",
        now,
        listing=listing,
        query=filters.text,
        rows=page.devices,
        low_battery=low_battery,
        models=words.model_choices(tr.locale),
        connections=list(words.labels(words.CONNECTION, tr).items()),
        divisions=[
            (significant_prefix(one.code), ("　" if one.level == 4 else "") + one.name)
            for one in divisions
        ],
        state_tone=words.STATE_TONE,
        connection_tone=words.CONNECTION_TONE,
        export_url=listing.url(page=None).replace(ROOT, f"{ROOT}/export.csv", 1),
        workbook_url=listing.url(page=None).replace(ROOT, f"{ROOT}/export.xlsx", 1),
    )


@router.get(f"{ROOT}/export.csv")
async def export_csv(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The whole filtered list as CSV; in the audit log."""
    if address := ended(ctx.cipher, actor, _listing(request)):
        return see_other(address)
    titles, lines = await _exported(request, actor, ctx, now)
    # Twenty thousand rows take half a second of the processor.
    data = await asyncio.to_thread(write_csv, titles, lines)
    return download(data, CSV_TYPE, f"devices-{now.astimezone(LOCAL):%Y%m%d-%H%M}.csv")


@router.get(f"{ROOT}/export.xlsx")
async def export_xlsx(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The same as a workbook; its headings are those that an import understands."""
    if address := ended(ctx.cipher, actor, _listing(request)):
        return see_other(address)
    titles, lines = await _exported(request, actor, ctx, now)
    sheet = Sheet(words_of(request, now).gettext(N_("设备")), titles, lines)
    data = await asyncio.to_thread(write_xlsx, [sheet])
    return download(data, XLSX_TYPE, f"devices-{now.astimezone(LOCAL):%Y%m%d-%H%M}.xlsx")


async def _exported(
    request: Request, actor: Actor, ctx: WebContext, now: datetime
) -> tuple[list[str], list[list[str | int | float | None]]]:
    listing = _listing(request)
    filters = filters_of(plain(ctx.cipher, actor, listing))
    async with ctx.db.transaction() as tx:
        rows = await finding.export(tx, actor, filters, order_of(listing), now)
    if not actor.may(Permission.ELDER_READ):
        rows = [replace(row, elder_name=mask_name(row.elder_name or "")) for row in rows]
    tr = words_of(request, now)
    return [tr.gettext(title) for title in COLUMNS], [_line(row, tr, now) for row in rows]


COLUMNS = (
    N_("编号"),
    N_("型号"),
    N_("序列号"),
    N_("状态"),
    N_("老人姓名"),
    N_("房间"),
    N_("网关"),
    N_("区划代码"),
    N_("连接"),
    N_("最近信号（北京时间）"),
    N_("电量（百分比）"),
    N_("固件"),
    N_("测试到（北京时间）"),
    N_("外出到（北京时间）"),
    N_("维护到（北京时间）"),
)


def _line(device: Device, tr: Translator, now: datetime) -> list[str | int | float | None]:
    seen = device.last_seen_at
    ends = [device.modes.until(mode) for mode in DeviceMode]
    return [
        device.id,
        words.model_title(device.profile, tr.locale),
        device.serial,
        words.label(DEVICE_STATUS, device.state.value, tr),
        device.elder_name,
        device.room,
        device.gateway_id,
        device.division_code,
        words.label(words.CONNECTION, device.connection.value, tr),
        f"{seen.astimezone(LOCAL):%Y-%m-%d %H:%M:%S}" if seen else "",
        device.battery_percent,
        device.firmware,
        *(f"{end.astimezone(LOCAL):%Y-%m-%d %H:%M}" if end and end > now else "" for end in ends),
    ]
