"""What every route of the incidents' pages shares: dependencies, rendering, forms and refusals."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from dashboards.console.incidents.words import problems_of, refusal
from dashboards.console.show import show as show_page
from dashboards.console.typed import form_values, uuid_in, version_in
from dashboards.ui.i18n import Translator, translator
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.db import Tx
from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from kernel.web import WebContext, get_context, get_now

ROOT = "/console/incidents"
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Reader = Annotated[Actor, Depends(requires(Permission.INCIDENT_READ))]
Handler = Annotated[Actor, Depends(requires(Permission.INCIDENT_READ, Permission.INCIDENT_HANDLE))]
Revealer = Annotated[Actor, Depends(requires(Permission.INCIDENT_READ, Permission.ELDER_REVEAL))]


def show(
    request: Request,
    template: str,
    actor: Actor,
    now: datetime,
    *,
    status: int = 200,
    **values: Any,
) -> Response:
    """Render `console/incidents/<template>` for the person."""
    return show_page(
        request,
        f"console/incidents/{template}",
        now,
        status=status,
        may=lambda name: actor.may(Permission(name)),
        **values,
    )


def language(actor: Actor) -> Translator:
    """Return the translator of the person's language."""
    return translator(actor.locale)


def by_script(request: Request) -> bool:
    """True when a script sent the form and wants the parts that changed, not a whole page."""
    headers = request.headers
    return headers.get("HX-Request") == "true" and headers.get("HX-Boosted") != "true"


@dataclass(frozen=True, slots=True)
class Sent:
    """A form about an incident, by somebody who may handle incidents."""

    request: Request
    ctx: WebContext
    actor: Actor
    now: datetime
    incident_id: uuid.UUID
    values: Mapping[str, str]

    @property
    def version(self) -> int:
        """The version that the person saw; 0, which no incident has, when the form has none."""
        return version_in(self.values)

    def id_of(self, name: str) -> uuid.UUID | None:
        """Return an id that the form sent, None when it is none."""
        return uuid_in(self.values, name)


async def _sent(
    request: Request, incident_id: uuid.UUID, ctx: Context, actor: Handler, now: Now
) -> Sent:
    return Sent(request, ctx, actor, now, incident_id, await form_values(request))


Form = Annotated[Sent, Depends(_sent)]
# Renders the incident's page again after a refusal: with the form's name, what was typed, what was
# wrong with it and a sentence. routes.py gives it, because it knows the page.
PageAgain = Callable[["Sent", "Refusal"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was done: the form that it is about, the status, and sentences (by field too)."""

    form: str
    status: int
    sentence: str
    fields: Mapping[str, str]


async def answered(
    sent: Sent,
    do: Callable[[Tx], Awaitable[object]],
    page_again: PageAgain,
    *,
    form: str,
    missing: str = "",
) -> Response:
    """Do it in one transaction and answer: what changed, or in place why not.

    `form` names the form on the page, `missing` is the Chinese sentence for something that is not
    there although the incident is. Raises NotFound when the incident is not the person's.
    """
    try:
        async with sent.ctx.db.transaction() as tx:
            await do(tx)
    except (Conflict, Forbidden, Invalid, NotFound) as error:
        return await _refused(sent, error, page_again, form, missing)
    return done(sent)


def done(sent: Sent) -> Response:
    """Send the browser on: to the page, or to the parts of it that a script puts in place."""
    path = f"{ROOT}/{sent.incident_id}"
    return RedirectResponse(f"{path}/parts" if by_script(sent.request) else path, 303)


async def _refused(
    sent: Sent, error: DomainError, page_again: PageAgain, form: str, missing: str
) -> Response:
    if isinstance(error, NotFound) and not missing:
        raise error
    tr = language(sent.actor)
    refused = Refusal(
        form, error.status, refusal(error, missing, tr, sent.now), problems_of(error, tr)
    )
    if not by_script(sent.request):
        return await page_again(sent, refused)
    if isinstance(error, Invalid):
        return show(
            sent.request, "refused_fields.html", sent.actor, sent.now, status=422, refused=refused
        )
    return show(
        sent.request, "refused.html", sent.actor, sent.now, status=error.status, refused=refused
    )
