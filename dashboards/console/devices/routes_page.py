"""The page of a device."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.console.devices import words
from dashboards.console.devices.frame import ROOT, Context, Now, Reader, show
from dashboards.console.devices.readings import measures_of
from dashboards.console.devices.routes_command_form import with_form
from dashboards.console.devices.routes_commands import list_values
from dashboards.console.devices.routes_list import low_battery
from dashboards.console.show import words_of
from dashboards.ui.i18n import N_, Translator
from dashboards.ui.words import DEVICE_STATUS
from devices.codecs import CODECS
from devices.commands import rules as command_rules
from devices.commands import service as commands
from devices.commands.model import CommandName
from devices.credentials.rules import wants_secret
from devices.fleet import service as fleet
from devices.modes import service as modes
from devices.profiles import PROFILES
from devices.registry import finding
from devices.registry.finding import Overview
from devices.registry.machine import DeviceAction, possible
from devices.registry.model import Device, DeviceState
from devices.selftests import store as selftests
from devices.technical import store as technical
from ingest.telemetry import store as telemetry
from ingest.telemetry.model import LatestReading
from kernel import divisions
from kernel.auth.model import Actor
from kernel.db import Tx

router = APIRouter()
# The next step on the way to an elder is the page's primary button. A bound device has arrived:
# what can still be done with it takes it away from somebody, and is nobody's usual next step.
_NEXT = {DeviceState.STOCK: DeviceAction.BIND, DeviceState.FAULTY: DeviceAction.REPAIR}
_KEYS = {"bind": "b", "unbind": "u", "mark_faulty": "f", "repair": "r", "retire": "x"}
_COMMAND_KEYS = {CommandName.LOCATE: "l", CommandName.RING: "g"}
_RECENT_TECHNICAL = 6
_LIFE = (DeviceState.STOCK, DeviceState.BOUND)


@router.get(ROOT + "/{device_id}")
async def device_page(
    request: Request, device_id: str, actor: Reader, ctx: Context, now: Now
) -> Response:
    """Everything that is known of a device; of a bound one the look is in the audit log."""
    async with ctx.db.transaction() as tx:
        seen = await finding.overview(tx, device_id, actor, now)
        latest = await telemetry.latest_for_devices(tx, [seen.device.no])
        place = await divisions.path_name(tx, seen.device.division_code)
        asked = await commands.recent(tx, seen.device.no)
        running = await modes.running(tx, seen.device.no, now)
        state_of_it = await _state_of_it(tx, seen.device.no, now)
    tr = words_of(request, now)
    device = seen.device
    return show(
        request,
        "device.html",
        now,
        device=device,
        seen=seen,
        modes=running,
        **state_of_it,
        technical_tone=words.TECHNICAL_TONE,
        model=PROFILES.get(device.profile),
        place=place,
        steps=_steps(device, tr),
        buttons=_buttons(device, tr),
        next_action=_NEXT.get(device.state, ""),
        measures=_measures(seen, latest, tr),
        markers=_markers(seen, tr),
        low_battery=low_battery(device),
        wants_secret=wants_secret(device.profile, behind_gateway=device.gateway_id is not None),
        can_ask=_can_ask(device, actor),
        with_form=with_form(device, actor),
        codec_title=lambda code: CODECS[code].title if code in CODECS else code,
        state_tone=words.STATE_TONE,
        connection_tone=words.CONNECTION_TONE,
        holder_since=_holder_since(seen, now),
        done=request.query_params.get("done", ""),
        **list_values(asked, now),
    )


async def _state_of_it(tx: Tx, device_no: int, now: datetime) -> dict[str, Any]:
    """What technicians want to know: what is wrong, how it was heard, when it was tried out."""
    tests = await selftests.of_device(tx, device_no, 1)
    return {
        "technical": await technical.of_device(tx, device_no, _RECENT_TECHNICAL),
        "heard": (await fleet.uptimes(tx, [device_no], now)).get(device_no),
        "tested_at": tests[0].at if tests else None,
    }


def _can_ask(device: Device, actor: Actor) -> list[tuple[str, str]]:
    """Return (command, key) of the buttons: what finds a device, and the person who wears it."""
    return [
        (name.value, _COMMAND_KEYS[name])
        for name in command_rules.available(device)
        if name in _COMMAND_KEYS and command_rules.may_request(actor, name)
    ]


def _measures(seen: Overview, latest: Sequence[LatestReading], tr: Translator) -> list[Any]:
    return list(measures_of(seen.device.profile, latest, seen.holder_since, tr))


def _holder_since(seen: Overview, now: datetime) -> datetime | None:
    since = seen.holder_since
    return since if since is not None and since <= now else None


def _steps(device: Device, tr: Translator) -> list[tuple[str, str]]:
    """Return stock → bound → faulty or retired as the line of steps, where the device left it."""
    line = [*_LIFE] if device.state in _LIFE else [*_LIFE, device.state]
    here = line.index(device.state)
    return [
        (
            words.label(DEVICE_STATUS, state.value, tr),
            "current" if index == here else "done" if index < here else "",
        )
        for index, state in enumerate(line)
    ]


def _buttons(device: Device, tr: Translator) -> list[tuple[str, str, str]]:
    """Return (action, label, key) of what can be done, the usual step first."""
    found = []
    for action in possible(device.state):
        text = words.ACTION[action.value]
        if action is DeviceAction.BIND and device.state is DeviceState.BOUND:
            text = words.REBIND
        found.append((action.value, tr.gettext(text), _KEYS[action.value]))
    return found


def _markers(seen: Overview, tr: Translator) -> list[dict[str, object]]:
    """Return the home and the device for the map."""
    device, markers = seen.device, []
    if seen.home is not None:
        label = tr.gettext(N_("%(name)s家")) % {"name": device.elder_name}
        markers.append(_marker("home", seen.home.lat, seen.home.lon, label))
    if device.lat is not None and device.lon is not None:
        marker = _marker("tracker", device.lat, device.lon, device.id)
        marker["accuracy"] = device.position_accuracy_m
        marker["at"] = device.position_at.isoformat() if device.position_at else None
        markers.append(marker)
    return markers


def _marker(kind: str, lat: float, lon: float, label: str) -> dict[str, object]:
    return {"kind": kind, "lat": lat, "lon": lon, "label": label}
