"""Databases for the storage tests: one a mode, every mode at hand.

Plain is the embedded PostgreSQL. Apache is the laboratory's TimescaleDB (root on Debian). Community
is any server that SILVERLINE_TEST_COMMUNITY_URL names (a superuser's URL): compose.yaml has one.
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

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ingest.telemetry import modes
from ingest.telemetry.model import StorageMode
from kernel.db import Database, fetch_value
from kernel.ids import new_id
from kernel.migrate import migrate

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
COMMUNITY_URL = os.environ.get("SILVERLINE_TEST_COMMUNITY_URL", "")
NOT_POSSIBLE_HERE = 3
_numbers = itertools.count()
MODES = ["plain", "apache", *(["community"] if COMMUNITY_URL else [])]


@dataclass(frozen=True, slots=True)
class Storage:
    """A migrated database in the storage mode that the test is about."""

    db: Database
    mode: StorageMode
    url: str


@pytest.fixture(scope="session")
def lab_url(project: Path) -> Iterator[str]:
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
        yield done.stdout.split()[-1]
    subprocess.run([command, "down", "--if-unused"], check=True, capture_output=True)


@pytest.fixture(params=MODES)
def storage_mode(request: pytest.FixtureRequest) -> StorageMode:
    """The mode of this run of the test."""
    return StorageMode(request.param)


@pytest.fixture
def bare_url(request: pytest.FixtureRequest, storage_mode: StorageMode) -> Iterator[str]:
    """A database of the test's own, on a server that can do the mode."""
    if storage_mode is StorageMode.PLAIN:
        yield request.getfixturevalue("db_url")
        return
    at_lab = storage_mode is StorageMode.APACHE
    server = request.getfixturevalue("lab_url") if at_lab else COMMUNITY_URL
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def bare_db(bare_url: str) -> AsyncIterator[Database]:
    """A pool on a migrated database, whose tables are still the plain ones."""
    await migrate(bare_url)
    database = await Database.open(bare_url, max_size=6)
    yield database
    await database.close()


@pytest.fixture
async def storage(
    bare_db: Database, bare_url: str, storage_mode: StorageMode, now: datetime
) -> Storage:
    """A database whose tables are in the mode, ready for readings around `now`."""
    await modes.enable_extension(bare_db)
    in_force = await modes.ensure_storage(bare_db, storage_mode, now)
    assert in_force is storage_mode
    async with bare_db.transaction() as tx:
        # As if the software had been installed at `now`: the rollup begins there.
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
    return Storage(bare_db, storage_mode, bare_url)


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
