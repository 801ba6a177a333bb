"""Forms that reach people: calls, texts, responders; and what is written down about an incident.

Calling somebody or sending somebody claims an incident that nobody has: whoever acts has it.
"""

import uuid

from fastapi import APIRouter
from starlette.responses import Response

from dashboards.console.incidents.frame import ROOT, Form, Sent, answered
from dashboards.console.incidents.moments import asked_text
from dashboards.console.incidents.pages import page_again
from dashboards.ui.i18n import N_
from hotline.contacts import service as contacts
from hotline.dispatch import service as dispatches
from hotline.incidents import service
from hotline.incidents import store as incidents
from hotline.incidents.model import Status
from kernel.db import Tx
from kernel.errors import Invalid, NotFound

router = APIRouter(prefix=ROOT)
_NO_CONTACT = N_("没有这位联系人，可能刚刚被移除；请刷新页面。")


async def _claimed(tx: Tx, sent: Sent) -> int:
    """Claim the incident if nobody has it; return the version to go on with.

    Raises Conflict when somebody was faster. Whether the person may reach anybody about it is
    asked where that is done (hotline/incidents/steps.py `check_reach`).
    """
    incident = await incidents.get(tx, sent.incident_id, sent.actor.division)
    if incident is None:
        raise NotFound("there is no such incident")
    if incident.status is Status.OPEN:
        done = await service.acknowledge(tx, incident.id, sent.version, sent.actor, sent.now)
        return done.version
    return sent.version


@router.post("/{incident_id}/call/elder")
async def call_elder(sent: Form) -> Response:
    """Call the elder's first number."""

    async def do(tx: Tx) -> None:
        await _claimed(tx, sent)
        await contacts.call_elder(tx, sent.incident_id, sent.actor, sent.now)

    missing = N_("没有登记老人的电话，请改为呼叫家属或派人上门。")
    return await answered(sent, do, page_again, form="actions", missing=missing)


@router.post("/{incident_id}/call/contacts")
async def call_contacts(sent: Form) -> Response:
    """Call the contacts one after the other until one confirms."""

    async def do(tx: Tx) -> None:
        await _claimed(tx, sent)
        await contacts.call_contacts_in_order(tx, sent.incident_id, sent.actor, sent.now)

    missing = N_("没有登记联系人，请呼叫老人或派人上门。")
    return await answered(sent, do, page_again, form="actions", missing=missing)


@router.post("/{incident_id}/call/{contact_id}")
async def call_contact(sent: Form, contact_id: uuid.UUID) -> Response:
    """Call one contact."""

    async def do(tx: Tx) -> None:
        await _claimed(tx, sent)
        await contacts.call_contact(tx, sent.incident_id, contact_id, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="contacts", missing=_NO_CONTACT)


@router.post("/{incident_id}/text/{contact_id}")
async def text_contact(sent: Form, contact_id: uuid.UUID) -> Response:
    """Text one contact in fixed words."""

    async def do(tx: Tx) -> None:
        await _claimed(tx, sent)
        await contacts.text_contact(tx, sent.incident_id, contact_id, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="contacts", missing=_NO_CONTACT)


@router.post("/{incident_id}/dispatch")
async def dispatch(sent: Form) -> Response:
    """Send a responder, who gets a text with a link."""
    outgoing = dispatches.Outgoing(sent.ctx.cipher, sent.ctx.public_url)

    async def do(tx: Tx) -> None:
        responder = sent.id_of("responder_id")
        if responder is None:
            raise Invalid("whom?", {"responder_id": "none chosen"})
        version = await _claimed(tx, sent)
        await dispatches.send(
            tx, sent.incident_id, version, responder, outgoing, sent.actor, sent.now
        )

    missing = N_("这位处置人员已不在名单里，请另选一位。")
    return await answered(sent, do, page_again, form="dispatch", missing=missing)


@router.post("/{incident_id}/withdraw/{dispatch_id}")
async def withdraw(sent: Form, dispatch_id: uuid.UUID) -> Response:
    """Take a responder back, who gets a text."""

    async def do(tx: Tx) -> None:
        await dispatches.withdraw(
            tx, sent.incident_id, sent.version, dispatch_id, sent.actor, sent.now
        )

    missing = N_("没有这次派人记录，请刷新页面。")
    return await answered(sent, do, page_again, form="dispatches", missing=missing)


@router.post("/{incident_id}/note")
async def note(sent: Form) -> Response:
    """Write on the timeline."""

    async def do(tx: Tx) -> None:
        text = sent.values.get("text", "")
        await service.add_note(tx, sent.incident_id, text, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="note")


@router.post("/{incident_id}/ask/{number}")
async def ask(sent: Form, number: int) -> Response:
    """Write down that a question of the checklist was asked, and what was answered."""

    async def do(tx: Tx) -> None:
        incident = await incidents.get(tx, sent.incident_id, sent.actor.division)
        if incident is None:
            raise NotFound("there is no such incident")
        text = asked_text(incident.kind, number, sent.values.get("answer", ""))
        if text is None:
            raise Invalid("there is no such question", {"text": "unknown question"})
        await service.add_note(tx, incident.id, text, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="ask")
