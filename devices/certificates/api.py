"""JSON routes of certificates, mounted under /api: for who writes keys into many devices."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from devices.certificates import authority as authorities
from devices.certificates import service
from devices.certificates.authority import USUAL_DAYS, AuthorityMissing
from devices.certificates.desk import AuthorityDesk
from devices.certificates.model import CertificateRow
from devices.registry import guard
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.web import WebContext, get_context, get_now

router = APIRouter(prefix="/devices/{device_id}/certificates", tags=["devices"])
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
Reader = Annotated[Actor, Depends(requires(Permission.DEVICE_READ))]
Writer = Annotated[Actor, Depends(requires(Permission.DEVICE_READ, Permission.DEVICE_WRITE))]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RequestBody(_Body):
    """A signing request in PEM."""

    csr: str
    days: int = USUAL_DAYS


class RevokeBody(_Body):
    """Why it ends."""

    reason: str = "unspecified"


def authority_desk(request: Request) -> AuthorityDesk:
    """Return the authority of this process. Raises AuthorityMissing where it has none."""
    desk = getattr(request.app.state, "authority", None)
    if not isinstance(desk, AuthorityDesk):
        raise AuthorityMissing("There is no certificate authority here: silverline ca init.")
    return desk


@router.get("")
async def listed(device_id: str, actor: Reader, ctx: Context, now: Now) -> dict[str, Any]:
    """The device's certificates, newest first."""
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
        rows = await service.of_device(conn, device.no)
    return {"items": [_line(row, now) for row in rows]}


@router.post("", status_code=201)
async def issue(
    request: Request, device_id: str, body: RequestBody, actor: Writer, ctx: Context, now: Now
) -> dict[str, Any]:
    """Sign a request of the device."""
    authority = await authority_desk(request).open()
    key = authorities.request_key(body.csr, device_id)
    async with ctx.db.transaction() as tx:
        made = await service.issue(
            tx, authority, device_id, key, actor=actor, now=now, days=body.days
        )
    return {
        "serial": made.serial,
        "not_after": made.not_after.isoformat(),
        "certificate": made.certificate,
        "authority": made.authority,
    }


@router.post("/{serial}/revoke")
async def revoke(
    device_id: str, serial: str, body: RevokeBody, actor: Writer, ctx: Context, now: Now
) -> dict[str, Any]:
    """End a certificate at once."""
    async with ctx.db.transaction() as tx:
        await service.revoke(tx, device_id, serial, body.reason, actor=actor, now=now)
    return {"revoked": serial}


def _line(row: CertificateRow, now: datetime) -> dict[str, Any]:
    return {
        "serial": row.serial,
        "issuer": row.issuer,
        "own": row.own,
        "not_before": row.not_before.isoformat(),
        "not_after": row.not_after.isoformat(),
        "live": row.live(now),
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
        "revoke_reason": row.revoke_reason,
    }
