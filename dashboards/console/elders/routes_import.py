"""Importing a list of elders: template, upload, preview, confirmation, report."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from care.elders import importer_words
from care.elders.problems import Problem
from care.imports import service as imports
from care.imports.model import Import, ReportLine, State
from care.sheets.reading import MOST_BYTES, MOST_ROWS
from care.sheets.writing import XLSX_TYPE, Sheet, Value, write_xlsx
from dashboards.console.elders.frame import (
    ROOT,
    Context,
    Importer,
    Now,
    language,
    see_other,
    show,
)
from dashboards.console.elders.words import IMPORT_STATE, errors_of, sentence, summary_of
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.words import LIVING_SITUATION, RELATION, SEX
from kernel.auth.model import Actor
from kernel.errors import DomainError, Invalid
from kernel.web import WebContext

router = APIRouter()
SHOWN_ROWS = 50
SHOWN_LINES = 200
# The file, and room for the form around it.
_MOST_BODY = MOST_BYTES + 64 * 1024


class TooLarge(DomainError):
    """The upload is larger than any file that we take; it is not read."""

    code = "too_large"
    status = 413


async def bounded_body(request: Request) -> None:
    """FastAPI dependency that comes before everything else: an upload says how long it is."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > _MOST_BODY:
        raise TooLarge("the file is too large", limit=MOST_BYTES)


@router.get(f"{ROOT}/import")
async def start(request: Request, actor: Importer, ctx: Context, now: Now) -> Response:
    """The upload, and one's own latest imports."""
    return await _start(request, actor, ctx, now)


async def _start(
    request: Request, actor: Actor, ctx: WebContext, now: Now, problems: tuple[Problem, ...] = ()
) -> Response:
    async with ctx.db.connection() as tx:
        recent = await imports.recent(tx, actor)
    tr = language(actor)
    return show(
        request,
        "import.html",
        actor,
        now,
        status=422 if problems else 200,
        recent=recent,
        states=IMPORT_STATE,
        most_rows=MOST_ROWS,
        most_mb=MOST_BYTES // 1024 // 1024,
        errors=errors_of(problems, tr),
        summary=summary_of(problems, tr),
    )


@router.get(f"{ROOT}/import/template.xlsx")
async def template(actor: Importer) -> Response:
    """The template: the headings in Chinese, and a sheet that says what may stand below them."""
    titles = importer_words.TEMPLATE
    choices: dict[int, Sequence[str]] = {titles.index("性别"): [SEX["male"], SEX["female"]],
               titles.index("居住情况"): list(LIVING_SITUATION.values())}  # fmt: skip
    for number in (1, 2, 3):
        choices[titles.index(f"联系人{number}关系")] = list(RELATION.values())
        choices[titles.index(f"联系人{number}有钥匙")] = ["是", "否"]
    tr = language(actor)
    about = [[title, tr.gettext(text)] for title, text in ABOUT]
    sheets = [
        Sheet("老人", titles, choices=choices),
        Sheet(
            tr.gettext(N_("填写说明")),
            [tr.gettext(N_("列")), tr.gettext(N_("说明"))],
            about,
            wide=frozenset({1}),
        ),
    ]
    return _download(write_xlsx(sheets), "elders-template.xlsx")


ABOUT: tuple[tuple[str, str], ...] = (
    ("姓名", N_("必填。")),
    ("身份证号", N_("18 位；填了就不必再填性别和出生日期。同一个号码只能登记一次。")),
    ("出生日期", N_("写成 1943-05-01。")),
    ("行政区划", N_("必填。名称或代码，如：新城区东风路街道丽苑社区。也可以写在住址的开头。")),
    ("电话", N_("手机号，或带区号的座机。")),
    ("居住情况", N_("从下拉列表里选。")),
    ("语言", N_("几种语言用顿号分开，如：晋语、普通话。")),
    ("纬度", N_("WGS-84 坐标，与经度一起填；不填则以后在地图上补。")),
    ("联系人1姓名", N_("按紧急呼叫的先后顺序填写，最多三位；以后可以再加。")),
    ("联系人1关系", N_("如：儿子、女儿、邻居、社区工作人员。")),
)


def _download(data: bytes, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type=XLSX_TYPE, headers=headers)


@router.post(f"{ROOT}/import", dependencies=[Depends(bounded_body)])
async def upload(request: Request, actor: Importer, ctx: Context, now: Now) -> Response:
    """Take a file and say what it would do; on to the preview."""
    form = await request.form()
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return await _start(request, actor, ctx, now, (Problem("file", "file_missing"),))
    try:
        import_id = await imports.preview(
            ctx.db,
            ctx.cipher,
            actor,
            filename=file.filename,
            data=await file.read(MOST_BYTES + 1),
            now=now,
        )
    except Invalid as error:
        return await _start(request, actor, ctx, now, error.facts["problems"])
    return see_other(f"{ROOT}/import/{import_id}")


async def mine(import_id: uuid.UUID, actor: Importer, ctx: Context) -> Import:
    """FastAPI dependency: an import of the person's own."""
    async with ctx.db.transaction() as tx:
        return await imports.get(tx, ctx.cipher, actor, import_id)


Mine = Annotated[Import, Depends(mine)]


@router.get(ROOT + "/import/{import_id}")
async def preview(request: Request, found: Mine, actor: Importer, now: Now) -> Response:
    """What the file would do, or what came of it."""
    report = found.report
    tr = language(actor)
    return show(
        request,
        "import_preview.html",
        actor,
        now,
        found=found,
        state_word=IMPORT_STATE[found.state.value],
        rows=report.rows[:SHOWN_ROWS],
        problems=_told(report.problems[:SHOWN_LINES], tr),
        warnings=_told(report.warnings[:SHOWN_LINES], tr),
        problem_count=len(report.problems),
        warning_count=len(report.warnings),
    )


def _told(lines: Sequence[ReportLine], tr: Translator) -> list[dict[str, object]]:
    return [
        {
            "row": line.row,
            "column": line.column,
            "text": sentence(line.code, line.facts, tr),
        }
        for line in lines
    ]


@router.post(ROOT + "/import/{import_id}/confirm")
async def confirm(import_id: uuid.UUID, actor: Importer, ctx: Context, now: Now) -> Response:
    """Import the whole file, or nothing and say why on the same page."""
    await imports.confirm(ctx.db, ctx.cipher, actor, import_id, now)
    return see_other(f"{ROOT}/import/{import_id}")


@router.post(ROOT + "/import/{import_id}/drop")
async def drop(import_id: uuid.UUID, actor: Importer, ctx: Context, now: Now) -> Response:
    """Throw the file away."""
    await imports.drop(ctx.db, ctx.cipher, actor, import_id, now)
    return see_other(f"{ROOT}/import")


@router.get(ROOT + "/import/{import_id}/report.xlsx")
async def report(import_id: uuid.UUID, actor: Importer, ctx: Context, now: Now) -> Response:
    """The whole report as a workbook; in the audit log, for it names people."""
    async with ctx.db.transaction() as tx:
        found = await imports.export_report(tx, ctx.cipher, actor, import_id, now)
    # Thousands of rows take a second or two of the processor.
    data = await asyncio.to_thread(write_xlsx, report_sheets(found, language(actor)))
    return _download(data, "import-report.xlsx")


def report_sheets(found: Import, tr: Translator) -> list[Sheet]:
    """Return the sheets of a report: every row with its state, and every problem."""
    wrong = {line.row for line in found.report.problems}
    imported = found.state is State.IMPORTED

    def state(row: int) -> str:
        if imported:
            return tr.gettext(N_("已导入"))
        return tr.gettext(N_("有问题")) if row in wrong else tr.gettext(N_("可以导入"))

    rows: list[list[Value]] = [
        [row.row, row.name, row.area, row.birth_date, row.phone, state(row.row), row.elder_id]
        for row in found.report.rows
    ]
    lines: list[list[Value]] = [
        [line.row, line.column, tr.gettext(kind), sentence(line.code, line.facts, tr)]
        for kind, every in (
            (N_("问题"), found.report.problems),
            (N_("提醒"), found.report.warnings),
        )
        for line in every
    ]
    heads = (N_("行"), N_("姓名"), N_("区域"), N_("出生日期"), N_("电话"), N_("结果"), N_("编号"))
    line_heads = (N_("行"), N_("列"), N_("类别"), N_("说明"))
    return [
        Sheet(tr.gettext(N_("结果")), [tr.gettext(one) for one in heads], rows),
        Sheet(
            tr.gettext(N_("问题与提醒")),
            [tr.gettext(one) for one in line_heads],
            lines,
            wide=frozenset({3}),
        ),
    ]
