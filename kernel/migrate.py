"""Applies the numbered SQL files of `migrations/`, once each, in order (ADR 0002).

Each file is one transaction under an advisory lock, with a lock timeout, so that a migration that
cannot get its lock fails and is tried again instead of queueing all traffic behind it. A file that
was changed after it had been applied is an error: history is not edited.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import psycopg

from kernel.db import Tx
from kernel.errors import DomainError

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_LOCK_KEY = 0x51_1F_E4_11
_ATTEMPTS = 10
Progress = Callable[[str, int, int], None]
"""Told of each file before it is applied: its name, and that it is the n-th of m."""


class MigrationError(DomainError):
    """A migration file is missing, changed or misnamed."""

    code = "migration"
    status = 500


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name, its text and the SHA-256 of the text."""

    name: str
    sql: str
    digest: str


def load_migrations(package: str = "migrations") -> list[Migration]:
    """Return the files in order. Raises MigrationError on a bad or doubled number."""
    found: dict[str, Migration] = {}
    for entry in sorted(resources.files(package).iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".sql"):
            continue
        match = _NAME.match(entry.name)
        if not match:
            raise MigrationError(f"{entry.name} is not named like 0001_words.sql")
        if match[1] in found:
            raise MigrationError(f"{entry.name} and {found[match[1]].name} have the same number")
        sql = entry.read_text(encoding="utf-8")
        found[match[1]] = Migration(entry.name, sql, hashlib.sha256(sql.encode()).hexdigest())
    return list(found.values())


async def migrate(
    url: str, migrations: list[Migration] | None = None, progress: Progress | None = None
) -> list[str]:
    """Bring the database at `url` up to date and return the names of the files applied now.

    Safe to call from several processes at once. Raises MigrationError when an applied file was
    changed or has disappeared, psycopg.Error when a statement fails (its file is rolled back).
    """
    wanted = load_migrations() if migrations is None else migrations
    conn = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with conn:
        await conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        try:
            done = await _applied(conn)
            _check_history(done, wanted)
            fresh = [m for m in wanted if m.name not in done]
            for number, migration in enumerate(fresh, 1):
                if progress is not None:
                    progress(migration.name, number, len(fresh))
                await _apply(conn, migration)
            return [m.name for m in fresh]
        finally:
            await conn.execute("SELECT pg_advisory_unlock(%s)", (_LOCK_KEY,))


async def pending(conn: Tx) -> list[str]:
    """Return the names of the files that are not applied yet."""
    exists = await (await conn.execute("SELECT to_regclass('schema_migration')")).fetchone()
    done = await _applied(conn) if exists and exists[0] else {}
    return [m.name for m in load_migrations() if m.name not in done]


async def _applied(conn: Tx) -> dict[str, str]:
    await conn.execute(
        "CREATE TABLE IF NOT EXISTS schema_migration ("
        "name text PRIMARY KEY, digest text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await (await conn.execute("SELECT name, digest FROM schema_migration")).fetchall()
    return dict(rows)


def _check_history(done: dict[str, str], wanted: list[Migration]) -> None:
    by_name = {m.name: m for m in wanted}
    for name, digest in done.items():
        if name not in by_name:
            raise MigrationError(f"{name} is applied here but unknown to this version: it is older")
        if by_name[name].digest != digest:
            raise MigrationError(f"{name} was changed after it had been applied; write a new file")


async def _apply(conn: Tx, migration: Migration) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            async with conn.transaction():
                await conn.execute("SET LOCAL lock_timeout = '3s'")
                await conn.execute("SET LOCAL statement_timeout = '15min'")
                await conn.execute(migration.sql.encode())
                await conn.execute(
                    "INSERT INTO schema_migration (name, digest) VALUES (%s, %s)",
                    (migration.name, migration.digest),
                )
        except psycopg.errors.LockNotAvailable:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(1.0)
        else:
            return
