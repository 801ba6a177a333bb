"""The database of a benchmark, in one of the storage modes, thrown away afterwards."""

import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from app.embedded.postgres import EmbeddedPostgres
from ingest.telemetry import modes
from ingest.telemetry.model import StorageMode
from kernel.db import Database, fetch_value
from kernel.migrate import migrate

_LAB = Path(__file__).parents[1] / "lab" / "timescaledb"
_NAME = "silverline_bench"


@dataclass(frozen=True, slots=True)
class BenchDatabase:
    """An open, migrated database, its address, and the storage mode that is in force."""

    db: Database
    url: str
    mode: StorageMode

    async def facts(self) -> dict[str, str]:
        """Return what of the server the figures depend on."""
        async with self.db.connection() as conn:
            version = await fetch_value(conn, "SELECT current_setting('server_version')")
            fsync = await fetch_value(conn, "SELECT current_setting('fsync')")
            commit = await fetch_value(conn, "SELECT current_setting('synchronous_commit')")
        return {
            "storage mode": self.mode.value,
            "PostgreSQL": version,
            "fsync": fsync,
            "synchronous_commit": commit,
        }


@contextmanager
def bench_server(mode: StorageMode, settings: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the URL of an empty database: the embedded server for plain, else the laboratory's.

    `settings` are further ones of the embedded server.
    """
    if mode is StorageMode.PLAIN:
        with tempfile.TemporaryDirectory(prefix="silverline-bench-") as folder:
            server = EmbeddedPostgres(Path(folder) / "data", settings)
            server.start()
            try:
                yield server.ensure_database(_NAME)
            finally:
                server.stop()
        return
    up = subprocess.run([_LAB, "up", "--transient"], stdout=subprocess.PIPE, text=True, check=True)
    admin_url = up.stdout.split()[-1]
    name = sql.Identifier(_NAME)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
        # The laboratory does without the disk, because tests need none of it. A benchmark does.
        _durable(admin, "ALTER SYSTEM SET {} = on")
    try:
        yield admin_url.rsplit("/", 1)[0] + f"/{_NAME}"
    finally:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            _durable(admin, "ALTER SYSTEM RESET {}")
        subprocess.run([_LAB, "down", "--if-unused"], check=True)


def _durable(admin: psycopg.Connection[Any], statement: LiteralString) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        admin.execute(sql.SQL(statement).format(sql.Identifier(setting)))
    admin.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def bench_database(
    url: str, mode: StorageMode, now: datetime
) -> AsyncIterator[BenchDatabase]:
    """Migrate the database, bring it into the mode, and yield it."""
    await migrate(url)
    db = await Database.open(url, max_size=4)
    try:
        await modes.enable_extension(db)
        in_force = await modes.ensure_storage(db, mode, now)
        yield BenchDatabase(db, url, in_force)
    finally:
        await db.close()
