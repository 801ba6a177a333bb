"""The site with a technician in it."""

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from playwright.async_api import Browser, async_playwright

from dashboards.ui.assets import DIST
from dashboards.ui.environment import Pages
from kernel.auth import passwords
from kernel.auth.model import Role
from kernel.crypto import FieldCipher
from kernel.db import Database
from tests.dashboards.devices.site import Site, Visitor, make_pages, make_site

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="session")
def built_assets(project: Path) -> None:
    """The front end; `make test` has built it before."""
    if not (DIST / "manifest.json").exists():
        subprocess.run([sys.executable, project / "tools" / "assets.py", "build"], check=True)


@pytest.fixture(scope="session")
def pages(built_assets: None) -> Pages:
    return make_pages()


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real argon2 with small parameters: these tests log in a lot."""
    small = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", small)
    monkeypatch.setattr(passwords, "NOBODY", small.hash("nobody"))


@pytest.fixture
async def site(
    db: Database, cipher: FieldCipher, now: datetime, pages: Pages
) -> AsyncIterator[Site]:
    made = await make_site(db, cipher, now, pages)
    yield made
    for visitor in made.visitors:
        await visitor.aclose()


@pytest.fixture
async def technician(site: Site) -> Visitor:
    """A device technician of 呼和浩特, logged in."""
    return await site.visitor("batu", Role.DEVICE_TECHNICIAN)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()
