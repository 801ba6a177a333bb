"""Waiting for what happens at the same time: with a limit, without guessing how long it takes."""

import asyncio
from collections.abc import Awaitable, Callable

from kernel.db import Database


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 20.0) -> None:
    """Return when the condition holds. Raises TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def cut_connections(db: Database, like: str = "%") -> int:
    """End the server's side of our connections by application name, as a restart would."""
    async with db.dedicated() as conn:
        rows = await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name LIKE %s",
            (like,),
        )
        return len(await rows.fetchall())
