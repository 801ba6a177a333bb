"""The login page, logging out, and where a person starts."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from dashboards.console.show import show, words_of
from dashboards.ui.filters import when_text
from dashboards.ui.i18n import N_, Translator
from kernel.auth import prelogin, service, web
from kernel.auth.attempts import LockedOut, TooManyFromAddress
from kernel.auth.model import Actor, Permission, Session
from kernel.errors import DomainError
from kernel.web import WebContext, get_context, get_now

router = APIRouter()
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]

# Where the work of somebody with the permission is; the first that fits. Who may look at incidents
# but not take them works elsewhere.
_HOMES = (
    (Permission.INCIDENT_HANDLE, "/console"),
    (Permission.USER_ADMIN, "/console/staff"),
    (Permission.ELDER_WRITE, "/console/elders"),
    (Permission.DEVICE_WRITE, "/console/fleet"),
    (Permission.ELDER_READ, "/console/elders"),
    (Permission.DEVICE_READ, "/console/devices"),
    (Permission.AUDIT_READ, "/console/audit"),
)


def home_of(actor: Actor) -> str:
    """Return the page where a person's work begins."""
    return next((path for permission, path in _HOMES if actor.may(permission)), "/account")


@router.get("/")
async def start(actor: Annotated[Actor, Depends(web.current_actor)]) -> Response:
    """Send a person to where their work is."""
    return RedirectResponse(home_of(actor), HTTPStatus.SEE_OTHER)


@router.get("/login", name="login", dependencies=[Depends(web.public)])
async def login_page(request: Request, ctx: Context, now: Now, next: str = "") -> Response:
    """Show the form; who is logged in already goes on at once."""
    token = request.cookies.get(web.COOKIE, "")
    session = await service.find(ctx.db, token, now) if token else None
    if session is not None and web.wants_page(request):
        return _go_on(session, next)
    return _form(request, ctx, now, next)


@router.post("/login", dependencies=[Depends(web.public)])
async def login(request: Request, ctx: Context, now: Now) -> Response:
    """Open a session: 303 to where the person wanted to go, or JSON for who asks for it."""
    # Nobody is known yet: no files, which would be written to disk.
    fields = await request.form(max_files=0, max_fields=10)
    username, password, wanted = (
        value if isinstance(value := fields.get(name, ""), str) else ""
        for name in ("username", "password", "next")
    )
    try:
        await prelogin.check(request, ctx)
        opened = await service.login(
            ctx.db,
            username=username,
            password=password,
            client_ip=web.client_ip(request, ctx),
            user_agent=request.headers.get("user-agent", ""),
            now=now,
            old_token=request.cookies.get(web.COOKIE),
        )
    except (service.LoginRefused, LockedOut, TooManyFromAddress, web.CsrfFailed) as error:
        if not web.wants_page(request):
            raise
        return _form(request, ctx, now, wanted, username=username, error=error)
    actor, csrf_token = opened.session.actor, opened.session.csrf_token
    response = (
        _go_on(opened.session, wanted)
        if web.wants_page(request)
        else JSONResponse({"username": actor.username, "csrf_token": csrf_token})
    )
    web.set_session_cookie(response, opened, ctx)
    return response


@router.post("/logout")
async def logout(
    request: Request, ctx: Context, now: Now, session: Annotated[Session, Depends(web.signed_in)]
) -> Response:
    """End the session and show the login page."""
    async with ctx.db.transaction() as tx:
        await service.logout(tx, session, now)
    response = web.leave_to(request, web.LOGIN_PATH)
    web.clear_session_cookie(response, ctx)
    return response


def _go_on(session: Session, wanted: str) -> Response:
    target = web.local_path(wanted, home_of(session.actor))
    if session.must_change_password:
        target = web.PASSWORD_PATH
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)


def _form(
    request: Request,
    ctx: WebContext,
    now: datetime,
    wanted: str,
    *,
    username: str = "",
    error: DomainError | None = None,
) -> Response:
    nonce = prelogin.nonce_of(request)
    token = prelogin.form_token(nonce, ctx)
    response: Response
    if web.wants_page(request):
        request.state.csrf_token = token
        response = show(
            request,
            "console/login.html",
            now,
            status=error.status if error else 200,
            next=web.local_path(wanted, ""),
            username=username,
            refusal=refusal(error, now, words_of(request, now)) if error else "",
            accounts=getattr(request.app.state, "demo_accounts", ()) if ctx.demo else (),
        )
    else:
        response = JSONResponse({"csrf_token": token})
        response.headers["Cache-Control"] = "no-store"
    prelogin.set_cookie(response, nonce, ctx)
    return response


def refusal(error: DomainError, now: datetime, tr: Translator) -> str:
    """Return the sentence for a login that was refused: what happened and what to do."""
    if isinstance(error, LockedOut):
        until = when_text(error.facts["locked_until"], now, tr)
        return tr.gettext(
            N_("连续输错 5 次，为保护账号已锁定，%(time)s 后可以再试。急用请联系管理员解锁。")
        ) % {"time": until}
    if isinstance(error, TooManyFromAddress):
        return tr.gettext(N_("这个网络失败的登录太多。请 5 分钟后再试。"))
    if isinstance(error, web.CsrfFailed):
        return tr.gettext(N_("登录页面已过期，请再输入一次。"))
    return tr.gettext(N_("用户名或密码不对。请检查大小写后再试；忘记密码请联系管理员重置。"))
