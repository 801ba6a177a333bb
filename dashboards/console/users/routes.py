"""Accounts: list, create, edit, reset, unlock, log out. For the administrator of a division."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.console.account.device import device_name
from dashboards.console.account.words import PROBLEMS, errors_of
from dashboards.console.sealed import elsewhere, plain, sent_on
from dashboards.console.show import show, words_of
from dashboards.console.typed import see_other
from dashboards.console.users.forms import Typed, division_choices, resolve_division, short_code
from dashboards.console.users.words import ROLE_HINTS, STATES
from dashboards.ui.i18n import N_
from dashboards.ui.listing import Listing
from kernel import divisions
from kernel.auth import passwords, service, users, web
from kernel.auth.model import Actor, Permission, User
from kernel.auth.users import UserFilters
from kernel.db import Tx
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext, get_context, get_now

PATH = "/console/staff"
SORTS = ("username", "display_name", "created")
FILTERS = ("q", "role", "state")
router = APIRouter(prefix=PATH)
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Admin = Annotated[Actor, Depends(web.requires(Permission.USER_ADMIN))]


@router.post("/find")
async def find(request: Request, ctx: Context, actor: Admin) -> Response:
    """Search and filter: on to the list, whose address names nobody."""
    return await sent_on(request, ctx.cipher, actor, PATH, sorts=SORTS, filters=FILTERS)


@router.get("")
async def user_list(request: Request, ctx: Context, now: Now, actor: Admin) -> Response:
    """List the accounts of the administrator's division."""
    listing = Listing.from_query(PATH, request.query_params, sorts=SORTS, filters=FILTERS)
    if address := elsewhere(ctx.cipher, actor, listing):
        return see_other(address)
    wanted = plain(ctx.cipher, actor, listing)
    filters = UserFilters(wanted["q"], wanted.get("role", ""), wanted.get("state", ""))
    order = f"-{listing.sort}" if listing.descending else listing.sort
    async with ctx.db.connection() as conn:
        found, total = await users.search(
            conn, actor, filters, now, order=order, limit=listing.per_page, offset=listing.offset
        )
        listing = listing.of(total)
        if total and not found:
            found, _ = await users.search(
                conn, actor, filters, now, order=order, limit=listing.per_page,
                offset=listing.offset,
            )  # fmt: skip
        places = await _places(conn, found)
    tr = words_of(request, now)
    return show(
        request,
        "console/users/list.html",
        now,
        listing=listing,
        query=wanted["q"],
        rows=found,
        places=places,
        states=[(code, tr.gettext(text)) for code, text in STATES.items()],
    )


async def _places(tx: Tx, found: list[User]) -> Mapping[str, str]:
    """Return prefix → full name; the whole country is left out."""
    names = await divisions.path_names(tx, {divisions.pad(u.division) for u in found if u.division})
    return {divisions.significant_prefix(code): name for code, name in names.items()}


@router.get("/new")
async def new_user(request: Request, ctx: Context, now: Now, actor: Admin) -> Response:
    """Show the empty form."""
    return await _new_form(request, ctx, now, actor, Typed(division=actor.division), {})


@router.post("")
async def create_user(request: Request, ctx: Context, now: Now, actor: Admin) -> Response:
    """Create an account and show its temporary password, once."""
    typed = Typed.of_form(await request.form())
    tr = words_of(request, now)
    secret = passwords.temporary_password()
    problem: str | None = None
    try:
        async with ctx.db.transaction() as tx:
            division, problem = await resolve_division(tx, actor, typed.division)
            user = await users.create_user(
                tx,
                username=typed.username,
                display_name=typed.display_name,
                roles=typed.roles,
                division=actor.division if problem else division,
                password=secret,
                must_change_password=True,
                actor=actor,
                now=now,
            )
            _refuse_division(problem)
    except Invalid as error:
        errors = errors_of(error, tr) | _division_error(problem, tr.gettext)
        return await _new_form(request, ctx, now, actor, typed, errors)
    return show(request, "console/users/password.html", now, user=user, secret=secret, created=True)


def _refuse_division(problem: str | None) -> None:
    """Undo the transaction. Called last, so that the other fields have been judged as well."""
    if problem:
        raise Invalid("The division is not known.", problems={})


def _division_error(problem: str | None, translate: Any) -> dict[str, str]:
    return {"division": translate(PROBLEMS[problem])} if problem else {}


async def _new_form(
    request: Request,
    ctx: WebContext,
    now: datetime,
    actor: Actor,
    typed: Typed,
    errors: dict[str, str],
) -> Response:
    return show(
        request,
        "console/users/new.html",
        now,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK,
        typed=typed,
        errors=errors,
        **await _choices(ctx, actor),
    )


async def _choices(ctx: WebContext, actor: Actor) -> dict[str, Any]:
    async with ctx.db.connection() as conn:
        choices = await division_choices(conn, actor)
    return {
        "hints": ROLE_HINTS,
        "divisions": [(short_code(one), one.name) for one in choices],
    }


@router.get("/{user_id}")
async def user_page(
    request: Request, ctx: Context, now: Now, actor: Admin, user_id: uuid.UUID
) -> Response:
    """Show an account with its form, state and sessions."""
    return await _edit_form(request, ctx, now, actor, user_id, None, {})


@router.post("/{user_id}")
async def edit_user(
    request: Request, ctx: Context, now: Now, actor: Admin, user_id: uuid.UUID
) -> Response:
    """Change an account."""
    typed = Typed.of_form(await request.form())
    tr = words_of(request, now)
    problem: str | None = None
    try:
        async with ctx.db.transaction() as tx:
            current = await users.get(tx, actor, user_id)
            division, problem = await resolve_division(tx, actor, typed.division)
            await users.edit_user(
                tx,
                actor,
                user_id,
                typed.version,
                typed.account(current.division if problem else division),
                now,
            )
            _refuse_division(problem)
    except Invalid as error:
        errors = errors_of(error, tr) | _division_error(problem, tr.gettext)
        return await _edit_form(request, ctx, now, actor, user_id, typed, errors)
    except Conflict:
        sentence = tr.gettext(
            N_("这个账号刚刚被别人修改过，没有覆盖对方的修改。请重新打开这一页再改。")
        )
        return show(
            request, "console/error.html", now, status=HTTPStatus.CONFLICT, sentence=sentence
        )
    return _back(user_id, "saved")


async def _edit_form(
    request: Request,
    ctx: WebContext,
    now: datetime,
    actor: Actor,
    user_id: uuid.UUID,
    typed: Typed | None,
    errors: dict[str, str],
) -> Response:
    async with ctx.db.connection() as conn:
        user = await users.get(conn, actor, user_id)
        sessions = await service.sessions_of(conn, user, now)
        places = await _places(conn, [user])
    return show(
        request,
        "console/users/user.html",
        now,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK,
        user=user,
        typed=typed or Typed.of_user(user),
        errors=errors,
        sessions=sessions,
        device=device_name,
        place=places.get(user.division, ""),
        locked=user.locked_until is not None and user.locked_until > now,
        own=user.id == actor.user_id,
        done=request.query_params.get("done", ""),
        **await _choices(ctx, actor),
    )


def _back(user_id: uuid.UUID, done: str) -> Response:
    return RedirectResponse(f"{PATH}/{user_id}?done={done}", HTTPStatus.SEE_OTHER)


@router.post("/{user_id}/password")
async def reset_password(
    request: Request, ctx: Context, now: Now, actor: Admin, user_id: uuid.UUID
) -> Response:
    """Give an account a temporary password, shown once."""
    async with ctx.db.transaction() as tx:
        user, secret = await users.reset_password(tx, actor, user_id, now)
    return show(
        request, "console/users/password.html", now, user=user, secret=secret, created=False
    )


@router.post("/{user_id}/unlock")
async def unlock_user(ctx: Context, now: Now, actor: Admin, user_id: uuid.UUID) -> Response:
    """End a lock-out before its time."""
    async with ctx.db.transaction() as tx:
        await users.unlock_user(tx, actor, user_id, now)
    return _back(user_id, "unlocked")


@router.post("/{user_id}/sessions/end")
async def end_sessions(ctx: Context, now: Now, actor: Admin, user_id: uuid.UUID) -> Response:
    """Log a person out everywhere."""
    async with ctx.db.transaction() as tx:
        await users.end_sessions(tx, actor, user_id, now)
    return _back(user_id, "logged_out")


async def in_scope(user_id: uuid.UUID, ctx: Context, actor: Admin) -> None:
    """FastAPI dependency: raise NotFound for an account of elsewhere, before the form is judged."""
    async with ctx.db.connection() as conn:
        await users.get(conn, actor, user_id)


@router.post("/{user_id}/duty", dependencies=[Depends(in_scope)])
async def set_duty(
    ctx: Context,
    now: Now,
    actor: Admin,
    user_id: uuid.UUID,
    on_duty: Annotated[bool, Form()],
) -> Response:
    """Put a person on or off duty."""
    async with ctx.db.transaction() as tx:
        await users.set_on_duty(tx, actor, user_id, on_duty, now)
    return _back(user_id, "on_duty" if on_duty else "off_duty")
