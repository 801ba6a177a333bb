"""What every route of the devices' pages shares: dependencies, rendering, form values, refusals."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.show import show as show_page
from dashboards.console.show import words_of
from dashboards.console.typed import form_values, see_other, uuid_in, version_in
from dashboards.ui.filters import when_text
from dashboards.ui.i18n import N_
from devices.registry import finding, guard
from devices.registry.model import Device
from kernel.auth.model import Actor, Permission
from kernel.auth.web import requires
from kernel.errors import Conflict
from kernel.web import WebContext, get_context, get_now

__all__ = [
    "ROOT", "Binder", "Context", "DeviceToBind", "DeviceToChange", "DeviceToRead", "Now", "Reader",
    "Writer", "done", "download", "form_values", "path_of", "see_other", "show", "too_late",
    "uuid_in", "version_in",
]  # fmt: skip
ROOT = "/console/devices"
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
may_read = requires(Permission.DEVICE_READ)
may_write = requires(Permission.DEVICE_READ, Permission.DEVICE_WRITE)
may_bind = requires(Permission.DEVICE_READ, Permission.DEVICE_WRITE, Permission.ELDER_READ)
Reader = Annotated[Actor, Depends(may_read)]
Writer = Annotated[Actor, Depends(may_write)]
Binder = Annotated[Actor, Depends(may_bind)]


def _device_of_address(
    permitted: Callable[[Actor], Awaitable[Actor]],
) -> Callable[..., Awaitable[Device]]:
    """Return a dependency: the device of an address, for who may. Raises NotFound elsewhere."""

    async def find(
        device_id: str, actor: Annotated[Actor, Depends(permitted)], ctx: Context
    ) -> Device:
        async with ctx.db.connection() as conn:
            return await guard.find(conn, device_id, actor)

    return find


DeviceToRead = Annotated[Device, Depends(_device_of_address(may_read))]
DeviceToChange = Annotated[Device, Depends(_device_of_address(may_write))]
DeviceToBind = Annotated[Device, Depends(_device_of_address(may_bind))]


def path_of(device_id: str) -> str:
    """Return the address of a device's page."""
    return f"{ROOT}/{quote(device_id)}"


def show(
    request: Request, template: str, now: datetime, *, status: int = 200, **values: Any
) -> Response:
    """Render `console/devices/<template>` for the person; every page gets the registry's words."""
    tr = words_of(request, now)
    actor: Actor = request.state.actor
    return show_page(
        request,
        f"console/devices/{template}",
        now,
        status=status,
        may_write=actor.may(Permission.DEVICE_WRITE),
        may_claim=actor.may(Permission.DEVICE_CLAIM) and actor.may(Permission.ELDER_READ),
        may_see_elders=actor.may(Permission.ELDER_READ),
        model_title=lambda code: words.model_title(code, tr.locale),
        state_line=lambda device: words.state_line(device, tr),
        say=lambda group, code: words.label(getattr(words, group), code, tr),
        path_of=path_of,
        **values,
    )


def download(data: bytes, media_type: str, name: str) -> Response:
    """Send a file to be saved; no cache keeps it."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type=media_type, headers=headers)


def done(device_id: str, what: str) -> Response:
    """Go back to the device's page, which says what was done."""
    return see_other(f"{path_of(device_id)}?done={what}")


async def too_late(
    request: Request, ctx: WebContext, now: datetime, device_id: str, error: Conflict
) -> Response:
    """Say who was faster and what the device is now; nothing was changed."""
    actor: Actor = request.state.actor
    async with ctx.db.connection() as conn:
        device = await guard.find(conn, device_id, actor)
        change = await finding.last_change(conn, device_id)
    tr = words_of(request, now)
    title = tr.gettext(N_("设备已经不是您打开页面时的样子"))
    if change is not None:
        title = tr.gettext(N_("%(name)s %(time)s %(action)s")) % {
            "name": change.by,
            "time": when_text(change.at, now, tr),
            "action": words.label(words.CHANGE, change.action, tr),
        }
    sentence = tr.gettext(N_("现在的状态：%(state)s。没有覆盖对方的操作。")) % {
        "state": words.state_line(device, tr)
    }
    return show(
        request,
        "changed.html",
        now,
        status=error.status,
        device=device,
        headline=title,
        sentence=sentence,
    )
