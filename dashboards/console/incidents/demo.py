"""The demonstration's buttons: an alarm by the way of a real one, and picking up a phone."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from dashboards.console.incidents import store
from dashboards.console.incidents.frame import ROOT, Context, Form, Handler, answered, by_script
from dashboards.console.incidents.pages import page_again
from dashboards.ui.i18n import N_
from hotline.contacts import service as contacts
from hotline.contacts import store as contact_store
from hotline.contacts.model import AttemptStatus, Key
from kernel.db import Tx
from kernel.errors import Invalid, NotFound
from kernel.web import WebContext

KINDS = frozenset({"fall", "sos", "smoke", "gas", "water_leak"})
router = APIRouter()


async def _only_in_demo(ctx: Context) -> WebContext:
    if not ctx.demo:
        raise NotFound("there is no such page")
    return ctx


Demo = Annotated[WebContext, Depends(_only_in_demo)]


@router.post("/console/demo/alarm")
async def alarm(request: Request, ctx: Demo, actor: Handler) -> Response:
    """Ask a simulated device for an alarm: it comes back over MQTT like any other."""
    del actor
    kind = str((await request.form()).get("kind", "fall"))
    if kind not in KINDS:
        raise Invalid("the demonstration has no such alarm", {"kind": "unknown"})
    async with ctx.db.transaction() as tx:
        await store.ask_demo(tx, {"do": "alarm", "kind": kind})
    # The queue follows the feed: a script has nothing to put in place.
    return Response(status_code=204) if by_script(request) else RedirectResponse("/console", 303)


@router.post(ROOT + "/{incident_id}/demo/answer/{attempt_id}")
async def answer(sent: Form, ctx: Demo, attempt_id: uuid.UUID) -> Response:
    """Pick up the phone of whoever is called, and press the key that the form says."""
    del ctx

    async def do(tx: Tx) -> None:
        attempt = await contact_store.within(tx, attempt_id, sent.actor.division)
        if attempt is None or attempt.incident_id != sent.incident_id:
            raise NotFound("there is no such call")
        key = sent.values.get("key", "")
        digits = key if key in set(Key) else None
        for status in (AttemptStatus.IN_PROGRESS, AttemptStatus.COMPLETED):
            await contacts.attempt_progress(tx, str(attempt_id), status, digits, sent.now)

    missing = N_("这个电话已经结束。")
    return await answered(sent, do, page_again, form="contacts", missing=missing)
