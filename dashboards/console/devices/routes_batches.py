"""Batches of devices that register themselves: make one, see its key once, end it."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    Now,
    Writer,
    form_values,
    see_other,
    show,
)
from dashboards.console.devices.routes_register import place_choices
from dashboards.console.show import words_of
from dashboards.ui.i18n import N_
from devices.credentials.rules import wants_secret
from devices.profiles import PROFILES
from devices.provisioning import service
from kernel import divisions
from kernel.auth.model import Actor
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

router = APIRouter()
PATH = f"{ROOT}/batches"
LASTS: Mapping[str, str] = {
    "7": N_("7 天"),
    "30": N_("30 天"),
    "90": N_("90 天"),
    "365": N_("1 年"),
}


@router.get(PATH)
async def batches(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """The batches, and the form for another one."""
    return await _page(request, ctx, actor, now)


@router.post(PATH)
async def create(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Make a batch and show its key, this once."""
    values = await form_values(request)
    most, days = values.get("most", ""), values.get("lasts", "")
    try:
        async with ctx.db.transaction() as tx:
            made = await service.create(
                tx,
                batch=values.get("batch", ""),
                profile=values.get("profile", ""),
                division_code=values.get("division_code", ""),
                most=int(most) if most.isascii() and most.isdigit() and len(most) < 6 else 0,
                lasts=timedelta(days=int(days) if days in LASTS else 0),
                actor=actor,
                now=now,
            )
    except Invalid as error:
        return await _page(request, ctx, actor, now, values, error.fields)
    return show(request, "batch_key.html", now, made=made, address=f"{ctx.public_url}/provision")


@router.post(PATH + "/{batch_id}/revoke")
async def revoke(batch_id: uuid.UUID, actor: Writer, ctx: Context, now: Now) -> Response:
    """End a batch."""
    try:
        async with ctx.db.transaction() as tx:
            await service.revoke(tx, batch_id, actor=actor, now=now)
    except Conflict:
        # Somebody else has ended it: what was wanted is so.
        return see_other(f"{PATH}?done=revoked")
    return see_other(f"{PATH}?done=revoked")


async def _page(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    values: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        rows = await service.batches(conn, actor)
        places = await place_choices(conn, actor, (values or {}).get("division_code", ""))
        names = await divisions.path_names(conn, [row.division_code for row in rows])
    models = [
        (code, title)
        for code, title in words.model_choices(tr.locale)
        if code in PROFILES and wants_secret(code, behind_gateway=False)
    ]
    return show(
        request,
        "batches.html",
        now,
        status=422 if wrong else 200,
        rows=rows,
        place_names=names,
        places=places,
        models=models,
        lasts=[(code, tr.gettext(text)) for code, text in LASTS.items()],
        values={"lasts": "30", "most": "100", "profile": "sl-watch-1"} | dict(values or {}),
        errors=words.errors_of(wrong or {}, tr),
        done=request.query_params.get("done", ""),
    )
