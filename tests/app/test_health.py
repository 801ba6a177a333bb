"""What /readyz says of a database that answers and takes nothing."""

import asyncio

import httpx
import psycopg
import pytest

from app.health import serve_health
from app.processes import database_ready
from app.stack import free_port
from kernel.db import Database, execute


async def write_on_a_standby(db: Database) -> None:
    async with db.transaction() as tx:
        await execute(tx, "SET LOCAL transaction_read_only = on")
        await execute(tx, "DELETE FROM latest_reading")


async def test_a_process_whose_change_was_refused_serves_and_says_so(db: Database) -> None:
    stop, port = asyncio.Event(), free_port("127.0.0.1", 0)
    health = asyncio.create_task(
        serve_health("127.0.0.1", port, database_ready(db), stop, db.refusal)
    )
    transport = httpx.AsyncHTTPTransport(retries=20)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", transport=transport, trust_env=False
    ) as client:
        assert (await client.get("/readyz")).text == "ready"
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await write_on_a_standby(db)
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.text == "ready, but the database is read-only: no change can be stored"
    stop.set()
    await health
