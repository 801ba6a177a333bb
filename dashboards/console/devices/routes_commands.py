"""Asking a device for something: where it is, or to make itself heard."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import (
    ROOT,
    Context,
    Now,
    Reader,
    done,
    form_values,
    path_of,
    show,
)
from devices.commands import service as commands
from devices.commands.model import ENDED_EARLY, Command, CommandState
from devices.commands.service import NOT_SAID
from devices.downlink import NOT_DELIVERED
from devices.registry import guard

router = APIRouter()
PATH = ROOT + "/{device_id}/commands"
PENDING = frozenset({CommandState.QUEUED, CommandState.SENT})
# An answer comes within seconds or, from a device that sleeps, with its next message.
SOON = timedelta(minutes=1)
SOON_SECONDS, LATER_SECONDS = 2, 15


def list_values(asked: Sequence[Command], now: datetime) -> dict[str, Any]:
    """Return what command_list.html shows, and how soon it asks again; 0 when nothing is open."""
    open_since = [one.created_at for one in asked if one.state in PENDING]
    soon = any(now - at < SOON for at in open_since)
    return {
        "commands": asked,
        "command_state": _shown,
        "command_tone": words.COMMAND_TONE,
        "poll_seconds": (SOON_SECONDS if soon else LATER_SECONDS) if open_since else 0,
    }


def _shown(one: Command) -> str:
    """Return the state in the words of the page, which tell what never left from what was lost."""
    if one.detail.startswith(NOT_SAID):
        return "unsent"
    if one.detail.startswith(NOT_DELIVERED):
        return "undelivered"
    lost = one.state is CommandState.EXPIRED and one.sent_at is not None
    return "unanswered" if lost and one.detail not in ENDED_EARLY else one.state.value


@router.get(PATH)
async def asked_of(
    request: Request, device_id: str, actor: Reader, ctx: Context, now: Now
) -> Response:
    """The list of commands alone, as it is now: the card on the page asks while one is open."""
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
        asked = await commands.recent(conn, device.no)
    return show(
        request, "command_list.html", now, path=path_of(device.id), **list_values(asked, now)
    )


@router.post(PATH)
async def ask(request: Request, device_id: str, actor: Reader, ctx: Context, now: Now) -> Response:
    """Queue a command; who may ask what is judged by the command (devices/commands/rules.py)."""
    values = await form_values(request)
    async with ctx.db.transaction() as tx:
        device = await guard.find(tx, device_id, actor)
        await commands.request(tx, device.no, values.get("name", ""), {}, actor, now)
    return done(device_id, "asked")
