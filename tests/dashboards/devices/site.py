"""The pages of devices and dead letters on a real application, and people who are logged in."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape

import httpx
from fastapi import APIRouter, Depends, FastAPI
from playwright.async_api import Browser, BrowserContext, Page
from starlette.responses import Response

from app.web import add_error_handlers
from dashboards.console.devices import router as devices_router
from dashboards.ui.assets import AssetFiles
from dashboards.ui.environment import Pages
from kernel.auth import service, users
from kernel.auth.model import SYSTEM, Actor, Role
from kernel.auth.web import COOKIE, public
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.live import LiveHub
from kernel.web import WebContext, get_now
from tests.serving import serving as served

PASSWORD = "four-horses-run"


class Clock:
    """The time of the requests; tests move it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


def make_app(
    db: Database, cipher: FieldCipher, clock: Clock, pages: Pages, *routers: APIRouter
) -> FastAPI:
    """Build an application with these routers and a quiet shell around them."""
    made = FastAPI()
    made.state.context = WebContext(
        db=db, cipher=cipher, hub=LiveHub(db), public_url="", secure_cookies=False
    )
    made.state.pages = pages
    made.mount("/assets", AssetFiles())
    for router in routers or (devices_router,):
        made.include_router(router)
    made.dependency_overrides[get_now] = lambda: clock.now
    add_error_handlers(made)

    @made.get("/console/queue", dependencies=[Depends(public)])
    async def queue() -> Response:
        return Response('<div data-queue data-count="0"></div>', media_type="text/html")

    @made.get("/live", dependencies=[Depends(public)])
    async def live() -> Response:
        return Response("retry: 60000\n\n", media_type="text/event-stream")

    return made


class Visitor(httpx.AsyncClient):
    """A person's browser without scripts: sends forms with their token, stays on redirects."""

    csrf = ""
    page = ""
    actor: Actor

    async def open(self, path: str) -> httpx.Response:
        response = await self.get(path)
        self.page = response.text
        return response

    async def submit(self, path: str, **fields: object) -> httpx.Response:
        """Send a form; hidden fields of the open page (its version) go along."""
        hidden = dict(
            re.findall(r'<input type="hidden" name="(version)" value="([^"]*)"', self.page)
        )
        data = {"_csrf": self.csrf} | hidden | {name: str(value) for name, value in fields.items()}
        response = await self.post(path, data=data)
        if response.status_code != 303:
            self.page = response.text
        return response

    async def follow(self, response: httpx.Response) -> httpx.Response:
        """Go where a form's answer sends the browser."""
        return await self.open(response.headers["location"])

    @property
    def text(self) -> str:
        """What a person reads: no tags, single spaces."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.page)).split())


@dataclass
class Site:
    """An application, its database and its time."""

    app: FastAPI
    db: Database
    clock: Clock
    visitors: list[Visitor] = field(default_factory=list)

    async def account(
        self,
        username: str,
        *roles: Role,
        name: str = "巴图",
        division: str = "1501",
        locale: str = "zh",
        theme: str = "auto",
    ) -> service.NewSession:
        """Make an account and log in with it."""
        async with self.db.transaction() as tx:
            await users.create_user(
                tx, username=username, display_name=name, roles=frozenset(roles),
                division=division, password=PASSWORD, must_change_password=False, actor=SYSTEM,
                now=self.clock.now, locale=locale,
            )  # fmt: skip
            await tx.execute(
                "UPDATE user_account SET theme = %s WHERE username = %s", (theme, username)
            )
        return await service.login(
            self.db, username=username, password=PASSWORD, client_ip="127.0.0.1",
            user_agent="test", now=self.clock.now,
        )  # fmt: skip

    async def visitor(
        self, username: str, *roles: Role, name: str = "巴图", division: str = "1501",
        locale: str = "zh",
    ) -> Visitor:  # fmt: skip
        """Log somebody in, without a server in between."""
        opened = await self.account(username, *roles, name=name, division=division, locale=locale)
        made = Visitor(
            transport=httpx.ASGITransport(self.app),
            base_url="http://console",
            headers={"Accept": "text/html"},
            cookies={COOKIE: opened.token},
        )
        made.csrf, made.actor = opened.session.csrf_token, opened.session.actor
        self.visitors.append(made)
        return made


async def make_site(
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages, *routers: APIRouter
) -> Site:
    """Build the application."""
    clock = Clock(now)
    return Site(make_app(db, cipher, clock, pages, *routers), db, clock)


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[str]:
    """Serve the application on a port; yields its address."""
    async with served(site.app) as url:
        yield url


async def browse(
    chromium: Browser, url: str, token: str, size: tuple[int, int] = (1366, 768), **options: object
) -> tuple[BrowserContext, Page]:
    """Open a tab of a real browser for who has this session."""
    context = await chromium.new_context(
        base_url=url,
        viewport={"width": size[0], "height": size[1]},
        locale="zh-CN",
        **options,  # type: ignore[arg-type]
    )
    context.set_default_timeout(30_000)
    await context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
    return context, await context.new_page()
