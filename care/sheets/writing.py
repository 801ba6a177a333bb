"""Writes lists for office programs so that no cell is ever run as a formula (CWE-1236).

Synchronous, as reading.py is.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from openpyxl import Workbook
from openpyxl.cell import Cell, MergedCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

# The characters with which Excel, LibreOffice and WPS take a cell for a formula, and the control
# characters that some of them skip before looking.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Value = str | int | float | None


def harmless(text: str) -> str:
    """Return the text for a CSV cell: what looks like a formula gets an apostrophe in front.

    A plain number may begin with a sign; that is no formula.
    """
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def csv_lines(rows: Iterable[Sequence[Value]]) -> bytes:
    """Return rows as lines of a CSV file, without the mark at its beginning."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([harmless(v) if isinstance(v, str) else v for v in row])
    return out.getvalue().encode()


def csv_head(header: Sequence[str]) -> bytes:
    """Return the beginning of a CSV file: without its mark Excel would take it for GBK."""
    return codecs.BOM_UTF8 + csv_lines([header])


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """Return a whole CSV file."""
    return csv_head(header) + csv_lines(rows)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of a workbook. `choices` gives columns (from 0) a list to choose from."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Value]] = ()
    choices: dict[int, Sequence[str]] = field(default_factory=dict)
    wide: frozenset[int] = frozenset()


def write_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """Return a workbook; every text is stored as text, whatever it begins with."""
    book = Workbook()
    first = book.active
    if first is not None:
        book.remove(first)
    for sheet in sheets:
        _fill(book.create_sheet(sheet.title), sheet)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _fill(page: Worksheet, sheet: Sheet) -> None:
    page.freeze_panes = "A2"
    for column, title in enumerate(sheet.header, start=1):
        cell = page.cell(1, column)
        _put(cell, title)
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="E3EEEC")
        letter = get_column_letter(column)
        width = 60 if column - 1 in sheet.wide else max(12, 2 * len(title) + 4)
        page.column_dimensions[letter].width = width
        # A column of text keeps 18 digits as they were typed.
        page.column_dimensions[letter].number_format = "@"
    for number, row in enumerate(sheet.rows, start=2):
        for column, value in enumerate(row, start=1):
            cell = page.cell(number, column)
            _put(cell, value)
            cell.alignment = Alignment(vertical="top", wrap_text=column - 1 in sheet.wide)
    for index, words in sheet.choices.items():
        letter = get_column_letter(index + 1)
        choice = DataValidation(type="list", formula1=f'"{",".join(words)}"', allow_blank=True)
        choice.add(f"{letter}2:{letter}5001")
        page.add_data_validation(choice)


def _put(cell: Cell | MergedCell, value: Value) -> None:
    if isinstance(cell, MergedCell):
        return
    if not isinstance(value, str):
        cell.value = value
        return
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
    # openpyxl makes a formula of a text that begins with "=".
    cell.data_type = "s"
    cell.number_format = "@"
