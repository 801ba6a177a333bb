"""Spreadsheets from anywhere are read within bounds; ours run nothing where they are opened."""

import csv
import io
import zipfile
from datetime import date, datetime

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care.sheets import reading
from care.sheets.reading import SheetError, read_rows
from care.sheets.writing import Sheet, harmless, write_csv, write_xlsx

ROWS = [["姓名", "电话"], ["李秀英", "13812345678"], [], ["王芳", ""]]


def workbook(rows: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def text_of(rows: list[list[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        workbook(ROWS),
        text_of(ROWS).encode(),
        text_of(ROWS).encode("utf-8-sig"),
        text_of(ROWS).encode("gb18030"),
        text_of(ROWS, "\t").encode("utf-16"),
        text_of(ROWS, ";").encode(),
    ],
    ids=["xlsx", "utf-8", "utf-8 with mark", "gb18030", "unicode text of Excel", "semicolons"],
)
def test_the_same_list_is_read_from_every_format(data: bytes) -> None:
    rows = read_rows(data)
    assert [(row.number, row.cells) for row in rows] == [
        (1, ("姓名", "电话")),
        (2, ("李秀英", "13812345678")),
        (4, ("王芳",)),
    ]
    assert rows[2].cell(5) == ""


def test_cells_of_excel_become_text() -> None:
    data = workbook(
        [
            [
                date(1943, 5, 1),
                datetime(1943, 5, 1, 8, 30),  # noqa: DTZ001 - as openpyxl has it
                13812345678,
                150102194001011238,
                1.5,
                True,
            ]
        ]
    )
    assert read_rows(data)[0].cells == (
        "1943-05-01",
        "1943-05-01 08:30:00",
        "13812345678",
        "1.50102194001011E+17",
        "1.5",
        "是",
    )


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("xl/worksheets/sheet1.xml", b" " * (reading.MOST_UNPACKED_BYTES + 1))
    return out.getvalue()


def with_doctype() -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(ROWS))) as source,
        zipfile.ZipFile(out, "w") as package,
    ):
        for entry in source.infolist():
            body = source.read(entry)
            if entry.filename == "xl/workbook.xml":
                body = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + body
            package.writestr(entry, body)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b" \r\n", "file_empty"),
        (b",,,\n,,\n", "file_empty"),
        (b"a" * (reading.MOST_BYTES + 1), "file_too_large"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "file_old_excel"),
        (b"PK\x03\x04 this is no zip", "file_unreadable"),
        (bomb(), "file_unpacks_too_large"),
        (with_doctype(), "file_unreadable"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xff", "file_encoding"),
        (b"name\0,phone", "file_unreadable"),
        ("姓名\n" + "李\n" * 5010, "too_many_rows"),
        (",".join("x" * 61), "too_many_columns"),
        ("姓名\n" + "长" * 5001, "cell_too_long"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes | str, code: str) -> None:
    with pytest.raises(SheetError) as raised:
        read_rows(data.encode() if isinstance(data, str) else data)
    assert raised.value.code == code


def test_a_truncated_workbook_is_refused() -> None:
    whole = workbook(ROWS)
    for part in (0.3, 0.6, 0.9):
        with pytest.raises(SheetError):
            read_rows(whole[: int(len(whole) * part)])


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_a_sheet_error(data: bytes) -> None:
    for candidate in (data, b"PK\x03\x04" + data):
        try:
            assert read_rows(candidate)
        except SheetError:
            continue


DANGEROUS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "＝1"]


@pytest.mark.parametrize("text", DANGEROUS)
def test_a_formula_is_written_as_text(text: str) -> None:
    assert harmless(text) == "'" + text
    line = write_csv(["备注"], [[text]]).decode("utf-8-sig").splitlines()[1]
    assert line.strip('"').startswith("'")
    book = openpyxl.load_workbook(io.BytesIO(write_xlsx([Sheet("表", ["备注"], [[text]])])))
    cell = book.active["A2"]
    assert (cell.data_type, cell.value.strip()) == ("s", text.strip())


def test_a_plain_number_keeps_its_sign() -> None:
    assert harmless("-12.5") == "-12.5"
    assert harmless("") == ""
    assert harmless("李秀英") == "李秀英"


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=5))
def test_no_cell_of_a_csv_begins_a_formula(texts: list[str]) -> None:
    data = write_csv(["a"] * len(texts), [texts]).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(data, newline="")))
    for cell in rows[1] if len(rows) > 1 else []:
        assert harmless(cell) == cell


def test_our_workbooks_come_back_as_they_were() -> None:
    sheet = Sheet(
        "老人", ["姓名", "身份证号"], [["李秀英", "150102194001011238"], ["王\x07芳", None]]
    )
    assert [row.cells for row in read_rows(write_xlsx([sheet]))] == [
        ("姓名", "身份证号"),
        ("李秀英", "150102194001011238"),
        ("王芳",),
    ]
