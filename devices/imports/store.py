"""SQL of imports, and of putting many devices in stock at once."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from devices.imports.model import Draft, Import, ImportLine, Line, Report, State
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value


@dataclass(frozen=True, slots=True)
class _Row:
    id: uuid.UUID
    created_at: datetime
    filename: str
    rows: list[dict[str, Any]]
    report: dict[str, Any]
    with_secrets: bool
    secrets_until: datetime | None
    state: str
    settled_at: datetime | None


def _report_json(report: Report) -> Jsonb:
    return Jsonb(
        {
            "columns": dict(report.columns),
            "ignored": list(report.ignored),
            "problems": [asdict(line) for line in report.problems],
        }
    )


async def insert(
    tx: Tx,
    *,
    import_id: uuid.UUID,
    by: uuid.UUID,
    filename: str,
    rows: Sequence[Draft],
    report: Report,
    with_secrets: bool,
    now: datetime,
) -> None:
    """Keep a list for its confirmation."""
    await execute(
        tx,
        "INSERT INTO device_import (id, created_at, created_by, filename, rows, report, rows_total,"
        " rows_wrong, with_secrets, state)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'previewed')",
        (
            import_id, now, by, filename, Jsonb([asdict(row) for row in rows]),
            _report_json(report), len(rows), report.rows_wrong, with_secrets,
        ),
    )  # fmt: skip


async def get(tx: Tx, import_id: uuid.UUID, by: uuid.UUID, *, lock: bool = False) -> Import | None:
    """Return an import of this person; with `lock` it is held until the transaction ends."""
    if lock:
        await fetch_value(tx, "SELECT id FROM device_import WHERE id = %s FOR UPDATE", (import_id,))
    row = await fetch_one(
        tx,
        _Row,
        "SELECT id, created_at, filename, rows, report, with_secrets, secrets_until, state,"
        " settled_at FROM device_import WHERE id = %s AND created_by = %s",
        (import_id, by),
    )
    if row is None:
        return None
    report = row.report
    return Import(
        id=row.id,
        created_at=row.created_at,
        filename=row.filename,
        rows=tuple(Draft(**one) for one in row.rows),
        report=Report(
            report["columns"],
            tuple(report["ignored"]),
            tuple(Line(**one) for one in report["problems"]),
        ),
        with_secrets=row.with_secrets,
        secrets_until=row.secrets_until,
        state=State(row.state),
        settled_at=row.settled_at,
    )


async def put_report(tx: Tx, import_id: uuid.UUID, report: Report) -> None:
    """Replace the report of a list that was looked at again."""
    await execute(
        tx,
        "UPDATE device_import SET report = %s, rows_wrong = %s WHERE id = %s",
        (_report_json(report), report.rows_wrong, import_id),
    )


async def settle(tx: Tx, import_id: uuid.UUID, state: State, now: datetime) -> None:
    """End an import."""
    await execute(
        tx,
        "UPDATE device_import SET state = %s, settled_at = %s WHERE id = %s",
        (state.value, now, import_id),
    )


async def put_secrets(tx: Tx, import_id: uuid.UUID, box: bytes, until: datetime) -> None:
    """Keep the credentials, encrypted, until they are fetched."""
    await execute(
        tx,
        "UPDATE device_import SET secrets_enc = %s, secrets_until = %s WHERE id = %s",
        (box, until, import_id),
    )


async def take_secrets(tx: Tx, import_id: uuid.UUID, by: uuid.UUID, now: datetime) -> bytes | None:
    """Return the credentials and forget them; None when they were fetched or are too old."""
    box = await fetch_value(
        tx,
        "SELECT secrets_enc FROM device_import WHERE id = %s AND created_by = %s"
        " AND secrets_until > %s FOR UPDATE",
        (import_id, by, now),
    )
    if box is None:
        return None
    await execute(
        tx,
        "UPDATE device_import SET secrets_enc = NULL, secrets_until = NULL WHERE id = %s",
        (import_id,),
    )
    return bytes(box)


async def expire(tx: Tx, before: datetime, now: datetime) -> None:
    """End every import that has waited since before a moment, and forget old credentials."""
    await execute(
        tx,
        "UPDATE device_import SET state = 'expired', settled_at = %s"
        " WHERE state = 'previewed' AND created_at < %s",
        (now, before),
    )
    await execute(
        tx,
        "UPDATE device_import SET secrets_enc = NULL, secrets_until = NULL"
        " WHERE secrets_enc IS NOT NULL AND secrets_until <= %s",
        (now,),
    )


async def of_person(tx: Tx, by: uuid.UUID, limit: int = 20) -> list[ImportLine]:
    """Return the person's latest imports."""
    return await fetch_all(
        tx,
        ImportLine,
        "SELECT id, created_at, filename, rows_total, rows_wrong, state FROM device_import"
        " WHERE created_by = %s ORDER BY created_at DESC, id DESC LIMIT %s",
        (by, limit),
    )


async def one_at_a_time(tx: Tx) -> None:
    """Wait until no other list is being put in stock."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('device_import', 12))")


async def taken_ids(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Return which of the ids are registered."""
    rows = await fetch_tuples(tx, "SELECT id FROM device WHERE id = ANY(%s)", (list(ids),))
    return {device_id for (device_id,) in rows}


async def taken_names(tx: Tx, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which pairs of a codec and a name in it are some device's already."""
    rows = await fetch_tuples(
        tx,
        "SELECT a.codec, a.address FROM device_alias a"
        " JOIN unnest(%s::text[], %s::text[]) AS k (codec, address) USING (codec, address)",
        ([codec for codec, _ in names], [address for _, address in names]),
    )
    return {(codec, address) for codec, address in rows}


async def insert_devices(tx: Tx, rows: Sequence[Draft], now: datetime) -> dict[str, int]:
    """Put devices in stock; return their numbers by id. Fewer than rows: an id was taken.

    The gateways of the list go first: the others are told their numbers.
    """
    numbers: dict[str, int] = {}
    of_list = {row.device_id for row in rows}
    first = [row for row in rows if row.gateway_id not in of_list]
    for part in (first, [row for row in rows if row.gateway_id in of_list]):
        found = await fetch_tuples(
            tx,
            "INSERT INTO device (id, profile, division_code, serial, gateway_no, created_at,"
            " updated_at) SELECT r.id, r.profile, r.division, nullif(r.serial, ''), g.no, %s, %s"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])"
            " AS r (id, profile, division, serial, gateway)"
            " LEFT JOIN device g ON g.id = nullif(r.gateway, '')"
            " ON CONFLICT (id) DO NOTHING RETURNING id, no",
            (now, now, *_columns(part)),
        )
        numbers |= {str(device_id): int(no) for device_id, no in found}
    return numbers


def _columns(rows: Sequence[Draft]) -> tuple[list[str], ...]:
    return (
        [row.device_id for row in rows],
        [row.profile for row in rows],
        [row.division_code for row in rows],
        [row.serial for row in rows],
        [row.gateway_id for row in rows],
    )


async def profiles_of(tx: Tx, ids: Iterable[str]) -> dict[str, str]:
    """Return the models of registered devices, by id."""
    rows = await fetch_tuples(tx, "SELECT id, profile FROM device WHERE id = ANY(%s)", (list(ids),))
    return {str(device_id): str(profile) for device_id, profile in rows}


async def insert_names(tx: Tx, names: Sequence[tuple[str, str, int]]) -> int:
    """Give devices their names: protocol, name, number; return how many were free."""
    return await execute(
        tx,
        "INSERT INTO device_alias (codec, address, device_no)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) ON CONFLICT DO NOTHING",
        (
            [codec for codec, _, _ in names],
            [address for _, address, _ in names],
            [number for _, _, number in names],
        ),
    )
