"""An installation of the Community edition at work: its readings, and its policies' jobs by hand.

Nothing runs them by itself here: a test calls a policy's job where its schedule would.
"""

import random
from datetime import datetime, timedelta

from ingest.telemetry import modes, status
from ingest.telemetry.model import ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.store import copy_readings
from kernel.db import Database, fetch_tuples, fetch_value
from tests.ingest.telemetry.conftest import bring_into
from tests.ingest.telemetry.test_rollup import shown

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# A first refresh takes its days in batches of one bucket: a few are enough.
SETTINGS = TelemetrySettings(keep_readings=14 * DAY, compress_after=2 * DAY)
LEVELS = {"15m": "15 minutes", "1h": "1 hour", "1d": "1 day"}
REFRESH, RETENTION, COLUMNSTORE = (
    "policy_refresh_continuous_aggregate",
    "policy_retention",
    "policy_compression",
)


async def install(db: Database, url: str, at: datetime, today: datetime) -> None:
    """Make an installation as of a moment."""
    await bring_into(url, StorageMode.COMMUNITY, at)
    got = await modes.ensure_storage(db, StorageMode.COMMUNITY, today, SETTINGS)
    assert got is StorageMode.COMMUNITY


def days(first: datetime, number: int, step: timedelta = 15 * MINUTE) -> list[ReadingRow]:
    """A reading of each of two devices every quarter of an hour, or more seldom."""
    chance = random.Random(number)
    return [
        ReadingRow(first + n * step, device, 1, float(chance.randint(50, 120)))
        for n in range(number * DAY // step)
        for device in (1, 2)
    ]


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)


async def run(db: Database, procedure: str) -> int:
    """Run the jobs of one kind of policy; return how many there are."""
    async with db.dedicated() as conn:
        found = await fetch_tuples(
            conn,
            "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %s AND scheduled"
            " ORDER BY job_id",
            (procedure,),
        )
        for job in found:
            await conn.execute("CALL run_job(%s)", job)
    return len(found)


async def of_all(db: Database) -> dict[str, list[tuple[object, ...]]]:
    return {level: await shown(db, level) for level in LEVELS}


async def in_tables(db: Database) -> dict[str, int]:
    """What `silverline storage status` says of sizes."""
    found = await status.storage_status(db, await fetch_now(db))
    return {table.name: table.bytes for table in found.tables}


async def fetch_now(db: Database) -> datetime:
    async with db.connection() as conn:
        moment: datetime = await fetch_value(conn, "SELECT now()")
    return moment


async def materialised(db: Database, level: str) -> int:
    """How many buckets an aggregate has computed for good."""
    async with db.transaction() as tx:
        view = f"reading_cagg_{level}"
        await tx.execute(f"ALTER MATERIALIZED VIEW {view} SET (timescaledb.materialized_only)")
        number: int = await fetch_value(tx, f"SELECT count(*) FROM {view}")  # noqa: S608
        await tx.execute(
            f"ALTER MATERIALIZED VIEW {view} SET (timescaledb.materialized_only = false)"
        )
    return number
