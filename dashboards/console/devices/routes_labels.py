"""Printing claim codes: choose devices in stock, get a sheet of labels as PDF."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import labels, words
from dashboards.console.devices.frame import ROOT, Context, Now, Writer, download, show
from dashboards.console.show import words_of
from dashboards.console.typed import form_values
from dashboards.ui.filters import LOCAL
from dashboards.ui.i18n import N_, Translator
from devices.claims import rules
from devices.claims import service as claims
from devices.claims.model import PrintedCode
from devices.profiles import PROFILES
from devices.registry import finding
from devices.registry.model import DeviceFilters, DeviceOrder, DeviceState
from kernel.auth.model import Actor
from kernel.errors import Invalid
from kernel.web import WebContext

router = APIRouter()
PATH = f"{ROOT}/labels"
CLAIM = f"{ROOT}/claim"
USUAL_PAPER, USUAL_DAYS = "24", "90"
# How long a code counts, in days; "" until it is used.
LASTS: Mapping[str, str] = {
    "30": N_("30 天"),
    "90": N_("90 天"),
    "365": N_("1 年"),
    "": N_("直到被使用"),
}
PAPER_NAMES: Mapping[str, str] = {
    "24": N_("每页 24 张，70 × 37 毫米"),
    "21": N_("每页 21 张，63.5 × 38.1 毫米"),
    "14": N_("每页 14 张，99.1 × 38.1 毫米"),
}


@router.get(PATH)
async def choose(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """The devices in stock, filtered by the URL, to choose from."""
    query = request.query_params
    values = {"paper": USUAL_PAPER, "lasts": USUAL_DAYS}
    return await _page(request, ctx, actor, now, query, values)


@router.post(PATH)
async def draw(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Make the codes and send the sheet; codes printed before for these devices end."""
    form = await request.form()
    chosen = [str(value).replace("\0", "") for value in form.getlist("device")]
    values = dict.fromkeys(("paper", "lasts", "q", "profile"), "") | await form_values(request)
    days, paper = values["lasts"], values["paper"]
    wrong: dict[str, str] = {}
    if days not in LASTS:
        wrong["lasts"] = "range"
    if paper not in labels.PAPERS:
        wrong["paper"] = "unknown"
    try:
        if wrong:
            raise Invalid("The sheet cannot be printed like this.", wrong)
        async with ctx.db.transaction() as tx:
            printed = await claims.print_codes(
                tx,
                ctx.cipher,
                chosen,
                lasts=timedelta(days=int(days)) if days else None,
                actor=actor,
                now=now,
            )
    except Invalid as error:
        return await _page(request, ctx, actor, now, values, values, chosen, error.fields)
    tr = words_of(request, now)
    sheet = [_label(one, ctx.public_url, tr) for one in printed]
    title = tr.gettext(N_("设备标签"))
    data = await asyncio.to_thread(labels.draw, sheet, labels.PAPERS[paper], title)
    return download(data, labels.PDF_TYPE, f"labels-{now.astimezone(LOCAL):%Y%m%d-%H%M}.pdf")


def _label(one: PrintedCode, site: str, tr: Translator) -> labels.Label:
    expiry = ""
    if one.expires_at is not None:
        # Midnight is not the moment; the last whole day is.
        day = (one.expires_at - timedelta(days=1)).astimezone(LOCAL)
        expiry = tr.gettext(N_("有效期至 %(day)s")) % {"day": f"{day:%Y-%m-%d}"}
    code = rules.written(one.code)
    return labels.Label(
        # Behind the "#": browsers keep it to themselves, no log of any server has it.
        link=f"{site}{CLAIM}#{code}",
        device_id=one.device.id,
        model=words.model_title(one.device.profile, tr.locale),
        code=code,
        note=tr.gettext(N_("手机扫码，绑定给老人")),
        expiry=expiry,
    )


async def _page(
    request: Request,
    ctx: WebContext,
    actor: Actor,
    now: datetime,
    query: Mapping[str, str],
    values: Mapping[str, str],
    chosen: Sequence[str] = (),
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    profile = query.get("profile", "")
    filters = DeviceFilters(
        text=query.get("q", "").replace("\0", "")[:80],
        profile=profile if profile in PROFILES else "",
        state=DeviceState.STOCK,
    )
    async with ctx.db.connection() as conn:
        order = DeviceOrder(limit=claims.MOST_LABELS)
        found = await finding.search(conn, actor, filters, order, now)
    return show(
        request,
        "labels.html",
        now,
        status=422 if wrong else 200,
        rows=found.devices,
        total=found.total,
        query={"q": filters.text, "profile": filters.profile},
        chosen=set(chosen),
        values=values,
        models=words.model_choices(tr.locale),
        papers=[(code, tr.gettext(text)) for code, text in PAPER_NAMES.items()],
        lasts=[(code, tr.gettext(text)) for code, text in LASTS.items()],
        errors=words.errors_of(wrong or {}, tr),
    )
