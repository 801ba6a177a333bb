"""The live feed of the console: server-sent events (WHATWG HTML, 9.2) for one person's division.

Each frame is `data: {"event": …, …}` with ids and codes only. The first is `resync`: whatever came
before the connection is on the page that is rendered now. `beat` comes every 15 s, so that a dead
line is noticed at both ends. The stream ends when the session ends, when the feed's own line to the
database stays cut (the browser says so and tries again), and at once when the server shuts down.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kernel.auth import service as auth
from kernel.auth.model import Actor, Permission, Session
from kernel.auth.web import current_actor
from kernel.db import TRANSIENT_ERRORS, Database
from kernel.errors import Unavailable
from kernel.live import CLOSING, RESYNC, LiveEvent, LiveHub
from kernel.web import WebContext, get_context, get_now

router = APIRouter(tags=["live"])
BEAT_SECONDS = 15.0
# How long a feed may be deaf when somebody connects: our listener reconnects within a second.
DEAF_SECONDS = 3.0
# The session is asked for about once a minute: every fourth beat.
BEATS_BETWEEN_CHECKS = 4
RETRY = b"retry: 1000\n\n"
BEAT = b": keep-alive\nevent: beat\ndata: {}\n\n"

# Events and who may hear of them; every other one is for everybody (`resync`).
HEARD_WITH = {"incident.": Permission.INCIDENT_READ, "device.": Permission.DEVICE_READ}

StillValid = Callable[[], Awaitable[bool]]


def frame(event: LiveEvent) -> bytes:
    """Return one event as a frame; json leaves no line end that could break it."""
    body = json.dumps({**event.data, "event": event.event}, ensure_ascii=False)
    return f"data: {body}\n\n".encode()


def may_hear(actor: Actor, event: str) -> bool:
    """Whether an event is for somebody of these roles."""
    return all(
        actor.may(permission)
        for beginning, permission in HEARD_WITH.items()
        if event.startswith(beginning)
    )


async def events(
    hub: LiveHub,
    actor: Actor,
    still_valid: StillValid,
    *,
    beat_seconds: float = BEAT_SECONDS,
) -> AsyncIterator[bytes]:
    """Yield the frames of a person's division and roles until there is a reason to end."""
    async with hub.subscribe(actor.division) as queue:
        # Subscribed before this is sent: nothing falls between the page and the feed.
        yield RETRY + frame(LiveEvent(RESYNC))
        loop = asyncio.get_running_loop()
        beats, next_beat = 0, loop.time() + beat_seconds
        while not hub.closing:
            try:
                async with asyncio.timeout_at(next_beat):
                    event = await queue.get()
            except TimeoutError:
                event = None
            if event is not None and event.event == CLOSING:
                return
            if event is not None and may_hear(actor, event.event):
                yield frame(event)
            # By the clock, not by silence: a busy feed ends with its session as well.
            if loop.time() >= next_beat:
                beats, next_beat = beats + 1, loop.time() + beat_seconds
                if not hub.listening.is_set():
                    return
                if beats % BEATS_BETWEEN_CHECKS == 0 and not await still_valid():
                    return
                yield BEAT


class EventStream(Response):
    """Sends frames until they end or the browser is gone; the generator is always closed."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        headers = {
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "X-Content-Type-Options": "nosniff",
        }
        self.status_code = 200
        self.background = None
        self._frames = frames
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the response (ASGI)."""
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sending = asyncio.create_task(self._send_all(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        # A browser that went away between two frames raises OSError here; that is an end as well.
        with contextlib.suppress(OSError):
            try:
                async for chunk in self._frames:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                close = getattr(self._frames, "aclose", None)
                if close is not None:
                    await close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def session_check(db: Database, session: Session, now: Callable[[], datetime]) -> StillValid:
    """Return the question whether a session still holds; a database that is away ends nothing."""

    async def still_valid() -> bool:
        try:
            return await auth.keep_alive(db, session, now())
        except TRANSIENT_ERRORS:
            return True

    return still_valid


@router.get("/live")
async def live(
    request: Request,
    ctx: Annotated[WebContext, Depends(get_context)],
    actor: Annotated[Actor, Depends(current_actor)],
) -> Response:
    """Return what a person may hear of their division. 503 while we are deaf ourselves."""
    try:
        async with asyncio.timeout(DEAF_SECONDS):
            await ctx.hub.listening.wait()
    except TimeoutError as error:
        raise Unavailable("the live feed has no line to the database") from error
    clock = request.app.dependency_overrides.get(get_now, get_now)
    check = session_check(ctx.db, request.state.session, clock)
    return EventStream(events(ctx.hub, actor, check))
