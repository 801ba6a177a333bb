"""One's own account: password, looks, sessions, duty."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from dashboards.console.account.device import device_name
from dashboards.console.account.login import Context, Now, home_of, refusal
from dashboards.console.account.words import errors_of
from dashboards.console.show import show, words_of
from dashboards.ui.preferences import chosen_preferences, remember, safe_next
from kernel import divisions
from kernel.auth import service, web
from kernel.auth.attempts import LockedOut, TooManyFromAddress
from kernel.auth.model import Actor, Session
from kernel.errors import Invalid

router = APIRouter()
api_router = APIRouter()
SignedIn = Annotated[Session, Depends(web.signed_in)]
Person = Annotated[Actor, Depends(web.current_actor)]


@api_router.get("/session")
async def session_api(session: SignedIn) -> Response:
    """Who is logged in, for programs: the token that unsafe methods must show, and the end."""
    actor = session.actor
    return JSONResponse(
        {
            "user_id": str(actor.user_id),
            "username": actor.username,
            "display_name": actor.display_name,
            "roles": sorted(actor.roles),
            "division": actor.division,
            "on_duty": actor.on_duty,
            "must_change_password": session.must_change_password,
            "csrf_token": session.csrf_token,
            "expires_at": session.expires_at.isoformat(),
        },
        headers={"Cache-Control": "no-store"},
    )


@router.get("/account")
async def account_page(request: Request, ctx: Context, now: Now, actor: Person) -> Response:
    """Show one's own account."""
    session: Session = request.state.session
    async with ctx.db.connection() as conn:
        sessions = await service.sessions_of(conn, actor, now)
        place = await divisions.scope_name(conn, actor.division)
    return show(
        request,
        "console/account/account.html",
        now,
        sessions=sessions,
        own=session.token_hash,
        place=place,
        device=device_name,
        changed=request.query_params.get("changed", ""),
    )


@router.get("/account/password")
async def password_page(request: Request, now: Now, session: SignedIn) -> Response:
    """Show the form for a new password."""
    return _password_form(request, now, session, {})


@router.post("/account/password")
async def change_password(
    request: Request,
    ctx: Context,
    now: Now,
    session: SignedIn,
    current: Annotated[str, Form()] = "",
    new: Annotated[str, Form()] = "",
    repeated: Annotated[str, Form()] = "",
) -> Response:
    """Change the password: every session ends, a fresh one opens in this browser."""
    tr = words_of(request, now)
    try:
        opened = await service.change_password(
            ctx.db,
            session,
            current=current,
            new=new,
            repeated=repeated,
            client_ip=web.client_ip(request, ctx),
            user_agent=request.headers.get("user-agent", ""),
            now=now,
        )
    except Invalid as error:
        return _password_form(request, now, session, errors_of(error, tr))
    except (LockedOut, TooManyFromAddress) as error:
        return _password_form(request, now, session, {"current": refusal(error, now, tr)})
    # The token in the page's frame is of the old session: the whole page is loaded anew.
    response = web.leave_to(request, "/account?changed=password")
    web.set_session_cookie(response, opened, ctx)
    return response


def _password_form(
    request: Request, now: Now, session: Session, errors: dict[str, str]
) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
    return show(
        request,
        "console/account/password.html",
        now,
        status=status,
        errors=errors,
        forced=session.must_change_password,
        home=home_of(session.actor),
    )


@router.post("/account/sessions/end")
async def end_other_sessions(ctx: Context, now: Now, session: SignedIn) -> Response:
    """Log out everywhere else."""
    async with ctx.db.transaction() as tx:
        await service.end_other_sessions(tx, session, now)
    return RedirectResponse("/account?changed=sessions", HTTPStatus.SEE_OTHER)


@router.post("/account/duty")
async def set_duty(
    ctx: Context,
    now: Now,
    actor: Person,
    on_duty: Annotated[bool, Form()],
    next: Annotated[str, Form()] = "/account",
) -> Response:
    """Go on or off duty."""
    async with ctx.db.transaction() as tx:
        await service.set_on_duty(tx, actor, on_duty, now)
    return RedirectResponse(web.local_path(next, "/account"), HTTPStatus.SEE_OTHER)


@router.post("/preferences", dependencies=[Depends(web.public)])
async def set_preferences(request: Request, ctx: Context, now: Now) -> Response:
    """Keep language, theme and size: with the account of who is logged in, else in the browser."""
    form = await request.form()
    chosen = chosen_preferences(form)
    token = request.cookies.get(web.COOKIE, "")
    session = await service.find(ctx.db, token, now) if token else None
    if session is not None:
        await web.check_csrf(request, session.csrf_token)
        actor = session.actor
        async with ctx.db.transaction() as tx:
            await service.set_preferences(
                tx,
                actor,
                locale=chosen.get("locale", actor.locale),
                theme=chosen.get("theme", actor.theme),
                text_size=chosen.get("size", actor.text_size),
            )
    response = RedirectResponse(safe_next(form.get("next")), HTTPStatus.SEE_OTHER)
    remember(response, chosen, secure=ctx.secure_cookies)
    return response
