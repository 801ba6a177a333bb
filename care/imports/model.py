"""A file of elders between its preview and its end, and the report on it."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """What became of a file."""

    PREVIEWED = "previewed"
    IMPORTED = "imported"
    DROPPED = "dropped"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What is wrong with, or doubtful about, one cell. `column` is the file's own heading.

    `code` and `facts` are those of care/elders/problems.py; no line holds what the cell said.
    """

    row: int
    column: str
    code: str
    facts: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row as it was understood, for a look before confirming. The number is masked.

    `elder_id` is there once the row was imported.
    """

    row: int
    name: str
    sex: str
    birth_date: str
    area: str
    phone: str
    contacts: int
    elder_id: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a file says. It holds names: it is stored encrypted."""

    columns: Mapping[str, str]
    ignored: Sequence[str]
    rows: Sequence[ReportRow]
    problems: Sequence[ReportLine]
    warnings: Sequence[ReportLine]

    @property
    def rows_wrong(self) -> int:
        """How many rows have a problem."""
        return len({line.row for line in self.problems})

    def to_json(self) -> bytes:
        """Write the report as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Report":
        """Read what `to_json` wrote."""
        fields = json.loads(data)
        return cls(
            columns=fields["columns"],
            ignored=tuple(fields["ignored"]),
            rows=tuple(ReportRow(**one) for one in fields["rows"]),
            problems=tuple(ReportLine(**one) for one in fields["problems"]),
            warnings=tuple(ReportLine(**one) for one in fields["warnings"]),
        )


@dataclass(frozen=True, slots=True)
class Import:
    """A file with its report; the file itself is read only to import it."""

    id: uuid.UUID
    created_at: datetime
    created_by: uuid.UUID
    filename: str
    rows_total: int
    rows_wrong: int
    state: State
    settled_at: datetime | None
    report: Report

    @property
    def ready(self) -> bool:
        """True when it can be confirmed."""
        return self.state is State.PREVIEWED and self.rows_wrong == 0 and self.rows_total > 0


@dataclass(frozen=True, slots=True)
class ImportLine:
    """An import in the list of one's own."""

    id: uuid.UUID
    created_at: datetime
    filename: str
    rows_total: int
    rows_wrong: int
    state: str
