"""Forms that move an incident along its life: claim, hand over, on scene, resolve, reopen."""

from fastapi import APIRouter
from starlette.responses import Response

from dashboards.console.incidents.frame import ROOT, Form, answered
from dashboards.console.incidents.pages import page_again
from hotline.incidents import service
from hotline.incidents.model import Resolution
from kernel.db import Tx
from kernel.errors import Invalid

router = APIRouter(prefix=ROOT)


@router.post("/{incident_id}/acknowledge")
async def acknowledge(sent: Form) -> Response:
    """Claim it."""

    async def do(tx: Tx) -> None:
        await service.acknowledge(tx, sent.incident_id, sent.version, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="actions")


@router.post("/{incident_id}/release")
async def release(sent: Form) -> Response:
    """Give it back to the queue."""

    async def do(tx: Tx) -> None:
        await service.release(tx, sent.incident_id, sent.version, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="actions")


@router.post("/{incident_id}/take")
async def take(sent: Form) -> Response:
    """Take it from somebody else: a supervisor hands it over to themselves."""

    async def do(tx: Tx) -> None:
        if sent.actor.user_id is None:
            raise Invalid("nobody cannot take it", {"to": "unknown person"})
        await service.hand_over(
            tx, sent.incident_id, sent.version, sent.actor.user_id, sent.actor, sent.now
        )

    return await answered(sent, do, page_again, form="actions")


@router.post("/{incident_id}/hand_over")
async def hand_over(sent: Form) -> Response:
    """Give it to a colleague."""

    async def do(tx: Tx) -> None:
        to = sent.id_of("to")
        if to is None:
            raise Invalid("to whom?", {"to": "unknown person"})
        await service.hand_over(tx, sent.incident_id, sent.version, to, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="hand_over")


@router.post("/{incident_id}/on_scene")
async def on_scene(sent: Form) -> Response:
    """Somebody is there."""

    async def do(tx: Tx) -> None:
        note = sent.values.get("note", "")
        await service.on_scene(tx, sent.incident_id, sent.version, note, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="on_scene")


@router.post("/{incident_id}/resolve")
async def resolve(sent: Form) -> Response:
    """Close it with what it turned out to be, and why."""

    async def do(tx: Tx) -> None:
        try:
            resolution = Resolution(sent.values.get("resolution", ""))
        except ValueError as error:
            raise Invalid("what was it?", {"resolution": "none of the four"}) from error
        reason = sent.values.get("reason", "")
        await service.resolve(
            tx, sent.incident_id, sent.version, resolution, reason, sent.actor, sent.now
        )

    return await answered(sent, do, page_again, form="resolve")


@router.post("/{incident_id}/reopen")
async def reopen(sent: Form) -> Response:
    """Open it again."""

    async def do(tx: Tx) -> None:
        reason = sent.values.get("reason", "")
        await service.reopen(tx, sent.incident_id, sent.version, reason, sent.actor, sent.now)

    return await answered(sent, do, page_again, form="reopen")
