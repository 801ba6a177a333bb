"""Commands that say something: a text to speak, an interval, limits; and a restart.

Finding a device or the person who wears it needs no form: see `routes_commands.py`.
"""

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import Context, Now, Writer, done, form_values, show
from dashboards.console.devices.routes_commands import PATH
from dashboards.console.show import words_of
from dashboards.ui.i18n import N_, Translator
from devices.commands import rules
from devices.commands import service as commands
from devices.commands.model import CommandName
from devices.metrics import METRICS
from devices.profiles import PROFILES
from devices.registry import guard
from devices.registry.model import Device
from kernel.auth.model import Actor
from kernel.errors import Invalid, NotFound

router = APIRouter()
FORM = PATH + "/new"
WITH_FORM = (
    CommandName.SPEAK,
    CommandName.SET_INTERVAL,
    CommandName.SET_THRESHOLDS,
    CommandName.REBOOT,
)
_PROBLEM: Mapping[str, str] = {
    "text.required": N_("请填写要播报的话"),
    "text.too_long": N_("播报的话最多 200 个字"),
    "text.form": N_("播报的话只能是一行文字"),
    "seconds.range": N_("间隔是 %(low)s 到 %(high)s 之间的整数"),
    "metric.required": N_("请选择指标"),
    "limits.range": N_("请填写下限或上限，下限要小于上限"),
}


def with_form(device: Device, actor: Actor) -> list[str]:
    """Return the commands with a form that the device takes from the person."""
    taken = rules.available(device)
    return [name.value for name in WITH_FORM if name in taken and rules.may_request(actor, name)]


@router.get(FORM)
async def command_form(
    request: Request, device_id: str, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Ask what the command is to say. Raises NotFound for one that the device does not take."""
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
    name = request.query_params.get("name", "")
    if name not in with_form(device, actor):
        raise NotFound("The device takes no such command.", device_id=device_id)
    return _form(request, now, device, {"name": name})


@router.post(FORM)
async def ask(request: Request, device_id: str, actor: Writer, ctx: Context, now: Now) -> Response:
    """Queue the command; what is wrong with it is said on the form."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            device = await guard.find(tx, device_id, actor)
            args = _args(values)
            await commands.request(tx, device.no, values.get("name", ""), args, actor, now)
    except Invalid as error:
        if "name" in error.fields:
            raise
        return _form(request, now, device, values, error.fields)
    return done(device_id, "asked")


def _args(values: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments as typed; the rules of commands say what is wrong with them."""
    name = values.get("name", "")
    if name == CommandName.SPEAK:
        return {"text": values.get("text", "").strip()}
    if name == CommandName.SET_INTERVAL:
        typed = values.get("seconds", "").strip()
        return {
            "seconds": int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 8 else 0
        }
    if name == CommandName.SET_THRESHOLDS:
        metric = values.get("metric", "")
        return {metric: _band(values)} if metric in METRICS else {}
    return {}


def _band(values: Mapping[str, str]) -> dict[str, float]:
    """Return the limits that were typed. Raises Invalid (limits: range) for what is no number."""
    band: dict[str, float] = {}
    for side in ("low", "high"):
        typed = values.get(side, "").strip()
        try:
            number = float(typed) if typed else None
        except ValueError as error:
            raise Invalid("A limit is a number.", {"limits": "range"}) from error
        if number is not None:
            band[side] = int(number) if isfinite(number) and number.is_integer() else number
    return band


def _form(
    request: Request,
    now: datetime,
    device: Device,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    intervals = rules.intervals(device)
    bounds = {"low": intervals.start, "high": intervals.stop - 1}
    return show(
        request,
        "command.html",
        now,
        status=422 if wrong else 200,
        device=device,
        name=values.get("name", ""),
        title=words.label(words.COMMAND, values.get("name", ""), tr),
        metrics=_metrics(device, tr),
        values=values,
        bounds=bounds,
        errors=_errors(wrong or {}, bounds, tr),
    )


def _metrics(device: Device, tr: Translator) -> list[tuple[str, str]]:
    """Return (code, name and unit) of what the model measures of a person."""
    model = PROFILES.get(device.profile)
    chinese = tr.locale.startswith("zh")
    return [
        (
            one.code,
            f"{one.name_zh}（{one.unit_zh}）" if chinese else f"{one.name_en} ({one.unit_en})",
        )
        for one in (model.metrics if model else ())
        if one.loinc is not None
    ]


def _errors(wrong: Mapping[str, str], bounds: Mapping[str, int], tr: Translator) -> dict[str, str]:
    """Return a sentence for each field; limits are refused under the name of their metric."""
    named = {("low" if key == "limits" or key in METRICS else key): key for key in wrong}
    return {
        field: words.label(_PROBLEM, f"{'limits' if field == 'low' else key}.{wrong[key]}", tr)
        % bounds
        for field, key in named.items()
    }
