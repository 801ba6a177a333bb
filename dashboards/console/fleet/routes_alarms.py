"""Technical alarms: their list, and what technicians do with them. Operators have other things."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words as device_words
from dashboards.console.fleet import words
from dashboards.console.fleet.frame import (
    ROOT,
    Context,
    Now,
    Technician,
    address,
    division_choices,
    division_in,
    form_values,
    see_other,
    show,
    whole,
)
from dashboards.console.show import words_of
from dashboards.ui.words import ALARM_KIND
from devices.technical import service
from devices.technical import store as technical_store
from devices.technical.machine import TechnicalAction, possible
from devices.technical.model import TechnicalAlarm, TechnicalFilters, TechnicalState
from kernel.auth.model import Actor
from kernel.errors import Conflict, Invalid, NotFound
from kernel.web import WebContext

router = APIRouter()
ALARMS = f"{ROOT}/alarms"
_ON_A_PAGE = 50
_KINDS = tuple(kind.value for kind in service.TECHNICAL_KINDS)


@router.get(ALARMS)
async def alarms(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """One part of the list, newest first."""
    query = request.query_params
    state = query.get("state", "open")
    kind = query.get("kind", "")
    filters = TechnicalFilters(
        state=state if state in words.TECHNICAL_VIEW else "open",
        kind=kind if kind in _KINDS else "",
        division=division_in(request),
        before=_before(query),
        limit=_ON_A_PAGE + 1,
    )
    async with ctx.db.connection() as conn:
        found = await service.listed(conn, actor, filters)
        counts = await technical_store.counts(conn, actor.division, filters.division)
        divisions = await division_choices(conn, actor)
    tr = words_of(request, now)
    chosen = {"state": filters.state, "kind": filters.kind, "division": filters.division}
    rows, last = found[:_ON_A_PAGE], found[_ON_A_PAGE - 1] if len(found) > _ON_A_PAGE else None
    unseen = [row for row in rows if row.state is TechnicalState.ACTIVE]
    return show(
        request,
        "alarms.html",
        now,
        rows=rows,
        chosen=chosen,
        counts=counts,
        tones=device_words.TECHNICAL_TONE,
        views=words.technical_views(tr),
        kinds=[(one, tr.gettext(ALARM_KIND[one])) for one in _KINDS],
        divisions=divisions,
        next_url=address(
            ALARMS, **chosen, before=f"{last.raised_at.isoformat()}_{last.id}" if last else ""
        )
        if last
        else "",
        unseen=unseen,
        alarm_marks=" ".join(f"{row.id}:{row.version}" for row in unseen),
        done=query.get("done", ""),
    )


def _before(query: Mapping[str, str]) -> tuple[datetime, uuid.UUID] | None:
    at, _, alarm_id = query.get("before", "").partition("_")
    try:
        moment = datetime.fromisoformat(at)
        return (moment, uuid.UUID(alarm_id)) if moment.tzinfo else None
    except ValueError:
        return None


@router.post(f"{ALARMS}/acknowledge")
async def acknowledge_all(request: Request, actor: Technician, ctx: Context, now: Now) -> Response:
    """Acknowledge what stood on the page; what somebody changed meanwhile is left alone."""
    values = await form_values(request)
    for pair in values.get("alarms", "").split()[:_ON_A_PAGE]:
        alarm_id, _, version = pair.partition(":")
        try:
            async with ctx.db.transaction() as tx:
                await service.act(
                    tx, uuid.UUID(alarm_id), TechnicalAction.ACKNOWLEDGE,
                    version=whole(version, 10**9) or 0, actor=actor, now=now,
                )  # fmt: skip
        except (Conflict, NotFound, ValueError):
            continue
    return see_other(address(ALARMS, done="acknowledged"))


async def _alarm(ctx: WebContext, alarm_id: str, actor: Actor) -> TechnicalAlarm:
    """Return an alarm of the actor's division. Raises NotFound."""
    try:
        wanted = uuid.UUID(alarm_id)
    except ValueError as error:
        raise NotFound("There is no such technical alarm.") from error
    async with ctx.db.connection() as conn:
        found = await technical_store.get(conn, wanted)
    if found is None or not actor.covers(found.division_code):
        raise NotFound("There is no such technical alarm.", alarm=alarm_id)
    return found


@router.get(ALARMS + "/{alarm_id}")
async def alarm_page(
    request: Request, alarm_id: str, actor: Technician, ctx: Context, now: Now
) -> Response:
    """One alarm, to be put aside or cleared by hand."""
    return _page(request, now, await _alarm(ctx, alarm_id, actor), {})


@router.post(ALARMS + "/{alarm_id}/{action}")
async def act(
    request: Request, alarm_id: str, action: str, actor: Technician, ctx: Context, now: Now
) -> Response:
    """Acknowledge, put aside, take back or clear."""
    alarm = await _alarm(ctx, alarm_id, actor)
    if action not in set(TechnicalAction):
        raise NotFound("There is no such action.", action=action)
    wanted = TechnicalAction(action)
    # Two forms on one page: each field has a name of its own.
    note = "clear_note" if wanted is TechnicalAction.CLEAR else "note"
    values = await form_values(request)
    hours = whole(values.get("hours", ""), 10_000)
    until = now + timedelta(hours=hours) if hours in words.SHELF_HOURS and hours else None
    try:
        async with ctx.db.transaction() as tx:
            await service.act(
                tx, alarm.id, wanted, version=whole(values.get("version", ""), 10**9) or 0,
                actor=actor, now=now, until=until, note=values.get(note, ""),
            )  # fmt: skip
    except Invalid as error:
        wrong = {note if name == "note" else name: code for name, code in error.fields.items()}
        return _page(request, now, alarm, values, wrong)
    return see_other(address(ALARMS, done=wanted.value))


def _page(
    request: Request,
    now: datetime,
    alarm: TechnicalAlarm,
    values: Mapping[str, str],
    wrong: Mapping[str, str] | None = None,
) -> Response:
    tr = words_of(request, now)
    return show(
        request,
        "alarm.html",
        now,
        status=422 if wrong else 200,
        alarm=alarm,
        actions=[one.value for one in possible(alarm.state)],
        tones=device_words.TECHNICAL_TONE,
        hours=[(str(hours), tr.gettext(text)) for hours, text in words.SHELF_HOURS.items()],
        values=values,
        errors=words.errors_of(wrong or {}, tr),
    )
