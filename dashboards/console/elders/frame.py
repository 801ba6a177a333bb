"""What every route of the elders' pages shares: dependencies, rendering, form values."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from dashboards.ui.environment import Pages
from dashboards.ui.i18n import Translator, translator
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.web import WebContext, get_context, get_now

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


def see_other(path: str) -> Response:
    """Send the browser on after something was done."""
    return RedirectResponse(path, 303)


def language(actor: Actor) -> Translator:
    """Return the translator of the person's language."""
    return translator(actor.locale)


async def form_values(request: Request) -> dict[str, str]:
    """Return the text fields of a form. Of a name that comes twice the last one counts: a button's
    value stands behind a hidden field of the same name.
    """
    form = await request.form()
    return {name: value for name, value in form.multi_items() if not isinstance(value, UploadFile)}


def uuid_in(values: Mapping[str, str], name: str) -> uuid.UUID | None:
    """Return an id that a form sent, None when it is none."""
    try:
        return uuid.UUID(values.get(name, ""))
    except ValueError:
        return None


def number_in(values: Mapping[str, str], name: str, default: int = 0) -> int:
    """Return a whole number that a form sent, the default when it is none."""
    text = values.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default
