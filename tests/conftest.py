"""Fixtures for every test: a real PostgreSQL, a fresh database, a browser, a fixed time."""

import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
import psycopg
import pytest
import structlog
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings
from jinja2.bccache import Bucket
from playwright.async_api import Browser, async_playwright, expect
from psycopg import sql

from app.embedded.postgres import EmbeddedPostgres
from dashboards.ui import environment
from dashboards.ui.assets import Assets
from dashboards.ui.environment import Pages, UiSettings
from kernel.auth import passwords
from kernel.crypto import FieldCipher
from kernel.db import Database, DatabaseSettings, Tx
from kernel.divisions import load_divisions
from kernel.migrate import migrate
from tests.browsing import ARGUMENTS, CHROMIUM

_numbers = itertools.count()
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
# Tests trade durability of the test server for speed; the fault tests start servers of their own.
TEST_SERVER_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_compression": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # A small cache: to drop a database the server walks through all of it.
    "shared_buffers": "32MB",
    "max_wal_size": "512MB",
}
REAL_HASHER, REAL_NOBODY = passwords._hasher, passwords.NOBODY
MEMORY = Path("/dev/shm")
# A machine that does other things stands still for seconds: that must fail no test.
PATIENCE_SECONDS = 30
MEMORY_WANTED = 2 << 30

# By itself hypothesis fails an example that takes 200 ms, and data that is slow to make.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


class CompiledOnce(jinja2.BytecodeCache):
    """Compiled templates by name, file and content."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs for hours (`make soak` says for how long); begin with the longest files.

    A long file that comes last keeps one core busy and leaves the other idle.
    """
    if not os.environ.get("SILVERLINE_SOAK_MINUTES"):
        long = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    length: Counter[Path] = Counter()
    for item in items:
        length[item.path] += expected_ms(item)
    items.sort(key=lambda item: -length[item.path])


def expected_ms(item: pytest.Item) -> int:
    """Guess how long a test takes by what it needs."""
    needs = set(getattr(item, "fixturenames", ()))
    mode = getattr(getattr(item, "callspec", None), "params", {}).get("storage_mode")
    if mode == "community":
        return 2000
    kinds = (({"chromium"}, 1500), ({"storage_mode"}, 500), ({"db_url"}, 100))
    return next((cost for names, cost in kinds if needs & names), 10)


@pytest.fixture(scope="session", autouse=True)
def _loggers_are_not_kept() -> Iterator[None]:
    """A logger that is kept from its first use says nothing to a later test that captures logs."""
    configure = structlog.configure

    def freshly(**wanted: Any) -> None:
        configure(**(wanted | {"cache_logger_on_first_use": False}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", freshly)
        yield


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, if there is room: two thousand databases come and go in it."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_WANTED:
        yield tmp_path_factory.mktemp("pg")
        return
    for left in MEMORY.glob("silverline-tests-*"):
        # A session that was killed could not clean up, and this is memory.
        if not Path(f"/proc/{left.name.split('-')[2]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"silverline-tests-{os.getpid()}-", dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture(scope="session")
def pg_server(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """The embedded PostgreSQL 18, started once for the session."""
    server = EmbeddedPostgres(server_folder / "data", TEST_SERVER_SETTINGS)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
async def pg_template(pg_server: EmbeddedPostgres) -> str:
    """Name of a migrated database that each test's own database is cloned from."""
    await migrate(pg_server.ensure_database("template_silverline"))
    return "template_silverline"


@pytest.fixture(scope="session")
async def divided_template(pg_server: EmbeddedPostgres, pg_template: str) -> str:
    """Name of the same with the administrative divisions in it."""
    name = _clone(pg_server, pg_template)
    database = await Database.open(pg_server.url(name), max_size=1)
    async with database.transaction() as tx:
        await load_divisions(tx)
    await database.close()
    return name


@pytest.fixture
def db_template(pg_template: str) -> str:
    """What the test's database is cloned from; a folder may ask for `divided_template` instead."""
    return pg_template


def _clone(server: EmbeddedPostgres, template: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return name


@pytest.fixture
def db_url(pg_server: EmbeddedPostgres, db_template: str) -> Iterator[str]:
    """Connection string of a fresh, migrated database of this test alone."""
    name = _clone(pg_server, db_template)
    yield pg_server.url(name)
    with psycopg.connect(pg_server.url("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    """A pool on the test's own database."""
    database = await Database.open(
        DatabaseSettings(db_url, max_size=6, timeout_seconds=PATIENCE_SECONDS)
    )
    yield database
    await database.close()


@pytest.fixture
async def tx(db: Database) -> AsyncIterator[Tx]:
    """One transaction, committed at the end of the test."""
    async with db.transaction() as conn:
        yield conn


@pytest.fixture
def now() -> datetime:
    """A fixed moment: 2026-03-05 22:03 in Shanghai."""
    return datetime(2026, 3, 5, 14, 3, tzinfo=UTC)


@pytest.fixture(scope="session")
def cipher() -> FieldCipher:
    """A cipher with a key for tests only."""
    return FieldCipher({1: bytes(range(32))})


@pytest.fixture(scope="session")
def project() -> Path:
    """The root folder of the project."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Real argon2 with small parameters: hundreds of tests log in."""
    small = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", small)
        patch.setattr(passwords, "NOBODY", small.hash("nobody"))
        yield


@pytest.fixture
def real_hashes(cheap_hashes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with the parameters that it has in production."""
    monkeypatch.setattr(passwords, "_hasher", REAL_HASHER)
    monkeypatch.setattr(passwords, "NOBODY", REAL_NOBODY)


@pytest.fixture(scope="session", autouse=True)
def compiled_templates() -> Iterator[None]:
    """Every test's application has the same templates: they are compiled once for all."""
    once = functools.partial(jinja2.Environment, bytecode_cache=CompiledOnce())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "Environment", once)
        yield


@pytest.fixture(scope="session")
def built_assets(project: Path) -> None:
    """The front end, built from the sources at hand unless it is already."""
    subprocess.run([sys.executable, project / "tools" / "assets.py", "build"], check=True)


@pytest.fixture(scope="session")
def pages(built_assets: None) -> Pages:
    """The templates of an installation without peculiarities."""
    return Pages(UiSettings(), Assets())


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A real browser, started once for the session; each test opens contexts of its own."""
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()
