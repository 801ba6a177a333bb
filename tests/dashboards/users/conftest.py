"""The pages of accounts and audit with their real neighbours, and people who log in to them."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from html import unescape

import httpx
import pytest
from fastapi import FastAPI

from app.web import add_error_handlers
from dashboards.console.account.login import router as login_router
from dashboards.console.account.routes import api_router
from dashboards.console.account.routes import router as account_router
from dashboards.console.audit.routes import router as audit_router
from dashboards.console.users.routes import router as users_router
from dashboards.ui.environment import Pages
from kernel.auth import users
from kernel.auth.model import SYSTEM, Role, User
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.live import LiveHub
from kernel.web import WebContext, get_now

PASSWORD = "four-horses-run"
HOST = "https://console.example.cn"


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


class Clock:
    """The time of the requests; tests move it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def app(db: Database, cipher: FieldCipher, clock: Clock, pages: Pages) -> FastAPI:
    made = FastAPI()
    made.state.context = WebContext(
        db=db, cipher=cipher, hub=LiveHub(db), public_url=HOST, secure_cookies=True
    )
    made.state.pages = pages
    for router in (login_router, account_router, users_router, audit_router):
        made.include_router(router)
    made.include_router(api_router, prefix="/api")
    made.dependency_overrides[get_now] = lambda: clock.now
    add_error_handlers(made)
    return made


class Browser(httpx.AsyncClient):
    """A browser without scripts: keeps cookies, sends forms as they stand, stays on redirects."""

    page = ""

    async def open(self, path: str) -> httpx.Response:
        response = await self.get(path)
        self.page = response.text
        return response

    async def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with the CSRF token of the last page that was opened."""
        response = await self.post(path, data={"_csrf": self.token} | fields)
        if response.status_code != 303:
            self.page = response.text
        return response

    @property
    def token(self) -> str:
        found = re.search(r'name="_csrf" value="([^"]*)"', self.page)
        return unescape(found[1]) if found else ""

    @property
    def text(self) -> str:
        """What a person reads: no tags, single spaces."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.page)).split())

    async def log_in(
        self, username: str, password: str = PASSWORD, next: str = ""
    ) -> httpx.Response:
        await self.open("/login")
        return await self.submit("/login", username=username, password=password, next=next)


Open = Callable[..., Browser]


@pytest.fixture
async def open_browser(app: FastAPI) -> AsyncIterator[Open]:
    browsers: list[Browser] = []

    def open_one(**headers: str) -> Browser:
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 1))
        wanted = {"Accept": "text/html,*/*", "Accept-Language": "zh-CN", "Origin": HOST} | headers
        browser = Browser(transport=transport, base_url=HOST, headers=wanted)
        browsers.append(browser)
        return browser

    yield open_one
    for browser in browsers:
        await browser.aclose()


@pytest.fixture
async def browser(open_browser: Open) -> Browser:
    return open_browser()


MakeUser = Callable[..., Awaitable[User]]


@pytest.fixture
def make_user(db: Database, now: datetime) -> MakeUser:
    async def make(
        username: str,
        *roles: Role,
        division: str = "1501",
        name: str = "王芳",
        must_change_password: bool = False,
    ) -> User:
        async with db.transaction() as tx:
            return await users.create_user(
                tx,
                username=username,
                display_name=name,
                roles=roles or (Role.OPERATOR,),
                division=division,
                password=PASSWORD,
                must_change_password=must_change_password,
                actor=SYSTEM,
                now=now,
            )

    return make


@pytest.fixture
async def admin(browser: Browser, make_user: MakeUser) -> Browser:
    """The administrator of 呼和浩特市, logged in."""
    await make_user("admin.city", Role.ADMINISTRATOR, name="系统管理员")
    assert (await browser.log_in("admin.city")).status_code == 303
    return browser
