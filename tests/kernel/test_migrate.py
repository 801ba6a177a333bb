"""Migrations apply once, in order, and refuse an edited history."""

import psycopg
import pytest

from app.embedded.postgres import EmbeddedPostgres
from kernel.migrate import Migration, MigrationError, load_migrations, migrate, pending


async def test_all_files_apply_on_an_empty_database_and_only_once(
    pg_server: EmbeddedPostgres,
) -> None:
    url = pg_server.ensure_database("migrate_twice")
    assert await migrate(url) == [m.name for m in load_migrations()]
    assert await migrate(url) == []
    async with await psycopg.AsyncConnection.connect(url) as conn:
        assert await pending(conn) == []


async def test_an_edited_file_is_refused(pg_server: EmbeddedPostgres) -> None:
    url = pg_server.ensure_database("migrate_edited")
    await migrate(url, [Migration("0001_a.sql", "CREATE TABLE a (i int)", "x")])
    with pytest.raises(MigrationError, match="changed after"):
        await migrate(url, [Migration("0001_a.sql", "CREATE TABLE a (i int)", "y")])


async def test_a_failing_file_leaves_nothing_behind(pg_server: EmbeddedPostgres) -> None:
    url = pg_server.ensure_database("migrate_failing")
    broken = Migration("0001_a.sql", "CREATE TABLE half (i int); SELECT 1/0;", "x")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(url, [broken])
    async with await psycopg.AsyncConnection.connect(url) as conn:
        row = await (await conn.execute("SELECT to_regclass('half')")).fetchone()
    assert row == (None,)
