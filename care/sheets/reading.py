"""Reads an uploaded .xlsx or .csv as text cells, within bounds, without trusting any of it.

Everything here is synchronous and uses the processor: call it in a thread, not on the event loop.
"""

import codecs
import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

MOST_BYTES = 5 * 1024 * 1024
MOST_UNPACKED_BYTES = 80 * 1024 * 1024
MOST_ROWS = 5_000
MOST_COLUMNS = 60
MOST_CHARACTERS = 5_000

_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
# What openpyxl lets through when a file is not what it says.
_BROKEN_FILE = (
    zipfile.BadZipFile,
    InvalidFileException,
    ParseError,
    zlib.error,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    OSError,
    NotImplementedError,
)

SENTENCES = {
    "file_empty": "There is nothing in this file.",
    "file_too_large": "The file has more than %(limit)s MB.",
    "file_unpacks_too_large": "The file is far larger inside than a list of people can be.",
    "file_old_excel": "This is the format of Excel 97-2003; save it as .xlsx and try again.",
    "file_unreadable": "This is neither an .xlsx nor a .csv file, or it is damaged.",
    "file_encoding": "The text of this file is neither UTF-8 nor GB 18030.",
    "too_many_rows": "The file has more than %(limit)s rows; split it.",
    "too_many_columns": "The file has more than %(limit)s columns.",
    "cell_too_long": "A cell of row %(row)s has more than %(limit)s characters.",
}


class SheetError(ValueError):
    """The file cannot be read at all. `code` is a key of SENTENCES."""

    def __init__(self, code: str, **facts: int) -> None:
        super().__init__(SENTENCES[code] % facts)
        self.code = code
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not empty, with its number in the file (from 1) and its cells as text."""

    number: int
    cells: tuple[str, ...]

    def cell(self, index: int) -> str:
        """Return a cell; behind the end of the row it is empty."""
        return self.cells[index] if index < len(self.cells) else ""


def read_rows(data: bytes) -> list[Row]:
    """Return the rows of the first sheet that are not empty. Raises SheetError.

    Dates become 1943-05-01; a number with more digits than a spreadsheet can hold exactly is
    written with an exponent, so that nobody takes it for the number that was meant.
    """
    if len(data) > MOST_BYTES:
        raise SheetError("file_too_large", limit=MOST_BYTES // 1024 // 1024)
    if not data.strip():
        raise SheetError("file_empty")
    if data.startswith(_OLD_EXCEL):
        raise SheetError("file_old_excel")
    found = _excel(data) if data.startswith(_ZIP) else _csv(data)
    rows: list[Row] = []
    for number, cells in found:
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        _check_bounds(number, cells, len(rows))
        rows.append(Row(number, tuple(cells)))
    if not rows:
        raise SheetError("file_empty")
    return rows


def _check_bounds(number: int, cells: list[str], before: int) -> None:
    # A title and a header may stand above the rows that count.
    if before >= MOST_ROWS + 10:
        raise SheetError("too_many_rows", limit=MOST_ROWS)
    if len(cells) > MOST_COLUMNS:
        raise SheetError("too_many_columns", limit=MOST_COLUMNS)
    if any(len(cell) > MOST_CHARACTERS for cell in cells):
        raise SheetError("cell_too_long", row=number, limit=MOST_CHARACTERS)


def _excel(data: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        _check_package(data)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        # Some programs write a wrong size of the sheet, at which reading would stop.
        sheet.reset_dimensions()
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield number, [_text(value) for value in values[: MOST_COLUMNS + 1]]
        book.close()
    except SheetError:
        raise
    except _BROKEN_FILE as error:
        raise SheetError("file_unreadable") from error


def _check_package(data: bytes) -> None:
    """Look into the package before it is unpacked: no bombs, no document types."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        entries = package.infolist()
        if len(entries) > 1000 or sum(one.file_size for one in entries) > MOST_UNPACKED_BYTES:
            raise SheetError("file_unpacks_too_large")
        for entry in entries:
            if entry.filename.endswith((".xml", ".rels")):
                with package.open(entry) as part:
                    if b"<!DOCTYPE" in part.read(4096):
                        raise SheetError("file_unreadable")


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime):
        whole_day = value.time() == time(0)
        return value.date().isoformat() if whole_day else value.isoformat(" ", "seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float):
        return _number_text(float(value))
    return str(value).strip()


def _number_text(value: float) -> str:
    if abs(value) >= 1e15:
        return f"{value:.14E}"
    return str(int(value)) if value.is_integer() else repr(value)


def _csv(data: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(data)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(",\t;，", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        for cells in reader:
            # A quoted cell may span lines: the number is where the row ends, as editors count.
            yield reader.line_num, [cell.strip().strip("\t") for cell in cells]
    except csv.Error as error:
        raise SheetError("file_unreadable") from error


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise SheetError("file_unreadable")
        return text
    raise SheetError("file_encoding")
