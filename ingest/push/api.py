"""`POST /ingest/http/{codec}`: a platform pushes what its devices said.

The token of the source stands in the header `Authorization`, as `Bearer TOKEN` or as the password
of `Basic` (which is all that OwnTracks can send); in the address it is not looked for. Answers:

    200  everything is committed: what was new, what was known
    202  readable, but kept aside: for example a device that is not in the registry (yet)
    400  the body cannot be read from the line
    401  no valid token        403  the token is for another codec
    404  not pushed over HTTP  413  too large (kept aside)
    422  cannot be decoded (kept aside)
    429  too many requests, with Retry-After
    500  a fault of ours (kept aside)
    503  not stored, with Retry-After: send it again
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from devices.messages import CodecError
from ingest.limits import Buckets, Recent
from ingest.push import sources
from ingest.push.adapters import ADAPTERS, not_pushed
from ingest.push.desk import PushDesk
from ingest.push.model import Outcome, Push, Source
from kernel.auth.attempts import address_key
from kernel.auth.web import client_ip, public
from kernel.clock import monotonic
from kernel.errors import DomainError, Forbidden, Invalid, NotFound, Unauthenticated, Unavailable
from kernel.tokens import token_hash
from kernel.web import WebContext, get_context, get_now

router = APIRouter(tags=["push"])
SCAIP_TYPE = "application/scaip+xml"
_RETRY = "Retry-After"
_FRIENDS = 10_000


class PushGate:
    """Who may push, and how often: one for each web process."""

    def __init__(self, desk: PushDesk) -> None:
        settings = desk.settings
        self.desk = desk
        self._by_source = Buckets(rate=settings.rate, burst=settings.burst)
        # Guessing 256 bits is hopeless; this keeps the guesses off the database.
        self._strangers = Buckets(rate=1.0, burst=30.0)
        self._friends = Recent(_FRIENDS)

    async def enter(self, ctx: WebContext, token: str, address: str, now: datetime) -> Source:
        """Return the source that a token belongs to. Raises Unauthenticated and TooMany."""
        key, at = address_key(address), monotonic()
        digest = token_hash(token)
        # Behind one address there may be a platform with a wrong token and one whose alarms count.
        if digest not in self._friends and (wait := self._strangers.wait(key, at)):
            raise TooMany("Too many requests without a valid token.", wait)
        source = await sources.recognise(ctx.db, token, now)
        if source is None:
            self._friends.forget(digest)
            self._strangers.take(key, at)
            raise Unauthenticated("The header Authorization has no valid token of a source.")
        self._friends.note(digest)
        if wait := self._by_source.wait(source.id, at):
            raise TooMany("This source sends too much at once.", wait)
        self._by_source.take(source.id, at)
        return source


class TooMany(DomainError):
    """The sender has to wait; `seconds` until it may try again."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, retry_after=max(1, round(seconds)))


def get_gate(request: Request) -> PushGate:
    """FastAPI dependency: the gate of this process."""
    gate = request.app.state.push
    if not isinstance(gate, PushGate):
        raise RuntimeError("the application was made without a PushGate")
    return gate


@router.post("/ingest/http/{codec}", dependencies=[Depends(public)])
async def push(
    codec: str,
    request: Request,
    ctx: Annotated[WebContext, Depends(get_context)],
    gate: Annotated[PushGate, Depends(get_gate)],
    now: Annotated[datetime, Depends(get_now)],
) -> Response:
    """Take one push. Everybody may ask; only a token of the codec gets in."""
    try:
        source = await gate.enter(ctx, _token(request), client_ip(request, ctx), now)
        if codec not in ADAPTERS:
            raise NotFound(not_pushed(codec), pushed=sorted(ADAPTERS))
        if source.codec != codec:
            raise Forbidden(f"This token is for {source.codec}.", codec=source.codec)
        body, error = await _body(request, gate.desk.settings.largest_body)
        said = Push(body, dict(request.query_params), {k.lower(): v for k, v in _headers(request)})
        outcome = await gate.desk.take(source, said, now, error=error)
    except DomainError as refused:
        return _refused(refused)
    return _answer(codec, outcome)


def _headers(request: Request) -> list[tuple[str, str]]:
    """The headers that an adapter may look at: never the token."""
    return [(k, v) for k, v in request.headers.items() if k.lower() != "authorization"]


def _token(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]


async def _body(request: Request, largest: int) -> tuple[bytes, CodecError | None]:
    """The body up to a length; what is longer is an error with its beginning."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Invalid("The body must not be compressed.")
    parts: list[bytes] = []
    length = 0
    try:
        async for chunk in request.stream():
            parts.append(chunk)
            length += len(chunk)
            if length > largest:
                text = f"the body is longer than {largest} bytes"
                return b"".join(parts)[:largest], CodecError("oversized", text)
    except ClientDisconnect as error:
        raise Invalid("The body ended too early.") from error
    return b"".join(parts), None


def _refused(error: DomainError) -> Response:
    body = {"code": error.code, "message": error.message, "facts": error.facts}
    answer = JSONResponse(body, error.status)
    if isinstance(error, Unauthenticated):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="silverline"'
    if isinstance(error, Unavailable | TooMany):
        answer.headers[_RETRY] = str(error.facts.get("retry_after", 5))
    return answer


def _answer(codec: str, outcome: Outcome) -> Response:
    refused = [
        {"reason": each.reason, "detail": each.detail, "device": each.address}
        for each in outcome.refused
    ]
    status = _status(outcome, codec)
    if status == 200 and codec == "owntracks":
        # The telephone reads a list of what its friends say.
        return JSONResponse([])
    if status == 200 and codec == "scaip" and outcome.replies:
        return Response(outcome.replies[0], media_type=SCAIP_TYPE)
    body: dict[str, Any] = {
        "stored": outcome.stored,
        "known": outcome.known,
        "refused": refused,
    }
    if status >= 400:
        first = outcome.refused[0]
        body |= {"code": first.reason, "message": f"It was kept aside: {first.detail}."}
    return JSONResponse(body, status)


def _status(outcome: Outcome, codec: str) -> int:
    reasons = {each.reason for each in outcome.refused}
    if "processing_failed" in reasons:
        return 500
    if not reasons or outcome.stored or outcome.known:
        return 200
    if not outcome.decoded:
        return 413 if "oversized" in reasons else 422
    # A controller that reads an answer would take its alarm for heard; a platform that pushes for
    # many devices would be switched off by the refusals of one that is not registered yet.
    return 404 if codec == "scaip" else 202
