"""Importing a list through the pages: template, upload, check, confirm, report."""

import io
import re

import httpx
import openpyxl

from care.sheets.reading import MOST_BYTES, read_rows
from care.sheets.writing import Sheet, write_csv, write_xlsx
from kernel import audit
from kernel.auth.model import Role
from kernel.db import fetch_value
from tests.dashboards.elders.conftest import Person, SignIn, Site, text_of

HEADER = [
    "姓名",
    "身份证号",
    "行政区划",
    "电话",
    "联系人1姓名",
    "联系人1关系",
    "联系人1电话",
    "民族",
]
ROWS = [
    ["李建国", "150102194001011238", "新城区东风路街道", "13812345678",
     "李强", "儿子", "13900001111", "汉"],
    ["王芳", "", "玉泉区", "", "", "", "", ""],
]  # fmt: skip


async def upload(
    site: Site, person: Person, data: bytes, name: str = "2026年名册.xlsx"
) -> httpx.Response:
    async with site.client(person) as client:
        return await client.post(
            "/console/elders/import",
            data={"_csrf": person.csrf},
            files={"file": (name, data)},
        )


async def press(site: Site, person: Person, path: str) -> httpx.Response:
    async with site.client(person) as client:
        return await client.post(path, data={"_csrf": person.csrf})


async def see(site: Site, person: Person, path: str) -> httpx.Response:
    async with site.client(person) as client:
        return await client.get(path)


async def elders_in(site: Site) -> int:
    async with site.db.connection() as conn:
        return int(await fetch_value(conn, "SELECT count(*) FROM elder"))


async def test_a_list_is_checked_confirmed_and_reported(site: Site, manager: Person) -> None:
    answer = await upload(site, manager, write_xlsx([Sheet("老人", HEADER, ROWS)]))
    assert answer.status_code == 303
    path = answer.headers["location"]
    checked = text_of((await see(site, manager, path)).text)
    assert "2 行都可以导入" in checked
    assert "这些列没有用到：民族" in checked
    assert "138****5678" in checked
    assert "150102194001011238" not in checked
    assert await elders_in(site) == 0
    done = await press(site, manager, f"{path}/confirm")
    assert done.headers["location"] == path
    result = await see(site, manager, path)
    assert "已导入 2 位老人" in text_of(result.text)
    elder = re.search(r'href="(/console/elders/[0-9a-f-]{36})">李建国', result.text)
    assert elder
    assert (await see(site, manager, elder[1])).status_code == 200
    assert await elders_in(site) == 2
    again = await press(site, manager, f"{path}/confirm")
    assert again.status_code == 409
    report = await see(site, manager, f"{path}/report.xlsx")
    book = openpyxl.load_workbook(io.BytesIO(report.content))
    rows = [[cell.value for cell in row] for row in book["结果"].iter_rows()]
    assert rows[1][:3] == [2, "李建国", "新城区 东风路街道"]
    assert rows[1][5] == "已导入"
    async with site.db.connection() as conn:
        found = await audit.search(conn, audit.AuditFilters(subject_type="elder_import"))
    assert [entry.action for entry in found.entries] == [
        "elder_import.report_exported",
        "elder_import.imported",
        "elder_import.previewed",
    ]


async def test_wrong_rows_are_named_and_keep_everybody_out(site: Site, manager: Person) -> None:
    wrong = [*ROWS, ["", "15010219400101123X", "火星", "12", "", "", "", ""]]
    path = (await upload(site, manager, write_csv(HEADER, wrong), "名册.csv")).headers["location"]
    page = await see(site, manager, path)
    shown = text_of(page.text)
    assert "3 行里有 1 行有问题，一位也没有导入" in shown
    for line in (
        "4 姓名 这一项必须填写。",
        "4 身份证号 身份证号的校验位不对",
        "4 行政区划 没有这个区划",
        "4 电话 不是可以拨打的电话号码。",
    ):
        assert line in shown
    assert "确认导入" not in shown
    await press(site, manager, f"{path}/confirm")
    assert await elders_in(site) == 0
    report = await see(site, manager, f"{path}/report.xlsx")
    lines = openpyxl.load_workbook(io.BytesIO(report.content))["问题与提醒"]
    assert [row[1].value for row in lines.iter_rows(min_row=2)] == [
        "姓名",
        "身份证号",
        "行政区划",
        "电话",
    ]
    assert (await press(site, manager, f"{path}/drop")).status_code == 303
    assert "文件已经删除" in text_of((await see(site, manager, path)).text)


async def test_what_is_no_list_is_refused_beside_the_field(site: Site, manager: Person) -> None:
    for data, name, words in (
        (b"", "a.xlsx", "文件里没有内容"),
        (b"PK\x03\x04rubbish", "a.xlsx", "不是 .xlsx 或 .csv 文件"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.xls", "Excel 97–2003"),
        (b"x" * (MOST_BYTES + 1), "a.csv", "文件超过 5 MB"),
    ):
        answer = await upload(site, manager, data, name)
        assert answer.status_code == 422, name
        assert words in text_of(answer.text)
        assert 'href="#file"' in answer.text
    async with site.client(manager) as client:
        nothing = await client.post("/console/elders/import", data={"_csrf": manager.csrf})
    assert "请选择一个文件" in text_of(nothing.text)


async def test_an_upload_that_is_far_too_large_is_not_even_read(
    site: Site, manager: Person
) -> None:
    answer = await upload(site, manager, b"x" * (MOST_BYTES + 200_000))
    assert answer.status_code == 413

    async def endless() -> object:
        yield b"x"

    async with site.client(manager) as client:
        chunked = await client.post("/console/elders/import", content=endless())  # type: ignore[arg-type]
    assert chunked.status_code == 413


async def test_the_template_can_be_filled_and_uploaded(site: Site, manager: Person) -> None:
    template = await see(site, manager, "/console/elders/import/template.xlsx")
    assert "spreadsheetml" in template.headers["content-type"]
    book = openpyxl.load_workbook(io.BytesIO(template.content))
    sheet = book.worksheets[0]
    titles = [cell.value for cell in sheet[1]]
    for title, value in {
        "姓名": "李秀英", "性别": "女", "行政区划": "回民区", "居住情况": "与家人同住",
        "电话": "13812345678", "联系人1姓名": "李强", "联系人1关系": "儿子",
        "联系人1电话": "13900001111", "联系人1有钥匙": "是",
    }.items():  # fmt: skip
        sheet.cell(2, titles.index(title) + 1).value = value
    out = io.BytesIO()
    book.save(out)
    assert len(read_rows(out.getvalue())) == 2
    path = (await upload(site, manager, out.getvalue())).headers["location"]
    assert "1 行都可以导入" in text_of((await see(site, manager, path)).text)
    await press(site, manager, f"{path}/confirm")
    assert await elders_in(site) == 1


async def test_an_import_is_closed_to_everybody_else(
    site: Site, manager: Person, operator: Person, sign_in: SignIn
) -> None:
    path = (await upload(site, manager, write_csv(HEADER, ROWS))).headers["location"]
    colleague = await sign_in("zhaolei", Role.SUPERVISOR, name="赵雷")
    for person, expected in ((colleague, 404), (operator, 403)):
        for answer in (
            await see(site, person, path),
            await see(site, person, f"{path}/report.xlsx"),
            await press(site, person, f"{path}/confirm"),
            await press(site, person, f"{path}/drop"),
        ):
            assert answer.status_code == expected
    assert (await see(site, operator, "/console/elders/import")).status_code == 403
    assert await elders_in(site) == 0
