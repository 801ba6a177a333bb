"""What IW and TRV watches say beside readings: satellites, modes, cells and WiFi in sight."""

import re
from collections.abc import Iterable

from devices.codecs.radio import Cell, Wifi, mac_address, radio_states
from devices.messages import Scalar

STATE = (
    r"(?P<gsm>\d{3})(?P<satellites>\d{3})(?P<battery>\d{3})"
    r"(?P<ignition>\d)(?P<armed>\d\d)(?P<mode>\d\d)"
)
"""How loud the network is in percent, satellites, battery, ignition, armed, mode: 14 digits."""
_MORE = re.compile(r"\d{3}\d\d{3}\d\d{4}(?P<blocked>\d)(?P<power>\d)(?P<movement>\d)", re.ASCII)
_MOST = 64


def states_of(match: re.Match[str]) -> dict[str, Scalar]:
    """The digits of `STATE` that are no battery; 0 is "not said" for all but the first two."""
    states: dict[str, Scalar] = {
        "satellites": int(match["satellites"]),
        "gsm_percent": int(match["gsm"]),
    }
    for name in ("ignition", "armed"):
        if value := int(match[name]):
            states[name] = value == 1
    if mode := int(match["mode"]):
        states["mode"] = mode
    return states


def more_states(digits: str) -> dict[str, Scalar]:
    """What a vehicle's heartbeat (CP01) adds: cut off, supplied, moving."""
    match = _MORE.match(digits)
    if match is None:
        return {}
    named = (("blocked", "blocked", "2"), ("power", "power", "1"), ("moving", "movement", "1"))
    return {name: match[group] == yes for name, group, yes in named if match[group] != "0"}


def serving_cell(fields: list[str]) -> dict[str, Scalar]:
    """Country, network, area, cell, then maybe WiFi: what stands behind a position."""
    numbers = [int(field) for field in fields[:4] if field.isdecimal() and len(field) <= 10]
    cells = [Cell(*numbers)] if len(numbers) == 4 and numbers[3] else []
    return radio_states(cells, _wifi(",".join(fields[4:])))


def listed(fields: list[str]) -> dict[str, Scalar]:
    """AP02: language, wish, count, country, network, cells `area|cell|loudness`, count, WiFi."""
    cells: list[Cell] = []
    country, network = ([*fields, "", "", "", "", ""])[3:5]
    for field in fields[5 : 5 + _MOST]:
        parts = field.split("|")
        numbers = [country, network, *parts[:2]]
        if len(parts) == 3 and all(n.isdecimal() and len(n) <= 10 for n in numbers):
            cells.append(Cell(*(int(n) for n in numbers)))
    wifi = _wifi(fields[-1] if fields else "")
    return {"cells_in_sight": len(cells), **radio_states(cells, wifi)}


def _wifi(text: str) -> Iterable[Wifi]:
    """`name|address|loudness` with `&` between them."""
    for each in text.split("&")[:_MOST]:
        parts = each.split("|")
        address = mac_address(parts[1]) if len(parts) > 2 else None
        if address is None:
            continue
        loudness = re.match(r"-?\d{1,3}", parts[2], re.ASCII)
        yield Wifi(address, -abs(int(loudness[0])) if loudness else None)
