"""SQL of divisions."""

from collections.abc import Collection, Iterable
from typing import LiteralString

from kernel.db import Tx, execute, fetch_all, fetch_tuples
from kernel.divisions.model import Division

_SELECT: LiteralString = "SELECT code, name, level, parent, valid_from, valid_to FROM division"


async def find(tx: Tx, codes: Collection[str]) -> list[Division]:
    """Return the divisions with these codes."""
    return await fetch_all(tx, Division, _SELECT + " WHERE code = ANY(%s)", (list(codes),))


async def names(tx: Tx, codes: Collection[str]) -> dict[str, str]:
    """Return code → name."""
    rows = await fetch_tuples(
        tx, "SELECT code, name FROM division WHERE code = ANY(%s)", (list(codes),)
    )
    return dict(rows)


async def below(tx: Tx, parent: str | None) -> list[Division]:
    """Return the divisions in use directly below one, or the provinces."""
    return await fetch_all(
        tx,
        Division,
        _SELECT + " WHERE parent IS NOT DISTINCT FROM %s AND valid_to IS NULL ORDER BY code",
        (parent,),
    )


async def named(tx: Tx, text: str, scope: str, limit: int) -> list[Division]:
    """Return divisions in use within a scope by a part of the name, the larger ones first."""
    return await fetch_all(
        tx,
        Division,
        _SELECT + " WHERE valid_to IS NULL AND starts_with(code, %s) AND position(%s IN name) > 0"
        " ORDER BY level, code LIMIT %s",
        (scope, text, limit),
    )


async def upsert(tx: Tx, divisions: Iterable[Division], source: str) -> int:
    """Insert or change rows, many at once; return how many are new or differ.

    Bundled rows leave alone what was imported.
    """
    await execute(
        tx,
        "CREATE TEMP TABLE IF NOT EXISTS division_incoming"
        " (code text, name text, level smallint, parent text, valid_from date, valid_to date)"
        " ON COMMIT DROP",
    )
    await execute(tx, "TRUNCATE division_incoming")
    copy_sql = "COPY division_incoming (code, name, level, parent, valid_from, valid_to) FROM STDIN"
    async with tx.cursor() as cursor, cursor.copy(copy_sql) as copy:
        for one in divisions:
            await copy.write_row(
                (one.code, one.name, one.level, one.parent, one.valid_from, one.valid_to)
            )
    return await execute(
        tx,
        """
        INSERT INTO division AS d (code, name, level, parent, valid_from, valid_to, source)
        SELECT code, name, level, parent, valid_from, valid_to, %(source)s FROM division_incoming
        ON CONFLICT (code) DO UPDATE SET
            name = excluded.name, level = excluded.level, parent = excluded.parent,
            valid_from = coalesce(excluded.valid_from, d.valid_from),
            valid_to = coalesce(excluded.valid_to, d.valid_to),
            source = excluded.source
        WHERE (%(source)s <> 'bundled' OR d.source = 'bundled')
          AND (d.name, d.parent, d.source,
               coalesce(excluded.valid_from, d.valid_from), coalesce(excluded.valid_to, d.valid_to))
              IS DISTINCT FROM
              (excluded.name, excluded.parent, excluded.source, d.valid_from, d.valid_to)
        """,
        {"source": source},
    )
