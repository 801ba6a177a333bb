"""Lists of elders as they are handed in, and what is said of them."""

from datetime import UTC, datetime
from functools import cache

from care.elders.importer import interpret
from care.imports.places import Places
from care.sheets.reading import Row
from care.sheets.writing import Sheet, write_xlsx
from kernel.divisions.bundled import read
from tests.care.samples import ID_NUMBER

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)
HEADER = [
    "姓名",
    "身份证号",
    "性别",
    "行政区划",
    "住址",
    "电话",
    "联系人1姓名",
    "联系人1关系",
    "联系人1电话",
]
GOOD = [
    ["李建国", ID_NUMBER, "男", "新城区东风路街道", "海东路88号3-2-501", "13812345678",
     "李强", "儿子", "13900001111"],
    ["王芳", "", "女", "150104", "大召前街9号", "0471-6281234", "", "", ""],
    ["张秀兰", "", "", "赛罕区大学西路", "", "", "王医生", "签约医生", "18647110000"],
]  # fmt: skip


@cache
def hohhot() -> Places:
    inside = [d for d in read() if d.code.startswith("1501") or d.code == "150000000000"]
    return Places((one.code, one.name) for one in inside)


def sheet(rows: list[list[str]], header: list[str] | None = None) -> bytes:
    return write_xlsx([Sheet("老人", header or HEADER, rows)])


def table(*rows: list[str]) -> list[Row]:
    return [Row(number, tuple(cells)) for number, cells in enumerate(rows, start=1)]


def said(rows: list[Row]) -> list[tuple[int, str, str]]:
    found = interpret(rows, hohhot(), NOW)
    return [(one.row, one.column, one.problem.code) for one in found.problems]
