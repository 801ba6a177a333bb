"""JSON for the scripts of an incident's page: the chart of vital signs and the map's markers."""

import uuid
from datetime import datetime, timedelta

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from care.elders import service as elders
from dashboards.console.elders.vitals import chart_data
from dashboards.console.incidents import reading
from dashboards.console.incidents.frame import ROOT, Context, Now, Reader, Revealer, language
from dashboards.console.incidents.people import needs_all
from dashboards.console.incidents.view import possible
from hotline.incidents.model import Action, Incident, Status
from hotline.responders import service as responders
from kernel.errors import NotFound

router = APIRouter(prefix=ROOT)
_SPAN = timedelta(hours=24)
# What happened just before and after belongs to the picture.
_MARGIN = timedelta(minutes=30)
_LONGEST = timedelta(hours=72)
_FRESH = {"Cache-Control": "no-store"}


def span_of(incident: Incident, now: datetime) -> tuple[datetime, datetime]:
    """Return what the chart shows: 24 hours up to now, or up to the end of a resolved incident.

    An incident that has been open for longer is drawn from before its alarm, 72 hours at most.
    """
    end = now
    if incident.status is Status.RESOLVED and incident.resolved_at is not None:
        end = min(now, incident.resolved_at + _MARGIN)
    start = min(end - _SPAN, incident.opened_at - _MARGIN)
    return max(start, end - _LONGEST), end


@router.get("/{incident_id}/vitals")
async def vitals(incident_id: uuid.UUID, ctx: Context, actor: Revealer, now: Now) -> Response:
    """The vital signs around the alarm; the reading is audited. Format: islands/chart-data.ts."""
    async with ctx.db.transaction() as tx:
        page = await reading.read_page(tx, incident_id, actor)
        elder_id = page.incident.elder_id
        if elder_id is None:
            raise NotFound("this device is bound to nobody")
        await elders.note_read(tx, actor, elder_id, now, part="vitals", hours=24)
        start, end = span_of(page.incident, now)
        data = await chart_data(tx, elder_id, language(actor), start=start, end=end)
    return JSONResponse(data, headers=_FRESH)


@router.get("/{incident_id}/markers")
async def markers(incident_id: uuid.UUID, ctx: Context, actor: Reader, now: Now) -> Response:
    """The map's markers for whoever works on it; for everybody else there are none."""
    async with ctx.db.transaction() as tx:
        page = await reading.read_page(tx, incident_id, actor)
        if not needs_all(actor, page.incident):
            return JSONResponse([], headers=_FRESH)
        await reading.note_reading(tx, page, actor, now, shown=True)
        others = []
        if Action.DISPATCH in possible(actor, page):
            others = reading.near(await responders.suggestions(tx, page.incident, now))
        found = await reading.markers(tx, page, others, language(actor))
    return JSONResponse(list(found), headers=_FRESH)
