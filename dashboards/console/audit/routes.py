"""The audit log's page: search, state of the chain, export."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.console.audit import facts, words
from dashboards.console.audit.export import HEADER, csv_line
from dashboards.console.csv_files import csv_file
from dashboards.console.sealed import elsewhere, ended, plain, sealed, sent_on
from dashboards.console.show import show, words_of
from dashboards.console.typed import see_other
from dashboards.ui.filters import LOCAL
from dashboards.ui.listing import Listing
from kernel import audit, divisions
from kernel.audit import AuditEntry, AuditFilters, VerifyResult
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.crypto import FieldCipher
from kernel.web import WebContext, get_context, get_now

PATH = "/console/audit"
# Checked each time the page is shown, in about 10 ms; the whole chain by the button.
RECENT = 1000
SORTS = ("-seq",)
FILTERS = ("q", "action", "subject", "from", "to")
router = APIRouter(prefix=PATH)
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Auditor = Annotated[Actor, Depends(requires(Permission.AUDIT_READ))]


def read_filters(actor: Actor, wanted: Mapping[str, str]) -> AuditFilters:
    """Return what the URL asks for, within the auditor's division; days are those in China."""
    until = _day(wanted.get("to", ""))
    return AuditFilters(
        scope=actor.division,
        action=wanted.get("action", ""),
        subject_type=wanted.get("subject", ""),
        text=wanted.get("q", ""),
        since=_day(wanted.get("from", "")),
        until=until + timedelta(days=1) if until else None,
    )


def _listing(request: Request) -> Listing:
    return Listing.from_query(PATH, request.query_params, sorts=SORTS, filters=FILTERS)


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), LOCAL).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@router.post("/find")
async def find(request: Request, ctx: Context, actor: Auditor) -> Response:
    """Search and filter: on to the log, whose address names nobody."""
    return await sent_on(request, ctx.cipher, actor, PATH, sorts=SORTS, filters=FILTERS)


@router.get("")
async def audit_page(request: Request, ctx: Context, now: Now, actor: Auditor) -> Response:
    """Search the log; the newest part of the chain is checked on the way."""
    if address := elsewhere(ctx.cipher, actor, _listing(request)):
        return see_other(address)
    async with ctx.db.connection() as conn:
        recent = await audit.verify(conn, last=RECENT)
    return await _page(request, ctx, now, actor, recent, whole=False)


@router.post("/verify")
async def verify_all(request: Request, ctx: Context, now: Now, actor: Auditor) -> Response:
    """Check the whole chain and write down that it was done."""
    async with ctx.db.connection() as conn:
        result = await audit.verify(conn)
    async with ctx.db.transaction() as tx:
        await audit.record(
            tx,
            actor=actor,
            action="audit.verified",
            subject_type="audit",
            subject_id="",
            division=actor.division,
            detail={"ok": result.ok, "checked": result.checked, "broken": result.broken_seq},
            now=now,
        )
    return await _page(request, ctx, now, actor, result, whole=True)


async def _page(
    request: Request,
    ctx: WebContext,
    now: datetime,
    actor: Actor,
    result: VerifyResult,
    *,
    whole: bool,
) -> Response:
    listing, tr = _listing(request), words_of(request, now)
    wanted = plain(ctx.cipher, actor, listing)
    filters = read_filters(actor, wanted)
    async with ctx.db.connection() as conn:
        found = await audit.search(conn, filters, listing.page, per_page=listing.per_page)
        listing = listing.of(found.total)
        if found.total and not found.entries:
            found = await audit.search(conn, filters, listing.page, per_page=listing.per_page)
        known = await audit.actions(conn)
        codes = {_code(entry) for entry in found.entries}
        codes = codes.union(*(facts.codes_in(entry) for entry in found.entries))
        places = await divisions.path_names(conn, codes - {""})
    return show(
        request,
        "console/audit/log.html",
        now,
        listing=listing,
        query=wanted["q"],
        rows=found.entries,
        result=result,
        whole=whole,
        finding=words.finding(result, tr),
        actions=[(code, words.label(words.ACTIONS, code, tr)) for code in known],
        subjects=[(code, tr.gettext(text)) for code, text in words.SUBJECTS.items()],
        action_label=lambda code: words.label(words.ACTIONS, code, tr),
        subject_label=lambda code: words.subject(code, tr),
        subject_page=lambda entry: _subject_page(entry, actor, ctx.cipher),
        place=lambda entry: places.get(_code(entry), ""),
        facts=lambda entry: facts.told(entry, places, now, tr),
        export_url=listing.url(page=None).replace(PATH, f"{PATH}/export.csv", 1),
    )


def _code(entry: AuditEntry) -> str:
    division = entry.division
    if divisions.is_code(division):
        return division
    return divisions.pad(division) if division and divisions.is_prefix(division) else ""


def _subject_page(entry: AuditEntry, actor: Actor, cipher: FieldCipher) -> str:
    """Return the address of what an entry is about, "" where it has no page.

    Who may not open it gets everything that was done to it.
    """
    base, permission = words.PAGES.get(entry.subject_type, ("", None))
    if permission is None or not entry.subject_id:
        return ""
    if actor.may(permission):
        return f"{base}{entry.subject_id}"
    return f"{PATH}?{urlencode({'q': sealed(cipher, actor, entry.subject_id)})}"


@router.get("/export.csv")
async def export(request: Request, ctx: Context, now: Now, actor: Auditor) -> Response:
    """Send everything that the filters find as CSV; that it was taken is in the log itself."""
    listing = _listing(request)
    if address := ended(ctx.cipher, actor, listing):
        return see_other(address)
    wanted = plain(ctx.cipher, actor, listing)
    filters = read_filters(actor, wanted)
    async with ctx.db.transaction() as tx:
        await audit.record(
            tx,
            actor=actor,
            action="audit.exported",
            subject_type="audit",
            subject_id="",
            division=actor.division,
            detail={name: value for name, value in wanted.items() if value and name != "q"},
            now=now,
        )
    return csv_file("audit", now, HEADER, audit.export(ctx.db, filters), csv_line)
