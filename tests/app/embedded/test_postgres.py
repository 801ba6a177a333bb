"""The embedded PostgreSQL: whose process it takes for its own."""

import os
from pathlib import Path

import psycopg
import pytest

from app.embedded.postgres import EmbeddedPostgres


def test_a_stale_pid_file_never_points_at_another_program(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data")
    server.data_dir.mkdir()
    # After a crash the number in the file may be anybody's; `start` would send it a signal.
    (server.data_dir / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data_dir}\n")
    assert server.pid is None


def test_a_running_server_is_found_by_its_pid_file(pg_server: EmbeddedPostgres) -> None:
    assert pg_server.running
    assert EmbeddedPostgres(pg_server.data_dir).pid == pg_server.pid


def test_its_log_does_not_quote_rows(pg_server: EmbeddedPostgres, db_url: str) -> None:
    with psycopg.connect(db_url) as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(
            "INSERT INTO elder (id, name, sex, division_code, created_at, updated_at)"
            " VALUES (gen_random_uuid(), %s, 'other', '150102001001', now(), now())",
            ("乌日娜从未登记",),
        )
    text = (pg_server.data_dir.parent / f"{pg_server.data_dir.name}.log").read_text("utf-8")
    assert "elder_sex_check" in text
    assert "乌日娜从未登记" not in text


def test_a_server_of_somebody_else_is_told_nothing(pg_server: EmbeddedPostgres) -> None:
    """Whoever makes the socket's folder while the server is away could be in its place."""
    owner = (pg_server.data_dir / "PG_VERSION").owner()
    url = pg_server.url("postgres")
    with psycopg.connect(url) as conn:
        assert conn.info.get_parameters()["requirepeer"] == owner
    other = "nobody" if owner != "nobody" else "root"
    with pytest.raises(psycopg.OperationalError, match="requirepeer"):
        psycopg.connect(url.replace(f"requirepeer={owner}", f"requirepeer={other}"))
