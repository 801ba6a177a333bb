"""The whole web application on a real server, people who are logged in to it, and a browser."""

import asyncio
import base64
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page

from app.settings import Settings
from app.web import create_app
from devices.alarms import AlarmKind
from hotline.incidents.model import Incident
from kernel.auth import service, store, web
from kernel.auth.model import Actor, Role, Session
from kernel.clock import utcnow
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.live import LiveHub
from kernel.tokens import token_hash
from tests.hotline.world import Person, World
from tests.serving import listener, serving

KEY = bytes(range(32))


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


@pytest.fixture
def now() -> datetime:
    """The real time: the server's requests happen now."""
    return utcnow()


@pytest.fixture
def world(db: Database, cipher: FieldCipher, now: datetime) -> World:
    """The test's database with helpers, and the divisions' names."""
    return World(db, cipher, now)


class Seat(httpx.AsyncClient):
    """A browser without scripts: it fills forms as they stand on the page and follows redirects."""

    actor: Actor
    token: str
    html = ""

    async def see(self, path: str, status: int = 200) -> str:
        """Open a page and return what a person reads on it."""
        answer = await self.get(path)
        assert answer.status_code == status, answer.text[:400]
        self.html = answer.text
        return self.text

    async def fill(self, path: str, status: int = 200, **typed: str) -> str:
        """Send the form of the open page with this address; return the page that comes then."""
        fields = self.form(path) | typed
        answer = await self.post(path, data=fields, follow_redirects=True)
        assert answer.status_code == status, answer.text[:400]
        self.html = answer.text
        return self.text

    def form(self, path: str) -> dict[str, str]:
        """Return the hidden fields of the form with this address."""
        found = re.search(rf'<form[^>]*action="{re.escape(path)}".*?</form>', self.html, re.S)
        assert found, f"no form for {path}"
        hidden = re.findall(r'<input type="hidden" name="(\w+)"[^>]*? value="([^"]*)"', found[0])
        return {name: unescape(value) for name, value in hidden}

    def has_form(self, path: str) -> bool:
        """True when the open page has a form with this address."""
        return f'action="{path}"' in self.html

    @property
    def text(self) -> str:
        """What a person reads: no tags, single spaces."""
        body = re.sub(r"<(head|script)\b.*?</\1>", " ", self.html, flags=re.S)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())

    def part(self, element_id: str) -> str:
        """What a person reads in the element with the id, until the next card or part begins."""
        start = self.html.index(f'id="{element_id}"')
        ends = [m.start() for m in re.finditer(r' data-digest="|<section ', self.html)]
        end = next((at for at in ends if at > start + 200), len(self.html))
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.html[start:end])).split())


@dataclass
class Site:
    """The server, its feed, and who is logged in."""

    url: str
    world: World
    hub: LiveHub
    chromium: Browser | None = None
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def login(
        self, name: str = "王芳", *roles: Role, division: str = "1501", locale: str = "zh"
    ) -> Seat:
        """Make an account with a session and return a browser without scripts for it."""
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
            await tx.execute(
                "UPDATE user_account SET locale = %s WHERE id = %s", (locale, actor.user_id)
            )
        seat = Seat(
            base_url=self.url, cookies={web.COOKIE: token}, headers={"Accept": "text/html"},
            timeout=30, trust_env=False,
        )  # fmt: skip
        seat.actor, seat.token = actor, token
        await self.closing.enter_async_context(seat)
        return seat

    async def browser(self, seat: Seat, size: tuple[int, int] = (1366, 768)) -> BrowserContext:
        """Open a real browser for somebody who is logged in."""
        assert self.chromium
        context = await self.chromium.new_context(
            base_url=self.url, viewport={"width": size[0], "height": size[1]}, locale="zh-CN"
        )
        self.closing.push_async_callback(context.close)
        context.set_default_timeout(30_000)
        await context.add_cookies([{"name": web.COOKIE, "value": seat.token, "url": self.url}])
        return context

    async def tab(self, seat: Seat, path: str, size: tuple[int, int] = (1366, 768)) -> Page:
        """Open a page in a browser of its own and wait until the feed is up."""
        page = await (await self.browser(seat, size)).new_page()
        await page.goto(path)
        await page.wait_for_selector("#feed-state[data-state=live]")
        await page.wait_for_selector("#queue[data-state=fresh]", state="attached")
        return page


@pytest.fixture
async def site(world: World, db_url: str, built_assets: None) -> AsyncIterator[Site]:
    """The application as it runs in the demonstration, on a free port."""
    on, url = listener()
    settings = Settings.model_validate(
        {
            "database": {"url": db_url},
            "master_key": base64.b64encode(KEY).decode(),
            "web": {"public_url": url, "secure_cookies": False},
            "demo": True,
        }
    )
    hub = LiveHub(world.db)
    await hub.start()
    app = create_app(settings, world.db, hub)
    async with serving(app, on):
        async with asyncio.timeout(30):
            await hub.listening.wait()
        running = Site(url, world, hub)
        yield running
        await running.closing.aclose()
        hub.close()
    await hub.stop()


@pytest.fixture
async def seat(web_site: Site) -> Seat:
    """王芳, an operator, in a browser."""
    return await web_site.login("王芳")


@pytest.fixture
async def elder(world: World) -> Person:
    return await world.elder("李秀英")


@pytest.fixture
async def fall(world: World, elder: Person) -> Incident:
    """李秀英 has fallen; her device says so."""
    return await world.opened(elder, AlarmKind.FALL, device_no=await world.device(elder))


@pytest.fixture
async def web_site(site: Site, chromium: Browser) -> Site:
    """The same with a browser at hand."""
    site.chromium = chromium
    return site
