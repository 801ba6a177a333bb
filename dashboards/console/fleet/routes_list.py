"""The list of all devices, by keyset, and its export."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.csv_files import csv_file
from dashboards.console.devices import words as device_words
from dashboards.console.fleet import words
from dashboards.console.fleet.frame import (
    ROOT,
    Context,
    Now,
    Technician,
    address,
    division_choices,
    division_in,
    show,
    whole,
)
from dashboards.console.show import words_of
from dashboards.ui.filters import LOCAL
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.words import DEVICE_STATUS
from devices.fleet import service as fleet
from devices.fleet.model import FleetCursor, FleetFilters, FleetOrder, FleetRow, FleetState
from devices.profiles import PROFILES

router = APIRouter()
LIST = f"{ROOT}/devices"
_FILTERS = ("q", "state", "profile", "firmware", "battery", "unseen", "division", "order")


def filters_of(request: Request) -> FleetFilters:
    """Return the filters of a URL; what is no choice of ours does not filter."""
    query = request.query_params
    state = query.get("state", "")
    hours = whole(query.get("unseen", ""), 100_000)
    profile = query.get("profile", "")
    return FleetFilters(
        division=division_in(request),
        text=query.get("q", "").replace("\0", "").strip(),
        profile=profile if profile in PROFILES else "",
        state=FleetState(state) if state in set(FleetState) else None,
        firmware=query.get("firmware", "").replace("\0", "").strip(),
        battery=whole(query.get("battery", ""), 100),
        unseen_for=timedelta(hours=hours) if hours else None,
    )


def order_of(query: Mapping[str, str]) -> FleetOrder:
    """Return the order of a URL."""
    name = query.get("order", "")
    return FleetOrder(name) if name in set(FleetOrder) else FleetOrder.ID


def cursor_of(query: Mapping[str, str], order: FleetOrder) -> FleetCursor | None:
    """Return where a part of the list begins, None for its beginning and for nonsense."""
    last = query.get("after", "").replace("\0", "")
    if not last:
        return None
    if order is FleetOrder.ID:
        return FleetCursor(last)
    try:
        return FleetCursor(last, float(query.get("at", "")))
    except ValueError:
        return None


@router.get(LIST)
async def devices(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """One part of the list, filtered by the URL."""
    query = request.query_params
    order = order_of(query)
    async with ctx.db.connection() as conn:
        page = await fleet.listed(
            conn, actor, filters_of(request), order, cursor_of(query, order), now
        )
        heard = await fleet.uptimes(conn, [row.no for row in page.rows], now)
        divisions = await division_choices(conn, actor)
    tr = words_of(request, now)
    chosen = {name: query[name].strip() for name in _FILTERS if query.get(name, "").strip()}
    following = page.following
    next_url = address(LIST, **chosen, after=following.id, at=following.value) if following else ""
    return show(
        request,
        "devices.html",
        now,
        page=page,
        heard=heard,
        chosen=chosen,
        here=address(LIST, **chosen, after=query.get("after", ""), at=query.get("at", "")),
        first_url=address(LIST, **chosen) if query.get("after") else "",
        next_url=next_url,
        export_url=address(f"{LIST}.csv", **chosen),
        divisions=divisions,
        models=device_words.model_choices(tr.locale),
        states=list(device_words.labels(words.FLEET_STATE, tr).items()),
        orders=words.orders(tr),
        unseen=[(str(hours), tr.gettext(text)) for hours, text in words.UNSEEN_HOURS.items()],
        batteries=[(str(most), text) for most, text in words.BATTERY_AT_MOST.items()],
    )


@router.get(f"{LIST}.csv")
async def export(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """The whole filtered list as CSV, made while it is sent; in the audit log."""
    tr = words_of(request, now)
    batches = fleet.export(ctx.db, actor, filters_of(request), order_of(request.query_params), now)
    return csv_file(
        "fleet",
        now,
        [tr.gettext(title) for title in COLUMNS],
        batches,
        lambda row: _line(row, tr, now),
    )


COLUMNS = (
    N_("编号"),
    N_("型号"),
    N_("状态"),
    N_("老人姓名"),
    N_("房间"),
    N_("区域"),
    N_("区划代码"),
    N_("连接"),
    N_("最近信号（北京时间）"),
    N_("电量（百分比）"),
    N_("固件"),
    N_("模式"),
    N_("未恢复的技术报警"),
)


def _line(row: FleetRow, tr: Translator, now: datetime) -> list[str | int | float | None]:
    seen = row.last_seen_at
    return [
        row.id,
        device_words.model_title(row.profile, tr.locale),
        device_words.label(DEVICE_STATUS, row.state.value, tr),
        row.elder_name,
        row.room,
        row.place,
        row.division_code,
        device_words.label(device_words.CONNECTION, row.connection.value, tr),
        f"{seen.astimezone(LOCAL):%Y-%m-%d %H:%M:%S}" if seen else "",
        row.battery_percent,
        row.firmware,
        "、".join(
            device_words.label(device_words.MODE, mode.value, tr) for mode in row.modes.running(now)
        ),
        row.alarms,
    ]
