"""An elder's page: the record, its timeline and vital signs, and what is done on the spot."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from care.consents import service as consents
from care.consents import store as consent_store
from care.consents.model import Consent, ConsentPurpose
from care.elders import service
from care.elders.masking import secrets_of
from care.elders.model import Elder, Secret
from care.elders.problems import Problem
from care.watching import store as watching
from care.watching.rules import LIMIT_NAMES, LIMITED_METRICS
from dashboards.console.elders import store, timeline
from dashboards.console.elders.frame import (
    ROOT,
    Context,
    Now,
    Reader,
    Revealer,
    Writer,
    form_values,
    language,
    number_in,
    see_other,
    show,
)
from dashboards.console.elders.vitals import HOURS, MOST_HOURS, chart_data, limits_of
from dashboards.console.elders.words import errors_of, summary_of
from devices.profiles import PROFILES
from devices.registry import inventory
from devices.technical import service as technical
from kernel.auth.model import Actor, Permission
from kernel.db import Tx
from kernel.errors import Invalid, NotFound
from kernel.web import WebContext

router = APIRouter()


@router.get(ROOT + "/{elder_id}")
async def page(
    request: Request, elder_id: uuid.UUID, actor: Reader, ctx: Context, now: Now
) -> Response:
    """The whole record, secrets masked; in the audit log."""
    return await render_page(request, elder_id, actor, ctx, now)


async def render_page(
    request: Request,
    elder_id: uuid.UUID,
    actor: Actor,
    ctx: WebContext,
    now: datetime,
    *,
    problems: tuple[Problem, ...] = (),
    values: dict[str, str] | None = None,
) -> Response:
    """Show the page; after a refused form on it with what was typed and what is wrong."""
    query = request.query_params
    tr = language(actor)
    async with ctx.db.transaction() as tx:
        elder = await service.get(tx, ctx.cipher, actor, elder_id, now)
        record = await _record(tx, actor, elder, query)
    hours = number_in(dict(query), "hours", HOURS[0])
    return show(
        request,
        "page.html",
        actor,
        now,
        status=422 if problems else 200,
        elder=elder,
        secrets=secrets_of(elder),
        place=_place(elder),
        hours=hours if hours in HOURS else HOURS[0],
        all_hours=HOURS,
        errors=errors_of(problems, tr),
        summary=summary_of(problems, tr),
        values=values or {},
        **record,
    )


async def _record(
    tx: Tx, actor: Actor, elder: Elder, query: Mapping[str, str]
) -> dict[str, object]:
    """Return what hangs on the record, as far as the person may see it, for the template."""
    shown, before = query.get("show", "all"), query.get("before", "")
    given = await consent_store.consents_of(tx, elder.id)
    watch = await watching.watch_of(tx, [elder.id])
    sees_devices, sees_incidents = (
        actor.may(one) for one in (Permission.DEVICE_READ, Permission.INCIDENT_READ)
    )
    devices = await inventory.of_elder(tx, elder.id) if sees_devices else []
    return {
        "timeline_page": await timeline.read(tx, actor, elder.id, shown, before),
        "consents": given,
        "purposes": _not_given(given),
        "limits": await _limits(tx, elder.id),
        "watch": watch[0] if watch else None,
        "devices": [(one, _device_type(one.profile)) for one in devices],
        "trouble": await technical.elder_help(tx, elder.id, devices),
        "incidents": await store.open_incidents(tx, elder.id) if sees_incidents else [],
    }


def _place(elder: Elder) -> list[dict[str, object]]:
    if elder.lat is None or elder.lon is None:
        return []
    return [{"kind": "home", "lat": elder.lat, "lon": elder.lon, "label": elder.name}]


def _device_type(profile: str) -> str:
    found = PROFILES.get(profile)
    return found.type.value if found else "other"


def _not_given(given: list[Consent]) -> list[str]:
    standing = {one.purpose for one in given if one.withdrawn_at is None}
    return [one.value for one in ConsentPurpose if one.value not in standing]


async def _limits(tx: Tx, elder_id: uuid.UUID) -> list[dict[str, object]]:
    """Return the limits of each metric as the detection uses them, own ones marked."""
    own = {one.metric: one for one in await watching.thresholds_of(tx, [elder_id])}
    found: list[dict[str, object]] = []
    for metric in LIMITED_METRICS:
        limits, is_own = limits_of(metric, own.get(metric))
        found.append({"metric": metric, "own": is_own}
                     | {name: limits.get(name) for name in LIMIT_NAMES})  # fmt: skip
    return found


@router.get(ROOT + "/{elder_id}/timeline")
async def timeline_part(
    request: Request, elder_id: uuid.UUID, actor: Reader, ctx: Context, now: Now
) -> Response:
    """A part of the timeline, without a frame."""
    query = request.query_params
    async with ctx.db.transaction() as tx:
        await service.note_read(tx, actor, elder_id, now, part="timeline")
        found = await timeline.read(
            tx, actor, elder_id, query.get("show", "all"), query.get("before", "")
        )
    template = "timeline_more.html" if query.get("before") else "timeline_part.html"
    return show(request, template, actor, now, elder_id=elder_id, timeline_page=found)


@router.get(ROOT + "/{elder_id}/vitals")
async def vitals(
    request: Request, elder_id: uuid.UUID, actor: Revealer, ctx: Context, now: Now
) -> Response:
    """Vital signs as JSON: `hours` back from now, `metric` for one alone; in the audit log."""
    hours = number_in(dict(request.query_params), "hours", HOURS[0])
    if not 1 <= hours <= MOST_HOURS:
        raise Invalid(f"hours must be 1 to {MOST_HOURS}", {"hours": f"1 to {MOST_HOURS}"})
    async with ctx.db.transaction() as tx:
        await service.note_read(tx, actor, elder_id, now, part="vitals", hours=hours)
        data = await chart_data(
            tx,
            elder_id,
            language(actor),
            start=now - timedelta(hours=hours),
            end=now,
            metric=request.query_params.get("metric", ""),
        )
    return JSONResponse(data, headers={"Cache-Control": "no-store"})


@router.post(ROOT + "/{elder_id}/reveal/{secret}")
async def reveal(
    request: Request, elder_id: uuid.UUID, secret: Secret, actor: Revealer, ctx: Context, now: Now
) -> Response:
    """One secret in plain text, as a fragment; in the audit log."""
    item = request.query_params.get("item")
    try:
        wanted = uuid.UUID(item) if item else None
    except ValueError as error:
        raise NotFound("there is nothing to show") from error
    async with ctx.db.transaction() as tx:
        text = await service.reveal(
            tx, ctx.cipher, actor, elder_id, secret=secret, now=now, item=wanted
        )
    callable_ = secret in {Secret.PHONES, Secret.CONTACTS}
    return show(request, "revealed.html", actor, now, text=text, callable=callable_)


@router.post(ROOT + "/{elder_id}/notes")
async def add_note(
    request: Request, elder_id: uuid.UUID, actor: Reader, ctx: Context, now: Now
) -> Response:
    """Write on the timeline; the use case asks for the permission."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            await service.add_note(tx, actor, elder_id, values.get("text", ""), now)
    except Invalid as error:
        return await _again(request, elder_id, actor, ctx, now, error, values)
    return see_other(f"{ROOT}/{elder_id}#timeline")


async def _again(
    request: Request,
    elder_id: uuid.UUID,
    actor: Actor,
    ctx: WebContext,
    now: datetime,
    error: Invalid,
    values: dict[str, str],
) -> Response:
    problems: tuple[Problem, ...] = error.facts["problems"]
    return await render_page(request, elder_id, actor, ctx, now, problems=problems, values=values)


@router.post(ROOT + "/{elder_id}/consents")
async def give_consent(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Record a consent."""
    values = await form_values(request)
    try:
        purpose = ConsentPurpose(values.get("purpose", ""))
    except ValueError:
        error = (Problem("purpose", "unknown_choice"),)
        return await render_page(request, elder_id, actor, ctx, now, problems=error, values=values)
    try:
        async with ctx.db.transaction() as tx:
            await consents.give(
                tx,
                actor,
                elder_id,
                purpose=purpose,
                text_version=values.get("text_version", ""),
                given_by=values.get("given_by", ""),
                now=now,
            )
    except Invalid as error:
        return await _again(request, elder_id, actor, ctx, now, error, values)
    return see_other(f"{ROOT}/{elder_id}#consents")


@router.post(ROOT + "/{elder_id}/consents/{consent_id}/withdraw")
async def withdraw_consent(
    elder_id: uuid.UUID, consent_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Take a consent back."""
    async with ctx.db.transaction() as tx:
        await consents.withdraw(tx, actor, elder_id, consent_id, now)
    return see_other(f"{ROOT}/{elder_id}#consents")
