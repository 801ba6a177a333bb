"""An incident's page, its parts that follow the live feed, and the router of all pages here."""

import uuid

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.incidents import data, demo, home, listing, moves, reaching
from dashboards.console.incidents.frame import ROOT, Context, Now, Reader, Revealer, show
from dashboards.console.incidents.pages import DIALOGS, incident_page, parts

router = APIRouter(tags=["incident pages"])
# The page of one incident comes last: its path would take /export.csv for an id.
for _part in (home, listing, data, demo, moves, reaching):
    router.include_router(_part.router)


@router.get(ROOT + "/{incident_id}")
async def page(
    request: Request, incident_id: uuid.UUID, ctx: Context, actor: Reader, now: Now, do: str = ""
) -> Response:
    """One incident; `do` opens the form of an action for browsers without scripts."""
    opened = do if do in DIALOGS else ""
    values = await incident_page(ctx, incident_id, actor, now, opened=opened)
    return show(request, "page.html", actor, now, **values)


@router.get(ROOT + "/{incident_id}/parts")
async def page_parts(
    request: Request, incident_id: uuid.UUID, ctx: Context, actor: Reader, now: Now
) -> Response:
    """The parts of the page that change, each to be put in place of the one with its id."""
    values = await parts(ctx, incident_id, actor, now)
    return show(request, "parts.html", actor, now, **values)


@router.post(ROOT + "/{incident_id}/reveal")
async def reveal(
    request: Request, incident_id: uuid.UUID, ctx: Context, actor: Revealer, now: Now
) -> Response:
    """The page with everything in plain text; in the audit log."""
    values = await incident_page(ctx, incident_id, actor, now, revealed=True)
    answer = show(request, "page.html", actor, now, **values)
    # The address stays that of the page: loading it again hides everything again.
    answer.headers["HX-Push-Url"] = "false"
    return answer
