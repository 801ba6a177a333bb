"""All incidents: filters in the URL, a count, pages, and the same as CSV."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.csv_files import csv_file
from dashboards.console.incidents.frame import ROOT, Context, Now, Reader, language, show
from dashboards.console.sealed import elsewhere, ended, plain, sent_on
from dashboards.console.typed import see_other
from dashboards.ui.filters import LOCAL
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.listing import Listing
from dashboards.ui.words import word
from hotline.board import store as board
from hotline.board.model import HistoryFilter, HistoryRow
from kernel import audit
from kernel.auth.model import Actor
from kernel.db import Database

router = APIRouter(prefix=ROOT)
FILTERS = ("q", "status", "kind", "severity", "resolution", "from", "to", "test")
_SORTS = ("-opened_at", "number", "severity")
_AT_ONCE = 500
MOST_EXPORTED = 50_000


def read_filter(wanted: Mapping[str, str]) -> HistoryFilter:
    """Return what the URL asks for; days are those in China, both included."""
    until = _day(wanted.get("to", ""))
    return HistoryFilter(
        text=wanted.get("q", ""),
        kind=wanted.get("kind", ""),
        severity=wanted.get("severity", ""),
        status=wanted.get("status", ""),
        resolution=wanted.get("resolution", ""),
        since=_day(wanted.get("from", "")),
        until=until + timedelta(days=1) if until else None,
        test={"yes": True, "no": False}.get(wanted.get("test", "")),
    )


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), LOCAL).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _sort_of(listing: Listing) -> str:
    return f"-{listing.sort}" if listing.descending else listing.sort


@router.post("/find")
async def find(request: Request, ctx: Context, actor: Reader) -> Response:
    """Search and filter: on to the list, whose address names nobody."""
    return await sent_on(request, ctx.cipher, actor, ROOT, sorts=_SORTS, filters=FILTERS)


@router.get("")
async def incident_list(request: Request, ctx: Context, actor: Reader, now: Now) -> Response:
    """A page of all incidents that fit, and how many there are."""
    listing = Listing.from_query(ROOT, request.query_params, sorts=_SORTS, filters=FILTERS)
    if address := elsewhere(ctx.cipher, actor, listing):
        return see_other(address)
    wanted = read_filter(plain(ctx.cipher, actor, listing))
    async with ctx.db.connection() as conn:
        for _ in range(2):
            rows, total = await board.history(
                conn, actor.division, wanted, sort=_sort_of(listing),
                limit=listing.per_page, offset=listing.offset,
            )  # fmt: skip
            listing = listing.of(total)
            # A page behind the end becomes the last one.
            if rows or not total:
                break
    return show(
        request,
        "list.html",
        actor,
        now,
        listing=listing,
        query=wanted.text,
        rows=rows,
        export_url=listing.url(page=None).replace(ROOT, f"{ROOT}/export.csv", 1),
    )


@router.get("/export.csv")
async def export(request: Request, ctx: Context, actor: Reader, now: Now) -> Response:
    """Everything that the filters find as CSV; that it was taken is in the audit log."""
    listing = Listing.from_query(ROOT, request.query_params, sorts=_SORTS, filters=FILTERS)
    if address := ended(ctx.cipher, actor, listing):
        return see_other(address)
    wanted = read_filter(plain(ctx.cipher, actor, listing))
    async with ctx.db.transaction() as tx:
        _, total = await board.history(tx, actor.division, wanted, limit=1)
        await audit.record(
            tx,
            actor=actor,
            action="incident.exported",
            subject_type="incident",
            subject_id="",
            division=actor.division,
            detail={"rows": min(total, MOST_EXPORTED)}
            | {name: text for name, text in listing.filters.items() if name != "q"},
            now=now,
        )
    tr = language(actor)
    return csv_file(
        "incidents",
        now,
        [tr.gettext(head) for head in HEADS],
        _batches(ctx.db, actor, wanted, _sort_of(listing)),
        lambda row: _row(row, tr),
    )


HEADS = (
    N_("编号"), N_("报警时间"), N_("级别"), N_("类型"), N_("测试"), N_("老人"), N_("设备"),
    N_("地点"), N_("状态"), N_("结果"), N_("原因"), N_("触发次数"), N_("接警用时（秒）"),
    N_("到场时间"), N_("结案时间"), N_("接警人"), N_("结案人"),
)  # fmt: skip


async def _batches(
    db: Database, actor: Actor, wanted: HistoryFilter, sort: str
) -> AsyncIterator[Sequence[HistoryRow]]:
    for offset in range(0, MOST_EXPORTED, _AT_ONCE):
        async with db.connection() as conn:
            rows, _ = await board.history(
                conn, actor.division, wanted, sort=sort, limit=_AT_ONCE, offset=offset
            )
        yield rows
        if len(rows) < _AT_ONCE:
            break


def _row(row: HistoryRow, tr: Translator) -> list[str]:
    answered = answer_seconds(row)
    return [
        str(row.number),
        _time(row.opened_at),
        word(row.severity, "severity", tr),
        word(row.kind, "alarm_kind", tr),
        tr.gettext(N_("是")) if row.test else "",
        row.elder_name or "",
        row.device_id or "",
        row.place,
        word(row.status, "incident_status", tr),
        word(row.resolution, "resolution", tr) if row.resolution else "",
        row.resolution_reason or "",
        str(row.activation_count),
        "" if answered is None else str(round(answered)),
        _time(row.on_scene_at),
        _time(row.resolved_at),
        row.holder_name or "",
        row.resolved_by_name or "",
    ]


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone(LOCAL):%Y-%m-%d %H:%M:%S}" if moment else ""


def answer_seconds(row: HistoryRow) -> float | None:
    """Return the seconds from the opening to the first claim, None while there was none."""
    if row.first_acknowledged_at is None:
        return None
    return (row.first_acknowledged_at - row.opened_at).total_seconds()
