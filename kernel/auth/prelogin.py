"""Protects the login form, before there is a session: signed double submit, and the Origin.

Without it another site could log an operator in under the attacker's account and watch what they
type. The cookie holds a random value, the form its HMAC under a key of ours: who can plant a cookie
still cannot make the pair.
"""

import secrets
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from kernel.auth.web import CSRF_FIELD, CsrfFailed
from kernel.web import WebContext

COOKIE = "silverline_login"
MAX_AGE = 24 * 3600


def nonce_of(request: Request) -> str:
    """Return the browser's value, or a fresh one: two open tabs share it."""
    found = request.cookies.get(COOKIE, "")
    return found if 20 <= len(found) <= 64 and found.isascii() else secrets.token_urlsafe(32)


def form_token(nonce: str, ctx: WebContext) -> str:
    """Return what the form carries in `_csrf`."""
    return ctx.cipher.blind_index("login-form", nonce).hex()


def set_cookie(response: Response, nonce: str, ctx: WebContext) -> None:
    """Give the browser its value; only the login page gets it back."""
    response.set_cookie(
        COOKIE,
        nonce,
        max_age=MAX_AGE,
        path="/login",
        httponly=True,
        samesite="strict",
        secure=ctx.secure_cookies,
    )


async def check(request: Request, ctx: WebContext) -> None:
    """Raise CsrfFailed unless the form came from our own login page in this browser."""
    origin = request.headers.get("origin")
    own = {request.headers.get("host", ""), urlsplit(ctx.public_url).netloc} - {""}
    given = (await request.form()).get(CSRF_FIELD)
    nonce = request.cookies.get(COOKIE, "")
    fits = (
        bool(nonce)
        and isinstance(given, str)
        and secrets.compare_digest(
            given.encode("utf-8", "replace"), form_token(nonce, ctx).encode()
        )
    )
    if not fits or (origin is not None and urlsplit(origin).netloc not in own):
        raise CsrfFailed("The login page is out of date; please load it again.")
