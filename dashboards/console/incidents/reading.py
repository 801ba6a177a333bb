"""Reads one incident for its page, within the person's division, and writes the audit log."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from care.elders.model import ElderCard
from care.elders.summary import elder_card
from dashboards.console.elders.store import OpenIncident, open_incidents
from dashboards.console.incidents import store, view
from dashboards.console.incidents.moments import checklist, moments
from dashboards.console.incidents.people import masked_card
from dashboards.console.incidents.view import IncidentView
from dashboards.console.incidents.words import alarm_detail
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.words import word
from devices.registry import inventory
from hotline.board import store as board
from hotline.board.model import IncidentPage
from hotline.contacts import store as contacts
from hotline.contacts.model import BODY, Purpose
from hotline.dispatch.machine import FINAL as DISPATCH_OVER
from hotline.incidents.api import audit_reading
from hotline.incidents.model import Action, Incident, Status
from hotline.responders import service as responders
from hotline.responders.model import Suggestion
from kernel import audit
from kernel.auth.model import Actor, Permission
from kernel.db import Tx
from kernel.errors import NotFound
from kernel.web import WebContext

ROOT = "/console/incidents"
# The parts of a page that stays open are asked for again and again: one reading, one entry.
ONE_READING = timedelta(minutes=15)
# Who is drawn on the map besides those on their way.
DRAWN = 2


async def read_page(tx: Tx, incident_id: uuid.UUID, actor: Actor) -> IncidentPage:
    """Return the incident. Raises NotFound when there is none in the person's division."""
    page = await board.incident_page(tx, incident_id, actor.division)
    if page is None:
        raise NotFound("there is no such incident")
    return page


async def read_view(
    tx: Tx,
    ctx: WebContext,
    page: IncidentPage,
    actor: Actor,
    tr: Translator,
    now: datetime,
    *,
    revealed: bool = False,
) -> IncidentView:
    """Return the incident as the page shows it to this person."""
    incident = page.incident
    can = view.possible(actor, page)
    shown = view.shown_to(actor, incident, revealed)
    since, limits = view.waiting(page)
    reach = view.reached_by(page.attempts, tr)
    links = await _demo_links(tx, ctx, page) if ctx.demo and shown else {}
    found = await responders.suggestions(tx, incident, now) if Action.DISPATCH in can else []
    instruments = await _instruments(tx, page) if actor.may(Permission.DEVICE_READ) else ()
    return IncidentView(
        page=page,
        path=f"{ROOT}/{incident.id}",
        acts=bool(can - {view.NOTE, view.TAKE}),
        shown=shown,
        mine=incident.acknowledged_by is not None and incident.acknowledged_by == actor.user_id,
        can=can,
        primary=view.next_step(incident, can, actor),
        since=since,
        limits=limits,
        next_escalation=view.next_escalation(page),
        steps=view.lifecycle(incident, tr),
        reach=reach,
        dispatches=view.sent_out(page.dispatches, reach, links, tr),
        moments=moments(incident, page.events, tr),
        questions=checklist(incident.kind, page.events, tr),
        detail=alarm_detail(page.activations[-1].detail, tr) if page.activations else "",
        suggested=view.suggestions(found, tr),
        instruments=instruments,
        others=await _others(tx, page),
        markers=await markers(tx, page, near(found), tr) if shown else (),
    )


async def _others(tx: Tx, page: IncidentPage) -> tuple[OpenIncident, ...]:
    elder_id = page.incident.elder_id
    if elder_id is None or page.incident.status is Status.RESOLVED:
        return ()
    found = await open_incidents(tx, elder_id)
    return tuple(one for one in found if one.id != page.incident.id)


def near(found: list[Suggestion]) -> list[uuid.UUID]:
    """Return who is drawn on the map besides those on their way: the best whose place is known."""
    known = [one.id for one in found if one.distance_m is not None and not one.fix_stale]
    return known[:DRAWN]


async def _instruments(tx: Tx, page: IncidentPage) -> tuple[view.Instrument, ...]:
    fired = page.device.no if page.device else None
    if page.incident.elder_id is not None:
        found = await inventory.of_elder(tx, page.incident.elder_id)
    else:
        found = []
    if fired is not None and all(one.no != fired for one in found):
        one = await inventory.by_no(tx, fired)
        found = [*([one] if one else []), *found]
    return view.instruments(found, fired)


async def _demo_links(tx: Tx, ctx: WebContext, page: IncidentPage) -> Mapping[uuid.UUID, str]:
    """Return the links that responders got by text: a demonstration has no phones to read them."""
    found = {}
    for one in await contacts.of_incident(tx, page.incident.id):
        if one.purpose is Purpose.DISPATCH and one.dispatch_id and one.body_enc:
            body = ctx.cipher.decrypt(BODY, one.body_enc)
            start = body.find(f"{ctx.public_url}/r/")
            if start >= 0:
                found[one.dispatch_id] = body[start:]
    return found


async def markers(
    tx: Tx, page: IncidentPage, others: list[uuid.UUID], tr: Translator
) -> tuple[Mapping[str, object], ...]:
    """Return what the map draws: the home, the last fix, who is on the way and who is near."""
    found: list[Mapping[str, object]] = []
    elder = page.elder
    if elder is not None and elder.lat is not None:
        found.append({"kind": "home", "lat": elder.lat, "lon": elder.lon,
                      "label": tr.gettext(N_("住处"))})  # fmt: skip
    if (fix := await _device_marker(tx, page)) is not None:
        found.append(fix)
    going = {
        one.responder_id: word(one.status.value, "dispatch_status", tr)
        for one in page.dispatches
        if one.status not in DISPATCH_OVER
    }
    for one in await store.fixes(tx, {*going, *others}):
        found.append({
            "kind": "responder", "lat": one.lat, "lon": one.lon, "label": one.name,
            "accuracy": one.accuracy_m, "at": one.at.isoformat(),
            "detail": going.get(one.id) or tr.gettext(N_("空闲")),
        })  # fmt: skip
    return tuple(found)


async def _device_marker(tx: Tx, page: IncidentPage) -> Mapping[str, object] | None:
    """Return the newest fix: the alarm's, or what the device has said since."""
    incident = page.incident
    lat, lon = incident.lat, incident.lon
    at, accuracy = incident.position_at, incident.position_accuracy_m
    device = await inventory.by_no(tx, page.device.no) if page.device else None
    if device is not None and device.position_at and (at is None or device.position_at > at):
        lat, lon = device.lat, device.lon
        at, accuracy = device.position_at, device.position_accuracy_m
    if lat is None or lon is None or page.device is None:
        return None
    return {
        "kind": "device", "lat": lat, "lon": lon, "label": page.device.id,
        "accuracy": accuracy, "at": at.isoformat() if at else None,
    }  # fmt: skip


async def read_card(
    tx: Tx, ctx: WebContext, page: IncidentPage, actor: Actor, now: datetime, *, shown: bool
) -> ElderCard | None:
    """Return the elder's card, in plain text where it is `shown`; both are in the audit log."""
    incident = page.incident
    await audit_reading(tx, incident, actor, now)
    if incident.elder_id is None:
        return None
    card = await elder_card(tx, ctx.cipher, incident.elder_id)
    if not shown:
        return masked_card(card)
    await _note_revealed(tx, incident, actor, now)
    return card


async def note_reading(
    tx: Tx, page: IncidentPage, actor: Actor, now: datetime, *, shown: bool
) -> None:
    """Audit that parts of an incident are read, unless the page itself was read just now."""
    incident, reader = page.incident, actor.user_id
    if reader is not None and await store.was_read(tx, reader, incident.id, now - ONE_READING):
        return
    await audit_reading(tx, incident, actor, now)
    if shown and incident.elder_id is not None:
        await _note_revealed(tx, incident, actor, now)


async def _note_revealed(tx: Tx, incident: Incident, actor: Actor, now: datetime) -> None:
    await audit.record(
        tx,
        actor=actor,
        action="elder.revealed",
        subject_type="elder",
        subject_id=str(incident.elder_id),
        division=incident.division_code,
        detail={"why": "incident", "number": incident.number},
        now=now,
    )
