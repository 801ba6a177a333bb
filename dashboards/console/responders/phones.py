"""Duty phones: which numbers ring, in which order, when nobody claims."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.console.responders import frame
from dashboards.console.responders.frame import Context, Manager, Now
from dashboards.console.show import show, words_of
from dashboards.console.typed import form_values, number_in, uuid_in, version_in
from hotline.escalation import settings
from hotline.escalation.settings_store import PhoneRow
from hotline.responders import roster_store
from kernel.auth.model import Actor
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

PATH = "/console/duty-phones"
router = APIRouter(prefix=PATH)


@dataclass(frozen=True, slots=True)
class Typed:
    """The fields as they stand in the page."""

    division: str = ""
    position: str = "1"
    name: str = ""
    phone: str = ""
    user_id: str = ""
    version: int = 0

    @classmethod
    def of_form(cls, form: frame.Form) -> "Typed":
        """Read what a browser sent."""
        user_id = str(uuid_in(form, "user_id") or "")
        words = {name: form.get(name, "") for name in ("division", "position", "name", "phone")}
        return cls(**words, user_id=user_id, version=version_in(form))

    @classmethod
    def of_row(cls, row: PhoneRow) -> "Typed":
        """Fill the form; the number stays hidden."""
        user_id = str(row.user_id or "")
        return cls(row.division, str(row.position), row.name, "", user_id, row.version)

    def wanted(self, division: str) -> settings.PhoneForm:
        """Return what the service takes."""
        position = number_in({"position": self.position}, "position", -1)
        user_id = uuid.UUID(self.user_id) if self.user_id else None
        return settings.PhoneForm(division, position, self.name, self.phone, user_id)


@router.get("")
async def phone_list(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """List the duty phones of the person's division in the order in which they ring."""
    async with ctx.db.connection() as conn:
        rows = await settings.phones(conn, actor)
        tr = words_of(request, now)
        names = await frame.places(conn, {row.division for row in rows}, tr)
    return show(
        request,
        "console/responders/phones.html",
        now,
        rows=rows,
        places=names,
        phones={row.id: frame.masked(ctx.cipher, row.phone_enc) for row in rows},
        done=request.query_params.get("done", ""),
    )


@router.get("/new")
async def new_phone(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """Show the empty form."""
    return await _form(request, ctx, now, actor, None, Typed(division=actor.division), {})


@router.post("")
async def create_phone(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """Add a duty phone."""
    return await _save(request, ctx, now, actor, None)


@router.get("/{phone_id}")
async def phone_page(
    request: Request, ctx: Context, now: Now, actor: Manager, phone_id: uuid.UUID
) -> Response:
    """Show the form of a duty phone."""
    return await _form(request, ctx, now, actor, phone_id, None, {})


@router.post("/{phone_id}")
async def edit_phone(
    request: Request, ctx: Context, now: Now, actor: Manager, phone_id: uuid.UUID
) -> Response:
    """Change a duty phone."""
    return await _save(request, ctx, now, actor, phone_id)


@router.post("/{phone_id}/remove")
async def remove_phone(
    request: Request, ctx: Context, now: Now, actor: Manager, phone_id: uuid.UUID
) -> Response:
    """Remove a duty phone."""
    version = version_in(await form_values(request))
    try:
        async with ctx.db.transaction() as tx:
            await settings.remove_phone(tx, actor, phone_id, version, now)
    except Conflict:
        return frame.overtaken(request, now)
    return RedirectResponse(f"{PATH}?done=removed", HTTPStatus.SEE_OTHER)


async def _save(
    request: Request, ctx: WebContext, now: datetime, actor: Actor, phone_id: uuid.UUID | None
) -> Response:
    typed = Typed.of_form(await form_values(request))
    try:
        async with ctx.db.transaction() as tx:
            division = await frame.division_of(tx, actor, typed.division)
            await settings.save_phone(
                tx, ctx.cipher, actor, phone_id, typed.version, typed.wanted(division), now
            )
    except Invalid as error:
        errors = frame.errors_of(error, words_of(request, now))
        return await _form(request, ctx, now, actor, phone_id, typed, errors)
    except Conflict:
        return frame.overtaken(request, now)
    return RedirectResponse(f"{PATH}?done=saved", HTTPStatus.SEE_OTHER)


async def _form(
    request: Request,
    ctx: WebContext,
    now: datetime,
    actor: Actor,
    phone_id: uuid.UUID | None,
    typed: Typed | None,
    errors: dict[str, str],
) -> Response:
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        row = await settings.phone(conn, actor, phone_id) if phone_id else None
        found = await roster_store.accounts(conn, actor.division, settings.CLAIMERS)
        offered = await frame.choices(conn, actor)
    kept = (row.user_id, row.claims_for or "") if row and row.user_id else None
    return show(
        request,
        "console/responders/phone.html",
        now,
        status=frame.status_of(errors),
        row=row,
        typed=typed or (Typed.of_row(row) if row else Typed()),
        errors=errors,
        divisions=offered,
        accounts=frame.account_options(found, tr, kept),
        phone=frame.masked(ctx.cipher, row.phone_enc) if row else "",
    )
