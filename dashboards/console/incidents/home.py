"""The queue beside every page, and the start page: what waits, what is mine, how today went."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.incidents import store
from dashboards.console.incidents.frame import ROOT, Context, Now, Reader, language, show
from dashboards.console.incidents.words import skill_words
from dashboards.ui.filters import age_text, local
from dashboards.ui.i18n import Translator
from hotline.board import store as board
from hotline.board.model import QueueRow
from hotline.incidents.model import Status
from hotline.responders import store as responders
from hotline.responders.model import Responder
from kernel.auth.model import ROLE_PERMISSIONS, Actor, Permission
from kernel.db import Tx
from kernel.web import WebContext

router = APIRouter()
_COUNTY = re.compile(r"^.*?[区县旗市]")
# Loud ones that nobody has: what the sentence at the top of the page is about.
_LOUD = frozenset({"critical", "major"})


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A line of the queue, as the macro `ui/queue.html` wants it."""

    id: str
    href: str
    severity: str
    kind: str
    status: str
    who: str
    where: str
    since: datetime
    claimed_by: str | None
    repeats: int
    escalated: bool
    count: int
    test: bool
    mine: bool
    recovered: bool


def queue_item(row: QueueRow, actor: Actor, now: datetime, tr: Translator) -> QueueItem:
    """Return a row of the board as a line of the queue."""
    waits = row.status == Status.OPEN
    if row.grouped > 1:
        who = where = ""
    else:
        age = age_text(row.elder_birth_date, now, tr)
        named = (row.elder_name, age) if row.elder_name else (row.device_id, row.room)
        who = " ".join(filter(None, named))
        where = short_place(row.place)
    return QueueItem(
        id=str(row.id),
        href=_href(row),
        severity=row.severity,
        kind=row.kind,
        status=row.status,
        who=who,
        where=where,
        since=row.waiting_since if waits else row.acknowledged_at or row.opened_at,
        claimed_by=row.holder_name,
        repeats=1 if row.grouped > 1 else row.activation_count,
        escalated=row.escalation_level > 0,
        count=row.grouped,
        test=row.test,
        mine=row.acknowledged_by == actor.username,
        recovered=not row.condition_active,
    )


def _href(row: QueueRow) -> str:
    if row.grouped > 1:
        return f"{ROOT}?status={row.status}&kind={row.kind}"
    return f"{ROOT}/{row.id}"


def short_place(place: str) -> str:
    """Return the county of a place: 新城区 of 新城区海东路街道."""
    found = _COUNTY.match(place)
    return found[0] if found else place


async def _items(ctx: WebContext, actor: Actor, now: datetime, tr: Translator) -> list[QueueItem]:
    async with ctx.db.connection() as conn:
        rows = await board.queue(conn, actor.division)
    return [queue_item(row, actor, now, tr) for row in rows]


@router.get("/console/queue")
async def queue(request: Request, ctx: Context, actor: Reader, now: Now) -> Response:
    """The inside of the queue column."""
    items = await _items(ctx, actor, now, language(actor))
    return show(request, "queue.html", actor, now, items=items)


@router.get("/console")
async def overview(request: Request, ctx: Context, actor: Reader, now: Now) -> Response:
    """The start page."""
    return show(request, "home.html", actor, now, **await _overview(ctx, actor, now))


@router.get("/console/overview")
async def overview_part(request: Request, ctx: Context, actor: Reader, now: Now) -> Response:
    """What changes on the start page, without a frame."""
    return show(request, "overview.html", actor, now, **await _overview(ctx, actor, now))


async def _overview(ctx: WebContext, actor: Actor, now: datetime) -> dict[str, Any]:
    tr = language(actor)
    midnight = datetime.combine(local(now).date(), time(), local(now).tzinfo)
    items = await _items(ctx, actor, now, tr)
    async with ctx.db.connection() as conn:
        until = midnight + timedelta(days=1)
        figures = await board.stats(conn, actor.division, midnight, until, now)
        colleagues = await store.colleagues_on_duty(conn, actor.division, _handling_roles())
        people = await _responders(conn, actor, tr)
    waiting = [one for one in items if one.status == Status.OPEN]
    return {
        "waiting": sum(one.count for one in waiting),
        "loud": [one for one in waiting if one.severity in _LOUD],
        "mine": [one for one in items if one.mine],
        "others": [one for one in items if one.status != Status.OPEN and not one.mine],
        "figures": figures,
        "colleagues": colleagues,
        "responders": people,
    }


def _handling_roles() -> list[str]:
    return [
        role.value
        for role, granted in ROLE_PERMISSIONS.items()
        if Permission.INCIDENT_HANDLE in granted
    ]


async def _responders(tx: Tx, actor: Actor, tr: Translator) -> list[tuple[Responder, list[str]]]:
    """Return who is on duty with their skills in words, the free ones first."""
    found: Iterable[Responder] = await responders.all_of(tx, actor.division)
    on_duty = sorted((one for one in found if one.on_duty), key=lambda one: one.busy > 0)
    return [(one, skill_words(one.skills, tr)) for one in on_duty]
