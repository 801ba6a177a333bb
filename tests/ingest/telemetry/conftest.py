"""Databases for the storage tests: one a mode, every mode at hand.

Plain is the embedded PostgreSQL. Apache is the laboratory's TimescaleDB (root on Debian). Community
is TimescaleDB in WebAssembly, or any server that SILVERLINE_TEST_COMMUNITY_URL names (a superuser's
URL): compose.yaml has one.
"""

import fcntl
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo

from ingest.telemetry import modes
from ingest.telemetry.model import StorageMode
from kernel.db import Database, fetch_value
from kernel.ids import new_id
from kernel.migrate import migrate
from tests.ingest.telemetry.servers import Servers
from tools.lab.community import CommunityServer

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
COMMUNITY_URL = os.environ.get("SILVERLINE_TEST_COMMUNITY_URL", "")
NOT_POSSIBLE_HERE = 3
_numbers = itertools.count()
MODES = ["plain", "apache", "community"]


@dataclass(frozen=True, slots=True)
class Storage:
    """A migrated database in the storage mode that the test is about."""

    db: Database
    mode: StorageMode
    url: str


@pytest.fixture(scope="session")
def servers() -> Servers:
    return Servers()


@pytest.fixture(scope="session")
def lab_url(project: Path, servers: Servers) -> Iterator[str]:
    """The laboratory's TimescaleDB, started if need be, and stopped by its last user."""
    command = str(project / "tools/lab/timescaledb")
    folder = Path(os.environ.get("SILVERLINE_LAB_DIR") or project / "var/lab/timescaledb")
    done = subprocess.run(
        [command, "up", "--transient"], capture_output=True, text=True, check=False
    )
    if done.returncode == NOT_POSSIBLE_HERE and not IN_CI:
        pytest.skip(f"no TimescaleDB here: {done.stderr.strip()}")
    if done.returncode:
        pytest.fail(f"tools/lab/timescaledb up failed:\n{done.stderr}")
    with (folder / "users.lock").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        url = done.stdout.split()[-1]
        yield url
        servers.clear(url)
    subprocess.run([command, "down", "--if-unused"], check=True, capture_output=True)


@pytest.fixture(scope="session")
def community_url(servers: Servers) -> Iterator[str]:
    """TimescaleDB's Community edition: a server of the environment's, or one of our own."""
    if COMMUNITY_URL:
        yield COMMUNITY_URL
        servers.clear(COMMUNITY_URL)
        return
    with CommunityServer.start() as server:
        yield server.url


@pytest.fixture(params=MODES)
def storage_mode(request: pytest.FixtureRequest) -> StorageMode:
    """The mode of this run of the test."""
    return StorageMode(request.param)


@pytest.fixture
async def bare_url(
    request: pytest.FixtureRequest, storage_mode: StorageMode, now: datetime, servers: Servers
) -> AsyncIterator[str]:
    """A migrated database of the test's own, on a server that can do the mode.

    For a test that asks for `storage` its tables are in the mode already.
    """
    server = {
        StorageMode.PLAIN: lambda: request.getfixturevalue("pg_server").url("postgres"),
        StorageMode.APACHE: lambda: request.getfixturevalue("lab_url"),
        StorageMode.COMMUNITY: lambda: request.getfixturevalue("community_url"),
    }[storage_mode]()

    async def prepare(url: str) -> None:
        await migrate(url)
        if "storage" in request.fixturenames:
            await bring_into(url, storage_mode, now)

    kind = "storage" if "storage" in request.fixturenames else "bare"
    name = servers.create(server, await servers.template(server, kind, prepare))
    yield make_conninfo(server, dbname=name)
    servers.drop(server, name)


@pytest.fixture
async def bare_db(bare_url: str) -> AsyncIterator[Database]:
    """A pool on a migrated database, whose tables are still the plain ones."""
    database = await Database.open(bare_url, max_size=6)
    yield database
    await database.close()


@pytest.fixture
def storage(bare_db: Database, bare_url: str, storage_mode: StorageMode) -> Storage:
    """A database whose tables are in the mode, ready for readings around `now`."""
    return Storage(bare_db, storage_mode, bare_url)


async def bring_into(url: str, mode: StorageMode, now: datetime) -> None:
    """Bring the tables of a database into a mode, as if the software were installed at `now`."""
    db = await Database.open(url, max_size=2)
    await modes.enable_extension(db)
    assert await modes.ensure_storage(db, mode, now) is mode
    async with db.transaction() as tx:
        # The rollup begins at `now`.
        await tx.execute(
            """
            UPDATE rollup_state SET done_until = telemetry_bucket(width, %(now)s),
                   open_from = CASE WHEN open_from IS NOT NULL
                               THEN telemetry_bucket(width, %(now)s) END
            FROM (VALUES ('15m', interval '15 minutes'), ('1h', '1 hour'), ('1d', '1 day'))
                 AS l (name, width)
            WHERE level = l.name
            """,
            {"now": now},
        )
    await db.close()


@dataclass(frozen=True, slots=True)
class Home:
    """Elders and devices for the tests of what an elder's chart shows."""

    db: Database
    now: datetime

    async def elder(self) -> UUID:
        elder_id = new_id()
        async with self.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO elder (id, name, sex, division_code, created_at, updated_at)"
                " VALUES (%s, '斯琴高娃', 'female', '150102001001', %s, %s)",
                (elder_id, self.now, self.now),
            )
        return elder_id

    async def device(self) -> int:
        async with self.db.transaction() as tx:
            number: int = await fetch_value(
                tx,
                "INSERT INTO device (id, profile, division_code, created_at, updated_at)"
                " VALUES (%s, 'sl-watch-1', '150102001001', %s, %s) RETURNING no",
                (f"BAND-{next(_numbers):06d}", self.now, self.now),
            )
        return number

    async def bind(
        self, device_no: int, elder_id: UUID, since: datetime, until: datetime | None = None
    ) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO device_binding (id, device_no, elder_id, bound_at, unbound_at)"
                " VALUES (%s, %s, %s, %s, %s)",
                (new_id(), device_no, elder_id, since, until),
            )


@pytest.fixture
def home(storage: Storage, now: datetime) -> Home:
    """Makes elders and devices in the database of `storage`."""
    return Home(storage.db, now)
