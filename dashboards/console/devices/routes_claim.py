"""Claiming a device in the home: scan its label or type its code, choose elder and room.

The code comes behind the "#" of the label's address, which no browser sends, and from there by a
form: it is in no address that a log keeps (assets/src/islands/claim.ts).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    Now,
    form_values,
    see_other,
    show,
    uuid_in,
)
from dashboards.console.devices.routes_bind import found_elders
from dashboards.console.show import words_of
from devices.claims import rules
from devices.claims import service as claims
from devices.registry.guard import DEVICE_ID
from devices.registry.model import Device
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

router = APIRouter()
PATH = f"{ROOT}/claim"
may_claim = requires(Permission.DEVICE_CLAIM, Permission.DEVICE_READ, Permission.ELDER_READ)
Claimer = Annotated[Actor, Depends(may_claim)]


@router.get(PATH, dependencies=[Depends(may_claim)])
async def enter(request: Request, now: Now) -> Response:
    """Ask for the code; a script fills in the one that was scanned and sends it."""
    done = request.query_params.get("done", "")
    return _code_page(request, now, done=done if DEVICE_ID.fullmatch(done) else "")


@router.post(PATH)
async def look(request: Request, actor: Claimer, ctx: Context, now: Now) -> Response:
    """Show the device of a code, and whom a search found."""
    values = await form_values(request)
    try:
        device = await claims.look_up(
            ctx.db, ctx.cipher, values.get("code", ""), actor=actor, now=now
        )
    except Invalid as error:
        return _code_page(request, now, values, error.fields)
    except Conflict:
        return _code_page(request, now, values, {"code": "not_in_stock"})
    return await _choose(request, ctx, actor, now, device, values)


@router.post(f"{PATH}/bind")
async def bind(request: Request, actor: Claimer, ctx: Context, now: Now) -> Response:
    """Use the code up: the device is the elder's."""
    values = await form_values(request)
    code, elder_id = values.get("code", ""), uuid_in(values, "elder_id")
    try:
        if elder_id is None:
            device = await claims.look_up(ctx.db, ctx.cipher, code, actor=actor, now=now)
            missing = {"elder_id": "required"}
            return await _choose(request, ctx, actor, now, device, values, missing)
        device = await claims.claim(
            ctx.db, ctx.cipher, code, elder_id, values.get("room", ""), actor=actor, now=now
        )
    except Conflict:
        return _code_page(request, now, values, {"code": "not_in_stock"})
    except Invalid as error:
        if "code" in error.fields:
            return _code_page(request, now, values, error.fields)
        device = await claims.look_up(ctx.db, ctx.cipher, code, actor=actor, now=now)
        return await _choose(request, ctx, actor, now, device, values, error.fields)
    return see_other(f"{PATH}?done={device.id}")


@router.get(f"{PATH}/bind", dependencies=[Depends(may_claim)])
async def begun_elsewhere() -> Response:
    """Whoever reloads the address of the second step begins again."""
    return see_other(PATH)


def _code_page(
    request: Request,
    now: datetime,
    values: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
    *,
    done: str = "",
) -> Response:
    return show(
        request,
        "claim.html",
        now,
        status=422 if wrong else 200,
        values=values or {},
        errors=words.errors_of(wrong or {}, words_of(request, now)),
        done=done,
    )


async def _choose(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    device: Device,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    query = values.get("q", "")[:80]
    found, total = await found_elders(ctx, actor, now, {**values, "q": query})
    chosen = values.get("elder_id", "")
    if not chosen and total == 1:
        chosen = str(found[0].id)
    return show(
        request,
        "claim_bind.html",
        now,
        status=422 if wrong else 200,
        device=device,
        code=rules.written(rules.read(values.get("code", "")) or ""),
        values={"q": query, "room": values.get("room", ""), "elder_id": chosen},
        found=found,
        total=total,
        errors=words.errors_of(wrong or {}, tr),
        rooms=[tr.gettext(room) for room in words.ROOMS],
    )
