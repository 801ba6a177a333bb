"""A small real web application around the shell and the gallery, under the strict policy.

It has no database: the pages are the product's own templates, the feed is driven by the test.
"""

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from dashboards.ui.assets import AssetFiles, Assets
from dashboards.ui.environment import Pages, UiSettings
from dashboards.ui.gallery import gallery_routes
from dashboards.ui.gallery_data import QueueItem, demo_data, demo_queue
from dashboards.ui.preferences import chosen_preferences, remember, safe_next
from dashboards.ui.view import view_of
from kernel.auth.model import Actor, Role
from kernel.clock import utcnow

WANG = Actor(
    uuid.UUID(int=1), "wangfang", "王芳", frozenset({Role.SUPERVISOR, Role.ADMINISTRATOR}), "1501"
)
TEMPLATES = Path(__file__).parent / "templates"


@dataclass
class Stage:
    """What the test moves: the queue, who is logged in, and the feed's subscribers."""

    queue: list[QueueItem] = field(default_factory=list)
    feeds: set[asyncio.Queue[str | None]] = field(default_factory=set)
    actor: Actor = WANG
    feed_status: int = 200
    queue_status: int = 200
    feeds_opened: int = 0
    posts: list[str] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None
    url: str = ""

    def reset(self) -> None:
        """Return to the quiet beginning of a test."""
        self.queue, self.posts = [], []
        self.actor = WANG
        self.feed_status = self.queue_status = 200
        self.feeds_opened = 0

    def publish(self, event: str, **data: object) -> None:
        """Send an event to every connected browser."""
        self._put(f"data: {json.dumps({'event': event, **data})}\n\n")

    def cut(self) -> None:
        """Break every feed, as a restart of the web process does."""
        self._put(None)

    def open_incident(self, item: QueueItem) -> None:
        """Put an incident on the queue and say so."""
        self.queue = [item, *self.queue]
        self.publish("incident.opened", id=item.id, severity=item.severity, kind=item.kind)

    def change(self, item_id: str, event: str = "incident.changed", **changes: Any) -> None:
        """Change an incident and say so."""
        found = self.find(item_id)
        changed = replace(found, **changes)
        self.queue = [changed if item is found else item for item in self.queue]
        self.publish(event, id=item_id, severity=changed.severity, status=changed.status)

    def find(self, item_id: str) -> QueueItem:
        """Return an item of the queue."""
        return next(item for item in self.queue if item.id == item_id)

    def _put(self, text: str | None) -> None:
        if self.loop is None:
            raise RuntimeError("the harness is not running")
        for feed in list(self.feeds):
            self.loop.call_soon_threadsafe(feed.put_nowait, text)


class Desk:
    """Renders for one request as who is logged in, with this browser's own preferences."""

    def __init__(self, pages: Pages, stage: Stage) -> None:
        self.pages = pages
        self.stage = stage

    def show(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        locale = request.cookies.get("locale", "zh")
        actor = replace(self.stage.actor, locale=locale)
        seen = view_of(request, now=utcnow(), actor=actor, csrf_token="token")
        theme, size = request.cookies.get("theme", "auto"), request.cookies.get("size", "normal")
        seen = replace(seen, theme=theme, size=size)
        text = self.pages.render(template, seen, status=status, **values)
        return self.pages.html(text, seen.locale, status)


def make_app(stage: Stage) -> FastAPI:
    """Build the application."""
    pages = Pages(UiSettings(demo=True), Assets(), {"test": TEMPLATES})
    app = FastAPI()
    app.mount("/assets", AssetFiles())
    app.include_router(gallery_routes(pages))
    desk = Desk(pages, stage)
    _pages(app, stage, desk)
    _queue(app, stage, desk)
    _actions(app, stage, desk)
    _feed(app, stage)
    return app


def _pages(app: FastAPI, stage: Stage, desk: Desk) -> None:
    @app.get("/console")
    async def home(request: Request) -> Response:
        return desk.show(request, "test/home.html", heading="警情", section="incidents")

    @app.get("/console/elders")
    async def elders(request: Request) -> Response:
        return desk.show(request, "test/home.html", heading="老人", section="elders")

    @app.get("/console/incidents/{item_id}")
    async def incident(request: Request, item_id: str) -> Response:
        demo = demo_data(utcnow(), "zh-CN")
        return desk.show(request, "test/incident.html", incident=stage.find(item_id), demo=demo)

    @app.get("/console/incidents/{item_id}/status")
    async def status(request: Request, item_id: str) -> Response:
        return desk.show(request, "test/status.html", incident=stage.find(item_id))

    @app.get("/console/missing")
    async def missing(request: Request) -> Response:
        return desk.show(request, "console/error.html", 404)

    @app.get("/login")
    async def login(request: Request) -> Response:
        refusal = "用户名或密码不对。" if request.query_params.get("wrong") else ""
        accounts = [
            ("wangfang", "demo-1234", "王芳", "operator"),
            ("zhaolei", "demo-1234", "赵磊", "supervisor"),
        ]
        return desk.pages.response(
            request,
            "console/login.html",
            now=utcnow(),
            csrf_token="token",
            refusal=refusal,
            username="wangfang" if refusal else "",
            accounts=accounts,
        )

    @app.post("/preferences")
    async def preferences(request: Request) -> Response:
        form = await request.form()
        response = RedirectResponse(safe_next(form.get("next")), 303)
        remember(response, chosen_preferences(form), secure=False)
        return response


def _queue(app: FastAPI, stage: Stage, desk: Desk) -> None:
    @app.get("/console/queue")
    async def queue(request: Request) -> Response:
        if stage.queue_status != 200:
            return Response(status_code=stage.queue_status)
        return desk.show(request, "test/queue.html", items=stage.queue)


def _actions(app: FastAPI, stage: Stage, desk: Desk) -> None:
    @app.post("/console/incidents/{item_id}/acknowledge")
    async def acknowledge(request: Request, item_id: str) -> Response:
        token = request.headers.get("X-CSRF-Token") or (await request.form()).get("_csrf")
        stage.posts.append(f"{item_id} {token}")
        stage.change(item_id, status="acknowledged", claimed_by="王芳")
        return RedirectResponse(f"/console/incidents/{item_id}", 303)

    @app.post("/console/incidents/{item_id}/taken")
    async def taken(request: Request, item_id: str) -> Response:
        return desk.show(
            request, "console/error.html", 409, sentence="赵磊 已在今天 14:03 派出 李强"
        )


def _feed(app: FastAPI, stage: Stage) -> None:
    @app.get("/live")
    async def live() -> Response:
        if stage.feed_status != 200:
            return Response(status_code=stage.feed_status)
        feed: asyncio.Queue[str | None] = asyncio.Queue()
        stage.feeds.add(feed)
        stage.feeds_opened += 1

        async def lines() -> AsyncIterator[str]:
            try:
                yield "retry: 300\n\n"
                while (text := await feed.get()) is not None:
                    yield text
            finally:
                stage.feeds.discard(feed)

        return StreamingResponse(lines(), media_type="text/event-stream")


@contextmanager
def running(stage: Stage, port: int = 0) -> Iterator[str]:
    """Serve the application in a thread; yields its address."""
    config = uvicorn.Config(make_app(stage), port=port, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    started = threading.Event()

    async def serve() -> None:
        stage.loop = asyncio.get_running_loop()
        task = asyncio.create_task(server.serve())
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        started.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    started.wait(60)
    stage.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield stage.url
    stage.cut()
    server.should_exit = True
    server.force_exit = True
    thread.join(10)


def busy_queue() -> list[QueueItem]:
    """Return the gallery's busy minute."""
    items = demo_queue(utcnow())
    return [replace(item, href=f"/console/incidents/{item.id}") for item in items]
