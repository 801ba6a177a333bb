"""Asking a device for something: where it is, or to make itself heard."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices.frame import ROOT, Context, Now, Reader, done, form_values
from devices.commands import service as commands
from devices.registry import guard

router = APIRouter()


@router.post(ROOT + "/{device_id}/commands")
async def ask(request: Request, device_id: str, actor: Reader, ctx: Context, now: Now) -> Response:
    """Queue a command; who may ask what is judged by the command (devices/commands/rules.py)."""
    values = await form_values(request)
    async with ctx.db.transaction() as tx:
        device = await guard.find(tx, device_id, actor)
        await commands.request(tx, device.no, values.get("name", ""), {}, actor, now)
    return done(device_id, "asked")
