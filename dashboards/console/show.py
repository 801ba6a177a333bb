"""Renders a page for the person of a request."""

from datetime import datetime
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse

from dashboards.ui.environment import Pages
from dashboards.ui.i18n import Translator, translator
from dashboards.ui.view import view_of
from kernel.auth.model import Actor


def show(
    request: Request, template: str, now: datetime, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Render a template with the actor and the CSRF token that the guards left on the request."""
    pages: Pages = request.app.state.pages
    return pages.response(
        request,
        template,
        now=now,
        actor=_actor(request),
        csrf_token=getattr(request.state, "csrf_token", ""),
        status=status,
        **values,
    )


def words_of(request: Request, now: datetime) -> Translator:
    """Return the translator of the person's language, for sentences that Python makes."""
    return translator(view_of(request, now=now, actor=_actor(request)).locale)


def _actor(request: Request) -> Actor | None:
    actor: Actor | None = getattr(request.state, "actor", None)
    return actor
