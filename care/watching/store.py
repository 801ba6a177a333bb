"""Limits and watch settings in the database."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from care.watching.model import ElderThreshold, ElderWatch, Threshold, Watch
from kernel.db import Tx, execute, fetch_all


async def thresholds_of(tx: Tx, elder_ids: Sequence[uuid.UUID]) -> list[ElderThreshold]:
    """Return the own limits of some elders; metrics without a row use the defaults."""
    return await fetch_all(
        tx,
        ElderThreshold,
        "SELECT elder_id, metric, low_critical, low_major, high_major, high_critical"
        " FROM elder_threshold WHERE elder_id = ANY(%s) ORDER BY elder_id, metric",
        (list(elder_ids),),
    )


async def watch_of(tx: Tx, elder_ids: Sequence[uuid.UUID]) -> list[ElderWatch]:
    """Return the watch settings of some elders; who has none is not in the list."""
    return await fetch_all(
        tx,
        ElderWatch,
        "SELECT elder_id, inactivity_day_min, inactivity_night_min, door_open_major_min,"
        " door_open_critical_min, fence_lat, fence_lon, fence_radius_m, away_until"
        " FROM elder_watch WHERE elder_id = ANY(%s)",
        (list(elder_ids),),
    )


async def put_thresholds(
    tx: Tx, limits: Sequence[tuple[uuid.UUID, Threshold]], now: datetime
) -> None:
    """Insert limits of elders that have none of these metrics yet."""
    async with tx.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO elder_threshold (elder_id, metric, low_critical, low_major, high_major,"
            " high_critical, updated_at) VALUES (%(elder)s, %(metric)s, %(low_critical)s,"
            " %(low_major)s, %(high_major)s, %(high_critical)s, %(now)s)",
            [{"elder": elder, "now": now} | asdict(threshold) for elder, threshold in limits],
        )


async def replace_thresholds(
    tx: Tx, elder_id: uuid.UUID, thresholds: Sequence[Threshold], now: datetime
) -> None:
    """Make these the elder's only own limits."""
    await execute(tx, "DELETE FROM elder_threshold WHERE elder_id = %s", (elder_id,))
    await put_thresholds(tx, [(elder_id, one) for one in thresholds], now)


async def replace_watch(tx: Tx, elder_id: uuid.UUID, watch: Watch, now: datetime) -> None:
    """Make these the elder's watch settings."""
    await execute(
        tx,
        "INSERT INTO elder_watch (elder_id, inactivity_day_min, inactivity_night_min,"
        " door_open_major_min, door_open_critical_min, fence_lat, fence_lon, fence_radius_m,"
        " away_until, updated_at) VALUES (%(elder)s, %(inactivity_day_min)s,"
        " %(inactivity_night_min)s, %(door_open_major_min)s, %(door_open_critical_min)s,"
        " %(fence_lat)s, %(fence_lon)s, %(fence_radius_m)s, %(away_until)s, %(now)s)"
        " ON CONFLICT (elder_id) DO UPDATE SET"
        " inactivity_day_min = excluded.inactivity_day_min,"
        " inactivity_night_min = excluded.inactivity_night_min,"
        " door_open_major_min = excluded.door_open_major_min,"
        " door_open_critical_min = excluded.door_open_critical_min,"
        " fence_lat = excluded.fence_lat, fence_lon = excluded.fence_lon,"
        " fence_radius_m = excluded.fence_radius_m, away_until = excluded.away_until,"
        " updated_at = excluded.updated_at",
        {"elder": elder_id, "now": now} | asdict(watch),
    )
