"""Who is looking at a page, when, and in which language, theme and size."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from dashboards.ui.i18n import SOURCE_LOCALE, normal_locale
from kernel import languages
from kernel.auth.model import Actor

THEMES = ("auto", "light", "dark")
SIZES = ("normal", "medium", "large")
SEARCH_ENDED = "ended"
"""In an address: the search that stood there did not open, and the page has to say so."""


@dataclass(frozen=True, slots=True)
class View:
    """What every macro and filter may ask about the request; `now` is aware, in UTC.

    `partial` is true when htmx asked for the inside of `#main` alone, `search_ended` when the list
    is shown without the search that was meant.
    """

    now: datetime
    locale: str = SOURCE_LOCALE
    actor: Actor | None = None
    csrf_token: str = ""
    theme: str = "auto"
    size: str = "normal"
    path: str = "/"
    partial: bool = False
    search_ended: bool = False


def view_of(
    request: Request, *, now: datetime, actor: Actor | None = None, csrf_token: str = ""
) -> View:
    """Read a request. The person's own settings win; before login the cookies of this browser."""
    cookies = request.cookies
    if actor is not None:
        locale, theme, size = normal_locale(actor.locale), actor.theme, actor.text_size
    else:
        header = request.headers.get("accept-language")
        locale = normal_locale(languages.of_browser(cookies, header))
        theme, size = cookies.get("theme", "auto"), cookies.get("size", "normal")
    headers = request.headers
    partial = headers.get("HX-Request") == "true" and headers.get("HX-Target") == "main"
    query = f"?{request.url.query}" if request.url.query else ""
    return View(
        now=now,
        locale=locale,
        actor=actor,
        csrf_token=csrf_token,
        theme=theme if theme in THEMES else "auto",
        size=size if size in SIZES else "normal",
        path=request.url.path + query,
        search_ended=SEARCH_ENDED in request.query_params,
        partial=partial and headers.get("HX-History-Restore-Request") != "true",
    )


# Imported macros do not see the template's variables; filters have none. Rendering is synchronous,
# so a context variable set around it is exact, also with many requests at once.
_current: ContextVar[View] = ContextVar("view")


def current_view() -> View:
    """Return the view that is being rendered. Raises LookupError outside of a rendering."""
    return _current.get()
