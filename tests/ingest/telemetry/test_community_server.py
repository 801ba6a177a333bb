"""The server of the Community tests behaves as PostgreSQL would, as far as they need it."""

from collections.abc import Iterator, Sequence

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.ingest.telemetry.servers import Servers
from tools.lab.community import CommunityServer


@pytest.fixture(scope="module")
def server() -> Iterator[CommunityServer]:
    with CommunityServer.start() as started:
        yield started


@pytest.fixture
def url(server: CommunityServer) -> Iterator[str]:
    servers = Servers()
    name = servers.create(server.url)
    url = make_conninfo(server.url, dbname=name)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (n int, word text)")
    yield url
    servers.drop(server.url, name)


def test_it_is_the_community_edition(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION timescaledb")
        (licence,) = conn.execute("SHOW timescaledb.license").fetchone() or ("",)
    assert licence == "timescale"


def test_connections_have_prepared_statements_of_their_own(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url) as other:
        for conn, word in ((one, "SELECT %s::int + 1"), (other, "SELECT %s::int + 2")) * 3:
            conn.execute(word, (1,), prepare=True)
            conn.commit()
        one.execute("DEALLOCATE ALL")
        assert other.execute("SELECT %s::int + 2", (1,), prepare=True).fetchall() == [(3,)]


def test_what_an_open_transaction_did_is_undone_when_its_connection_ends(url: str) -> None:
    one = psycopg.connect(url)
    one.execute("INSERT INTO t VALUES (1, 'lost')")
    one.close()
    with psycopg.connect(url) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)


def copy_in(
    conn: psycopg.Connection, form: str, types: tuple[str, str], rows: Sequence[tuple[object, ...]]
) -> None:
    query = f"COPY t (n, word) FROM STDIN (FORMAT {form})"
    with conn.cursor().copy(query.encode()) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


@pytest.mark.parametrize("form", ["TEXT", "BINARY"])
def test_rows_are_copied_in_and_bad_ones_refused_whole(url: str, form: str) -> None:
    rows = [(1, "斯琴高娃"), (2, "tab\tand\nline"), (3, None)]
    with psycopg.connect(url, autocommit=True) as conn:
        copy_in(conn, form, ("int4", "text"), rows)
        with pytest.raises(psycopg.Error, match="COPY t, line"):
            copy_in(conn, form, ("text", "text"), [("1", "first"), ("one and a half", "second")])
        # The client gives up in the middle.
        with pytest.raises(psycopg.DataError):
            copy_in(conn, form, ("int4", "text"), [(4, "fourth"), ("five", "fifth", object())])
        assert conn.execute("SELECT n, word FROM t ORDER BY n").fetchall() == rows


def test_a_database_is_cloned_from_another_and_goes_its_own_way(
    server: CommunityServer, url: str
) -> None:
    servers = Servers()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("INSERT INTO t VALUES (1, 'both')")
        name = servers.create(server.url, conn.info.dbname)
        conn.execute("INSERT INTO t VALUES (2, 'one')")
    with psycopg.connect(make_conninfo(server.url, dbname=name)) as clone:
        assert clone.execute("SELECT word FROM t").fetchall() == [("both",)]
    servers.drop(server.url, name)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(make_conninfo(server.url, dbname=name))


def test_it_ends_with_whoever_started_it() -> None:
    with CommunityServer.start() as server:
        pass
    assert server.process.returncode == 0
