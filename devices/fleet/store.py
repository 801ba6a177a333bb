"""SQL of the fleet: counts in one pass, silent devices, uptime by the hour."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, LiteralString

from devices.fleet.model import (
    DivisionUptime,
    FirmwareCount,
    FleetCounts,
    SilentSpot,
    Transition,
)
from devices.profiles import PROFILES
from devices.registry.inventory import HEARD, NEVER, SILENT, USUAL_LOW_BATTERY, silent_since
from kernel.db import Tx, execute, fetch_all, fetch_one

_DIVISION: LiteralString = "coalesce(e.division_code, d.division_code)"
_FROM: LiteralString = """
    FROM device d LEFT JOIN elder e ON e.id = d.elder_id
    LEFT JOIN unnest(%(models)s::text[], %(limits)s::real[]) AS l (profile, percent)
        ON l.profile = d.profile
"""
_ONLINE: LiteralString = "d.state = 'bound' AND " + HEARD
_SILENT: LiteralString = "d.state = 'bound' AND " + SILENT
_NEVER: LiteralString = "d.state = 'bound' AND " + NEVER
_LOW: LiteralString = "d.battery_percent <= coalesce(l.percent, %(usual_limit)s)"
_WHERE: LiteralString = (
    "WHERE d.state <> 'retired' AND starts_with("
    + _DIVISION
    + ", %(scope)s) AND starts_with("
    + _DIVISION
    + ", %(division)s)"
)


def _values(division: str, scope: str, now: datetime) -> dict[str, Any]:
    limits = {
        code: profile.low_battery_percent
        for code, profile in PROFILES.items()
        if profile.low_battery_percent is not None
    }
    return {
        "scope": scope,
        "division": division,
        "models": list(limits),
        "limits": list(limits.values()),
        "usual_limit": USUAL_LOW_BATTERY,
        "silent_since": silent_since(now),
        "now": now,
    }


async def counts(tx: Tx, scope: str, division: str, now: datetime) -> FleetCounts:
    """Return how many devices are how, in one pass over the fleet."""
    found = await fetch_one(
        tx,
        FleetCounts,
        """
        SELECT count(*) AS total, count(*) FILTER (WHERE d.state = 'bound') AS bound,
            count(*) FILTER (WHERE """
        + _ONLINE
        + """) AS online,
            count(*) FILTER (WHERE """
        + _SILENT
        + """) AS silent,
            count(*) FILTER (WHERE """
        + _NEVER
        + """) AS never,
            count(*) FILTER (WHERE d.state = 'bound' AND """
        + _LOW
        + """) AS low_battery,
            count(*) FILTER (WHERE d.state = 'stock') AS stock,
            count(*) FILTER (WHERE d.state = 'faulty') AS faulty,
            count(*) FILTER (WHERE d.test_until > %(now)s) AS test,
            count(*) FILTER (WHERE d.away_until > %(now)s) AS away,
            count(*) FILTER (WHERE d.maintenance_until > %(now)s) AS maintenance
        """
        + _FROM
        + _WHERE,
        _values(division, scope, now),
    )
    if found is None:
        raise RuntimeError("an aggregate without a row")
    return found


async def firmware_versions(
    tx: Tx, scope: str, division: str, now: datetime, limit: int
) -> list[FirmwareCount]:
    """Return how many devices in service have which version, the most frequent first."""
    return await fetch_all(
        tx,
        FirmwareCount,
        "SELECT d.profile, d.firmware, count(*) AS devices"
        + _FROM
        + _WHERE
        + " AND d.state = 'bound' AND d.firmware IS NOT NULL"
        " GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 DESC LIMIT %(limit)s",
        _values(division, scope, now) | {"limit": limit},
    )


async def silent_spots(
    tx: Tx, scope: str, division: str, now: datetime, limit: int
) -> list[SilentSpot]:
    """Return where the devices are that were heard once and are silent now, the newest first."""
    return await fetch_all(
        tx,
        SilentSpot,
        "SELECT d.id, coalesce(d.lat, e.lat) AS lat, coalesce(d.lon, e.lon) AS lon,"
        " d.last_seen_at AS since, d.profile"
        + _FROM
        + _WHERE
        + " AND "
        + _SILENT
        + " AND d.last_seen_at IS NOT NULL"
        " AND coalesce(d.lat, e.lat) IS NOT NULL AND coalesce(d.lon, e.lon) IS NOT NULL"
        " ORDER BY d.last_seen_at DESC LIMIT %(limit)s",
        _values(division, scope, now) | {"limit": limit},
    )


async def transitions(tx: Tx, device_nos: Collection[int], begin: datetime) -> list[Transition]:
    """Return when these devices came and went since a moment, and how each stood at it."""
    return await fetch_all(
        tx,
        Transition,
        "SELECT p.device_no, p.at, p.online FROM unnest(%(nos)s::bigint[]) AS k (no)"
        " CROSS JOIN LATERAL ((SELECT * FROM device_presence WHERE device_no = k.no"
        " AND at <= %(begin)s ORDER BY at DESC LIMIT 1)"
        " UNION ALL SELECT * FROM device_presence WHERE device_no = k.no AND at > %(begin)s) AS p"
        " ORDER BY p.device_no, p.at",
        {"nos": list(device_nos), "begin": begin},
    )


async def sum_up_hours(tx: Tx, begin: datetime, end: datetime) -> int:
    """Write the uptime of each division for the hours of [begin, end), anew; return how many rows.

    Devices count where they are now, from their binding on.
    """
    return await execute(
        tx,
        """
        WITH placed AS (
            SELECT d.no, b.bound_at, coalesce(e.division_code, d.division_code) AS division_code
            FROM device d LEFT JOIN elder e ON e.id = d.elder_id
            JOIN device_binding b ON b.device_no = d.no AND b.unbound_at IS NULL
            WHERE d.state = 'bound'
        ), moments AS (
            SELECT c.no, c.bound_at, c.division_code, p.at, p.online FROM placed c
            CROSS JOIN LATERAL (SELECT at, online FROM device_presence
                WHERE device_no = c.no AND at <= %(begin)s ORDER BY at DESC LIMIT 1) AS p
            UNION ALL
            SELECT c.no, c.bound_at, c.division_code, p.at, p.online
            FROM placed c JOIN device_presence p ON p.device_no = c.no
            WHERE p.at > %(begin)s AND p.at < %(end)s
        ), spells AS (
            SELECT division_code, online, greatest(at, bound_at, %(begin)s) AS begins,
                least(lead(at, 1, %(end)s) OVER (PARTITION BY no ORDER BY at), %(end)s) AS ends
            FROM moments
        ), hours AS (
            SELECT h.hour, s.division_code, s.online,
                extract(epoch FROM least(s.ends, h.hour + interval '1 hour')
                    - greatest(s.begins, h.hour))::float8 AS seconds
            FROM spells s
            CROSS JOIN LATERAL generate_series(date_trunc('hour', s.begins),
                s.ends - interval '1 microsecond', interval '1 hour') AS h (hour)
            WHERE s.ends > s.begins
        )
        INSERT INTO division_uptime (hour, division_code, online_s, known_s)
        SELECT hour, division_code, coalesce(sum(seconds) FILTER (WHERE online), 0), sum(seconds)
        FROM hours GROUP BY hour, division_code
        ON CONFLICT (hour, division_code) DO UPDATE
        SET online_s = excluded.online_s, known_s = excluded.known_s
        """,
        {"begin": begin, "end": end},
    )


async def division_uptime(tx: Tx, prefix: str, length: int, end: datetime) -> list[DivisionUptime]:
    """Return the uptime of the divisions of `length` significant digits below a prefix.

    Until the hour `end`: over 24 hours, 7 days and 30 days.
    """
    return await fetch_all(
        tx,
        DivisionUptime,
        """
        WITH summed AS (
            SELECT left(division_code, %(length)s) AS code,
                sum(online_s) FILTER (WHERE hour >= %(day)s)
                    / nullif(sum(known_s) FILTER (WHERE hour >= %(day)s), 0) AS day,
                sum(online_s) FILTER (WHERE hour >= %(week)s)
                    / nullif(sum(known_s) FILTER (WHERE hour >= %(week)s), 0) AS week,
                sum(online_s) / nullif(sum(known_s), 0) AS month
            FROM division_uptime
            WHERE hour >= %(month)s AND hour < %(end)s AND starts_with(division_code, %(prefix)s)
            GROUP BY 1
        ), placed AS (
            SELECT left(coalesce(e.division_code, d.division_code), %(length)s) AS code,
                count(*)::int AS devices
            FROM device d LEFT JOIN elder e ON e.id = d.elder_id
            WHERE d.state = 'bound'
              AND starts_with(coalesce(e.division_code, d.division_code), %(prefix)s)
            GROUP BY 1
        )
        SELECT p.code, coalesce(v.name, p.code) AS name, p.devices, s.day, s.week, s.month
        FROM placed p LEFT JOIN summed s USING (code)
        LEFT JOIN division v ON v.code = rpad(p.code, 12, '0')
        ORDER BY p.code
        """,
        {
            "prefix": prefix,
            "length": length,
            "end": end,
            "day": end - timedelta(hours=24),
            "week": end - timedelta(days=7),
            "month": end - timedelta(days=30),
        },
    )


async def forget(tx: Tx, before: datetime) -> None:
    """Forget what no figure needs: older hours, and comings and goings but the last before them."""
    await execute(tx, "DELETE FROM division_uptime WHERE hour < %s", (before,))
    await execute(
        tx,
        "DELETE FROM device_presence p WHERE p.at < %(before)s AND EXISTS ("
        "SELECT FROM device_presence q WHERE q.device_no = p.device_no AND q.at > p.at"
        " AND q.at <= %(before)s)",
        {"before": before},
    )
