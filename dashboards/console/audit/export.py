"""The audit log as CSV that a spreadsheet opens without harm."""

import csv
import io
from collections.abc import AsyncIterator

from kernel import audit
from kernel.audit import AuditEntry, AuditFilters
from kernel.db import Database

HEADER = (
    "seq", "at_utc", "actor_id", "actor", "action", "subject_type", "subject_id", "division",
    "detail", "prev_hash", "hash",
)  # fmt: skip
_BOM = "\ufeff"
_ROWS_AT_ONCE = 500


def safe_cell(text: str) -> str:
    """Return the text so that no spreadsheet takes it for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _row(entry: AuditEntry) -> tuple[str, ...]:
    return (
        str(entry.seq),
        entry.at.isoformat(timespec="microseconds"),
        str(entry.actor_id or ""),
        safe_cell(entry.actor_name),
        safe_cell(entry.action),
        safe_cell(entry.subject_type),
        safe_cell(entry.subject_id),
        entry.division,
        safe_cell(entry.detail),
        entry.prev_hash.hex(),
        entry.hash.hex(),
    )


async def csv_lines(db: Database, filters: AuditFilters) -> AsyncIterator[bytes]:
    """Yield the file piece by piece: it may be longer than the memory of the web process."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    buffer.write(_BOM)
    writer.writerow(HEADER)
    async with db.connection() as conn:
        count = 0
        async for entry in audit.export(conn, filters):
            writer.writerow(_row(entry))
            count += 1
            if count % _ROWS_AT_ONCE == 0:
                yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
