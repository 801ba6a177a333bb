"""The audit log as CSV."""

from care.sheets.writing import Value
from kernel.audit import AuditEntry

HEADER = (
    "seq", "at_utc", "actor_id", "actor", "action", "subject_type", "subject_id", "division",
    "detail", "prev_hash", "hash",
)  # fmt: skip


def csv_line(entry: AuditEntry) -> tuple[Value, ...]:
    """Return the cells of an entry, exact enough to check the chain by them."""
    return (
        entry.seq,
        entry.at.isoformat(timespec="microseconds"),
        str(entry.actor_id or ""),
        entry.actor_name,
        entry.action,
        entry.subject_type,
        entry.subject_id,
        entry.division,
        entry.detail,
        entry.prev_hash.hex(),
        entry.hash.hex(),
    )
