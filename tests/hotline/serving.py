"""A real web server with the hotline's routes, and people logged in to it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI

from app.web import add_error_handlers
from dashboards.console import live
from dashboards.portal import responder
from dashboards.ui.assets import AssetFiles, Assets
from dashboards.ui.environment import Pages, UiSettings
from hotline.carrier import api as carrier_api
from hotline.incidents import api
from kernel.auth import service, store, web
from kernel.auth.model import Actor, Role, Session
from kernel.clock import utcnow
from kernel.live import LiveHub
from kernel.tokens import token_hash
from kernel.web import WebContext
from tests.hotline.world import World
from tests.serving import Server, listener, start


@dataclass
class Site:
    """The server's address, its feed, and how it is stopped."""

    url: str
    hub: LiveHub
    server: Server
    task: asyncio.Task[None]
    world: World
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def login(
        self, name: str = "王芳", *roles: Role, division: str = "1501"
    ) -> tuple[httpx.AsyncClient, Actor]:
        """Make an account with a session, and return a client with its cookie and CSRF token."""
        token, now = secrets.token_urlsafe(32), utcnow()
        actor = await self.world.user(name, *roles, division=division)
        session = Session(
            actor=actor, token_hash=token_hash(token), csrf_token=secrets.token_urlsafe(32),
            must_change_password=False, created_at=now, last_seen_at=now,
            expires_at=now + service.ABSOLUTE_LIMIT,
        )  # fmt: skip
        assert actor.user_id
        async with self.world.db.transaction() as tx:
            await store.insert_session(tx, actor.user_id, session, "127.0.0.1", "test")
        client = self.client()
        client.cookies.set(web.COOKIE, token)
        client.headers["X-CSRF-Token"] = session.csrf_token
        return client, actor

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client of nobody."""
        made = httpx.AsyncClient(
            base_url=self.url, timeout=20, trust_env=False,
            headers={"Accept": "application/json"} | headers,
        )  # fmt: skip
        self.clients.append(made)
        return made

    async def stop(self) -> None:
        """Stop as a process does: the feed first, then the server."""
        self.hub.close()
        self.server.stop()
        await self.task


@asynccontextmanager
async def serving(world: World, *, demo: bool = False) -> AsyncIterator[Site]:
    """Serve on a free port until the end of the block."""
    hub = LiveHub(world.db)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    on, url = listener()
    app.state.context = WebContext(
        db=world.db, cipher=world.cipher, hub=hub, public_url=url, secure_cookies=False, demo=demo
    )
    app.state.pages = Pages(UiSettings(), Assets())
    app.mount("/assets", AssetFiles())
    app.include_router(live.router)
    app.include_router(responder.router)
    app.include_router(api.router, prefix="/api")
    app.include_router(carrier_api.router, prefix="/api")
    add_error_handlers(app)
    await hub.start()
    server, task = start(app, on)
    site = Site(url, hub, server, task, world)
    try:
        async with asyncio.timeout(30):
            await hub.listening.wait()
        yield site
    finally:
        for client in site.clients:
            await client.aclose()
        if not task.done():
            await site.stop()
        await hub.stop()
