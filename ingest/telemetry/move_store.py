"""SQL of the move of plain readings to a hypertable: what is copied, what is noted, what is not."""

from dataclasses import dataclass
from datetime import datetime

from ingest.telemetry import schema_store
from kernel.db import Tx, execute, fetch_all, fetch_tuples, fetch_value

_LOCK = 0x51_1F_E4_23


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of the plain table that holds something. `readings` is an estimate.

    `until` is None for the default partition, which has no end.
    """

    name: str
    bytes: int
    readings: int
    until: datetime | None


async def under_way(tx: Tx) -> bool:
    """Return whether a move was begun and not ended."""
    answer: bool = await fetch_value(tx, "SELECT to_regclass('reading_move') IS NOT NULL")
    return answer


async def switched(tx: Tx) -> bool:
    """Return whether the hypertable has the name already and the old table is still there."""
    answer: bool = await fetch_value(tx, "SELECT to_regclass('reading_partitioned') IS NOT NULL")
    return answer


async def try_lock(conn: Tx) -> bool:
    """Let one run move at a time, for as long as the connection lasts; whether it is us."""
    got: bool = await fetch_value(conn, "SELECT pg_try_advisory_lock(%s)", (_LOCK,))
    return got


async def end_with_client(tx: Tx) -> None:
    """Have the server give this transaction up soon after our process has died."""
    await execute(tx, "SET LOCAL client_connection_check_interval = '2s'")


async def begin(tx: Tx) -> None:
    """Make the hypertable and the books of the move; writers must be kept out."""
    await schema_store.run_script(tx, "move_begin.sql")


async def parts(tx: Tx) -> list[Part]:
    """Return the partitions that hold something, the oldest first, the default one last."""
    return await fetch_all(
        tx,
        Part,
        r"""
        SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes,
               greatest(c.reltuples, 0)::bigint AS readings,
               to_timestamp(substring(c.relname FROM '_p(\d{8})$'), 'YYYYMMDD') + interval '1 day'
                   AS until
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'reading'::regclass AND pg_relation_size(c.oid) > 0
        ORDER BY until NULLS LAST, c.relname
        """,
    )


async def left(tx: Tx) -> list[Part]:
    """Return the partitions that hold something and are not copied yet."""
    done = await copied(tx)
    return [part for part in await parts(tx) if part.name not in done]


async def copied(tx: Tx) -> dict[str, int]:
    """Return how many readings were taken over of each partition that is copied."""
    rows = await fetch_tuples(
        tx,
        "SELECT c.relname, m.readings FROM reading_move m JOIN pg_class c ON c.oid = m.partition",
    )
    return dict(rows)


async def watch(tx: Tx, part: Part) -> None:
    """Have what comes to a partition noted, from the end of this transaction on."""
    await schema_store.limit_lock_wait(tx)
    await execute(tx, "SELECT reading_move_watch(%s::regclass)", (part.name,))


async def copy(tx: Tx, part: Part, *, is_over: bool) -> int:
    """Copy a watched partition; return the number of readings."""
    await execute(tx, "SET LOCAL work_mem = '128MB'")
    number: int = await fetch_value(
        tx, "SELECT reading_move_copy(%s::regclass, %s)", (part.name, is_over)
    )
    return number


async def drain(tx: Tx) -> int:
    """Take over what came to copied partitions meanwhile; return the number of readings."""
    number: int = await fetch_value(tx, "SELECT reading_move_drain()")
    return number


async def switch(tx: Tx) -> None:
    """Give the hypertable the name; writers must be kept out and nothing may be left."""
    await schema_store.run_script(tx, "move_switch.sql")


async def difference(tx: Tx) -> int:
    """Return how many readings the old table has more than were taken over: 0, after the switch."""
    number: int = await fetch_value(
        tx,
        "SELECT (SELECT count(*) FROM reading_partitioned)"
        " - (SELECT coalesce(sum(readings), 0) FROM reading_move)::bigint",
    )
    return number


async def end(tx: Tx) -> None:
    """Drop the old table and the books."""
    await schema_store.limit_lock_wait(tx)
    await execute(tx, "DROP TABLE reading_partitioned")
    await schema_store.run_script(tx, "move_end.sql")


async def cancel(tx: Tx) -> None:
    """Drop the half-filled hypertable and the books; the plain table was never touched."""
    await schema_store.limit_lock_wait(tx)
    await execute(tx, "DROP TABLE reading_next")
    await schema_store.run_script(tx, "move_end.sql")
