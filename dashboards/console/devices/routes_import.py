"""Importing a list of devices: template, upload, preview, confirmation, credentials once."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from care.imports.places import Places
from care.imports.store import places
from care.sheets.reading import MOST_BYTES, MOST_ROWS, SheetError, read_rows
from care.sheets.writing import CSV_TYPE, XLSX_TYPE, Sheet, Value, write_csv, write_xlsx
from dashboards.console.devices import import_words, words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    Now,
    Writer,
    download,
    may_write,
    see_other,
    show,
)
from dashboards.console.devices.routes_register import place_choices
from dashboards.console.elders.routes_import import bounded_body
from dashboards.console.show import words_of
from dashboards.ui.i18n import N_, Translator
from devices.codecs import CODECS
from devices.imports import service as imports
from devices.imports.importer import interpret
from devices.imports.model import Import, Interpretation, Line, State
from devices.profiles import PROFILES
from kernel import divisions
from kernel.auth.model import Actor
from kernel.web import WebContext

router = APIRouter()
PATH = f"{ROOT}/import"
SHOWN_ROWS = 50
SHOWN_LINES = 200


@router.get(PATH)
async def start(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """The upload, and one's own latest imports."""
    return await _start(request, ctx, actor, now)


async def _start(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    values: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    async with ctx.db.connection() as conn:
        recent = await imports.recent(conn, actor)
        choices = await place_choices(conn, actor)
    return show(
        request,
        "import.html",
        now,
        status=422 if errors else 200,
        recent=recent,
        places=choices,
        values={"secrets": "", "division_code": ""} | dict(values or {}),
        errors=errors or {},
        most_rows=MOST_ROWS,
        most_mb=MOST_BYTES // 1024 // 1024,
        states=import_words.STATE,
    )


@router.get(f"{PATH}/template.xlsx", dependencies=[Depends(may_write)])
async def template(request: Request, now: Now) -> Response:
    """The template: headings, and sheets that say what may stand below them."""
    tr = words_of(request, now)
    data = await asyncio.to_thread(write_xlsx, template_sheets(tr))
    return download(data, XLSX_TYPE, "devices-template.xlsx")


def template_sheets(tr: Translator) -> list[Sheet]:
    """Return the sheets of the template: one to fill in, one about its columns, one of models."""
    about: list[list[Value]] = [[title, tr.gettext(text)] for title, text in import_words.ABOUT]
    models: list[list[Value]] = [
        [model.code, words.model_title(model.code, tr.locale), CODECS[model.codec].title]
        for model in sorted(PROFILES.values(), key=lambda one: (one.codec, one.code))
    ]
    heads = [tr.gettext(one) for one in (N_("列"), N_("说明"))]
    model_heads = [tr.gettext(one) for one in (N_("型号代码"), N_("名称"), N_("协议"))]
    return [
        Sheet(tr.gettext(N_("设备")), [title for title, _ in import_words.ABOUT]),
        Sheet(tr.gettext(N_("填写说明")), heads, about, wide=frozenset({1})),
        Sheet(tr.gettext(N_("型号")), model_heads, models, wide=frozenset({1, 2})),
    ]


@router.post(PATH, dependencies=[Depends(bounded_body)])
async def upload(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Take a file and say what it would do; on to the preview."""
    form = await request.form()
    file = form.get("file")
    values = {name: str(form.get(name, "")) for name in ("division_code", "secrets")}
    if not divisions.is_code(values["division_code"]):
        values["division_code"] = ""
    tr = words_of(request, now)
    if not isinstance(file, UploadFile) or not file.filename:
        missing = {"file": tr.gettext(N_("请选择一个文件"))}
        return await _start(request, ctx, actor, now, values, missing)
    data = await file.read(MOST_BYTES + 1)
    async with ctx.db.connection() as conn:
        finder = Places(await places(conn, actor.division))
    try:
        understood = await asyncio.to_thread(_understand, data, finder, values["division_code"])
    except SheetError as error:
        unreadable = {"file": import_words.sheet_sentence(error.code, error.facts, tr)}
        return await _start(request, ctx, actor, now, values, unreadable)
    async with ctx.db.transaction() as tx:
        import_id = await imports.preview(
            tx,
            understood,
            filename=file.filename,
            with_secrets=values["secrets"] == "1",
            actor=actor,
            now=now,
        )
    return see_other(f"{PATH}/{import_id}")


def _understand(data: bytes, finder: Places, division: str) -> Interpretation:
    return interpret(read_rows(data), finder, usual_division=division)


@router.get(PATH + "/{import_id}")
async def preview(
    request: Request, import_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """What the list would do, or what came of it."""
    async with ctx.db.connection() as conn:
        found = await imports.get(conn, actor, import_id)
    tr = words_of(request, now)
    lines = found.report.problems
    return show(
        request,
        "import_preview.html",
        now,
        found=found,
        state_word=import_words.STATE[found.state.value],
        rows=found.rows[:SHOWN_ROWS],
        rows_wrong=found.report.rows_wrong,
        problems=[_told(line, tr) for line in lines[:SHOWN_LINES]],
        problem_count=len(lines),
        secrets_wait=found.secrets_until is not None and found.secrets_until > now,
    )


def _told(line: Line, tr: Translator) -> dict[str, object]:
    return {"row": line.row, "column": line.column, "text": import_words.sentence(line, tr)}


@router.post(PATH + "/{import_id}/confirm")
async def confirm(import_id: uuid.UUID, actor: Writer, ctx: Context, now: Now) -> Response:
    """Put the whole list in stock, or nothing and say why on the same page."""
    async with ctx.db.transaction() as tx:
        await imports.confirm(tx, ctx.cipher, actor, import_id, now)
    return see_other(f"{PATH}/{import_id}")


@router.post(PATH + "/{import_id}/drop")
async def drop(import_id: uuid.UUID, actor: Writer, ctx: Context, now: Now) -> Response:
    """Throw the list away."""
    async with ctx.db.transaction() as tx:
        await imports.drop(tx, actor, import_id, now)
    return see_other(PATH)


@router.post(PATH + "/{import_id}/credentials.csv")
async def credentials_file(
    request: Request, import_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """The credentials of the list, this once: afterwards nobody has them any more."""
    async with ctx.db.transaction() as tx:
        found = await imports.take_secrets(tx, ctx.cipher, actor, import_id, now)
    tr = words_of(request, now)
    heads = [tr.gettext(one) for one in (N_("设备编号"), N_("用户名"), N_("密钥"))]
    rows = [(one.device_id, one.username, one.password) for one in found]
    data = await asyncio.to_thread(write_csv, heads, rows)
    return download(data, CSV_TYPE, "device-credentials.csv")


@router.get(PATH + "/{import_id}/report.xlsx")
async def report(
    request: Request, import_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Every row with what became of it, and every problem, as a workbook."""
    async with ctx.db.connection() as conn:
        found = await imports.get(conn, actor, import_id)
    sheets = report_sheets(found, words_of(request, now))
    return download(
        await asyncio.to_thread(write_xlsx, sheets), XLSX_TYPE, "devices-import-report.xlsx"
    )


def report_sheets(found: Import, tr: Translator) -> list[Sheet]:
    """Return the sheets of a report."""
    wrong = {line.row for line in found.report.problems}
    imported = found.state is State.IMPORTED

    def state(row: int) -> str:
        if imported:
            return tr.gettext(N_("已导入"))
        return tr.gettext(N_("有问题")) if row in wrong else tr.gettext(N_("可以导入"))

    rows: list[Sequence[Value]] = [
        (
            one.row, one.device_id, words.model_title(one.profile, tr.locale), one.division_code,
            one.serial, one.gateway_id, one.address, state(one.row),
        )
        for one in found.rows
    ]  # fmt: skip
    lines: list[Sequence[Value]] = [
        (line.row, line.column, import_words.sentence(line, tr)) for line in found.report.problems
    ]
    heads = (
        N_("行"), N_("编号"), N_("型号"), N_("区划代码"), N_("序列号"), N_("网关"),
        N_("协议中的名称"), N_("结果"),
    )  # fmt: skip
    return [
        Sheet(tr.gettext(N_("结果")), [tr.gettext(one) for one in heads], rows),
        Sheet(
            tr.gettext(N_("问题")),
            [tr.gettext(one) for one in (N_("行"), N_("列"), N_("说明"))],
            lines,
            wide=frozenset({2}),
        ),
    ]
