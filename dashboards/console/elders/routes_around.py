"""The forms around an elder: the contacts in their order, own limits and watch settings."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from care.elders import rules, service
from care.elders.model import Contact, Relation
from care.elders.problems import Problem
from care.watching import service as watching
from care.watching import store as watching_store
from care.watching.rules import LIMITED_METRICS
from dashboards.console.elders import forms
from dashboards.console.elders.frame import (
    ROOT,
    Context,
    Now,
    Writer,
    form_values,
    language,
    number_in,
    see_other,
    show,
)
from dashboards.console.elders.vitals import limits_of
from dashboards.console.elders.words import errors_of, summary_of
from devices.metrics import METRICS
from kernel.auth.model import Actor, Permission
from kernel.errors import Conflict, Invalid

router = APIRouter()


@router.get(ROOT + "/{elder_id}/contacts")
async def contacts_form(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """The contacts in their order."""
    async with ctx.db.transaction() as tx:
        elder = await service.get_for_change(tx, ctx.cipher, actor, elder_id, now)
    lines = forms.contact_values(elder.contacts, masked=elder.masked)
    if not lines:
        lines = forms.rearranged([], "add")
    return _contacts(request, actor, now, elder_id, elder.name, elder.version, lines)


def _contacts(
    request: Request,
    actor: Actor,
    now: datetime,
    elder_id: uuid.UUID,
    name: str,
    version: int,
    lines: list[forms.Values],
    *,
    problems: Sequence[Problem] = (),
    conflict: Conflict | None = None,
    status: int = 200,
) -> Response:
    tr = language(actor)
    return show(
        request,
        "contacts.html",
        actor,
        now,
        status=status,
        elder_id=elder_id,
        name=name,
        version=version,
        lines=lines,
        most=rules.MOST_CONTACTS,
        default_relation=Relation.CHILD.value,
        is_new=request.query_params.get("new") == "1",
        errors=errors_of(problems, tr),
        summary=summary_of(problems, tr),
        conflict=conflict.facts if conflict else None,
    )


@router.post(ROOT + "/{elder_id}/contacts")
async def set_contacts(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Store the contacts; a button that moves, adds or removes a line only shows the form again."""
    values = await form_values(request)
    lines = forms.contact_lines(values)
    version = number_in(values, "version")
    name = values.get("elder_name", "")
    if command := values.get("rearrange", ""):
        async with ctx.db.transaction() as tx:
            await service.open_for_change(tx, actor, elder_id)
        lines = forms.rearranged(lines, command)
        return _contacts(request, actor, now, elder_id, name, version, lines)
    try:
        async with ctx.db.transaction() as tx:
            await service.open_for_change(tx, actor, elder_id)
            await service.set_contacts(
                tx,
                ctx.cipher,
                actor,
                elder_id,
                version=version,
                contacts=_readable(lines),
                now=now,
                keep_phones=not actor.may(Permission.ELDER_REVEAL),
            )
    except Invalid as error:
        return _contacts(
            request, actor, now, elder_id, name, version, lines,
            problems=error.facts["problems"], status=422,
        )  # fmt: skip
    except Conflict as error:
        return _contacts(
            request, actor, now, elder_id, name, version, lines, conflict=error, status=409
        )
    return see_other(f"{ROOT}/{elder_id}#contacts")


def _readable(lines: list[forms.Values]) -> list[Contact]:
    """Return the contacts of a form. Raises Invalid with all that is wrong, not the first alone."""
    contacts, unreadable = forms.contacts_of(lines)
    if unreadable:
        _, more = rules.check_contacts(contacts)
        raise Invalid("Some of what was entered cannot be read.", problems=(*unreadable, *more))
    return contacts


@router.get(ROOT + "/{elder_id}/watching")
async def watching_form(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Own limits and watch settings."""
    async with ctx.db.transaction() as tx:
        elder = await service.get(tx, ctx.cipher, actor, elder_id, now)
        own = await watching_store.thresholds_of(tx, [elder_id])
        watch = await watching_store.watch_of(tx, [elder_id])
    values = forms.limit_values(own, watch[0] if watch else None)
    values |= {"version": str(elder.version), "elder_name": elder.name}
    if elder.lat is not None:
        values.setdefault("watch.fence_lat", forms.plain(elder.lat))
        values.setdefault("watch.fence_lon", forms.plain(elder.lon))
    return _watching(request, actor, now, elder_id, values)


def _watching(
    request: Request,
    actor: Actor,
    now: datetime,
    elder_id: uuid.UUID,
    values: forms.Values,
    *,
    problems: Sequence[Problem] = (),
    conflict: Conflict | None = None,
    status: int = 200,
) -> Response:
    tr = language(actor)
    return show(
        request,
        "watching.html",
        actor,
        now,
        status=status,
        elder_id=elder_id,
        # What was sent may lack the name: it came from no form of ours.
        values={"elder_name": ""} | dict(values),
        defaults={metric: limits_of(metric, None)[0] for metric in LIMITED_METRICS},
        ranges={metric: METRICS[metric] for metric in LIMITED_METRICS},
        errors=errors_of(problems, tr),
        summary=summary_of(problems, tr),
        conflict=conflict.facts if conflict else None,
    )


@router.post(ROOT + "/{elder_id}/watching")
async def set_watching(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Store limits and watch settings together."""
    values = await form_values(request)
    thresholds, problems = forms.thresholds_of(values)
    watch, more = forms.watch_of(values)
    problems += more
    try:
        async with ctx.db.transaction() as tx:
            await watching.set_watching(
                tx,
                actor,
                elder_id,
                version=number_in(values, "version"),
                thresholds=thresholds,
                watch=watch,
                now=now,
                unreadable=problems,
            )
    except Invalid as error:
        return _watching(
            request, actor, now, elder_id, values, problems=error.facts["problems"], status=422
        )
    except Conflict as error:
        return _watching(request, actor, now, elder_id, values, conflict=error, status=409)
    return see_other(f"{ROOT}/{elder_id}#watching")
