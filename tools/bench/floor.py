"""The floor: the same rows by one binary COPY; and what is counted in the tables."""

import asyncio
import time

from kernel.db import Database, fetch_tuples, fetch_value
from tools.bench.processes import BenchError, database_seconds
from tools.bench.report import Measurement
from tools.bench.world import READINGS, Load

_ROUNDS = 3


async def empty(db: Database, *, devices: bool = False) -> None:
    """Take away what was ingested, and with `devices` also who it came from."""
    async with db.transaction() as tx:
        # Ingest may be at it: it enters first and locks the tables then, so do we.
        await tx.execute("SELECT telemetry_exclude()")
        await tx.execute("TRUNCATE reading, ingest_message, latest_reading, reading_late")
        await tx.execute("TRUNCATE elder_activity, detection_state")
        if devices:
            await tx.execute("TRUNCATE device, elder CASCADE")


async def check(db: Database, load: Load) -> None:
    """Count what is stored. Raises BenchError if it is not what was sent, each reading once."""
    async with db.connection() as conn:
        (stored, values, devices) = (
            await fetch_tuples(
                conn,
                "SELECT count(*), count(DISTINCT (time, device_no, metric)),"
                " count(DISTINCT device_no) FROM reading",
            )
        )[0]
        latest = await fetch_value(conn, "SELECT count(*) FROM latest_reading")
    if (stored, values, devices) != (load.rows, load.rows, load.devices):
        raise BenchError(
            f"{load.rows} readings of {load.devices} devices were sent, "
            f"{stored} readings of {devices} were stored, {values} of them different"
        )
    if latest != load.devices * READINGS:
        raise BenchError(f"{latest} latest values of {load.devices * READINGS}")


async def bare_copy(db: Database) -> Measurement:
    """COPY and nothing else: one statement, one transaction. The median of several rounds.

    The rows are those that are in the table, in the order of time, and lie ready in memory in
    COPY's own format: the client only hands them on.
    """
    async with db.connection() as conn, conn.cursor() as cursor:
        async with cursor.copy(
            "COPY (SELECT time, device_no, metric, value, quality FROM reading ORDER BY time)"
            " TO STDOUT (FORMAT BINARY)"
        ) as out:
            parts = [bytes(part) async for part in out]
        rows = await fetch_value(conn, "SELECT count(*) FROM reading")
    data = [b"".join(parts[at : at + 1000]) for at in range(0, len(parts), 1000)]
    found: list[tuple[float, float, float]] = []
    for _ in range(_ROUNDS):
        await empty(db)
        await asyncio.sleep(0.2)
        server, client = await database_seconds(db), time.process_time()
        began = time.perf_counter()
        async with (
            db.transaction() as tx,
            tx.cursor() as cursor,
            cursor.copy(
                "COPY reading (time, device_no, metric, value, quality) FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            for part in data:
                await copy.write(part)
        seconds = time.perf_counter() - began
        client = time.process_time() - client
        found.append((seconds, client, await database_seconds(db) - server))
    seconds, client, server = sorted(found)[_ROUNDS // 2]
    what = f"the same rows by one binary COPY into the same table, median of {_ROUNDS}"
    return Measurement("bare COPY", what, 0, rows, seconds, {"client": client, "database": server})
