"""The devices behind a gateway: see, add and remove them on the gateway's own page."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    DeviceToChange,
    Now,
    Writer,
    form_values,
    path_of,
    see_other,
    show,
    too_late,
    version_in,
)
from dashboards.console.show import words_of
from devices.profiles import PROFILES, DeviceType
from devices.registry import finding, guard, inventory, service
from devices.registry.model import Device
from kernel.auth.model import Actor
from kernel.errors import Conflict, Invalid, NotFound
from kernel.web import WebContext

router = APIRouter()
PATH = ROOT + "/{device_id}/behind"
_DONE = ("added", "removed")


async def _gateway(device: DeviceToChange) -> Device:
    """FastAPI dependency: the gateway of an address. Raises NotFound, also for another device."""
    model = PROFILES.get(device.profile)
    if model is None or model.type is not DeviceType.GATEWAY:
        raise NotFound("This device is no gateway.", device_id=device.id)
    return device


Gateway = Annotated[Device, Depends(_gateway)]


@router.get(PATH)
async def behind(
    request: Request, gateway: Gateway, actor: Writer, ctx: Context, now: Now
) -> Response:
    """The devices behind it, and others to choose from."""
    return await _page(request, ctx, actor, now, gateway)


@router.post(PATH)
async def add(
    request: Request, gateway: Gateway, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Put a device behind the gateway."""
    return await _move(request, ctx, actor, now, gateway, add=True)


@router.post(PATH + "/remove")
async def remove(
    request: Request, gateway: Gateway, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Take a device from behind the gateway."""
    return await _move(request, ctx, actor, now, gateway, add=False)


async def _move(
    request: Request, ctx: WebContext, actor: Actor, now: datetime, gateway: Device, *, add: bool
) -> Response:
    values = await form_values(request)
    wanted = values.get("device", "")
    try:
        async with ctx.db.transaction() as tx:
            device = await guard.find(tx, wanted, actor)
            if not add and device.gateway_id != gateway.id:
                raise guard.changed(device)
            await service.correct(
                tx,
                device.no,
                serial=device.serial or "",
                gateway_id=gateway.id if add else "",
                division_code=device.division_code,
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, wanted, error)
    except (Invalid, NotFound):
        return await _page(request, ctx, actor, now, gateway, {"device": "unknown"})
    return see_other(f"{path_of(gateway.id)}/behind?done={'added' if add else 'removed'}")


async def _page(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    gateway: Device,
    wrong: dict[str, str] | None = None,
) -> Response:
    query = request.query_params.get("q", "").replace("\0", "")[:80]
    async with ctx.db.connection() as conn:
        rows = await inventory.behind(conn, gateway.no)
        found = await finding.to_put_behind(conn, gateway, actor, query)
    done = request.query_params.get("done", "")
    return show(
        request,
        "behind.html",
        now,
        status=422 if wrong else 200,
        device=gateway,
        rows=[row for row in rows if actor.covers(row.division_code)],
        hidden=sum(not actor.covers(row.division_code) for row in rows),
        found=found,
        query=query,
        errors=words.errors_of(wrong or {}, words_of(request, now)),
        done=done if done in _DONE else "",
        codec=PROFILES[gateway.profile].codec,
        connection_tone=words.CONNECTION_TONE,
    )
