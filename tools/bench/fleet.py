"""What the fleet's pages cost with a hundred thousand devices: `python -m tools.bench.fleet`.

Makes a database of its own with devices, elders and a month of comings and goings, and prints how
long each question of the pages takes (the median of some runs, milliseconds).
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.embedded.postgres import EmbeddedPostgres
from devices.fleet import service, store
from devices.registry import finding, inventory
from devices.registry.model import Connection, DeviceFilters, DeviceOrder, DeviceSort, DeviceState
from devices.selftests import service as selftests
from devices.selftests.model import DueFilters
from devices.technical import service as technical
from devices.technical import store as technical_store
from devices.technical.model import TechnicalFilters
from kernel.auth.model import Actor, Role
from kernel.db import Database, Tx
from kernel.divisions import load_divisions
from kernel.ids import new_id
from kernel.migrate import migrate

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)
CITY = Actor(new_id(), "bench", "bench", frozenset({Role.DEVICE_TECHNICIAN}), "")
_RUNS = 5
_FILL = (
    """
    CREATE TEMP TABLE place AS SELECT row_number() OVER (ORDER BY code) - 1 AS n, code,
        count(*) OVER () AS of_all FROM division WHERE level = 5 AND code LIKE '1501%%'
    """,
    """
    INSERT INTO elder (id, name, sex, division_code, lat, lon, created_at, updated_at)
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(g), 12, '0'))::uuid, '老人' || g, 'female',
        p.code, 40.6 + random() * 0.5, 111.4 + random() * 0.6, %(begin)s, %(begin)s
    FROM generate_series(1, %(count)s) AS g JOIN place p ON p.n = g %% p.of_all
    """,
    """
    INSERT INTO device (id, profile, state, elder_id, division_code, firmware, online, last_seen_at,
        battery_percent, created_at, updated_at)
    SELECT 'W-' || lpad(g::text, 7, '0'),
        (ARRAY['sl-watch-1', 'sl-pendant-1', 'sl-smoke-1', 'sl-door-1'])[1 + g %% 4], 'bound', e.id,
        e.division_code, '1.' || g %% 5 || '.0', g %% 20 > 0,
        %(now)s - make_interval(secs => CASE WHEN g %% 20 = 0 THEN 3600 + random() * 600000
            ELSE random() * 500 END),
        1 + random() * 99, %(begin)s, %(begin)s
    FROM generate_series(1, %(count)s) AS g
    JOIN elder e ON e.id = ('00000000-0000-7000-8000-' || lpad(to_hex(g), 12, '0'))::uuid
    """,
    """
    INSERT INTO device_binding (id, device_no, elder_id, bound_at)
    SELECT gen_random_uuid(), no, elder_id, %(begin)s FROM device
    """,
    """
    INSERT INTO device_presence (device_no, at, online)
    SELECT d.no, %(begin)s + make_interval(hours => 24 * s, secs => random() * 40000), s %% 2 = 0
    FROM device d CROSS JOIN generate_series(0, 39) AS s WHERE s = 0 OR d.no %% 4 = 0
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO technical_alarm (id, device_no, kind, raised_at, last_at)
    SELECT gen_random_uuid(), no, 'device_offline', last_seen_at, last_seen_at FROM device
    WHERE NOT online
    """,
    "ANALYZE",
)


async def fill(tx: Tx, count: int) -> None:
    """Make devices with everything that the pages ask for."""
    await load_divisions(tx)
    values = {"count": count, "now": NOW, "begin": NOW - timedelta(days=41)}
    for statement in _FILL:
        await tx.execute(statement, values)


async def measure(db: Database, title: str, ask: Callable[[Tx], Awaitable[object]]) -> None:
    """Print how long a question takes."""
    taken: list[float] = []
    for _ in range(_RUNS):
        async with db.connection() as conn:
            began = time.perf_counter()
            await ask(conn)
            taken.append(1000 * (time.perf_counter() - began))
    print(f"{title:56} {statistics.median(taken):9.1f} ms", flush=True)


async def questions(db: Database) -> None:
    """Ask what the pages ask."""
    everything = DeviceFilters()
    silent = DeviceFilters(state=DeviceState.BOUND, connection=Connection.OFFLINE)

    async def hours(tx: Tx) -> None:
        end = NOW.replace(minute=0)
        await store.sum_up_hours(tx, end - timedelta(hours=27), end)

    await measure(db, "counters", lambda tx: service.counters(tx, CITY, "", NOW))
    await measure(db, "firmware versions", lambda tx: service.versions(tx, CITY, "", NOW))
    await measure(
        db, "list by id, first page, with count",
        lambda tx: finding.search(tx, CITY, everything, DeviceOrder(), NOW),
    )  # fmt: skip
    await measure(
        db, "list by id, page two thousand, with count",
        lambda tx: finding.search(tx, CITY, everything, DeviceOrder(offset=99_950), NOW),
    )  # fmt: skip
    await measure(
        db, "silent ones, the longest first, with count",
        lambda tx: finding.search(tx, CITY, silent, DeviceOrder(DeviceSort.SEEN), NOW),
    )  # fmt: skip
    await measure(
        db, "the numbers of an export",
        lambda tx: inventory.numbers(tx, everything, DeviceOrder(limit=200_000), NOW, scope=""),
    )  # fmt: skip
    await measure(
        db, "uptime of 50 devices",
        lambda tx: service.uptimes(tx, list(range(1, 51)), NOW),
    )  # fmt: skip
    await measure(db, "silent ones for the map", lambda tx: service.silent_spots(tx, CITY, "", NOW))
    await measure(db, "job: uptime of the last 27 hours", hours)
    await measure(
        db, "uptime of divisions", lambda tx: service.division_uptime(tx, CITY, "1501", NOW)
    )
    await measure(
        db, "technical alarms, first page",
        lambda tx: technical.listed(tx, CITY, TechnicalFilters()),
    )  # fmt: skip
    await measure(db, "technical alarms, counts", lambda tx: technical_store.counts(tx, "", ""))
    await measure(
        db, "self-tests due, first page", lambda tx: selftests.due(tx, CITY, DueFilters(NOW))
    )
    await measure(
        db, "self-tests due, count", lambda tx: selftests.count(tx, CITY, DueFilters(NOW))
    )


async def run(count: int) -> None:
    """Fill a database and measure."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "data")
        server.start()
        try:
            url = server.ensure_database("fleet")
            await migrate(url)
            db = await Database.open(url)
            async with db.transaction() as tx:
                await fill(tx, count)
            print(f"{count:,} devices")
            await questions(db)
            await db.close()
        finally:
            server.stop()


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000)
    asyncio.run(run(parser.parse_args().devices))


if __name__ == "__main__":
    main()
