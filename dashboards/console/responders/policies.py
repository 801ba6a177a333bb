"""Escalation policies: after how long whom to tell, by division and severity."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.console.responders import frame
from dashboards.console.responders.frame import Context, Manager, Now
from dashboards.console.responders.words import NOTIFY
from dashboards.console.show import show, words_of
from dashboards.console.typed import form_values, number_in, version_in
from devices.alarms import Severity
from hotline.escalation import rules, settings
from hotline.escalation.rules import Notify
from hotline.incidents.model import Status
from kernel.auth.model import Actor
from kernel.errors import Conflict, Invalid, NotFound
from kernel.web import WebContext

PATH = "/console/escalation"
LIMITS = (Status.ACKNOWLEDGED, Status.DISPATCHED, Status.ON_SCENE)
router = APIRouter(prefix=PATH)


@dataclass(frozen=True, slots=True)
class Line:
    """A policy as the list shows it; `origin` is the prefix it comes from, None the defaults."""

    division: str
    severity: str
    policy: rules.Policy
    origin: str | None


Typed = dict[str, str]


def typed_of(policy: rules.Policy) -> Typed:
    """Fill the form with a policy."""
    found: Typed = {"answer": str(policy.answer_s), "stale": str(policy.stale_claim_s)}
    for status in LIMITS:
        found[f"limit-{status}"] = str(policy.limits.get(status, ""))
    for number, step in enumerate(policy.steps, 1):
        found |= {
            f"step-{number}-after": str(step.after_s),
            f"step-{number}-notify": step.notify.value,
            f"step-{number}-repeat": str(step.repeat),
            f"step-{number}-every": str(step.every_s),
            f"step-{number}-window": step.window,
        }
    return found


def policy_of(form: frame.Form) -> rules.Policy:
    """Read the form; a step without a waiting time is left out, a wrong number becomes -1."""
    steps = []
    for number in range(1, settings.MOST_STEPS + 1):
        key = f"step-{number}-"
        if not form.get(key + "after", ""):
            continue
        duty = form.get(key + "notify", "") == Notify.DUTY_PHONE
        steps.append(
            rules.Step(
                number_in(form, key + "after", -1),
                Notify.DUTY_PHONE if duty else Notify.EVERYONE,
                number_in(form, key + "repeat", 0 if not form.get(key + "repeat", "") else -1),
                number_in(form, key + "every", 60 if not form.get(key + "every", "") else -1),
                form.get(key + "window", ""),
            )
        )
    limits = {
        status: number_in(form, f"limit-{status}", -1)
        for status in LIMITS
        if form.get(f"limit-{status}", "")
    }
    return rules.Policy(
        tuple(steps), limits, number_in(form, "answer", -1), number_in(form, "stale", -1)
    )


@router.get("")
async def policy_list(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """Show what counts in the person's division, and what is configured below it."""
    tr = words_of(request, now)
    async with ctx.db.connection() as conn:
        configured = await settings.policies(conn, actor)
        names = await frame.places(conn, {one.division for one in configured}, tr)
        names |= await frame.places(conn, {actor.division}, tr)
    lines: list[Line] = []
    for severity in Severity:
        own = [
            one
            for one in configured
            if one.severity == severity and actor.division.startswith(one.division)
        ]
        nearest = max(own, key=lambda one: len(one.division), default=None)
        policy = rules.parse_policy(nearest.policy) if nearest else rules.DEFAULTS[severity]
        origin = nearest.division if nearest else None
        lines.append(Line(actor.division, severity.value, policy, origin))
    lines += [
        Line(one.division, one.severity, rules.parse_policy(one.policy), one.division)
        for one in configured
        if len(one.division) > len(actor.division)
    ]
    return show(
        request,
        "console/responders/policies.html",
        now,
        rows=lines,
        places=names,
        notify=_notify(request, now),
        done=request.query_params.get("done", ""),
    )


def _notify(request: Request, now: datetime) -> Mapping[str, str]:
    tr = words_of(request, now)
    return {one.value: tr.gettext(text) for one, text in NOTIFY.items()}


@router.get("/edit")
async def policy_page(
    request: Request,
    ctx: Context,
    now: Now,
    actor: Manager,
    severity: Annotated[str, Query()] = Severity.CRITICAL.value,
    division: Annotated[str, Query(max_length=12)] = "",
) -> Response:
    """Show the form of a policy, filled with what counts there now."""
    wanted = division if division.startswith(actor.division) else actor.division
    async with ctx.db.connection() as conn:
        policy, version = await settings.policy(conn, actor, wanted, _severity(severity))
    return await _form(request, ctx, now, actor, wanted, severity, typed_of(policy), version, {})


def _severity(text: str) -> Severity:
    try:
        return Severity(text)
    except ValueError as error:
        raise NotFound("There is no such severity.") from error


@router.post("/edit")
async def save_policy(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """Store a policy."""
    form = await form_values(request)
    severity, version = _severity(form.get("severity", "")), version_in(form)
    division, first = form.get("division", ""), form.get("opened", "")
    try:
        async with ctx.db.transaction() as tx:
            division = await frame.division_of(tx, actor, division)
            # The version belongs to the division that the form was opened for.
            if division != first:
                version = 0
            await settings.save_policy(tx, actor, division, severity, version, policy_of(form), now)
    except Invalid as error:
        errors = frame.errors_of(error, words_of(request, now))
        return await _form(
            request, ctx, now, actor, division, severity, form, version, errors, first
        )
    except Conflict:
        return frame.overtaken(request, now)
    return RedirectResponse(f"{PATH}?done=saved", HTTPStatus.SEE_OTHER)


@router.post("/remove")
async def remove_policy(request: Request, ctx: Context, now: Now, actor: Manager) -> Response:
    """Let the division above, or the defaults, count again."""
    form = await form_values(request)
    severity, version = _severity(form.get("severity", "")), version_in(form)
    try:
        async with ctx.db.transaction() as tx:
            await settings.remove_policy(
                tx, actor, form.get("division", ""), severity, version, now
            )
    except Conflict:
        return frame.overtaken(request, now)
    return RedirectResponse(f"{PATH}?done=removed", HTTPStatus.SEE_OTHER)


async def _form(
    request: Request,
    ctx: WebContext,
    now: datetime,
    actor: Actor,
    division: str,
    severity: str,
    typed: Typed,
    version: int,
    errors: dict[str, str],
    first: str | None = None,
) -> Response:
    async with ctx.db.connection() as conn:
        offered = await frame.choices(conn, actor)
    return show(
        request,
        "console/responders/policy.html",
        now,
        status=frame.status_of(errors),
        division=division,
        opened=division if first is None else first,
        severity=str(severity),
        typed=typed,
        version=version,
        errors=errors,
        numbers=range(1, settings.MOST_STEPS + 1),
        limits=[status.value for status in LIMITS],
        notify=list(_notify(request, now).items()),
        divisions=offered,
    )
