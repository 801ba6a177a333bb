"""A list of devices between its preview and its end, and the report on it."""

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    """What became of a list."""

    PREVIEWED = "previewed"
    IMPORTED = "imported"
    DROPPED = "dropped"
    EXPIRED = "expired"


class SheetRow(Protocol):
    """A row of a spreadsheet that is not empty: its number in the file and its cells as text."""

    @property
    def number(self) -> int:
        """Counted from 1."""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells up to the last that says something."""

    def cell(self, index: int) -> str:
        """Return a cell; behind the end of the row it is empty."""


class PlaceFinder(Protocol):
    """Finds the divisions that a text may mean."""

    def code_of(self, text: str) -> list[str]:
        """Return their codes: one is an answer, several are not."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is wrong with one cell. `column` is the file's own heading, `field` and `code` say what.

    `facts` has the row of the first device where two are the same.
    """

    row: int
    column: str
    field: str
    code: str
    facts: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """A device as a row describes it; "" is what the row does not say."""

    row: int
    device_id: str
    profile: str
    division_code: str
    serial: str = ""
    gateway_id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What a list means by itself. Nothing of it may be stored while there are problems."""

    rows: tuple[Draft, ...] = ()
    problems: tuple[Line, ...] = ()
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The list's columns, what was not used of it, and every problem of it in the registry."""

    columns: Mapping[str, str]
    ignored: Sequence[str]
    problems: Sequence[Line]

    @property
    def rows_wrong(self) -> int:
        """How many rows have a problem."""
        return len({line.row for line in self.problems})


@dataclass(frozen=True, slots=True)
class Import:
    """A list with its report. `secrets_until` is set while its credentials wait to be fetched."""

    id: uuid.UUID
    created_at: datetime
    filename: str
    rows: tuple[Draft, ...]
    report: Report
    with_secrets: bool
    secrets_until: datetime | None
    state: State
    settled_at: datetime | None

    @property
    def ready(self) -> bool:
        """True when it can be confirmed."""
        return self.state is State.PREVIEWED and not self.report.problems and bool(self.rows)


@dataclass(frozen=True, slots=True)
class ImportLine:
    """An import in the list of one's own."""

    id: uuid.UUID
    created_at: datetime
    filename: str
    rows_total: int
    rows_wrong: int
    state: str
