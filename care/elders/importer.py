"""Reads a list of elders: finds the columns by their headings, makes a draft of each row, says what
is wrong and where. Pure; opening files is care/sheets, storing is care/imports.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from care.elders import importer_words as words
from care.elders import normalise, rules
from care.elders.model import Contact, Draft, LivingSituation, Phone, Relation, Sex
from care.elders.problems import Problem
from care.sheets.reading import Row

HEADING_ROWS = 10
_ROUNDED = re.compile(r"\d(?:\.\d+)?[Ee]\+\d+")


class PlaceFinder(Protocol):
    """Finds divisions (care/imports/places.py)."""

    def code_of(self, text: str) -> list[str]:
        """Return the codes that the text may mean."""

    def code_at_start(self, address: str) -> str | None:
        """Return the deepest division at the beginning of an address."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A problem, its row in the file (from 1) and the heading of its column ("" for the row)."""

    row: int
    column: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A row that says something, as a draft in its one spelling."""

    number: int
    draft: Draft
    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What a list means. Nothing of it may be stored while there are problems."""

    rows: tuple[ImportRow, ...] = ()
    problems: tuple[RowProblem, ...] = ()
    warnings: tuple[RowProblem, ...] = ()
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def column(self, field: str) -> str:
        """Return the heading under which a field stood, "" when it has no column."""
        return self.columns.get(words.column_of(field), "")


def interpret(rows: Sequence[Row], places: PlaceFinder, now: datetime) -> Interpretation:
    """Read the rows of a sheet. A missing column of names is a problem of the whole file."""
    found = find_heading(rows)
    if found is None:
        missing = RowProblem(rows[0].number if rows else 1, "", Problem("name", "heading_missing"))
        return Interpretation(problems=(missing,))
    position, columns = found
    heading = rows[position]
    titles = {field: heading.cell(index) for index, field in columns.items()}
    ignored = tuple(
        title for index, title in enumerate(heading.cells) if title and index not in columns
    )
    read = [_RowReader(row, columns, places, now) for row in rows[position + 1 :]]

    def located(row: int, problem: Problem) -> RowProblem:
        return RowProblem(row, titles.get(words.column_of(problem.field), ""), problem)

    problems = [located(one.row.number, problem) for one in read for problem in one.problems]
    problems += [located(row, problem) for row, problem in _twice(read)]
    if not read:
        problems.append(RowProblem(heading.number, "", Problem("name", "no_rows")))
    return Interpretation(
        rows=tuple(ImportRow(one.row.number, one.draft, one.contacts) for one in read),
        problems=tuple(sorted(problems, key=lambda one: one.row)),
        warnings=tuple(located(one.row.number, w) for one in read for w in one.warnings),
        columns=titles,
        ignored=ignored,
    )


def find_heading(rows: Sequence[Row]) -> tuple[int, dict[int, str]] | None:
    """Return the position of the row of headings and which column is which field.

    A title may stand above it; the row must at least name a column of names.
    """
    for position, row in enumerate(rows[:HEADING_ROWS]):
        columns: dict[int, str] = {}
        for index, title in enumerate(row.cells):
            field = words.HEADINGS.get(plain_heading(title))
            if field and field not in columns.values():
                columns[index] = field
        if "name" in columns.values() and len(columns) >= 2:
            return position, columns
    return None


def plain_heading(title: str) -> str:
    """Return a heading without remarks in brackets, marks and spaces, in small letters."""
    title = unicodedata.normalize("NFKC", title).lower()
    title = re.sub(r"\(.*?\)|\[.*?\]|【.*?】", "", title)
    return re.sub(r"[\s*:_\-/·。、]+", "", title)


def _twice(read: Sequence["_RowReader"]) -> list[tuple[int, Problem]]:
    first: dict[str, int] = {}
    found: list[tuple[int, Problem]] = []
    for one in read:
        number = one.draft.id_number
        if number and first.setdefault(number, one.row.number) != one.row.number:
            facts = {"row": first[number]}
            found.append((one.row.number, Problem("id_number", "id_number_taken_in_file", facts)))
    return found


class _RowReader:
    """Makes a draft of one row and gathers what is wrong with it."""

    def __init__(
        self, row: Row, columns: Mapping[int, str], places: PlaceFinder, now: datetime
    ) -> None:
        self.row = row
        self.problems: list[Problem] = []
        self._cells = {field: row.cell(index) for index, field in columns.items()}
        self._places = places
        examined = rules.examine(self._draft(), now)
        self.draft = examined.draft
        self.warnings = list(examined.warnings)
        contacts, contact_problems = rules.check_contacts(
            [self._contact(number) for number in (1, 2, 3)],
            [phone.number for phone in self.draft.phones],
        )
        self.contacts = contacts
        # A cell that could not be read is said once, not again by the rules as missing.
        said = {problem.field for problem in self.problems}
        self.problems += [
            one for one in (*examined.problems, *contact_problems) if one.field not in said
        ]

    def _get(self, field: str) -> str:
        return self._cells.get(field, "")

    def _draft(self) -> Draft:
        return Draft(
            name=self._get("name"),
            division_code=self._division(),
            sex=self._sex(),
            birth_date=self._birth_date(),
            id_number=self._digits("id_number", "id_number"),
            address=self._get("address"),
            lat=self._number("lat"),
            lon=self._number("lon"),
            living_situation=self._living(),
            risk_notes=self._get("risk_notes"),
            medical_notes=self._get("medical_notes"),
            access_notes=self._get("access_notes"),
            languages=tuple(re.split(r"[、,，;；/\s]+", self._get("languages"))),
            phones=tuple(
                Phone(self._digits(f"phone{n}", f"phones.{n - 1}.number")) for n in (1, 2)
            ),
        )

    def _contact(self, number: int) -> Contact:
        relation_text = self._get(f"contact{number}_relation")
        relation = words.relation_of_word(relation_text)
        # What we have no word for is kept as it was written.
        notes = relation_text if relation is Relation.OTHER else ""
        name, phone = self._get(f"contact{number}_name"), self._get(f"contact{number}_phone")
        if not name and not phone:
            notes = ""
        has_key = words.yes(self._get(f"contact{number}_key"))
        return Contact(name, relation, phone, has_key, notes)

    def _division(self) -> str:
        text = self._get("division") + "".join(
            self._get(part) for part in ("county", "township", "village")
        )
        if not text.strip():
            return self._places.code_at_start(self._get("address")) or ""
        codes = self._places.code_of(text)
        if len(codes) == 1:
            return codes[0]
        code = "division_ambiguous" if codes else "division_unknown"
        self.problems.append(Problem("division_code", code))
        return ""

    def _sex(self) -> Sex:
        found = rules.sex_of_word(self._get("sex"))
        if found is None:
            self.problems.append(Problem("sex", "unknown_choice"))
        return found or Sex.UNKNOWN

    def _living(self) -> LivingSituation:
        found = words.living_of_word(self._get("living_situation"))
        if found is None:
            self.problems.append(Problem("living_situation", "unknown_choice"))
        return found or LivingSituation.UNKNOWN

    def _birth_date(self) -> date | None:
        text = self._get("birth_date")
        found = rules.date_of(text) if text else None
        if text and found is None:
            self.problems.append(Problem("birth_date", "date_unreadable"))
        return found

    def _digits(self, column: str, field: str) -> str:
        text = self._get(column)
        if _ROUNDED.fullmatch(text):
            self.problems.append(Problem(field, "id_number_rounded"))
            return ""
        return text

    def _number(self, field: str) -> float | None:
        text = normalise.plain_text(self._get(field))
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            self.problems.append(Problem(field, "number_unreadable"))
            return None
