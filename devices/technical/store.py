"""SQL of technical alarms."""

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from devices.technical.model import (
    TechnicalAlarm,
    TechnicalCount,
    TechnicalFilters,
    TechnicalState,
)
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value

_SELECT: LiteralString = """
    SELECT t.id, t.device_no, d.id AS device_id, d.profile, d.room, d.elder_id,
        e.name AS elder_name, coalesce(e.division_code, d.division_code) AS division_code,
        coalesce(county.name, '') || coalesce(town.name, '') AS place,
        t.kind, t.state, t.detail, t.raised_at, t.last_at, t.count, t.acknowledged_at,
        u.display_name AS acknowledged_by, t.shelved_until, s.display_name AS shelved_by, t.note,
        t.cleared_at, c.display_name AS cleared_by, t.version
    FROM technical_alarm t JOIN device d ON d.no = t.device_no
        LEFT JOIN elder e ON e.id = d.elder_id
        LEFT JOIN division county
            ON county.code = left(coalesce(e.division_code, d.division_code), 6) || '000000'
        LEFT JOIN division town
            ON town.code = left(coalesce(e.division_code, d.division_code), 9) || '000'
            AND town.code <> county.code
        LEFT JOIN user_account u ON u.id = t.acknowledged_by
        LEFT JOIN user_account s ON s.id = t.shelved_by
        LEFT JOIN user_account c ON c.id = t.cleared_by
"""


async def raise_again(
    tx: Tx, device_no: int, kind: str, detail: Mapping[str, Any], at: datetime
) -> bool:
    """Count one more time that an open alarm was raised; False when none is open."""
    changed = await execute(
        tx,
        "UPDATE technical_alarm SET count = count + 1, last_at = greatest(last_at, %s),"
        " detail = %s WHERE device_no = %s AND kind = %s AND state <> 'cleared'",
        (at, Jsonb(dict(detail)), device_no, kind),
    )
    return changed > 0


async def insert(
    tx: Tx, alarm_id: uuid.UUID, device_no: int, kind: str, detail: Mapping[str, Any], at: datetime
) -> bool:
    """Open an alarm; False when somebody else has opened the same one meanwhile."""
    added = await execute(
        tx,
        "INSERT INTO technical_alarm (id, device_no, kind, detail, raised_at, last_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (alarm_id, device_no, kind, Jsonb(dict(detail)), at, at),
    )
    return added > 0


async def clear_condition(tx: Tx, device_no: int, kind: str, at: datetime) -> bool:
    """Clear the open alarm of a condition that is over; False when there is none."""
    changed = await execute(
        tx,
        "UPDATE technical_alarm SET state = 'cleared', cleared_at = greatest(%s, raised_at),"
        " shelved_until = NULL, version = version + 1"
        " WHERE device_no = %s AND kind = %s AND state <> 'cleared'",
        (at, device_no, kind),
    )
    return changed > 0


async def get(tx: Tx, alarm_id: uuid.UUID) -> TechnicalAlarm | None:
    """Return an alarm."""
    return await fetch_one(tx, TechnicalAlarm, _SELECT + " WHERE t.id = %s", (alarm_id,))


async def move(
    tx: Tx,
    alarm: TechnicalAlarm,
    state: TechnicalState,
    *,
    by: uuid.UUID | None,
    now: datetime,
    until: datetime | None = None,
    note: str = "",
) -> bool:
    """Write the next state if the alarm is still as it was seen; False when somebody was faster."""
    changed = await execute(
        tx,
        """
        UPDATE technical_alarm SET state = %(state)s, version = version + 1,
            acknowledged_at = CASE WHEN %(state)s = 'acknowledged' THEN %(now)s
                WHEN %(state)s = 'active' THEN NULL ELSE acknowledged_at END,
            acknowledged_by = CASE WHEN %(state)s = 'acknowledged' THEN %(by)s
                WHEN %(state)s = 'active' THEN NULL ELSE acknowledged_by END,
            shelved_until = %(until)s,
            shelved_by = CASE WHEN %(state)s = 'shelved' THEN %(by)s END,
            cleared_at = CASE WHEN %(state)s = 'cleared' THEN greatest(%(now)s, raised_at) END,
            cleared_by = CASE WHEN %(state)s = 'cleared' THEN %(by)s::uuid END,
            note = CASE WHEN %(note)s = '' THEN note ELSE %(note)s END
        WHERE id = %(id)s AND version = %(version)s
        """,
        {
            "id": alarm.id,
            "version": alarm.version,
            "state": state.value,
            "by": by,
            "now": now,
            "until": until,
            "note": note,
        },
    )
    return changed == 1


async def unshelve(tx: Tx, now: datetime) -> int:
    """Bring back what was put aside until now; return how many."""
    return await execute(
        tx,
        "UPDATE technical_alarm SET state = 'active', shelved_until = NULL, shelved_by = NULL,"
        " acknowledged_at = NULL, acknowledged_by = NULL, version = version + 1"
        " WHERE state = 'shelved' AND shelved_until <= %s",
        (now,),
    )


async def page(tx: Tx, filters: TechnicalFilters, scope: str) -> list[TechnicalAlarm]:
    """Return a part of the list, newest first, of the devices within the division prefix."""
    at, last = filters.before or (None, None)
    past: LiteralString = (
        "t.state = 'cleared'" if filters.state == "cleared" else "t.state <> 'cleared'"
    )
    return await fetch_all(
        tx,
        TechnicalAlarm,
        _SELECT
        + " WHERE "
        + past
        + """
            AND starts_with(coalesce(e.division_code, d.division_code), %(scope)s)
            AND starts_with(coalesce(e.division_code, d.division_code), %(division)s)
            AND (%(state)s IN ('open', 'cleared') OR t.state = %(state)s)
            AND (%(kind)s = '' OR t.kind = %(kind)s)
            AND (%(at)s::timestamptz IS NULL OR (t.raised_at, t.id) < (%(at)s, %(last)s))
        ORDER BY t.raised_at DESC, t.id DESC LIMIT %(limit)s
        """,
        {
            "scope": scope,
            "division": filters.division,
            "state": filters.state,
            "kind": filters.kind,
            "at": at,
            "last": last,
            "limit": filters.limit,
        },
    )


async def counts(tx: Tx, scope: str, division: str) -> list[TechnicalCount]:
    """Return how many alarms of each kind are open within the division prefix."""
    return await fetch_all(
        tx,
        TechnicalCount,
        "SELECT t.kind, count(*) AS open, count(*) FILTER (WHERE t.state = 'active') AS active"
        " FROM technical_alarm t JOIN device d ON d.no = t.device_no"
        " LEFT JOIN elder e ON e.id = d.elder_id"
        " WHERE t.state <> 'cleared'"
        " AND starts_with(coalesce(e.division_code, d.division_code), %s)"
        " AND starts_with(coalesce(e.division_code, d.division_code), %s)"
        " GROUP BY t.kind ORDER BY 2 DESC, 1",
        (scope, division),
    )


async def open_of_devices(tx: Tx, device_nos: Collection[int]) -> dict[int, int]:
    """Return how many alarms are open of each of these devices; those without are left out."""
    rows = await fetch_tuples(
        tx,
        "SELECT device_no, count(*)::int FROM technical_alarm"
        " WHERE device_no = ANY(%s) AND state <> 'cleared' GROUP BY device_no",
        (list(device_nos),),
    )
    return dict(rows)


async def of_elder(tx: Tx, elder_id: uuid.UUID) -> list[TechnicalAlarm]:
    """Return what is wrong with the devices of an elder, the oldest first."""
    return await fetch_all(
        tx,
        TechnicalAlarm,
        _SELECT + " WHERE d.elder_id = %s AND d.state = 'bound' AND t.state <> 'cleared'"
        " ORDER BY t.raised_at, t.id",
        (elder_id,),
    )


async def of_device(tx: Tx, device_no: int, limit: int) -> list[TechnicalAlarm]:
    """Return a device's alarms: open ones first, then the newest."""
    return await fetch_all(
        tx,
        TechnicalAlarm,
        _SELECT + " WHERE t.device_no = %s"
        " ORDER BY t.state = 'cleared', t.raised_at DESC, t.id DESC LIMIT %s",
        (device_no, limit),
    )


async def device_place(tx: Tx, device_no: int) -> str | None:
    """Return the division of a device, None for a number that is none."""
    found: str | None = await fetch_value(
        tx,
        "SELECT coalesce(e.division_code, d.division_code) FROM device d"
        " LEFT JOIN elder e ON e.id = d.elder_id WHERE d.no = %s",
        (device_no,),
    )
    return found
