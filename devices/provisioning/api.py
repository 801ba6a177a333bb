"""`POST /provision`: a device of a batch gets its id and its secret (docs/protocol.md, section 13).

The batch's key stands in the header `Authorization: Bearer KEY`; in the address it is not looked
for. Answers:

    201  registered: id and secret, shown this once
    200  had asked before and was never heard: the same id, a fresh secret
    401  no such batch, or a wrong key      403  the batch has ended
    409  registered already, or no place    422  the body is not as it should be
    429  too many wrong keys from this address, with Retry-After
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import JSONResponse, Response

from devices.credentials.model import PROTOCOL_PREFIX
from devices.provisioning import service
from kernel.auth.web import client_ip, public
from kernel.errors import DomainError, Invalid, RateLimited, Unauthenticated
from kernel.web import WebContext, get_context, get_now

router = APIRouter(tags=["provisioning"])
LARGEST_BODY = 4096


class Asked(BaseModel):
    """What a device sends."""

    model_config = ConfigDict(extra="ignore", strict=True)

    batch: str
    hardware: str


@router.post("/provision", dependencies=[Depends(public)])
async def provision(
    request: Request,
    ctx: Annotated[WebContext, Depends(get_context)],
    now: Annotated[datetime, Depends(get_now)],
) -> Response:
    """Register a device. Everybody may ask; only the key of an open batch gets in."""
    try:
        asked = await _asked(request)
        enrolled = await service.enrol(
            ctx.db,
            ctx.cipher,
            batch=asked.batch,
            key=_key(request),
            hardware=asked.hardware,
            client_ip=client_ip(request, ctx),
            now=now,
        )
    except DomainError as error:
        return _refused(error)
    secret = enrolled.secret
    body: dict[str, Any] = {
        "device_id": secret.device_id,
        "username": secret.username,
        "password": secret.password,
        "profile": enrolled.profile,
        "topics": f"{PROTOCOL_PREFIX}/{secret.device_id}/",
    }
    answer = JSONResponse(body, 200 if enrolled.again else 201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def _asked(request: Request) -> Asked:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Invalid("The body is too long.", {"body": "too_long"})
    try:
        return Asked.model_validate_json(body)
    except ValidationError as error:
        fields = {".".join(map(str, e["loc"])) or "body": e["type"] for e in error.errors()}
        raise Invalid("The body is a JSON object with batch and hardware.", fields) from error


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip()[:200] if scheme.lower() == "bearer" else ""


def _refused(error: DomainError) -> Response:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if isinstance(error, Invalid):
        body["fields"] = error.fields
    answer = JSONResponse(body, error.status)
    answer.headers["Cache-Control"] = "no-store"
    if isinstance(error, Unauthenticated):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="silverline"'
    if isinstance(error, RateLimited):
        answer.headers["Retry-After"] = str(error.facts.get("retry_after", 60))
    return answer
