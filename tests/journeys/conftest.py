"""The whole of Silverline as `silverline demo` runs it, and people with browsers in front of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from app.demo.run import Demo
from app.stack import StackSettings
from hotline.contacts.model import BODY
from kernel.crypto import FieldCipher, parse_master_key
from kernel.db import Database, fetch_value

PICTURES = Path(__file__).parent.parent.parent / "docs" / "pictures"
PATIENCE_MS = 30_000
WIDE = {"width": 1366, "height": 768}
T = TypeVar("T")


@dataclass
class Centre:
    """A running installation with simulated devices that only do what they are asked."""

    demo: Demo
    db: Database
    watching: asyncio.Task[None]

    @property
    def url(self) -> str:
        return self.demo.stack.url

    def password(self, username: str) -> str:
        return next(a.password for a in self.demo.accounts if a.username == username)

    async def alarm(self, kind: str) -> str:
        """Let a device raise an alarm over real MQTT; return the incident that it opens."""
        before = await self._newest()
        device = self.demo.simulator.ask(kind)
        assert device is not None
        return await until(lambda: self._newest_after(before), f"the incident of {device}")

    async def status(self, incident_id: str) -> str:
        async with self.db.connection() as conn:
            found: str = await fetch_value(
                conn, "SELECT status FROM incident WHERE id = %s", (incident_id,)
            )
        return found

    async def version(self, incident_id: str) -> int:
        async with self.db.connection() as conn:
            found: int = await fetch_value(
                conn, "SELECT version FROM incident WHERE id = %s", (incident_id,)
            )
        return found

    async def link_on_the_phone(self, incident_id: str) -> str:
        """Return the link of the text that the responder got: the carrier's copy of it."""
        secrets = self.demo.stack.secrets
        cipher = FieldCipher({1: parse_master_key(secrets.master_key)})

        async def text() -> str | None:
            async with self.db.connection() as conn:
                box = await fetch_value(
                    conn,
                    "SELECT body_enc FROM contact_attempt WHERE incident_id = %s"
                    " AND channel = 'sms' AND purpose = 'dispatch' AND status <> 'queued'",
                    (incident_id,),
                )
            return cipher.decrypt(BODY, box) if box else None

        body = await until(text, "the text to the responder")
        return body[body.index("http") :].split()[0].rstrip("。.,，")

    async def _newest(self) -> str | None:
        async with self.db.connection() as conn:
            found: str | None = await fetch_value(
                conn, "SELECT id::text FROM incident ORDER BY number DESC LIMIT 1"
            )
        return found

    async def _newest_after(self, before: str | None) -> str | None:
        newest = await self._newest()
        return newest if newest != before else None


async def until(question: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Ask until there is an answer. Raises TimeoutError with what was waited for."""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while True:
            answer = await question()
            if answer is not None:
                return answer
            await asyncio.sleep(0.05)
    raise TimeoutError(what)


@pytest.fixture(scope="session")
async def centre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Centre]:
    """The stack, started once; its devices are quiet until a test asks for an alarm."""
    settings = StackSettings(
        tmp_path_factory.mktemp("centre"), web_port=0, mqtt_port=0, watch_port=0, demo=True
    )
    demo = Demo(settings, 40, print, past=True)
    await demo.start()
    # All of them: an alarm is asked of whichever is able to.
    demo.simulator.start(scenario="quiet", devices=None, seconds=None, control=True)
    db = await Database.open(demo.stack.database_url, max_size=3)
    stop = asyncio.Event()
    watching = asyncio.create_task(demo.stack.watch(stop))
    yield Centre(demo, db, watching)
    stop.set()
    await asyncio.gather(watching, return_exceptions=True)
    await db.close()
    await demo.stop()


class Seat:
    """An operator at a screen. Complaints of the browser (scripts, policy) end the test."""

    def __init__(self, centre: Centre, page: Page) -> None:
        self.centre = centre
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: object) -> None:
        text = getattr(message, "text", "")
        if "Content Security Policy" in text:
            self.complaints.append(text)

    async def log_in(self, username: str) -> None:
        """Log in by keyboard alone."""
        await self.page.goto(self.centre.url)
        await self.page.locator("input[name=username]").focus()
        await self.page.keyboard.type(username)
        await self.page.keyboard.press("Tab")
        await self.page.keyboard.type(self.centre.password(username))
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url("**/console")
        await self.hears()

    async def speak(self, locale: str) -> None:
        """Choose a language as the menu's form does."""
        await self.page.evaluate(
            """async (locale) => {
                const _csrf = document.querySelector('[name=_csrf]').value;
                const body = new URLSearchParams({_csrf, locale, next: '/console'});
                await fetch('/preferences', {method: 'POST', body});
            }""",
            locale,
        )

    async def hears(self) -> None:
        """Wait until the top bar says that the feed is live."""
        await expect(self.page.locator("#feed-state[data-state=live]")).to_be_attached(
            timeout=PATIENCE_MS
        )

    async def walk_to(self, incident_id: str) -> None:
        """Walk the queue with J until the incident has the focus, and open it."""
        await expect(self.page.locator(f"#queue-{incident_id}")).to_be_visible(timeout=PATIENCE_MS)
        for _ in range(30):
            await self.page.keyboard.press("j")
            focused = await self.page.evaluate("document.activeElement.id")
            if focused == f"queue-{incident_id}":
                break
        else:
            raise AssertionError(f"J never came to {incident_id}: focus {focused}")
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(f"**/console/incidents/{incident_id}")
        await expect(self.page.locator("#incident h1")).to_be_visible()

    async def reaches(self, incident_id: str, status: str) -> None:
        """Wait until the incident's record says so."""

        async def there() -> bool | None:
            return True if await self.centre.status(incident_id) == status else None

        try:
            await until(there, status)
        except TimeoutError:
            said = await self.page.locator("dialog[open], [data-notice]").all_inner_texts()
            focus = await self.page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            raise TimeoutError(f"{status}: the page says {said}, focus {focus}") from None

    async def sees(self, incident_id: str, form: str) -> None:
        """Wait until a form of the open page is of the incident's newest state.

        Whoever sends one of an older state is refused: the responder's step may have been faster
        than the news of it.
        """
        newest = str(await self.centre.version(incident_id))
        await expect(self.page.locator(f"#{form}-version")).to_have_value(newest)

    async def picture(self, name: str) -> None:
        """Take a picture for the README when asked to."""
        if os.environ.get("SILVERLINE_PICTURES"):
            PICTURES.mkdir(parents=True, exist_ok=True)
            await self.page.screenshot(path=PICTURES / f"{name}.png", caret="initial")


@pytest.fixture
async def open_seat(
    centre: Centre, chromium: Browser
) -> AsyncIterator[Callable[..., Awaitable[Seat]]]:
    """Open a browser of its own for somebody; closed at the end, when nothing complained."""
    seats: list[Seat] = []
    contexts: list[BrowserContext] = []

    async def open_one(username: str | None = None, **options: object) -> Seat:
        wanted = {"viewport": WIDE, "locale": "zh-CN", "timezone_id": "Asia/Shanghai"} | options
        context = await chromium.new_context(**wanted)  # type: ignore[arg-type]
        contexts.append(context)
        seat = Seat(centre, await context.new_page())
        seats.append(seat)
        if username is not None:
            await seat.log_in(username)
        return seat

    yield open_one
    for context in contexts:
        await context.close()
    assert [complaint for seat in seats for complaint in seat.complaints] == []
