"""What the fleet's pages ask for, within the actor's division."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from devices.fleet import rules, store
from devices.fleet.model import (
    DivisionUptime,
    FirmwareCount,
    FleetCounts,
    FleetCursor,
    FleetFilters,
    FleetOrder,
    FleetRow,
    FleetState,
    SilentSpot,
)
from devices.registry import guard
from kernel.auth.model import Actor
from kernel.db import Database, Tx

PER_PAGE = 50
MOST_SPOTS = 10_000
EXPORT_LIMIT = 200_000
_EXPORT_CHUNK = 2_000
_VERSIONS = 12
# A division code's significant digits by level: province, city, county, township, village.
_LEVELS = (2, 4, 6, 9, 12)


@dataclass(frozen=True, slots=True)
class FleetPage:
    """A part of the list. `following` is the cursor of the next part, None at the end."""

    rows: tuple[FleetRow, ...]
    total: int
    following: FleetCursor | None


async def listed(
    tx: Tx,
    actor: Actor,
    filters: FleetFilters,
    order: FleetOrder,
    after: FleetCursor | None,
    now: datetime,
) -> FleetPage:
    """Return the devices that follow a row, and how many the filters leave in all."""
    rows = await store.page(tx, filters, order, after, PER_PAGE + 1, now, scope=actor.division)
    shown = rows[:PER_PAGE]
    following = cursor_of(shown[-1]) if len(rows) > PER_PAGE else None
    return FleetPage(
        tuple(shown), await store.total(tx, filters, now, scope=actor.division), following
    )


def cursor_of(row: FleetRow) -> FleetCursor:
    """Return where the list goes on after a row."""
    return FleetCursor(row.id, row.sort_value)


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


async def silent_spots(
    tx: Tx, actor: Actor, filters: FleetFilters, now: datetime
) -> list[SilentSpot]:
    """Return where silent devices are, at most MOST_SPOTS."""
    return await store.silent_spots(tx, actor.division, filters, now, MOST_SPOTS)


async def silent_count(tx: Tx, actor: Actor, filters: FleetFilters, now: datetime) -> int:
    """Return how many devices are silent, with a known place or without one."""
    wanted = replace(filters, state=FleetState.SILENT)
    return await store.total(tx, wanted, now, scope=actor.division)


async def division_uptime(
    tx: Tx, actor: Actor, division: str, now: datetime
) -> list[DivisionUptime]:
    """Return the uptime of the divisions below a prefix (the actor's own without one)."""
    prefix = division if division.startswith(actor.division) else actor.division
    length = next((level for level in _LEVELS if level > len(prefix)), 12)
    end = now.replace(minute=0, second=0, microsecond=0)
    return await store.division_uptime(tx, prefix, length, end)


async def export(
    db: Database, actor: Actor, filters: FleetFilters, order: FleetOrder, now: datetime
) -> AsyncIterator[list[FleetRow]]:
    """Yield the whole list in parts, at most EXPORT_LIMIT; audited, for it names elders.

    Each part is a read of its own: a slow reader holds no connection.
    """
    async with db.transaction() as tx:
        await guard.record(tx, actor, "device.exported", "", actor.division, now, what="fleet")
    after: FleetCursor | None = None
    for _ in range(EXPORT_LIMIT // _EXPORT_CHUNK):
        async with db.connection() as conn:
            rows = await store.page(
                conn, filters, order, after, _EXPORT_CHUNK, now, scope=actor.division
            )
        if rows:
            yield rows
        if len(rows) < _EXPORT_CHUNK:
            return
        after = cursor_of(rows[-1])
