"""Binding a device to an elder: search somebody, choose the room."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from care.elders import service as elders
from care.elders.model import Elder
from care.roster import service as roster
from care.roster.model import RosterRow
from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Binder,
    Context,
    DeviceToBind,
    Now,
    done,
    form_values,
    path_of,
    see_other,
    show,
    too_late,
    uuid_in,
    version_in,
)
from dashboards.console.sealed import opened, sealed
from dashboards.console.show import words_of
from devices.registry import service
from devices.registry.machine import DeviceAction, possible
from devices.registry.model import Device
from kernel.auth.model import Actor
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

router = APIRouter()
_SHOWN = 12
PATH = ROOT + "/{device_id}/bind"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may be meant; `phone` is masked, `devices` how many they have, if known."""

    id: uuid.UUID
    name: str
    sex: str
    birth_date: date | None
    area: str
    phone: str
    devices: int | None


@router.get(PATH)
async def bind_form(
    request: Request, device: DeviceToBind, actor: Binder, ctx: Context, now: Now
) -> Response:
    """Search an elder; `elder` in the URL names one who was chosen elsewhere."""
    if DeviceAction.BIND not in possible(device.state):
        error = Conflict("The device cannot be bound now.", state=device.state.value)
        return await too_late(request, ctx, now, device.id, error)
    query = request.query_params
    values = {
        "q": opened(ctx.cipher, actor, query.get("q", "")).strip().replace("\0", "")[:80],
        "elder_id": query.get("elder", ""),
        "room": device.room,
        "version": str(device.version),
    }
    return await _form(request, ctx, actor, now, device, values)


@router.post(PATH + "/find")
async def find_elder(
    request: Request, device: DeviceToBind, actor: Binder, ctx: Context
) -> Response:
    """Search an elder; the address of the page that answers names nobody."""
    text = (await form_values(request)).get("q", "")[:80]
    query = urlencode({"q": sealed(ctx.cipher, actor, text)}) if text else ""
    return see_other(f"{path_of(device.id)}/bind" + (f"?{query}" if query else ""))


@router.post(PATH)
async def bind(
    request: Request, device: DeviceToBind, actor: Binder, ctx: Context, now: Now
) -> Response:
    """Give the device to the chosen elder."""
    values = await form_values(request)
    elder_id = uuid_in(values, "elder_id")
    try:
        if elder_id is None:
            raise Invalid("Nobody was chosen.", {"elder_id": "required"})
        async with ctx.db.transaction() as tx:
            await service.bind(
                tx,
                device.no,
                elder_id,
                values.get("room", ""),
                version=version_in(values),
                actor=actor,
                now=now,
            )
    except Conflict as error:
        return await too_late(request, ctx, now, device.id, error)
    except Invalid as error:
        return await _form(request, ctx, actor, now, device, values, error.fields)
    return done(device.id, "bound")


async def _form(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    device: Device,
    values: dict[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    found, total = await found_elders(ctx, actor, now, values)
    chosen = values.get("elder_id", "")
    if not chosen and total == 1:
        chosen = str(found[0].id)
    return show(
        request,
        "bind.html",
        now,
        status=422 if wrong else 200,
        device=device,
        values={"q": "", "room": "", "version": ""} | values | {"elder_id": chosen},
        found=found,
        total=total,
        errors=words.errors_of(wrong or {}, tr),
        rooms=[tr.gettext(room) for room in words.ROOMS],
    )


async def found_elders(
    ctx: WebContext, actor: Actor, now: datetime, values: Mapping[str, str]
) -> tuple[list[Candidate], int]:
    """Return whom the search found, or the one who was chosen, and how many there are."""
    elder_id = uuid_in(values, "elder_id")
    async with ctx.db.transaction() as tx:
        if query := values.get("q", ""):
            page = await roster.find(tx, ctx.cipher, actor, query, now, limit=_SHOWN)
            return [_of_row(row) for row in page.rows], page.total
        if elder_id is None:
            return [], 0
        elder = await elders.get(tx, ctx.cipher, actor, elder_id, now)
    return [_of_elder(elder)], 1


def _of_row(row: RosterRow) -> Candidate:
    return Candidate(row.id, row.name, row.sex, row.birth_date, row.area, row.phone, row.devices)


def _of_elder(elder: Elder) -> Candidate:
    phone = elder.phones[0].number if elder.phones else ""
    place = elder.division_name
    return Candidate(elder.id, elder.name, elder.sex, elder.birth_date, place, phone, None)
