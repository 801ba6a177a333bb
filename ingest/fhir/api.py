"""`/fhir`: FHIR R4, read only: Observation, Device, Patient, and what the server can do.

A person comes with the session of the console and the permissions elder.read and device.read. A
system comes with a token in the header `Authorization: Bearer TOKEN`, made by
`silverline source add NAME --codec fhir --division PREFIX`, and sees what lies in its division.
Every answer is FHIR, errors too (OperationOutcome). A search comes by GET, or by POST to `_search`,
which keeps what is asked for out of the logs of proxies.
"""

import json
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from ingest.fhir import params, resources, service
from ingest.fhir.model import FhirError, Page, Reader
from ingest.fhir.negotiation import MEDIA_TYPE, check_format, is_lenient, is_pretty
from ingest.push.api import get_gate
from ingest.push.sources import FHIR
from kernel.auth.model import Actor, Permission
from kernel.auth.web import client_ip, current_actor, public, signed_in
from kernel.db import TRANSIENT_ERRORS
from kernel.errors import DomainError, Forbidden
from kernel.web import WebContext, get_context, get_now

log = structlog.get_logger(__name__)
_READ = ["GET", "HEAD"]
_EVERY = [*_READ, "POST", "PUT", "PATCH", "DELETE"]
_FORM = "application/x-www-form-urlencoded"
_ISSUES = {401: "login", 403: "forbidden", 404: "not-found", 429: "throttled", 503: "transient"}


class FhirRoute(APIRoute):
    """A route whose errors are OperationOutcomes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler; what is no domain error stays the application's."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                check_format(request)
                return _readable(request, await inner(request))
            except FhirError as error:
                return _refusal(error.http_status, error.issue, error.message)
            except DomainError as error:
                issue = _ISSUES.get(error.status, "invalid")
                answer = _refusal(error.status, issue, error.message)
                if "retry_after" in error.facts:
                    answer.headers["Retry-After"] = str(error.facts["retry_after"])
                return answer
            except HTTPException as error:
                # A form that is none, or has too many fields.
                return _refusal(error.status_code, "invalid", str(error.detail))
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
    people = actor.may(Permission.ELDER_READ)
    return Reader(actor, people, actor.may(Permission.DEVICE_READ), names=people)


Context = Annotated[WebContext, Depends(get_context)]
Asking = Annotated[Reader, Depends(get_reader)]
Now = Annotated[datetime, Depends(get_now)]
# Open to everybody as far as the house's marks go: get_reader lets in sessions and tokens.
_OPEN = [Depends(public)]


@router.api_route("/metadata", methods=_READ, dependencies=_OPEN)
async def metadata(ctx: Context, now: Now) -> Response:
    """What this server can do; open to everybody, as the standard wants it."""
    return _answer(resources.capability(_base(ctx), now))


@router.api_route("/Observation", methods=_READ, dependencies=_OPEN)
@router.post("/Observation/_search", dependencies=_OPEN)
async def observations(request: Request, ctx: Context, reader: Asking, now: Now) -> Response:
    """Search an elder's observations, the newest first unless asked otherwise."""
    pairs = await _asked(request, {*params.OBSERVATION, "_sort"})
    search = params.observation_search(pairs, _base(ctx), now)
    async with ctx.db.transaction() as tx:
        page = await service.find_observations(tx, reader, search, now)
    return _answer(resources.bundle(_base(ctx), "Observation", pairs, page))


@router.api_route("/Observation/{observation_id}", methods=_READ, dependencies=_OPEN)
async def observation(observation_id: str, ctx: Context, reader: Asking, now: Now) -> Response:
    """Read one observation."""
    async with ctx.db.transaction() as tx:
        return _answer(await service.one_observation(tx, reader, observation_id, now))


@router.api_route("/Device", methods=_READ, dependencies=_OPEN)
@router.post("/Device/_search", dependencies=_OPEN)
async def devices(request: Request, ctx: Context, reader: Asking, now: Now) -> Response:
    """Search devices."""
    pairs = await _asked(request, params.DEVICE)
    search = params.device_search(pairs, _base(ctx))
    async with ctx.db.transaction() as tx:
        page = await service.find_devices(tx, reader, search, now)
    return _answer(resources.bundle(_base(ctx), "Device", pairs, page))


@router.api_route("/Device/{device_no}", methods=_READ, dependencies=_OPEN)
async def device(device_no: str, ctx: Context, reader: Asking, now: Now) -> Response:
    """Read one device."""
    async with ctx.db.transaction() as tx:
        return _answer(await service.one_device(tx, reader, device_no, now))


@router.api_route("/Patient", methods=_READ, dependencies=_OPEN)
@router.post("/Patient/_search", dependencies=_OPEN)
async def patients(request: Request, ctx: Context, reader: Asking, now: Now) -> Response:
    """Find elders by their ids; by anything else they are not found here."""
    pairs = await _asked(request, params.PATIENT)
    wanted = params.patient_ids(pairs)
    async with ctx.db.transaction() as tx:
        page = Page(await service.find_patients(tx, reader, wanted, now))
    return _answer(resources.bundle(_base(ctx), "Patient", pairs, page))


@router.api_route("/Patient/{elder_id}", methods=_READ, dependencies=_OPEN)
async def patient(elder_id: str, ctx: Context, reader: Asking, now: Now) -> Response:
    """Read one elder, as far as a reference needs it."""
    async with ctx.db.transaction() as tx:
        return _answer(await service.one_patient(tx, reader, elder_id, now))


@router.api_route("/{rest:path}", methods=_EVERY, dependencies=_OPEN)
async def anything_else(rest: str, request: Request) -> Response:
    """What is not served is said in FHIR too."""
    kind = rest.partition("/")[0]
    if kind in resources.SERVED and request.method not in _READ:
        text = "This server is only read: GET, and POST to _search."
        answer = _refusal(405, "not-supported", text)
        answer.headers["Allow"] = ", ".join(_READ)
        return answer
    known = ", ".join(sorted(resources.SERVED))
    text = f"Only {known} and metadata are served, without versions and operations."
    raise FhirError(text, issue="not-supported", status=404)


async def _asked(request: Request, known: Iterable[str]) -> params.Pairs:
    """The parameters of a search: those of the address, and of the form where it is a POST."""
    pairs = request.query_params.multi_items()
    if request.method == "POST":
        if not request.headers.get("content-type", "").lower().startswith(_FORM):
            raise FhirError(f"A search by POST is {_FORM}.", issue="not-supported", status=415)
        form = await request.form(max_files=0, max_fields=100)
        pairs += [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return params.processed(pairs, known, lenient=is_lenient(request))


def _base(ctx: WebContext) -> str:
    return f"{ctx.public_url}/fhir"


def _answer(resource: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(resource, status, media_type=MEDIA_TYPE)


def _readable(request: Request, answer: Response) -> Response:
    """The same in lines, for who asked for it."""
    if not is_pretty(request):
        return answer
    text = json.dumps(json.loads(bytes(answer.body)), ensure_ascii=False, indent=2)
    return Response(text, answer.status_code, media_type=MEDIA_TYPE)


def _refusal(status: int, issue: str, text: str) -> JSONResponse:
    answer = _answer(resources.outcome(issue, text), status)
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="silverline"'
    return answer
