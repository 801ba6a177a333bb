"""Responders: list, add, edit, disable, on and off duty."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi import Form as Field
from fastapi.responses import RedirectResponse, Response

from dashboards.console.responders import frame
from dashboards.console.responders.frame import Context, Manager, Now, Viewer
from dashboards.console.responders.words import SKILLS
from dashboards.console.sealed import elsewhere, plain, sent_on
from dashboards.console.show import show, words_of
from dashboards.console.typed import form_values, see_other, uuid_in, version_in
from dashboards.ui.listing import Listing
from hotline.responders import roster, roster_store
from hotline.responders.model import Skill
from hotline.responders.roster_store import Filters, Row
from kernel import divisions
from kernel.auth.model import Actor
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

PATH = "/console/responders"
SORTS = ("name", "duty", "division")
FILTERS = ("q", "skill", "state")
router = APIRouter(prefix=PATH)


@dataclass(frozen=True, slots=True)
class Typed:
    """The fields as they stand in the page."""

    name: str = ""
    station: str = ""
    skills: frozenset[str] = frozenset()
    division: str = ""
    phone: str = ""
    user_id: str = ""
    disabled: bool = False
    version: int = 0

    @classmethod
    def of_form(cls, form: frame.Form) -> "Typed":
        """Read what a browser sent."""
        return cls(
            name=form.get("name", ""),
            station=form.get("station", ""),
            skills=frozenset(one.value for one in Skill if form.get(f"skill-{one}", "")),
            division=form.get("division", ""),
            phone=form.get("phone", ""),
            user_id=str(uuid_in(form, "user_id") or ""),
            disabled=bool(form.get("disabled", "")),
            version=version_in(form),
        )

    @classmethod
    def of_row(cls, row: Row) -> "Typed":
        """Fill the form; the number stays hidden."""
        return cls(
            name=row.name,
            station=row.station,
            skills=frozenset(row.skills),
            division=divisions.significant_prefix(row.division_code),
            user_id=str(row.user_id or ""),
            disabled=row.disabled_at is not None,
            version=row.version,
        )

    def wanted(self, prefix: str) -> roster.Form:
        """Return what the service takes."""
        code = divisions.pad(prefix) if prefix else ""
        user_id = uuid.UUID(self.user_id) if self.user_id else None
        return roster.Form(
            self.name, self.phone, sorted(self.skills), code, self.station, user_id, self.disabled
        )


@router.post("/find")
async def find(request: Request, ctx: Context, actor: Viewer) -> Response:
    """Search and filter: on to the list, whose address names nobody."""
    return await sent_on(request, ctx.cipher, actor, PATH, sorts=SORTS, filters=FILTERS)


@router.get("")
async def responder_list(request: Request, ctx: Context, now: Now, actor: Viewer) -> Response:
    """List the responders of the person's division."""
    listing = Listing.from_query(PATH, request.query_params, sorts=SORTS, filters=FILTERS)
    if address := elsewhere(ctx.cipher, actor, listing):
        return see_other(address)
    wanted = plain(ctx.cipher, actor, listing)
    filters = Filters(wanted["q"], wanted.get("skill", ""), wanted.get("state", ""))
    order = f"-{listing.sort}" if listing.descending else listing.sort
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        rows, total = await roster.search(
            conn, actor, filters, order=order, limit=listing.per_page, offset=listing.offset
        )
        names = await divisions.path_names(conn, {row.division_code for row in rows})
    return show(
        request,
        "console/responders/list.html",
        now,
        listing=listing.of(total),
        query=filters.text,
        rows=rows,
        places=names,
        phones={row.id: frame.masked(ctx.cipher, row.phone_enc) for row in rows},
        skills=[(skill.value, tr.gettext(text)) for skill, text in SKILLS.items()],
        manages=roster.may_manage(actor),
        done=request.query_params.get("done", ""),
    )


@router.get("/new")
async def new_responder(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """Show the empty form."""
    return await _form(request, ctx, now, actor, None, Typed(division=actor.division), {})


@router.post("")
async def create_responder(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """Add a responder."""
    typed = Typed.of_form(await form_values(request))
    try:
        async with ctx.db.transaction() as tx:
            prefix = await frame.division_of(tx, actor, typed.division)
            await roster.create(tx, ctx.cipher, actor, typed.wanted(prefix), now)
    except Invalid as error:
        errors = frame.errors_of(error, words_of(request, now))
        return await _form(request, ctx, now, actor, None, typed, errors)
    return RedirectResponse(f"{PATH}?done=created", HTTPStatus.SEE_OTHER)


@router.get("/{responder_id}")
async def responder_page(
    request: Request, ctx: Context, now: Now, actor: Manager, responder_id: uuid.UUID
) -> Response:
    """Show the form of a responder."""
    return await _form(request, ctx, now, actor, responder_id, None, {})


@router.post("/{responder_id}")
async def edit_responder(
    request: Request, ctx: Context, now: Now, actor: Manager, responder_id: uuid.UUID
) -> Response:
    """Change a responder."""
    typed = Typed.of_form(await form_values(request))
    try:
        async with ctx.db.transaction() as tx:
            prefix = await frame.division_of(tx, actor, typed.division)
            await roster.edit(
                tx, ctx.cipher, actor, responder_id, typed.version, typed.wanted(prefix), now
            )
    except Invalid as error:
        errors = frame.errors_of(error, words_of(request, now))
        return await _form(request, ctx, now, actor, responder_id, typed, errors)
    except Conflict:
        return frame.overtaken(request, now)
    return RedirectResponse(f"{PATH}?done=saved", HTTPStatus.SEE_OTHER)


async def in_scope(responder_id: uuid.UUID, ctx: Context, actor: Viewer) -> None:
    """FastAPI dependency: raise NotFound for one of elsewhere, before the form is judged."""
    async with ctx.db.connection() as conn:
        await roster.get(conn, actor, responder_id)


@router.post("/{responder_id}/duty", dependencies=[Depends(in_scope)])
async def set_duty(
    ctx: Context,
    now: Now,
    actor: Viewer,
    responder_id: uuid.UUID,
    on_duty: Annotated[bool, Field()],
) -> Response:
    """Put a responder on or off duty."""
    async with ctx.db.transaction() as tx:
        await roster.set_duty(tx, actor, responder_id, on_duty, now)
    done = "on_duty" if on_duty else "off_duty"
    return RedirectResponse(f"{PATH}?done={done}", HTTPStatus.SEE_OTHER)


async def _form(
    request: Request,
    ctx: WebContext,
    now: datetime,
    actor: Actor,
    responder_id: uuid.UUID | None,
    typed: Typed | None,
    errors: dict[str, str],
) -> Response:
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        row = await roster.get(conn, actor, responder_id) if responder_id else None
        found = await roster_store.accounts(conn, actor.division)
        offered = await frame.choices(conn, actor)
    kept = (row.user_id, row.account or "") if row and row.user_id else None
    return show(
        request,
        "console/responders/form.html",
        now,
        status=frame.status_of(errors),
        row=row,
        typed=typed or (Typed.of_row(row) if row else Typed()),
        errors=errors,
        skills=[(skill.value, tr.gettext(text)) for skill, text in SKILLS.items()],
        divisions=offered,
        accounts=frame.account_options(found, tr, kept),
        phone=frame.masked(ctx.cipher, row.phone_enc) if row else "",
    )
