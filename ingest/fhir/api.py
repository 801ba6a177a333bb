"""`/fhir`: FHIR R4, read only: Observation, Device, and what the server can do.

A person comes with the session of the console and the permissions elder.read and device.read. A
system comes with a token in the header `Authorization: Bearer TOKEN`, made by
`silverline source add NAME --codec fhir --division PREFIX`, and sees what lies in its division.
Every answer is FHIR, errors too (OperationOutcome).
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from ingest.fhir import params, resources, service
from ingest.fhir.model import FhirError, Reader
from ingest.push.api import get_gate
from ingest.push.sources import FHIR
from kernel.auth.model import Actor, Permission
from kernel.auth.web import client_ip, current_actor, public, signed_in
from kernel.db import TRANSIENT_ERRORS
from kernel.errors import DomainError, Forbidden
from kernel.web import WebContext, get_context, get_now

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/fhir+json"
_ISSUES = {401: "login", 403: "forbidden", 404: "not-found", 429: "throttled", 503: "transient"}


class FhirRoute(APIRoute):
    """A route whose errors are OperationOutcomes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler; what is no domain error stays the application's."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except FhirError as error:
                return _refusal(error.http_status, error.issue, error.message)
            except DomainError as error:
                issue = _ISSUES.get(error.status, "invalid")
                answer = _refusal(error.status, issue, error.message)
                if "retry_after" in error.facts:
                    answer.headers["Retry-After"] = str(error.facts["retry_after"])
                return answer
            except TRANSIENT_ERRORS as error:
                log.warning("fhir.database_away", error=type(error).__name__)
                return _refusal(503, "transient", "The database does not answer.")

        return handler


router = APIRouter(prefix="/fhir", tags=["fhir"], route_class=FhirRoute)


async def get_reader(
    request: Request,
    ctx: Annotated[WebContext, Depends(get_context)],
    now: Annotated[datetime, Depends(get_now)],
) -> Reader:
    """FastAPI dependency: who asks. Raises Unauthenticated, Forbidden and TooMany."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        gate = get_gate(request)
        source = await gate.enter(ctx, token.strip(), client_ip(request, ctx), now)
        if source.codec != FHIR:
            raise Forbidden("This token is not for reading.")
        actor = Actor(None, f"source:{source.name}", source.name, frozenset(), source.division)
        return Reader(actor, observations=True, devices=True)
    actor = await current_actor(await signed_in(request, ctx, now))
    return Reader(actor, actor.may(Permission.ELDER_READ), actor.may(Permission.DEVICE_READ))


Context = Annotated[WebContext, Depends(get_context)]
Asking = Annotated[Reader, Depends(get_reader)]
Now = Annotated[datetime, Depends(get_now)]
# Open to everybody as far as the house's marks go: get_reader lets in sessions and tokens.
_OPEN = [Depends(public)]


@router.get("/metadata", dependencies=_OPEN)
async def metadata(ctx: Context, now: Now) -> Response:
    """What this server can do; open to everybody, as the standard wants it."""
    return _answer(resources.capability(_base(ctx), now))


@router.get("/Observation", dependencies=_OPEN)
async def observations(request: Request, ctx: Context, reader: Asking, now: Now) -> Response:
    """Search an elder's observations, the newest first."""
    pairs = request.query_params.multi_items()
    search = params.observation_search(pairs)
    async with ctx.db.transaction() as tx:
        found, following = await service.find_observations(tx, reader, search, now)
    return _answer(resources.bundle(_base(ctx), "Observation", pairs, found, following))


@router.get("/Observation/{observation_id}", dependencies=_OPEN)
async def observation(observation_id: str, ctx: Context, reader: Asking, now: Now) -> Response:
    """Read one observation."""
    async with ctx.db.transaction() as tx:
        return _answer(await service.one_observation(tx, reader, observation_id, now))


@router.get("/Device", dependencies=_OPEN)
async def devices(request: Request, ctx: Context, reader: Asking, now: Now) -> Response:
    """Search devices."""
    pairs = request.query_params.multi_items()
    search = params.device_search(pairs)
    async with ctx.db.transaction() as tx:
        found, following = await service.find_devices(tx, reader, search, now)
    return _answer(resources.bundle(_base(ctx), "Device", pairs, found, following))


@router.get("/Device/{device_no}", dependencies=_OPEN)
async def device(device_no: str, ctx: Context, reader: Asking, now: Now) -> Response:
    """Read one device."""
    async with ctx.db.transaction() as tx:
        return _answer(await service.one_device(tx, reader, device_no, now))


@router.get("/{rest:path}", dependencies=_OPEN)
async def anything_else(rest: str) -> Response:
    """What is not served is said in FHIR too."""
    del rest
    known = "Only Observation, Device and metadata are served."
    raise FhirError(known, issue="not-supported", status=404)


def _base(ctx: WebContext) -> str:
    return f"{ctx.public_url}/fhir"


def _answer(resource: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(resource, status, media_type=MEDIA_TYPE)


def _refusal(status: int, issue: str, text: str) -> JSONResponse:
    answer = _answer(resources.outcome(issue, text), status)
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="silverline"'
    return answer
