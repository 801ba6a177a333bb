"""Found devices: the list by status, adopting one with a model and an id, ignoring one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.console.found import words
from dashboards.console.show import show, words_of
from dashboards.console.typed import form_values, see_other
from dashboards.ui.listing import Listing
from devices.discovery import service
from devices.discovery.model import Found
from devices.registry.guard import DEVICE_ID
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext, get_context, get_now

ROOT = "/console/found"
router = APIRouter()
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Writer = Annotated[Actor, Depends(requires(Permission.DEVICE_READ, Permission.DEVICE_WRITE))]


@router.get(ROOT)
async def found(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """The list, by status."""
    query = request.query_params
    listing = Listing.from_query(ROOT, query, sorts=("-found",), filters=("status",))
    wanted = listing.filters.get("status", "open")
    status = wanted if wanted in service.STATUSES else "open"
    async with ctx.db.connection() as conn:
        page = await service.find(conn, actor, status, listing.page, listing.per_page)
        listing = listing.of(page.total)
        if page.total and not page.found:
            # Somebody asked for a page behind the end.
            page = await service.find(conn, actor, status, listing.page, listing.per_page)
    tr = words_of(request, now)
    done = query.get("done", "")
    return show(
        request,
        "console/found/list.html",
        now,
        root=ROOT,
        listing=listing,
        rows=page.found,
        chosen=status,
        tabs=[
            (f"{ROOT}?status={code}", tr.gettext(label), code == status, None)
            for code, label in words.STATUS.items()
        ],
        tells=lambda row: words.tells(row, tr),
        address=_address,
        adopted=done if DEVICE_ID.fullmatch(done) else "",
        late=query.get("late") == "1",
    )


def _address(row: Found) -> str:
    return f"{ROOT}/adopt?{urlencode({'gateway': row.gateway_id, 'key': row.key})}"


@router.get(f"{ROOT}/adopt")
async def adopt_form(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Ask for model and id of one that was found."""
    query = request.query_params
    values = {"gateway": query.get("gateway", ""), "key": query.get("key", "")}
    return await _form(request, ctx, actor, now, values, {})


async def _form(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    values: Mapping[str, str],
    wrong: Mapping[str, str],
) -> Response:
    async with ctx.db.connection() as conn:
        row = await service.get(conn, _plain(values, "gateway"), _plain(values, "key"), actor)
    if row.device_id is not None:
        return see_other(f"{ROOT}?late=1")
    tr = words_of(request, now)
    return show(
        request,
        "console/found/adopt.html",
        now,
        status=422 if wrong else 200,
        root=ROOT,
        row=row,
        tells=words.tells(row, tr),
        models=[(each.code, each.title(tr.locale)) for each in service.models()],
        profile=values.get("profile", row.profile),
        device_id=values.get("device_id", row.proposed_id),
        errors=words.errors(wrong, tr),
    )


def _plain(values: Mapping[str, str], name: str) -> str:
    return values.get(name, "").replace("\0", "")[:256]


@router.post(f"{ROOT}/adopt")
async def adopt(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Make a device of it."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            device = await service.adopt(
                tx,
                _plain(values, "gateway"),
                _plain(values, "key"),
                device_id=values.get("device_id", ""),
                profile=values.get("profile", ""),
                actor=actor,
                now=now,
            )
    except Conflict:
        return see_other(f"{ROOT}?late=1")
    except Invalid as error:
        return await _form(request, ctx, actor, now, values, error.fields)
    return see_other(f"{ROOT}?{urlencode({'done': device.id})}")


@router.post(f"{ROOT}/ignore")
async def ignore(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Put it out of sight, or back."""
    values = await form_values(request)
    back = values.get("back", "") == "1"
    try:
        async with ctx.db.transaction() as tx:
            await service.ignore(
                tx,
                _plain(values, "gateway"),
                _plain(values, "key"),
                ignored=not back,
                actor=actor,
                now=now,
            )
    except Conflict:
        return see_other(f"{ROOT}?late=1")
    return see_other(ROOT)
