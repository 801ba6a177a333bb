"""What every route of the elders' pages shares: dependencies, rendering, form values."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import Response

from dashboards.console.typed import form_values, number_in, see_other, uuid_in
from dashboards.ui.environment import Pages
from dashboards.ui.i18n import Translator, translator
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.web import WebContext, get_context, get_now

__all__ = [
    "ROOT", "Context", "Importer", "Now", "Reader", "Revealer", "Writer", "form_values",
    "language", "number_in", "see_other", "show", "uuid_in",
]  # fmt: skip
ROOT = "/console/elders"
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Reader = Annotated[Actor, Depends(requires(Permission.ELDER_READ))]
Revealer = Annotated[Actor, Depends(requires(Permission.ELDER_READ, Permission.ELDER_REVEAL))]
Writer = Annotated[Actor, Depends(requires(Permission.ELDER_READ, Permission.ELDER_WRITE))]
Importer = Annotated[Actor, Depends(requires(Permission.ELDER_READ, Permission.ELDER_IMPORT))]


def show(
    request: Request,
    template: str,
    actor: Actor,
    now: datetime,
    *,
    status: int = 200,
    **values: Any,
) -> Response:
    """Render `console/elders/<template>` for the person."""
    pages: Pages = request.app.state.pages
    return pages.response(
        request,
        f"console/elders/{template}",
        now=now,
        actor=actor,
        csrf_token=request.state.csrf_token,
        status=status,
        may=lambda name: actor.may(Permission(name)),
        **values,
    )


def language(actor: Actor) -> Translator:
    """Return the translator of the person's language."""
    return translator(actor.locale)
