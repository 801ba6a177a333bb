"""The list of devices and its export. Technicians see more of each, and more to narrow it by."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from care.roster import store as roster_store
from care.sheets.writing import XLSX_TYPE, Sheet, write_xlsx
from dashboards.console.csv_files import csv_file
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
from dashboards.console.typed import whole
from dashboards.ui.filters import LOCAL
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.listing import Listing
from dashboards.ui.words import DEVICE_STATUS
from devices.fleet import service as fleet
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
from devices.technical import store as technical_store
from kernel.auth.model import Actor, Permission
from kernel.crypto import mask_name
from kernel.db import Tx
from kernel.divisions import path_names
from kernel.divisions.codes import significant_prefix
from kernel.web import WebContext

router = APIRouter()

SORTS = [sort.value for sort in DeviceSort]
FILTERS = (
    "q", "state", "connection", "unseen", "battery", "held", "profile", "firmware", "division",
)  # fmt: skip
_LONGEST_SILENCE_H = 100_000


def filters_of(query: Mapping[str, str]) -> DeviceFilters:
    """Return the filters of a URL; what is no choice of ours does not filter."""
    state, connection = query.get("state", ""), query.get("connection", "")
    division, held = query.get("division", ""), query.get("held", "")
    hours = whole(query.get("unseen", ""), _LONGEST_SILENCE_H)
    return DeviceFilters(
        text=query.get("q", "").replace("\0", ""),
        state=DeviceState(state) if state in set(DeviceState) else None,
        profile=query.get("profile", "") if query.get("profile", "") in PROFILES else "",
        connection=Connection(connection) if connection in set(Connection) else None,
        low_battery=query.get("battery") == "low",
        battery_at_most=whole(query.get("battery", ""), 100),
        held_back=held == "1",
        mode=DeviceMode(held) if held in set(DeviceMode) else None,
        unseen_for=timedelta(hours=hours) if hours else None,
        firmware=query.get("firmware", "").replace("\0", ""),
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
        in_use = await roster_store.divisions_in_use(conn, actor.division)
        beside = await _beside(conn, actor, page.devices, now)
    tr = words_of(request, now)
    listing = listing.of(page.total)
    return show(
        request,
        "list.html",
        now,
        listing=listing,
        query=filters.text,
        rows=page.devices,
        **beside,
        here=listing.url(),
        low_battery=low_battery,
        **_choices(tr, in_use),
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
    numbers = await _chosen(request, actor, ctx, now, finding.EXPORT_LIMIT)
    tr = words_of(request, now)
    return csv_file(
        "devices",
        now,
        [tr.gettext(title) for title in COLUMNS],
        finding.exported(ctx.db, numbers),
        lambda row: _line(*row, actor, tr, now),
    )


@router.get(f"{ROOT}/export.xlsx")
async def export_xlsx(request: Request, actor: Reader, ctx: Context, now: Now) -> Response:
    """The same as a workbook; its headings are those that an import understands."""
    if address := ended(ctx.cipher, actor, _listing(request)):
        return see_other(address)
    numbers = await _chosen(request, actor, ctx, now, finding.WORKBOOK_LIMIT)
    tr = words_of(request, now)
    lines = [
        _line(device, name, actor, tr, now)
        async for devices in finding.exported(ctx.db, numbers)
        for device, name in devices
    ]
    sheet = Sheet(tr.gettext(N_("设备")), [tr.gettext(title) for title in COLUMNS], lines)
    data = await asyncio.to_thread(write_xlsx, [sheet])
    return download(data, XLSX_TYPE, f"devices-{now.astimezone(LOCAL):%Y%m%d-%H%M}.xlsx")


async def _chosen(
    request: Request, actor: Actor, ctx: WebContext, now: datetime, limit: int
) -> list[int]:
    """Return the numbers of the devices that an export of the list has."""
    listing = _listing(request)
    filters = filters_of(plain(ctx.cipher, actor, listing))
    async with ctx.db.transaction() as tx:
        return await finding.export(tx, actor, filters, order_of(listing), now, limit)


def _choices(tr: Translator, in_use: Sequence[roster_store.DivisionChoice]) -> dict[str, Any]:
    """Return what the filters offer."""
    return {
        "batteries": words.battery_choices(tr),
        "silences": words.silence_choices(tr),
        "held": words.held_choices(tr),
        "models": words.model_choices(tr.locale),
        "connections": list(words.labels(words.CONNECTION, tr).items()),
        "divisions": [
            (significant_prefix(one.code), ("　" if one.level == 4 else "") + one.name)
            for one in in_use
        ],
    }


async def _beside(tx: Tx, actor: Actor, devices: Sequence[Device], now: datetime) -> dict[str, Any]:
    """Return what the list says of devices besides: their place, for technicians how they do."""
    numbers = [device.no for device in devices]
    looks_after = actor.may(Permission.DEVICE_WRITE)
    return {
        "places": await _places(tx, devices),
        "heard": await fleet.uptimes(tx, numbers, now) if looks_after else {},
        "alarms": await technical_store.open_of_devices(tx, numbers) if looks_after else {},
    }


async def _places(tx: Tx, devices: Sequence[Device]) -> dict[str, str]:
    """Return county and township of each division code in a list."""
    towns = {device.division_code: device.division_code[:9] + "000" for device in devices}
    paths = await path_names(tx, set(towns.values()))
    # A code that ends with its county has no township.
    return {
        code: "".join(paths.get(town, code).split(" ")[-1 if town.endswith("000000") else -2 :])
        for code, town in towns.items()
    }


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
    N_("协议中的名称"),
)


def _line(
    device: Device, name_in_protocol: str, actor: Actor, tr: Translator, now: datetime
) -> list[str | int | float | None]:
    seen = device.last_seen_at
    ends = [device.modes.until(mode) for mode in DeviceMode]
    name = device.elder_name or ""
    return [
        device.id,
        words.model_title(device.profile, tr.locale),
        device.serial,
        words.label(DEVICE_STATUS, device.state.value, tr),
        name if actor.may(Permission.ELDER_READ) else mask_name(name),
        device.room,
        device.gateway_id,
        device.division_code,
        words.label(words.CONNECTION, device.connection.value, tr),
        f"{seen.astimezone(LOCAL):%Y-%m-%d %H:%M:%S}" if seen else "",
        device.battery_percent,
        device.firmware,
        *(f"{end.astimezone(LOCAL):%Y-%m-%d %H:%M}" if end and end > now else "" for end in ends),
        name_in_protocol,
    ]
