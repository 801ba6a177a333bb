"""Who is simulated: the devices of a credentials file, or made-up ones.

A credentials file is a JSON list of objects `{"device_id", "username", "password", "profile",
"type", "gateway"?, "imei"?, "lat"?, "lon"?, "base_topic"?}`. A sub-device names its `gateway` and
has no password of its own. A gateway with a `base_topic` is a zigbee2mqtt bridge.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wire_v1 import DEVICE_ID

TYPES = (
    "watch",
    "pendant",
    "fall_detector",
    "bed_sensor",
    "smoke",
    "gas",
    "leak",
    "door",
    "motion",
    "gateway",
    "setracker",
)
_LETTER = {
    "watch": "W",
    "pendant": "P",
    "fall_detector": "F",
    "bed_sensor": "B",
    "smoke": "S",
    "gas": "G",
    "leak": "L",
    "door": "D",
    "motion": "M",
    "gateway": "H",
    "setracker": "T",
}
# Hohhot, the built-up area: homes of made-up devices lie in this box (WGS-84 degrees).
_SOUTH, _NORTH, _WEST, _EAST = 40.795, 40.865, 111.62, 111.78


class RosterError(ValueError):
    """The list of devices cannot be used; the text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One device: its id, how it logs in, and where its home is (WGS-84 degrees)."""

    device_id: str
    type: str
    username: str
    password: str
    profile: str
    gateway: str | None
    imei: str
    lat: float
    lon: float
    base_topic: str | None


def load(path: Path) -> list[Identity]:
    """Read a credentials file. Raises RosterError with a sentence."""
    try:
        entries = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RosterError(f"Cannot read the credentials file {path}: {error.strerror}.") from error
    except ValueError as error:
        raise RosterError(f"The credentials file {path} is not JSON: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise RosterError(f"The credentials file {path} must be a list of at least one device.")
    roster = [_identity(entry, index) for index, entry in enumerate(entries, 1)]
    _check(roster)
    return roster


def _identity(entry: object, index: int) -> Identity:
    if not isinstance(entry, dict):
        raise RosterError(f"Entry {index} of the credentials file is not an object.")
    device_id = str(entry.get("device_id", ""))
    if not DEVICE_ID.fullmatch(device_id):
        raise RosterError(f"Entry {index} of the credentials file has no valid device_id.")
    kind = entry.get("type")
    if kind not in TYPES:
        raise RosterError(
            f"Device {device_id} has type {kind!r}; known types are {', '.join(TYPES)}."
        )
    lat, lon = _home(entry, device_id)
    return Identity(
        device_id=device_id,
        type=kind,
        username=_text(entry, "username"),
        password=_text(entry, "password"),
        profile=_text(entry, "profile"),
        gateway=_text(entry, "gateway") or None,
        imei=_text(entry, "imei") or _imei(device_id),
        lat=lat,
        lon=lon,
        base_topic=_text(entry, "base_topic").removesuffix("/#").rstrip("/") or None,
    )


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return "" if value is None else str(value)


def _home(entry: Mapping[str, Any], device_id: str) -> tuple[float, float]:
    lat, lon = entry.get("lat"), entry.get("lon")
    if lat is None or lon is None:
        rng = random.Random(f"home:{_text(entry, 'gateway') or device_id}")
        return rng.uniform(_SOUTH, _NORTH), rng.uniform(_WEST, _EAST)
    try:
        return float(lat), float(lon)
    except (TypeError, ValueError) as error:
        raise RosterError(f"Device {device_id} has lat/lon that are not numbers.") from error


def _check(roster: list[Identity]) -> None:
    by_id = {identity.device_id: identity for identity in roster}
    if len(by_id) != len(roster):
        raise RosterError("The credentials file names a device twice.")
    for identity in roster:
        if identity.gateway is None:
            continue
        gateway = by_id.get(identity.gateway)
        if gateway is None or gateway.type != "gateway":
            raise RosterError(
                f"Device {identity.device_id} names gateway {identity.gateway}, "
                "which is not a gateway of this file."
            )
        if identity.type in ("gateway", "setracker"):
            raise RosterError(
                f"Device {identity.device_id} is a {identity.type}: it cannot be behind a gateway."
            )


def take(roster: list[Identity], count: int) -> list[Identity]:
    """The first `count` devices in file order; a sub-device brings its gateway along first."""
    if count > len(roster):
        raise RosterError(
            f"{count} devices were asked for, but the credentials file has {len(roster)}."
        )
    by_id = {identity.device_id: identity for identity in roster}
    chosen: dict[str, Identity] = {}
    for identity in roster:
        if identity.gateway is not None and len(chosen) + 1 < count:
            chosen.setdefault(identity.gateway, by_id[identity.gateway])
        if len(chosen) < count and (identity.gateway is None or identity.gateway in chosen):
            chosen.setdefault(identity.device_id, identity)
    return list(chosen.values())


def make_up(
    count: int, fleet: Mapping[str, float], behind: frozenset[str], gateway_size: int
) -> list[Identity]:
    """Invent `count` devices in the proportions of `fleet`, with empty credentials.

    Types in `behind` are put behind the fleet's gateways, up to `gateway_size` each; when the
    gateways are full, or there are none, they connect by themselves.
    """
    numbers = _apportion(count, fleet)
    gateways = [f"{_LETTER['gateway']}-{n:04d}" for n in range(1, numbers.get("gateway", 0) + 1)]
    places = [gateway for _ in range(gateway_size) for gateway in gateways]
    identities = []
    for kind in ("gateway", *(kind for kind in TYPES if kind != "gateway")):
        for n in range(1, numbers.get(kind, 0) + 1):
            gateway = places.pop(0) if kind in behind and places else None
            identities.append(_invent(kind, n, gateway))
    return identities


def _invent(kind: str, number: int, gateway: str | None) -> Identity:
    device_id = f"{_LETTER[kind]}-{number:04d}"
    lat, lon = _home({"gateway": gateway}, device_id)
    return Identity(device_id, kind, "", "", kind, gateway, _imei(device_id), lat, lon, None)


def _apportion(count: int, fleet: Mapping[str, float]) -> dict[str, int]:
    """Largest remainders: whole numbers that add up to `count`."""
    total = sum(fleet.values())
    exact = {kind: count * share / total for kind, share in fleet.items()}
    numbers = {kind: int(value) for kind, value in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: numbers[kind] - exact[kind])
    for kind in by_remainder[: count - sum(numbers.values())]:
        numbers[kind] += 1
    return numbers


def _imei(device_id: str) -> str:
    """A 15-digit number with a right Luhn digit (3GPP TS 23.003 annex B), always the same."""
    rng = random.Random(f"imei:{device_id}")
    digits = [8, 6] + [rng.randrange(10) for _ in range(12)]
    doubled = [sum(divmod(2 * d, 10)) if i % 2 else d for i, d in enumerate(digits)]
    check = -sum(doubled) % 10
    return "".join(map(str, [*digits, check]))
