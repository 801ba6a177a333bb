"""The elders' pages on a real server and database, people who log in, and a browser."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import pytest
from fastapi import Depends, FastAPI
from playwright.async_api import Browser, BrowserContext, Page
from starlette.responses import Response

from app.web import add_error_handlers
from care.elders.demo import SeededElder, seed_elders
from dashboards.console.elders import router
from dashboards.ui.assets import AssetFiles
from dashboards.ui.environment import Pages
from devices.metrics import METRICS
from ingest.telemetry.model import ReadingRow
from ingest.telemetry.store import copy_readings
from kernel.auth import service, users
from kernel.auth.model import SYSTEM, Actor, Role
from kernel.auth.web import public
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx, fetch_value
from kernel.live import LiveHub
from kernel.web import WebContext, get_now
from tests.serving import serving

PASSWORD = "four-horses-run"


@pytest.fixture
def db_template(divided_template: str) -> str:
    return divided_template


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is logged in: the cookie and the form token of the session."""

    actor: Actor
    token: str
    csrf: str


@dataclass(frozen=True, slots=True)
class Site:
    """The running server and what stands behind it."""

    url: str
    db: Database
    cipher: FieldCipher
    now: datetime

    def client(self, person: Person | None = None) -> httpx.AsyncClient:
        """Return a client of a person, as a browser without scripts sends its requests."""
        cookies = {"silverline_session": person.token} if person else {}
        return httpx.AsyncClient(
            base_url=self.url, cookies=cookies, headers={"Accept": "text/html"}, timeout=30
        )


def make_app(db: Database, cipher: FieldCipher, now: datetime, pages: Pages) -> FastAPI:
    made = FastAPI()
    made.state.context = WebContext(
        db=db, cipher=cipher, hub=LiveHub(db), public_url="", secure_cookies=False
    )
    made.state.pages = pages
    made.mount("/assets", AssetFiles())
    made.include_router(router)
    made.dependency_overrides[get_now] = lambda: now
    add_error_handlers(made)

    # The shell asks for these; here they are quiet.
    @made.get("/console/queue", dependencies=[Depends(public)])
    async def queue() -> Response:
        return Response('<div data-queue data-count="0"></div>', media_type="text/html")

    @made.get("/live", dependencies=[Depends(public)])
    async def live() -> Response:
        return Response("retry: 60000\n\n", media_type="text/event-stream")

    return made


@pytest.fixture
async def site(
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages
) -> AsyncIterator[Site]:
    async with serving(make_app(db, cipher, now, pages)) as url:
        yield Site(url, db, cipher, now)


SignIn = Callable[..., Awaitable[Person]]


@pytest.fixture
def sign_in(site: Site) -> SignIn:
    """Return a function that makes an account and logs in with it."""

    async def enter(
        username: str, *roles: Role, name: str = "孙丽", division: str = "1501", locale: str = "zh"
    ) -> Person:
        async with site.db.transaction() as tx:
            await users.create_user(
                tx, username=username, display_name=name, roles=roles, division=division,
                password=PASSWORD, must_change_password=False, actor=SYSTEM, now=site.now,
                locale=locale,
            )  # fmt: skip
        opened = await service.login(
            site.db, username=username, password=PASSWORD, client_ip="127.0.0.1",
            user_agent="test", now=site.now,
        )  # fmt: skip
        return Person(opened.session.actor, opened.token, opened.session.csrf_token)

    return enter


@pytest.fixture
async def manager(sign_in: SignIn) -> Person:
    """A care manager of 呼和浩特."""
    return await sign_in("sunli", Role.CARE_MANAGER)


@pytest.fixture
async def operator(sign_in: SignIn) -> Person:
    """An operator: reads and reveals, does not write."""
    return await sign_in("wangfang", Role.OPERATOR, name="王芳")


@pytest.fixture
async def seeded(site: Site) -> list[SeededElder]:
    """Sixty elders, the first of them with devices, readings and incidents."""
    async with site.db.transaction() as tx:
        found = await seed_elders(tx, site.cipher, 60, site.now, 7)
        await furnish(tx, found[0], site.now)
    return found


async def furnish(tx: Tx, elder: SeededElder, now: datetime) -> None:
    """Give an elder a watch and an SOS button, a day of readings, and two incidents."""
    bound_at = now - timedelta(days=30)
    numbers = []
    for device_id, profile, room, online in (
        ("W-0193", "sl-watch-1", "", True),
        ("S-0007", "sl-pendant-1", "卧室床头", False),
    ):
        no = await fetch_value(
            tx,
            "INSERT INTO device (id, profile, state, elder_id, room, division_code, online,"
            " battery_percent, last_seen_at, created_at, updated_at)"
            " VALUES (%s, %s, 'bound', %s, %s, %s, %s, 87, %s, %s, %s) RETURNING no",
            (device_id, profile, elder.id, room, elder.division_code, online, now, bound_at, now),
        )
        numbers.append(no)
        await tx.execute(
            "INSERT INTO device_binding (id, device_no, elder_id, room, bound_at)"
            " VALUES (gen_random_uuid(), %s, %s, %s, %s)",
            (no, elder.id, room, bound_at),
        )
    rows = []
    for minute in range(0, 24 * 60, 15):
        at = now - timedelta(minutes=minute)
        rows.append(ReadingRow(at, numbers[0], METRICS["heart_rate"].id, 66 + minute % 35))
        rows.append(ReadingRow(at, numbers[0], METRICS["spo2"].id, 93 + minute % 5))
        if minute % 480 == 0:
            rows.append(ReadingRow(at, numbers[0], METRICS["bp_systolic"].id, 134 + minute % 9))
            rows.append(ReadingRow(at, numbers[0], METRICS["bp_diastolic"].id, 82))
    await copy_readings(tx, rows)
    await _incidents(tx, elder, numbers[1], now)


async def _incidents(tx: Tx, elder: SeededElder, device_no: int, now: datetime) -> None:
    person = await fetch_value(tx, "SELECT id FROM user_account LIMIT 1")
    for kind, severity, status, ago in (
        ("sos", "critical", "resolved" if person else "open", timedelta(days=3)),
        ("heart_rate_high", "major", "open", timedelta(minutes=20)),
    ):
        at = now - ago
        closed = status == "resolved"
        incident = await fetch_value(
            tx,
            "INSERT INTO incident (id, elder_id, device_no, kind, severity, status, division_code,"
            " opened_at, last_activation_at, escalation_policy, resolved_at, resolved_by,"
            " resolution, resolution_reason) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, %s, %s,"
            " %s, '{}', %s, %s, %s, %s) RETURNING id",
            (
                elder.id, device_no, kind, severity, status, elder.division_code, at, at,
                at if closed else None, person if closed else None,
                "founded" if closed else None, "在卫生间滑倒，已送医" if closed else None,
            ),
        )  # fmt: skip
        for turn in range(2):
            alarm = await fetch_value(
                tx,
                "INSERT INTO alarm (id, device_no, elder_id, kind, severity, source, received_at)"
                " VALUES (gen_random_uuid(), %s, %s, %s, %s, 'device', %s) RETURNING id",
                (device_no, elder.id, kind, severity, at + timedelta(seconds=40 * turn)),
            )
            await tx.execute(
                "INSERT INTO incident_activation (id, incident_id, alarm_id, at, device_no)"
                " VALUES (gen_random_uuid(), %s, %s, %s, %s)",
                (incident, alarm, at + timedelta(seconds=40 * turn), device_no),
            )
        await tx.execute(
            "INSERT INTO contact_attempt (id, incident_id, channel, purpose, to_name, to_enc,"
            " status, created_at, ended_at) VALUES (gen_random_uuid(), %s, 'call', 'contact',"
            " '李强', '\\x00', 'completed', %s, %s)",
            (incident, at + timedelta(minutes=1), at + timedelta(minutes=2)),
        )


@dataclass(frozen=True, slots=True)
class Browsing:
    """Opens pages in a real browser for a person."""

    chromium: Browser
    site: Site
    contexts: list[BrowserContext]

    async def open(
        self,
        person: Person,
        path: str,
        size: tuple[int, int] = (1366, 768),
        *,
        scripts: bool = True,
    ) -> Page:
        context = await self.chromium.new_context(
            base_url=self.site.url,
            viewport={"width": size[0], "height": size[1]},
            locale="zh-CN",
            java_script_enabled=scripts,
        )
        self.contexts.append(context)
        context.set_default_timeout(30_000)
        await context.add_cookies(
            [{"name": "silverline_session", "value": person.token, "url": self.site.url}]
        )
        page = await context.new_page()
        await page.goto(path)
        return page


@pytest.fixture
async def browsing(chromium: Browser, site: Site) -> AsyncIterator[Browsing]:
    found = Browsing(chromium, site, [])
    yield found
    for context in found.contexts:
        await context.close()


def text_of(html: str) -> str:
    """Return the words of a page, without tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
