"""Every statement of the Community mode, sent to the newest extension, whose licence refuses it.

The Community edition of the other tests is some versions old (tools/lab/pglite). The laboratory has
the Apache edition of the newest one. It knows the names of all
functions, with their arguments, and of all options of the Community edition, and looks at the
licence only when it has understood a statement. So the refusal, and nothing else, shows:

- of policies and alter_job: that the function is there and takes arguments of these names; of those
  declared "any" (start_offset, end_offset, after, drop_after) not that it takes their type;
- of ALTER TABLE … SET (timescaledb.…): that the options are there and their values of the right
  type; not that columns named in them are there;
- of CREATE MATERIALIZED VIEW … WITH (timescaledb.continuous, …): the same of its options, and that
  PostgreSQL understands the query; not that it is one that can be kept up to date.

What the statements bring about is shown by test_community_jobs.py and test_community_late.py.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
import pytest

from ingest.telemetry import jobs, modes, rollup
from ingest.telemetry.model import ReadingRow, StorageMode, TelemetrySettings
from ingest.telemetry.store import copy_readings
from kernel.db import Database, Tx, fetch_tuples
from tests.ingest.telemetry.community import apache_words, statements
from tests.ingest.telemetry.conftest import Storage

SETTINGS = TelemetrySettings()
DAY = timedelta(days=1)
LICENSED = re.compile(r"_policy\(|timescaledb\.\w+( =|,)|alter_job\(")
REFUSAL = 'not supported under the current "apache" license'
pytestmark = pytest.mark.parametrize("storage_mode", ["apache"], indirect=True)


class Sending:
    """A database whose transactions send each statement in a savepoint, and go on when the licence
    refuses it; a plain view stands in for a continuous aggregate.

    `slip` is a mistake to make: words to replace by others.
    """

    def __init__(self, db: Database, slip: tuple[str, str] = ("", "")) -> None:
        self._db = db
        self._slip = slip
        self._tx: Tx
        self.sent: list[str] = []
        self.refused: list[str] = []
        self.failed: list[psycopg.Error] = []

    @property
    def as_database(self) -> Database:
        return cast(Database, self)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._db.transaction() as tx:
            self._tx = tx
            yield cast(Tx, self)

    async def execute(self, query: str | bytes, params: Any = None) -> Any:
        script = query.decode() if isinstance(query, bytes) else query
        for statement in statements(script):
            cursor = await self._send(statement.replace(*self._slip), params)
        return cursor

    async def _send(self, statement: str, params: Any) -> Any:
        self.sent.append(statement)
        try:
            async with self._tx.transaction():
                return await self._tx.execute(statement.encode(), params)
        except psycopg.errors.FeatureNotSupported as error:
            if REFUSAL not in str(error):
                self.failed.append(error)
                raise
        except psycopg.Error as error:
            self.failed.append(error)
            raise
        self.refused.append(statement)
        if (view := apache_words(statement)) != statement:
            await self._tx.execute(view.encode())
        return self._tx.cursor()


def licensed(sending: Sending) -> list[str]:
    """What was sent and is for the Community edition alone."""
    return [statement for statement in sending.sent if LICENSED.search(statement)]


async def test_what_makes_the_community_mode_is_refused_for_the_licence_alone(
    storage: Storage, now: datetime
) -> None:
    sending = Sending(storage.db)
    made = await modes._ensure_community(sending.as_database, StorageMode.APACHE, now, SETTINGS)
    assert sending.failed == []
    assert made is StorageMode.COMMUNITY
    assert sending.refused == licensed(sending)
    # Three aggregates with a policy to take away and one to add each; the columnstore and its
    # policies; retention of the readings and of two aggregates.
    assert len(sending.refused) == 3 + 3 * 2 + 1 + 2 + 3 * 2


async def test_what_makes_older_aggregates_anew_is_refused_for_the_licence_alone(
    storage: Storage, now: datetime
) -> None:
    """Plain materialised views without sketches stand in for the older ones."""
    await put(storage.db, *(ReadingRow(now - n * DAY, 1, 1, 70.0) for n in range(30)))
    await rollup.roll_up(storage.db, now)
    async with storage.db.transaction() as tx:
        for level, bucket in (("15m", "bucket"), ("1h", "hour"), ("1d", "day")):
            query = (
                f"CREATE MATERIALIZED VIEW reading_cagg_{level} AS SELECT device_no, metric,"  # noqa: S608
                f" bucket AS {bucket}, low, high, total, n FROM reading_rollup_{level}"
            )
            await tx.execute(query.encode())
        await tx.execute("UPDATE rollup_state SET done_until = %s", (now - 40 * DAY,))
    sending = Sending(storage.db)
    made = await modes._ensure_community(sending.as_database, StorageMode.COMMUNITY, now, SETTINGS)
    assert sending.failed == []
    assert made is StorageMode.COMMUNITY
    assert sending.refused == licensed(sending)
    assert len(sending.refused) == 3 + 3 * 2 + 2 + 3 * 2
    async with storage.db.connection() as conn:
        assert await fetch_tuples(conn, "SELECT sum(n)::int FROM reading_1d") == [(30,)]


async def test_the_retention_policy_is_stopped_by_a_statement_that_the_licence_alone_refuses(
    storage: Storage, now: datetime
) -> None:
    """A row of the catalogue stands in for the job that the policy would be."""
    async with storage.db.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO _timescaledb_catalog.bgw_job
                (application_name, schedule_interval, max_runtime, max_retries, retry_period,
                 proc_schema, proc_name, owner, scheduled, fixed_schedule, hypertable_id)
            SELECT 'Retention', '1 day', '5 minutes', -1, '5 minutes', '_timescaledb_functions',
                   'policy_retention', current_role::regrole, true, false, id
            FROM _timescaledb_catalog.hypertable WHERE table_name = 'reading'
            """
        )
    sending = Sending(storage.db)
    await jobs._guard_policy(sending.as_database, now)
    assert sending.failed == []
    assert sending.refused == licensed(sending)
    assert len(sending.refused) == 1


@pytest.mark.parametrize(
    "slip",
    [
        ("timescaledb.continuous", "timescaledb.continuos"),
        ("materialized_only = false", "materialized_only = 7"),
        ("time_bucket(INTERVAL '1 hour', bucket", "time_bucket(INTERVAL '1 hour', n"),
        ("FROM reading_cagg_15m", "FROM reading_cagg_15min"),
        ("enable_columnstore", "enable_columstore"),
        ("enable_columnstore = true", "enable_columnstore = 'maybe'"),
        ("timescaledb.segmentby", "timescaledb.segments"),
        ("start_offset =>", "start =>"),
        ("schedule_interval => %(every)s::interval", "schedule_interval => 5"),
        ("add_columnstore_policy('reading', after", "add_columnstore_policy('reading', older_than"),
        ("CALL remove_columnstore_policy", "SELECT remove_columnstore_policy"),
        ("add_retention_policy", "add_drop_policy"),
        ("drop_after =>", "after =>"),
        ("if_exists => true", "if_exists => 'perhaps'::text"),
    ],
    ids=lambda slip: slip[1],
)
async def test_a_slip_of_the_pen_is_not_taken_for_a_refusal(
    storage: Storage, now: datetime, slip: tuple[str, str]
) -> None:
    sending = Sending(storage.db, slip)
    made = await modes._ensure_community(sending.as_database, StorageMode.APACHE, now, SETTINGS)
    assert any(slip[1] in statement for statement in sending.sent)
    assert len(sending.failed) == 1
    assert made is StorageMode.APACHE


async def put(db: Database, *rows: ReadingRow) -> None:
    async with db.transaction() as tx:
        await copy_readings(tx, rows)
