"""SQL of self-tests: what was tested, and what is due."""

import uuid
from datetime import datetime
from typing import Any, LiteralString

from devices.profiles import PROFILES
from devices.selftests.model import DueFilters, DueTest, SelfTest
from kernel.db import Tx, execute, fetch_all, fetch_value

_SELECT: LiteralString = """
    SELECT d.no AS device_no, d.id AS device_id, d.profile, d.room, d.elder_id,
        e.name AS elder_name, coalesce(e.division_code, d.division_code) AS division_code,
        coalesce(county.name, '') || coalesce(town.name, '') AS place, last.at AS last_at,
        due.at AS due_at, d.test_until, d.away_until, d.maintenance_until
"""
_DUE: LiteralString = """
    FROM device d
    JOIN unnest(%(profiles)s::text[], %(days)s::int[]) AS p (profile, days) ON p.profile = d.profile
    JOIN device_binding b ON b.device_no = d.no AND b.unbound_at IS NULL
    LEFT JOIN elder e ON e.id = d.elder_id
    LEFT JOIN LATERAL (SELECT max(s.at) AS at FROM device_self_test s
        WHERE s.device_no = d.no AND s.at >= b.bound_at) AS last ON true
    CROSS JOIN LATERAL (SELECT greatest(b.bound_at, last.at) + make_interval(days => p.days) AS at)
        AS due
    LEFT JOIN division county
        ON county.code = left(coalesce(e.division_code, d.division_code), 6) || '000000'
    LEFT JOIN division town
        ON town.code = left(coalesce(e.division_code, d.division_code), 9) || '000'
        AND town.code <> county.code
    WHERE d.state = 'bound' AND due.at <= %(until)s
      AND starts_with(coalesce(e.division_code, d.division_code), %(scope)s)
      AND starts_with(coalesce(e.division_code, d.division_code), %(division)s)
"""


def _values(filters: DueFilters, scope: str) -> dict[str, Any]:
    watched = {code: one.self_test_days for code, one in PROFILES.items() if one.self_test_days}
    return {
        "profiles": list(watched),
        "days": list(watched.values()),
        "until": filters.until,
        "scope": scope,
        "division": filters.division,
    }


async def note(
    tx: Tx, test_id: uuid.UUID, device_no: int, at: datetime, kind: str, alarm_id: uuid.UUID
) -> None:
    """Write down a test; the same alarm counts once."""
    await execute(
        tx,
        "INSERT INTO device_self_test (id, device_no, at, kind, alarm_id)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (alarm_id) DO NOTHING",
        (test_id, device_no, at, kind, alarm_id),
    )


async def due(tx: Tx, filters: DueFilters, scope: str) -> list[DueTest]:
    """Return devices whose test is due until a moment, the longest overdue first."""
    at, last = filters.after or (None, "")
    return await fetch_all(
        tx,
        DueTest,
        _SELECT + _DUE + " AND (%(at)s::timestamptz IS NULL OR (due.at, d.id) > (%(at)s, %(last)s))"
        " ORDER BY due.at, d.id LIMIT %(limit)s",
        _values(filters, scope) | {"at": at, "last": last, "limit": filters.limit},
    )


async def count_due(tx: Tx, filters: DueFilters, scope: str) -> int:
    """Return how many tests are due until a moment."""
    found: int = await fetch_value(tx, "SELECT count(*)" + _DUE, _values(filters, scope))
    return found


async def count_watched(tx: Tx) -> int:
    """Return how many devices in service are to be tested at all."""
    watched = [code for code, one in PROFILES.items() if one.self_test_days]
    found: int = await fetch_value(
        tx,
        "SELECT count(*) FROM device WHERE state = 'bound' AND profile = ANY(%s)",
        (watched,),
    )
    return found


async def newly_overdue(tx: Tx, now: datetime, limit: int) -> list[DueTest]:
    """Return devices whose test is overdue, that nobody was told of, and that are in no mode."""
    return await fetch_all(
        tx,
        DueTest,
        _SELECT
        + _DUE
        + " AND coalesce(greatest(d.away_until, d.maintenance_until) <= %(until)s, true)"
        " AND NOT EXISTS (SELECT FROM technical_alarm t WHERE t.device_no = d.no"
        " AND t.kind = 'self_test_overdue' AND t.state <> 'cleared')"
        " ORDER BY due.at, d.id LIMIT %(limit)s",
        _values(DueFilters(now), "") | {"limit": limit},
    )


async def of_device(tx: Tx, device_no: int, limit: int) -> list[SelfTest]:
    """Return a device's tests, newest first."""
    return await fetch_all(
        tx,
        SelfTest,
        "SELECT at, kind FROM device_self_test WHERE device_no = %s ORDER BY at DESC LIMIT %s",
        (device_no, limit),
    )
