"""The form of an elder's record: person and home; archiving it and bringing it back."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from care.elders import rules, service
from care.elders.model import Draft
from care.elders.problems import Problem
from care.imports import store as places_store
from care.imports.places import Places
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
from dashboards.console.elders.words import errors_of, summary_of
from kernel import divisions
from kernel.auth.model import Actor, Permission
from kernel.db import Tx
from kernel.errors import Conflict, Invalid
from kernel.web import WebContext

router = APIRouter()
# The fields from top to bottom, the left column first.
_FIELDS = (
    "name", "id_number", "sex", "birth_date", "languages", "risk_notes", "medical_notes",
    "division", "address", "lat", "lon", "living_situation", "access_notes", "phones",
)  # fmt: skip
_ORDER = {name: place for place, name in enumerate(_FIELDS)}


async def _division(tx: Tx, actor: Actor, text: str) -> tuple[str, list[Problem]]:
    """Return the code that somebody means by a name, a path or a code."""
    if not text.strip():
        return "", [Problem("division", "required")]
    codes = Places(await places_store.places(tx, actor.division)).code_of(text)
    if len(codes) == 1:
        return codes[0], []
    return "", [Problem("division", "division_ambiguous" if codes else "division_unknown")]


def _at_the_form(problems: Sequence[Problem], unreadable: Sequence[Problem]) -> list[Problem]:
    """Say what cannot be read once, what is wrong with the code at the field of the name, and all
    of it in the order of the form.
    """
    said = {one.field for one in unreadable}
    moved = [
        replace(one, field="division") if one.field == "division_code" else one for one in problems
    ]
    found = [*unreadable, *(one for one in moved if one.field not in said)]
    return sorted(found, key=lambda one: _ORDER.get(one.field.split(".")[0], len(_ORDER)))


def _form(
    request: Request,
    actor: Actor,
    now: datetime,
    values: forms.Values,
    *,
    elder_id: uuid.UUID | None = None,
    problems: Sequence[Problem] = (),
    conflict: Conflict | None = None,
    status: int = 200,
) -> Response:
    tr = language(actor)
    return show(
        request,
        "form.html",
        actor,
        now,
        status=status,
        elder_id=elder_id,
        values=values,
        phone_rows=forms.phone_rows(values),
        unseen=elder_id is not None and not actor.may(Permission.ELDER_REVEAL),
        errors=errors_of(problems, tr),
        summary=summary_of(problems, tr),
        conflict=conflict.facts if conflict else None,
    )


@router.get(ROOT + "/divisions")
async def division_options(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Suggestions for the field of the division: <option>s with the whole path."""
    text = request.query_params.get("division", "").replace("\0", "").split(" ")[-1].strip()[:60]
    async with ctx.db.connection() as tx:
        found = await divisions.search(tx, text, scope=actor.division, limit=20) if text else []
        paths = await divisions.path_names(tx, [one.code for one in found])
    options = [short_path(paths[one.code]) for one in found]
    return show(request, "division_options.html", actor, now, options=options)


def short_path(path: str) -> str:
    """Return a path from the city's districts on; a city or province stays as it is."""
    parts = path.split(" ")
    return " ".join(parts[2:]) if len(parts) > 2 else path


@router.get(ROOT + "/new")
async def new_form(request: Request, actor: Writer, now: Now) -> Response:
    """The empty form."""
    return _form(request, actor, now, {})


@router.post(ROOT)
async def create(request: Request, actor: Writer, ctx: Context, now: Now) -> Response:
    """Register an elder; on to the contacts."""
    values = await form_values(request)
    unreadable: list[Problem] = []
    try:
        async with ctx.db.transaction() as tx:
            code, unreadable = await _division(tx, actor, values.get("division", ""))
            draft, more = forms.draft_of(values, code)
            unreadable += more
            if unreadable:
                _refuse(draft, unreadable, now)
            elder_id = await service.create(tx, ctx.cipher, actor, draft, now)
    except Invalid as error:
        problems = _at_the_form(error.facts["problems"], unreadable)
        return _form(request, actor, now, values, problems=problems, status=422)
    return see_other(f"{ROOT}/{elder_id}/contacts?new=1")


def _refuse(draft: Draft, unreadable: Sequence[Problem], now: datetime) -> None:
    """Raise with everything that is wrong, so that nobody finds the next mistake later."""
    found = rules.examine(draft, now).problems
    raise Invalid("Some of what was entered cannot be read.", problems=(*unreadable, *found))


@router.get(ROOT + "/{elder_id}/edit")
async def edit_form(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """The filled form; in the audit log, because it shows what the page masks."""
    async with ctx.db.transaction() as tx:
        elder = await service.get_for_change(tx, ctx.cipher, actor, elder_id, now)
        path = await divisions.path_name(tx, elder.division_code)
    values = forms.values_of(elder, short_path(path))
    return _form(request, actor, now, values, elder_id=elder_id)


@router.post(ROOT + "/{elder_id}/edit")
async def edit(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Change person and home."""
    values = await form_values(request)
    keep = frozenset() if actor.may(Permission.ELDER_REVEAL) else forms.UNSEEN
    unreadable: list[Problem] = []
    try:
        async with ctx.db.transaction() as tx:
            # Whose record it is comes first: what is wrong with a form about it is nobody else's.
            await service.open_for_change(tx, actor, elder_id)
            code, unreadable = await _division(tx, actor, values.get("division", ""))
            draft, more = forms.draft_of(values, code)
            unreadable += more
            if unreadable:
                _refuse(draft, unreadable, now)
            await service.update(
                tx,
                ctx.cipher,
                actor,
                elder_id,
                version=number_in(values, "version"),
                draft=draft,
                now=now,
                keep=keep,
            )
    except Invalid as error:
        problems = _at_the_form(error.facts["problems"], unreadable)
        return _form(request, actor, now, values, elder_id=elder_id, problems=problems, status=422)
    except Conflict as error:
        return _form(request, actor, now, values, elder_id=elder_id, conflict=error, status=409)
    return see_other(f"{ROOT}/{elder_id}")


@router.post(ROOT + "/{elder_id}/archive")
async def archive(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Take the record out of the lists."""
    values = await form_values(request)
    try:
        async with ctx.db.transaction() as tx:
            await service.archive(
                tx,
                actor,
                elder_id,
                version=number_in(values, "version"),
                reason=values.get("reason", ""),
                now=now,
            )
    except Invalid as error:
        return await _edit_again(request, elder_id, actor, ctx, now, error.facts["problems"])
    return see_other(f"{ROOT}/{elder_id}")


async def _edit_again(
    request: Request,
    elder_id: uuid.UUID,
    actor: Actor,
    ctx: WebContext,
    now: datetime,
    problems: Sequence[Problem],
) -> Response:
    async with ctx.db.transaction() as tx:
        elder = await service.get_for_change(tx, ctx.cipher, actor, elder_id, now)
        path = await divisions.path_name(tx, elder.division_code)
    values = forms.values_of(elder, short_path(path))
    return _form(request, actor, now, values, elder_id=elder_id, problems=problems, status=422)


@router.post(ROOT + "/{elder_id}/restore")
async def restore(
    request: Request, elder_id: uuid.UUID, actor: Writer, ctx: Context, now: Now
) -> Response:
    """Bring an archived record back."""
    values = await form_values(request)
    async with ctx.db.transaction() as tx:
        await service.restore(tx, actor, elder_id, version=number_in(values, "version"), now=now)
    return see_other(f"{ROOT}/{elder_id}")
