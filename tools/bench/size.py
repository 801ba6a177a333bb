"""How much room a message and its readings take on disk and in the write-ahead log.

    python -m tools.bench.size [--mode plain|apache] [--messages 200000]

The messages go through the pipeline of ingest, then the tables are measured with their indexes.
Compression is of TimescaleDB's Community edition and is not in the laboratory: it is not measured.
Writes bench-results/size-….json.
"""

import argparse
import asyncio
from pathlib import Path

from ingest.telemetry.model import StorageMode
from kernel.clock import utcnow
from kernel.db import Database, fetch_tuples, fetch_value
from tools.bench import pipeline
from tools.bench.database import bench_database, bench_server
from tools.bench.report import machine, write_json
from tools.bench.world import Load, make_devices

_DEVICES = 1000
# A table with its partitions or chunks, which lie in another schema.
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(part.oid)), 0)::bigint
FROM pg_class AS part
WHERE part.relkind IN ('r', 'p') AND (
    part.oid = %(table)s::regclass
    OR part.oid IN (SELECT relid FROM pg_partition_tree(%(table)s::regclass))
    OR part.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s::regclass)
)
"""


async def measure(url: str, mode: StorageMode, count: int) -> dict[str, object]:
    """Store the messages and return bytes of each kind."""
    now = utcnow()
    load = Load(_DEVICES, max(1, count // _DEVICES))
    async with bench_database(url, mode, now) as bench:
        await make_devices(bench.db, _DEVICES, 1, now)
        environment = machine() | await bench.facts()
        before = await _log_position(bench.db)
        await pipeline.measure(bench.db, load)
        logged = await _log_position(bench.db) - before
        readings = await _count(bench.db, "reading")
        messages = await _count(bench.db, "ingest_message")
        reading_bytes = await _size(bench.db, "reading")
        mark_bytes = await _size(bench.db, "ingest_message")
    return {
        "at": now.isoformat(),
        "environment": environment,
        "messages": messages,
        "readings": readings,
        "bytes_per_reading": round(reading_bytes / readings, 1),
        "bytes_per_mark": round(mark_bytes / messages, 1),
        "log_bytes_per_message": round(logged / messages, 1),
    }


async def _size(db: Database, table: str) -> int:
    async with db.connection() as conn:
        rows = await fetch_tuples(conn, _SIZE, {"table": table})
    return int(rows[0][0])


async def _count(db: Database, table: str) -> int:
    text = {"reading": "SELECT count(*) FROM reading",
            "ingest_message": "SELECT count(*) FROM ingest_message"}[table]  # fmt: skip
    async with db.connection() as conn:
        return int(await fetch_value(conn, text))


async def _log_position(db: Database) -> int:
    async with db.connection() as conn:
        return int(await fetch_value(conn, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def main() -> None:
    """Measure, print, write the file."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.size")
    parser.add_argument("--mode", choices=["plain", "apache"], default="plain")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    options = parser.parse_args()
    mode = StorageMode(options.mode)
    with bench_server(mode) as url:
        document = asyncio.run(measure(url, mode, options.messages))
    for name in ("messages", "readings", "bytes_per_reading", "bytes_per_mark",
                 "log_bytes_per_message"):  # fmt: skip
        print(f"{name:24}{document[name]:>12,}")
    print(write_json(options.output, "size", utcnow(), document))


if __name__ == "__main__":
    main()
