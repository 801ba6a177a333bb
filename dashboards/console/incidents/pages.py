"""The values of an incident's page and of its parts, and the page again after a refusal."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.responses import Response

from dashboards.console.incidents import reading, view
from dashboards.console.incidents.frame import Refusal, Sent, language, show
from dashboards.console.incidents.people import needs_all
from dashboards.console.incidents.words import PRESETS
from devices.alarms import AlarmKind
from hotline.board import store as board
from hotline.board.model import QueueRow
from hotline.incidents import service
from hotline.incidents.model import Status
from kernel.auth.model import Actor, Permission
from kernel.db import Tx
from kernel.web import WebContext

# The forms in dialogs, by the word in `?do=`.
DIALOGS = ("dispatch", "on_scene", "resolve", "reopen", "hand_over")
# What the chart shows first for alarms of a vital sign; the pulse for all others.
_METRICS: Mapping[str, str] = {
    AlarmKind.SPO2_LOW: "spo2",
    AlarmKind.BLOOD_PRESSURE_HIGH: "blood_pressure",
    AlarmKind.BLOOD_PRESSURE_LOW: "blood_pressure",
    AlarmKind.BODY_TEMPERATURE_HIGH: "body_temperature",
    AlarmKind.BODY_TEMPERATURE_LOW: "body_temperature",
    AlarmKind.RESPIRATORY_RATE_HIGH: "respiratory_rate",
    AlarmKind.RESPIRATORY_RATE_LOW: "respiratory_rate",
    AlarmKind.GLUCOSE_HIGH: "glucose",
    AlarmKind.GLUCOSE_LOW: "glucose",
}
_NOTHING = Refusal("", 200, "", {})


async def incident_page(
    ctx: WebContext,
    incident_id: uuid.UUID,
    actor: Actor,
    now: datetime,
    *,
    opened: str = "",
    revealed: bool = False,
    refused: Refusal = _NOTHING,
    typed: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return what the whole page needs; the reading is audited. Raises NotFound.

    `opened` names the form that stands open, `refused` says what was wrong with it and `typed`
    holds what stood in it.
    """
    tr = language(actor)
    async with ctx.db.transaction() as tx:
        page = await reading.read_page(tx, incident_id, actor)
        shown = view.shown_to(actor, page.incident, revealed)
        card = await reading.read_card(tx, ctx, page, actor, now, shown=shown)
        found = await reading.read_view(tx, ctx, page, actor, tr, now, revealed=revealed)
        # Every dialog is there from the start: what is possible changes while the page is open.
        handles = actor.may(Permission.INCIDENT_HANDLE)
        takers = await service.takers(tx, page.incident) if handles else []
        # Nobody hands over to themselves, whoever holds it by the time that the dialog is opened.
        takers = [one for one in takers if one.id != actor.user_id]
        following = await next_waiting(tx, actor, incident_id) if _is_over(found) else None
    return _shared(found) | {
        "elder": card,
        "takers": takers,
        "following": following,
        "follows_map": needs_all(actor, page.incident),
        "may_reveal": not shown and actor.may(Permission.ELDER_REVEAL),
        "presets": [(tr.gettext(text), meaning) for text, meaning in PRESETS],
        "metric": _METRICS.get(page.incident.kind, "heart_rate"),
        "oob": False,
        "opened": opened,
        "refused": refused,
        "typed": typed or {},
    }


async def parts(
    ctx: WebContext, incident_id: uuid.UUID, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Return what the changing parts need. Raises NotFound."""
    async with ctx.db.transaction() as tx:
        page = await reading.read_page(tx, incident_id, actor)
        found = await reading.read_view(tx, ctx, page, actor, language(actor), now)
        await reading.note_reading(tx, page, actor, now, shown=found.shown)
        following = await next_waiting(tx, actor, incident_id) if _is_over(found) else None
    # Whom the page shows; who was removed meanwhile has no place on it.
    people = {str(one.contact_id) for one in page.attempts if one.contact_id}
    return _shared(found) | {
        "following": following,
        "contact_keys": people | {"elder"},
        "dialogs": DIALOGS if actor.may(Permission.INCIDENT_HANDLE) else (),
        "oob": True,
    }


def _shared(found: view.IncidentView) -> dict[str, Any]:
    return {
        "v": found,
        "page": found.page,
        "incident": found.incident,
        "path": found.path,
        "digest": view.digest,
    }


def _is_over(found: view.IncidentView) -> bool:
    return found.incident.status is Status.RESOLVED


async def next_waiting(tx: Tx, actor: Actor, after: uuid.UUID) -> QueueRow | None:
    """Return the loudest incident that nobody has, besides this one."""
    for row in await board.queue(tx, actor.division, 2):
        if row.status == Status.OPEN and row.id != after and row.severity != "technical":
            return row
    return None


async def page_again(sent: Sent, refused: Refusal) -> Response:
    """Show the page with what was typed and why it was refused, for browsers without scripts."""
    values = await incident_page(
        sent.ctx,
        sent.incident_id,
        sent.actor,
        sent.now,
        opened=refused.form if refused.form in DIALOGS else "",
        refused=refused,
        typed=sent.values,
    )
    return show(sent.request, "page.html", sent.actor, sent.now, status=refused.status, **values)
