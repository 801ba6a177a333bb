"""A device's client certificates: sign its request, take in another authority's, revoke."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    DeviceToChange,
    DeviceToRead,
    Now,
    Writer,
    form_values,
    path_of,
    see_other,
    show,
)
from dashboards.console.show import words_of
from devices.certificates import authority as authorities
from devices.certificates import service
from devices.certificates.authority import USUAL_DAYS, AuthorityMissing
from devices.certificates.desk import AuthorityDesk
from devices.certificates.model import REASONS
from devices.registry.model import Device
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

router = APIRouter()
PATH = ROOT + "/{device_id}/certificates"
_TOLD = ("trusted", "revoked")


def _desk(request: Request) -> AuthorityDesk | None:
    found = getattr(request.app.state, "authority", None)
    return found if isinstance(found, AuthorityDesk) and found.present else None


@router.get(PATH)
async def certificates(request: Request, device: DeviceToRead, ctx: Context, now: Now) -> Response:
    """The device's certificates, and the forms for another one."""
    return await _page(request, ctx, now, device)


@router.post(PATH)
async def sign(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Sign the device's request and show the certificate; it holds nothing secret."""
    values = await form_values(request)
    days = values.get("days", "")
    try:
        desk = _desk(request)
        if desk is None:
            raise AuthorityMissing("There is no certificate authority here.")
        key = authorities.request_key(values.get("csr", ""), device.id)
        authority = await desk.open()
        number = int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0
        async with ctx.db.transaction() as tx:
            made = await service.issue(
                tx, authority, device.id, key, actor=actor, now=now, days=number
            )
    except Invalid as error:
        return await _page(request, ctx, now, device, values, error.fields)
    except (AuthorityMissing, Conflict) as error:
        code = "no_authority" if isinstance(error, AuthorityMissing) else "retired"
        return await _page(request, ctx, now, device, values, {"csr": code})
    return show(request, "certificate.html", now, device=device, made=made)


@router.post(PATH + "/trust")
async def trust(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Take in a certificate of another authority."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            text = values.get("certificate", "")
            await service.trust(tx, device.id, text, actor=actor, now=now)
    except Invalid as error:
        return await _page(request, ctx, now, device, values, error.fields)
    except Conflict:
        return await _page(request, ctx, now, device, values, {"certificate": "known"})
    return see_other(f"{path_of(device.id)}/certificates?done=trusted")


@router.post(PATH + "/revoke")
async def revoke(
    request: Request, device: DeviceToChange, actor: Writer, ctx: Context, now: Now
) -> Response:
    """End a certificate."""
    values = await form_values(request)
    async with ctx.db.transaction() as tx:
        serial, reason = values.get("serial", ""), values.get("reason", "")
        await service.revoke(tx, device.id, serial, reason, actor=actor, now=now)
    return see_other(f"{path_of(device.id)}/certificates?done=revoked")


async def _page(
    request: Request,
    ctx: WebContext,
    now: datetime,
    device: Device,
    values: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        rows = await service.of_device(conn, device.no)
    done = request.query_params.get("done", "")
    return show(
        request,
        "certificates.html",
        now,
        status=422 if wrong else 200,
        device=device,
        rows=rows,
        has_authority=_desk(request) is not None,
        reasons=[(code, tr.gettext(words.REVOKE_REASON[code])) for code in REASONS],
        values={"days": str(USUAL_DAYS)} | dict(values or {}),
        errors=words.errors_of(wrong or {}, tr),
        done=done if done in _TOLD else "",
    )
