"""What the fleet's pages ask for, within the actor's division."""

from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from devices.fleet import rules, store
from devices.fleet.model import (
    DivisionUptime,
    FirmwareCount,
    FleetCounts,
    SilentSpot,
)
from kernel.auth.model import Actor
from kernel.db import Tx

MOST_SPOTS = 10_000
_VERSIONS = 12
# A division code's significant digits by level: province, city, county, township, village.
_LEVELS = (2, 4, 6, 9, 12)


async def uptimes(tx: Tx, device_nos: list[int], now: datetime) -> dict[int, float | None]:
    """Return the share of the last 24 hours in which each of these devices was heard."""
    begin = now - timedelta(hours=24)
    found = await store.transitions(tx, device_nos, begin)
    return {
        no: rules.uptime(list(of_one), begin, now)
        for no, of_one in groupby(found, key=attrgetter("device_no"))
    }


async def counters(tx: Tx, actor: Actor, division: str, now: datetime) -> FleetCounts:
    """Return how many devices are how."""
    return await store.counts(tx, actor.division, division, now)


async def versions(tx: Tx, actor: Actor, division: str, now: datetime) -> list[FirmwareCount]:
    """Return how many devices have which firmware, the most frequent first."""
    return await store.firmware_versions(tx, actor.division, division, now, _VERSIONS)


async def silent_spots(tx: Tx, actor: Actor, division: str, now: datetime) -> list[SilentSpot]:
    """Return where silent devices are, at most MOST_SPOTS."""
    return await store.silent_spots(tx, actor.division, division, now, MOST_SPOTS)


async def division_uptime(
    tx: Tx, actor: Actor, division: str, now: datetime
) -> list[DivisionUptime]:
    """Return the uptime of the divisions below a prefix (the actor's own without one)."""
    prefix = division if division.startswith(actor.division) else actor.division
    length = next((level for level in _LEVELS if level > len(prefix)), 12)
    end = now.replace(minute=0, second=0, microsecond=0)
    return await store.division_uptime(tx, prefix, length, end)
