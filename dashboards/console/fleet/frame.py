"""What every route of the fleet's pages shares: dependencies, rendering, tabs, form values."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from starlette.responses import Response

from care.roster import store as roster_store
from dashboards.console.devices import words as device_words
from dashboards.console.fleet import words
from dashboards.console.show import show as show_page
from dashboards.console.show import words_of
from dashboards.console.typed import form_values, see_other, whole
from dashboards.ui.i18n import Translator
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.db import Tx
from kernel.divisions.codes import significant_prefix
from kernel.web import WebContext, get_context, get_now

__all__ = [
    "ROOT", "Context", "Now", "Technician", "address", "division_choices", "division_in",
    "form_values", "say", "see_other", "show", "whole",
]  # fmt: skip
ROOT = "/console/fleet"
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
# Technicians, supervisors and administrators: those who may change devices.
Technician = Annotated[Actor, Depends(requires(Permission.DEVICE_READ, Permission.DEVICE_WRITE))]


def show(
    request: Request, template: str, now: datetime, *, status: int = 200, **values: Any
) -> Response:
    """Render `console/fleet/<template>`; every page gets the fleet's and the registry's words."""
    tr = words_of(request, now)
    actor: Actor = request.state.actor
    return show_page(
        request,
        f"console/fleet/{template}",
        now,
        status=status,
        may_see_elders=actor.may(Permission.ELDER_READ),
        model_title=lambda code: device_words.model_title(code, tr.locale),
        path_of=lambda device_id: f"/console/devices/{quote(device_id)}",
        say=lambda group, code: say(group, code, tr),
        connection_tone=device_words.CONNECTION_TONE,
        state_tone=device_words.STATE_TONE,
        **values,
    )


def say(group: str, code: str, tr: Translator) -> str:
    """Return the word of a code of the fleet, else of the registry."""
    table = getattr(words, group, None) or getattr(device_words, group)
    return device_words.label(table, str(code), tr)


async def division_choices(tx: Tx, actor: Actor) -> list[tuple[str, str]]:
    """Return the divisions to choose from, townships indented under their county."""
    return [
        (significant_prefix(one.code), ("　" if one.level == 4 else "") + one.name)
        for one in await roster_store.divisions_in_use(tx, actor.division)
    ]


def division_in(request: Request) -> str:
    """Return the division prefix that a URL asks for, "" for none or nonsense."""
    text = request.query_params.get("division", "")
    return text if text.isascii() and text.isdigit() and len(text) <= 12 else ""


def address(path: str, **values: object) -> str:
    """Return a path with a query; empty values are left out."""
    pairs = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return f"{path}?{urlencode(pairs)}" if pairs else path
