"""Importing devices through the pages: template, preview, confirmation, credentials, report."""

import io

import httpx
import openpyxl

from dashboards.console.devices.routes_import import template_sheets
from dashboards.ui.i18n import translator
from devices.credentials import service as credentials
from devices.profiles import PROFILES
from kernel.auth.model import Role
from tests.dashboards.devices.site import Site, Visitor
from tests.devices.registry.world import XINCHENG

ROOT = "/console/devices"


async def upload(visitor: Visitor, text: str, **fields: str) -> httpx.Response:
    return await visitor.post(
        f"{ROOT}/import",
        data={"_csrf": visitor.csrf, "division_code": XINCHENG, **fields},
        files={"file": ("清单.csv", text.encode(), "text/csv")},
    )


async def test_a_list_is_checked_confirmed_and_its_credentials_are_fetched_once(
    site: Site, technician: Visitor
) -> None:
    refused = await upload(technician, "编号,型号\nW-1,没有这种\nW 2,sl-watch-1\n")
    await technician.follow(refused)
    assert "2 行里有 2 行有问题，一台也没有导入" in technician.text
    assert "没有这个型号" in technician.text
    assert "确认导入" not in technician.text
    good = await upload(technician, "编号,型号\nW-1,sl-watch-1\n=W-2,sl-watch-1\n")
    await technician.follow(good)
    assert "编号由字母、数字" in technician.text
    good = await upload(
        technician, "编号,型号,序列号\nW-1,sl-watch-1,=1+1\nW-2,sl-pendant-1,\n", secrets="1"
    )
    path = good.headers["location"]
    await technician.follow(good)
    assert "2 行都可以导入" in technician.text
    done = await technician.submit(f"{path}/confirm")
    await technician.follow(done)
    assert "已导入 2 台设备" in technician.text
    fetched = await technician.submit(f"{path}/credentials.csv")
    assert fetched.headers["cache-control"] == "no-store"
    lines = fetched.content.decode("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines] == ["设备编号", "W-1", "W-2"]
    async with site.db.transaction() as tx:
        assert await credentials.authenticate(tx, "W-1", lines[1].split(",")[2])
    assert (await technician.submit(f"{path}/credentials.csv")).status_code == 404
    await technician.open(path)
    assert "已经下载" in technician.text
    report = await technician.get(f"{path}/report.xlsx")
    book = openpyxl.load_workbook(io.BytesIO(report.content))
    assert [cell.value for cell in book.worksheets[0][2]][1] == "W-1"
    assert book.worksheets[0]["E2"].data_type == "s"


async def test_what_is_no_list_is_refused_with_a_sentence(site: Site, technician: Visitor) -> None:
    for data in (b"", b"\x00\x01\x02", b"PK\x03\x04broken"):
        answer = await technician.post(
            f"{ROOT}/import",
            data={"_csrf": technician.csrf},
            files={"file": ("a.xlsx", data, "application/octet-stream")},
        )
        assert answer.status_code == 422
    operator = await site.visitor("wang", Role.OPERATOR)
    assert (await operator.open(f"{ROOT}/import")).status_code == 403


def test_the_template_lists_every_model_and_is_understood() -> None:
    sheets = template_sheets(translator("zh"))
    assert {row[0] for row in sheets[2].rows} == set(PROFILES)
    assert sheets[0].header[:2] == ["编号", "型号"]


async def test_the_exported_workbook_can_be_imported_elsewhere(
    site: Site, technician: Visitor
) -> None:
    # The names of these models differ in what stands in brackets only.
    good = await upload(
        technician, "编号,型号,序列号,协议中的名称\nW-1,setracker-4g,007,8800000015\n"
    )
    await technician.submit(good.headers["location"] + "/confirm")
    exported = await technician.get(f"{ROOT}/export.xlsx?q=W-1")
    assert exported.status_code == 200
    answer = await technician.post(
        f"{ROOT}/import",
        data={"_csrf": technician.csrf},
        files={"file": ("again.xlsx", exported.content, "application/octet-stream")},
    )
    await technician.follow(answer)
    # Every cell is understood; what is wrong with it is that the device is here already.
    assert "1 行里有 1 行有问题" in technician.text
    assert "这个编号已经登记过" in technician.text
    assert "另一台设备已经用了这个名称" in technician.text
    assert "不止一个型号" not in technician.text
    assert "007" in technician.text
