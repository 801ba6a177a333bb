"""The database: a pool, transactions at the edge, and rows as frozen dataclasses.

One message or one request is one transaction, committed at the edge. Only `store.py` files (and the
kernel's own modules) write SQL.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import TupleRow, class_row
from psycopg_pool import AsyncConnectionPool

from kernel.clock import monotonic

Tx = psycopg.AsyncConnection[TupleRow]
Params = Sequence[Any] | Mapping[str, Any] | None
T = TypeVar("T")

# What the database says when it is away or going away: worth another try, nothing is wrong with us.
TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
)

# What a server says that answers, and reads, and yet takes no change.
_REFUSALS = {
    "53100": "the database's disk is full: no change can be stored",
    "25006": "the database is read-only: no change can be stored",
}
_REMEMBER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """`url` is a libpq connection string; the sizes bound the pool of one process."""

    url: str
    min_size: int = 1
    max_size: int = 8
    timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 60.0


class Database:
    """A pool of connections and the two ways to use one."""

    def __init__(self, pool: AsyncConnectionPool[Tx], settings: DatabaseSettings) -> None:
        self._pool = pool
        self.settings = settings
        self._refused: tuple[str, float] | None = None

    @classmethod
    async def open(
        cls, url: str | DatabaseSettings, *, min_size: int = 1, max_size: int = 8, wait: bool = True
    ) -> "Database":
        """Open a pool. Raises PoolTimeout when `wait` and no server answers."""
        settings = (
            url
            if isinstance(url, DatabaseSettings)
            else DatabaseSettings(url, min_size=min_size, max_size=max_size)
        )

        async def configure(conn: Tx) -> None:
            timeout_ms = int(settings.statement_timeout_seconds * 1000)
            await conn.execute(
                "SELECT set_config('statement_timeout', %s, false)", (str(timeout_ms),)
            )
            await conn.execute("SET TIME ZONE 'UTC'")
            await conn.commit()

        pool: AsyncConnectionPool[Tx] = AsyncConnectionPool(
            settings.url,
            min_size=settings.min_size,
            max_size=settings.max_size,
            timeout=settings.timeout_seconds,
            open=False,
            configure=configure,
            # A connection that died with the server is found before it is handed out.
            check=AsyncConnectionPool.check_connection,
            kwargs={"application_name": "silverline", "connect_timeout": 5},
            # The pauses between attempts double until this is over, then the next request begins
            # anew: with minutes here, a server that was away for one is noticed a minute late.
            reconnect_timeout=settings.timeout_seconds,
        )
        await pool.open(wait=wait, timeout=settings.timeout_seconds)
        return cls(pool, settings)

    async def close(self) -> None:
        """Close the pool; connections in use are given back first."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Yield a connection inside a transaction: commits on exit, rolls back on an error."""
        with self._noting():
            async with self._pool.connection() as conn, conn.transaction():
                yield conn

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Tx]:
        """Yield a connection for reading; what it did is committed on exit."""
        with self._noting():
            async with self._pool.connection() as conn:
                yield conn

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Tx]:
        """Yield an autocommit connection outside of the pool: for LISTEN and session locks."""
        conn = await psycopg.AsyncConnection.connect(
            self.settings.url,
            autocommit=True,
            application_name="silverline-dedicated",
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )
        try:
            yield conn
        finally:
            await conn.close()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            if error.sqlstate in _REFUSALS:
                self._refused = error.sqlstate, monotonic()
            raise

    def refusal(self) -> str | None:
        """Say why a change of ours was refused in the last half minute; None when none was.

        Nothing is written to find out: a process that changes nothing does not know.
        """
        if self._refused is None or monotonic() - self._refused[1] > _REMEMBER_SECONDS:
            return None
        return _REFUSALS[self._refused[0]]

    async def ping(self) -> None:
        """Ask the server for one row. Raises what psycopg raises when it is away, TimeoutError."""
        # Whoever asks whether we are ready does not wait for long himself.
        async with asyncio.timeout(2), self._pool.connection() as conn:
            await conn.execute("SELECT 1")


async def fetch_all(tx: Tx, cls: type[T], sql: LiteralString, params: Params = None) -> list[T]:
    """Return every row as a `cls`, its fields named by the columns."""
    async with tx.cursor(row_factory=class_row(cls)) as cursor:
        await cursor.execute(sql, params)
        return await cursor.fetchall()


async def fetch_one(tx: Tx, cls: type[T], sql: LiteralString, params: Params = None) -> T | None:
    """Return the first row as a `cls`, or None."""
    async with tx.cursor(row_factory=class_row(cls)) as cursor:
        await cursor.execute(sql, params)
        return await cursor.fetchone()


async def fetch_value(tx: Tx, sql: LiteralString, params: Params = None) -> Any:
    """Return the first column of the first row, or None when there is no row."""
    cursor = await tx.execute(sql, params)
    row = await cursor.fetchone()
    return row[0] if row else None


async def fetch_tuples(tx: Tx, sql: LiteralString, params: Params = None) -> list[TupleRow]:
    """Return every row as a tuple: for counts and pairs that need no class."""
    cursor = await tx.execute(sql, params)
    return await cursor.fetchall()


async def execute(tx: Tx, sql: LiteralString, params: Params = None) -> int:
    """Run a statement and return the number of rows that it touched."""
    cursor = await tx.execute(sql, params)
    return cursor.rowcount
