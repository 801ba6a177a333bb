"""Imports in the database; file and report are encrypted."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from care.imports.model import Import, ImportLine, Report, State
from kernel.crypto import FieldCipher
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value
from kernel.divisions.codes import ancestors, pad

FILE, REPORT = "import_file", "import_report"


@dataclass(frozen=True, slots=True)
class _Row:
    id: uuid.UUID
    created_at: datetime
    created_by: uuid.UUID
    filename: str
    report_enc: bytes
    rows_total: int
    rows_wrong: int
    state: str
    settled_at: datetime | None


async def insert(
    tx: Tx,
    cipher: FieldCipher,
    *,
    import_id: uuid.UUID,
    by: uuid.UUID,
    filename: str,
    data: bytes,
    report: Report,
    now: datetime,
) -> None:
    """Keep a file for its confirmation."""
    await execute(
        tx,
        "INSERT INTO elder_import (id, created_at, created_by, filename, file_enc, report_enc,"
        " rows_total, rows_wrong, state) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'previewed')",
        (
            import_id,
            now,
            by,
            filename,
            cipher.encrypt_bytes(FILE, data),
            cipher.encrypt_bytes(REPORT, report.to_json()),
            len(report.rows),
            report.rows_wrong,
        ),
    )


async def get(
    tx: Tx, cipher: FieldCipher, import_id: uuid.UUID, by: uuid.UUID, *, lock: bool = False
) -> Import | None:
    """Return an import of this person; with `lock` it is held until the transaction ends."""
    if lock:
        await fetch_value(tx, "SELECT id FROM elder_import WHERE id = %s FOR UPDATE", (import_id,))
    row = await fetch_one(
        tx,
        _Row,
        "SELECT id, created_at, created_by, filename, report_enc, rows_total, rows_wrong, state,"
        " settled_at FROM elder_import WHERE id = %s AND created_by = %s",
        (import_id, by),
    )
    if row is None:
        return None
    return Import(
        id=row.id,
        created_at=row.created_at,
        created_by=row.created_by,
        filename=row.filename,
        rows_total=row.rows_total,
        rows_wrong=row.rows_wrong,
        state=State(row.state),
        settled_at=row.settled_at,
        report=Report.from_json(cipher.decrypt_bytes(REPORT, bytes(row.report_enc))),
    )


async def file_of(tx: Tx, cipher: FieldCipher, import_id: uuid.UUID) -> bytes | None:
    """Return the file while it is kept."""
    box = await fetch_value(tx, "SELECT file_enc FROM elder_import WHERE id = %s", (import_id,))
    return cipher.decrypt_bytes(FILE, bytes(box)) if box is not None else None


async def put_report(tx: Tx, cipher: FieldCipher, import_id: uuid.UUID, report: Report) -> None:
    """Replace the report of a file that was looked at again."""
    await execute(
        tx,
        "UPDATE elder_import SET report_enc = %s, rows_total = %s, rows_wrong = %s WHERE id = %s",
        (
            cipher.encrypt_bytes(REPORT, report.to_json()),
            len(report.rows),
            report.rows_wrong,
            import_id,
        ),
    )


async def settle(tx: Tx, import_id: uuid.UUID, state: State, now: datetime) -> None:
    """End an import: the file is gone, the report stays."""
    await execute(
        tx,
        "UPDATE elder_import SET state = %s, settled_at = %s, file_enc = NULL WHERE id = %s",
        (state.value, now, import_id),
    )


async def expire(tx: Tx, before: datetime, now: datetime) -> int:
    """End every import that has waited since before a moment; return how many."""
    return await execute(
        tx,
        "UPDATE elder_import SET state = 'expired', settled_at = %s, file_enc = NULL"
        " WHERE state = 'previewed' AND created_at < %s",
        (now, before),
    )


async def of_person(tx: Tx, by: uuid.UUID, limit: int = 20) -> list[ImportLine]:
    """Return the person's latest imports."""
    return await fetch_all(
        tx,
        ImportLine,
        "SELECT id, created_at, filename, rows_total, rows_wrong, state FROM elder_import"
        " WHERE created_by = %s ORDER BY created_at DESC, id DESC LIMIT %s",
        (by, limit),
    )


async def places(tx: Tx, scope: str) -> list[tuple[str, str]]:
    """Return code and name of the divisions in use within a scope, and of those above it."""
    above = [*ancestors(pad(scope)), pad(scope)] if scope else []
    rows = await fetch_tuples(
        tx,
        "SELECT code, name FROM division"
        " WHERE valid_to IS NULL AND (starts_with(code, %s) OR code = ANY(%s))",
        (scope, above),
    )
    return [(code, name) for code, name in rows]


async def registered(tx: Tx, people: Sequence[tuple[str, bytes]]) -> set[tuple[str, bytes]]:
    """Return which pairs of a name and a phone's blind index are somebody's already."""
    rows = await fetch_tuples(
        tx,
        "SELECT e.name, p.phone_index FROM elder_phone p JOIN elder e ON e.id = p.elder_id"
        " WHERE e.archived_at IS NULL AND p.phone_index = ANY(%s)",
        ([index for _, index in people],),
    )
    return {(name, bytes(index)) for name, index in rows} & set(people)
