"""Fixtures for every test: a real PostgreSQL, a fresh database each test, a fixed time."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from app.embedded.postgres import EmbeddedPostgres
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx
from kernel.migrate import migrate

_numbers = itertools.count()
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
# Tests trade durability of the test server for speed; the fault tests start servers of their own.
TEST_SERVER_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What runs for hours runs when somebody says for how long (`make soak`)."""
    if os.environ.get("SILVERLINE_SOAK_MINUTES"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture(scope="session")
def pg_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The embedded PostgreSQL 18, started once for the session."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg") / "data", TEST_SERVER_SETTINGS)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
async def pg_template(pg_server: EmbeddedPostgres) -> str:
    """Name of a migrated database that each test's own database is cloned from."""
    await migrate(pg_server.ensure_database("template_silverline"))
    return "template_silverline"


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
def db_url(pg_server: EmbeddedPostgres, pg_template: str) -> Iterator[str]:
    """Connection string of a fresh, migrated database of this test alone."""
    name = _clone(pg_server, pg_template)
    yield pg_server.url(name)
    with psycopg.connect(pg_server.url("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    """A pool on the test's own database."""
    database = await Database.open(db_url, max_size=6)
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
