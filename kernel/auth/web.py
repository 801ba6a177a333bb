"""Who is asking: cookies, sessions, CSRF and permissions of every route.

Each route has one of three marks, which `route_rules` lists and an architecture test demands:

    actor: Actor = Depends(requires(Permission.ELDER_READ))    these permissions, all of them
    actor: Actor = Depends(current_actor)                      anybody who is logged in
    dependencies=[Depends(public)]                             everybody; it checks what it needs

An unsafe method of a route with an actor must show the session's CSRF token in the header
X-CSRF-Token or the form field `_csrf`. Logging in, before there is a session, is protected by a
signed double-submit cookie and by the Origin header (kernel/auth/prelogin.py).
"""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import iter_route_contexts

from kernel import languages
from kernel.auth import service
from kernel.auth.model import Actor, Permission, Session
from kernel.errors import DomainError, Forbidden, Unauthenticated
from kernel.web import WebContext, get_context, get_now

COOKIE = "silverline_session"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "_csrf"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOGIN_PATH = "/login"
PASSWORD_PATH = "/account/password"  # noqa: S105 - a path
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class CsrfFailed(Forbidden):
    """The request does not carry the token of its session: another site may have sent it."""

    code = "csrf"


class PasswordChangeRequired(Forbidden):
    """The person logged in with a temporary password and must change it first."""

    code = "password_change_required"


async def signed_in(
    request: Request,
    ctx: Annotated[WebContext, Depends(get_context)],
    now: Annotated[datetime, Depends(get_now)],
) -> Session:
    """FastAPI dependency: the session, also of a person who must change the password first.

    One indexed query. Leaves `actor`, `csrf_token` and `session` on `request.state` for the pages.
    Raises Unauthenticated and CsrfFailed.
    """
    token = request.cookies.get(COOKIE, "")
    session = await service.find(ctx.db, token, now) if token else None
    if session is None:
        raise Unauthenticated("Please log in.")
    session = _spoken(request, session)
    request.state.session = session
    request.state.actor = session.actor
    request.state.csrf_token = session.csrf_token
    if request.method not in SAFE_METHODS:
        await check_csrf(request, session.csrf_token)
    return session


def _spoken(request: Request, session: Session) -> Session:
    """The session in the language that counts: the person's own, else that of this browser."""
    actor = session.actor
    if actor.locale != languages.AS_THE_BROWSER:
        return session
    language = languages.of_browser(request.cookies, request.headers.get("accept-language"))
    return replace(session, actor=replace(actor, locale=language))


async def current_actor(session: Annotated[Session, Depends(signed_in)]) -> Actor:
    """FastAPI dependency: the person who is logged in, whatever their roles."""
    if session.must_change_password:
        raise PasswordChangeRequired("Please change your temporary password first.")
    return session.actor


def requires(*permissions: Permission) -> Callable[[Actor], Awaitable[Actor]]:
    """Return a dependency that gives the actor and raises Forbidden unless they have all of these.

    Whether a row lies in the actor's division is asked where the row is read.
    """
    if not permissions:
        raise ValueError("requires() without a permission: use current_actor")

    async def permitted(actor: Annotated[Actor, Depends(current_actor)]) -> Actor:
        for permission in permissions:
            if not actor.may(permission):
                raise Forbidden("Your roles do not permit this.", permission=permission.value)
        return actor

    permitted.permissions = frozenset(permissions)  # type: ignore[attr-defined]
    return permitted


async def public() -> None:
    """FastAPI dependency that does nothing: the mark of a route that is open on purpose."""


async def check_csrf(request: Request, expected: str) -> None:
    """Raise CsrfFailed unless the header or the form field has the expected token."""
    given: Any = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORMS):
        given = (await request.form()).get(CSRF_FIELD)
    if not isinstance(given, str) or not secrets.compare_digest(
        given.encode("utf-8", "replace"), expected.encode()
    ):
        raise CsrfFailed("This form is out of date or came from elsewhere; please load it again.")


def set_session_cookie(response: Response, opened: service.NewSession, ctx: WebContext) -> None:
    """Give the browser its token: not for scripts, not for other sites, gone with the browser."""
    response.set_cookie(
        COOKIE, opened.token, path="/", httponly=True, samesite="lax", secure=ctx.secure_cookies
    )


def clear_session_cookie(response: Response, ctx: WebContext) -> None:
    """Take the token back."""
    response.delete_cookie(
        COOKIE, path="/", httponly=True, samesite="lax", secure=ctx.secure_cookies
    )


def local_path(wish: str | None, default: str = "/") -> str:
    """Return the path to go to after the login: one of ours, never another site.

    Browsers read `\\` as `/` and drop tabs and line ends, so `/\\evil.example` and `/<tab>/evil`
    are refused like `//evil.example`.
    """
    if not wish or len(wish) > 2000 or not wish.startswith("/") or wish.startswith("//"):
        return default
    if "\\" in wish or any(ord(char) < 33 or ord(char) == 127 for char in wish):
        return default
    parts = urlsplit(wish)
    if parts.scheme or parts.netloc or parts.path in (LOGIN_PATH, "/logout"):
        return default
    return wish


def client_ip(request: Request, ctx: WebContext) -> str:
    """Return the address of who asks: X-Forwarded-For counts as far as we trust who wrote it.

    `ctx.trusted_proxies` are addresses or networks. Each proxy appends the address that it saw, so
    the list is read from its end; the first address that is no proxy of ours is the client.
    """
    peer = request.client.host if request.client else ""
    hops = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",")]
    found = _address(peer)
    while hops and found and _trusted(found, ctx):
        following = _address(hops.pop())
        if following is None:
            break
        found = following
    return str(found) if found else "0.0.0.0"  # noqa: S104 - "unknown", nothing listens there


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@cache
def _networks(proxies: frozenset[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)


def _trusted(address: Address, ctx: WebContext) -> bool:
    return any(address in network for network in _networks(ctx.trusted_proxies))


def wants_page(request: Request) -> bool:
    """True when a person's browser asks for a page or for a part of one."""
    if request.url.path.startswith("/api/"):
        return False
    if request.headers.get("HX-Request") == "true":
        return True
    accept = request.headers.get("accept", "")
    return "text/html" in accept and "application/json" not in accept


def way_out(request: Request, error: DomainError) -> Response | None:
    """Return where a person goes who must log in or change the password; None for other errors."""
    if not wants_page(request):
        return None
    if isinstance(error, Unauthenticated):
        wanted = _page_of(request)
        target = LOGIN_PATH + (f"?next={quote(wanted, safe='/')}" if wanted != "/" else "")
    elif isinstance(error, PasswordChangeRequired):
        target = PASSWORD_PATH
    else:
        return None
    return leave_to(request, target, error.status)


def leave_to(request: Request, target: str, status: int = 204) -> Response:
    """Move the whole page: by a redirect, or for htmx by its header (with `status`).

    A plain redirect would put the login page into the fragment that asked.
    """
    if request.headers.get("HX-Request") == "true":
        return Response(status_code=status, headers={"HX-Redirect": target})
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)


def _page_of(request: Request) -> str:
    """Return the page to come back to: the address bar's, not that of a fragment or a form."""
    if request.headers.get("HX-Request") == "true":
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        return local_path(shown.path + (f"?{shown.query}" if shown.query else ""))
    if request.method not in SAFE_METHODS:
        return "/"
    query = f"?{request.url.query}" if request.url.query else ""
    return local_path(request.url.path + query)


@dataclass(frozen=True, slots=True)
class RouteRule:
    """What a route asks for. `permissions` is None when it asks for no person at all."""

    path: str
    methods: frozenset[str]
    permissions: frozenset[Permission] | None
    public: bool

    @property
    def guarded(self) -> bool:
        """True when the route has exactly one of the marks."""
        return self.public != (self.permissions is not None)


def route_rules(app: FastAPI) -> Iterator[RouteRule]:
    """Yield the rule of each route, of included routers too; mounted files are not routes."""
    for route in iter_route_contexts(app.routes):
        path, methods = route.path, route.methods
        if path is None or not methods:
            continue
        dependant = getattr(route, "dependant", None)
        calls = list(_calls(dependant)) if dependant else []
        permissions: frozenset[Permission] | None = None
        if signed_in in calls:
            permissions = frozenset().union(*(getattr(c, "permissions", ()) for c in calls))
        yield RouteRule(path, frozenset(methods), permissions, public in calls)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)
