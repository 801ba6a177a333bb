"""SQL of incidents: the row and its lock, activations, the timeline."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from devices.alarms import RaisedAlarm, Severity
from hotline.incidents.model import (
    Action,
    Activation,
    Event,
    Incident,
    Resolution,
    Status,
)
from kernel.auth.model import Actor
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value
from kernel.ids import new_id

_SELECT: LiteralString = """
    SELECT i.id, i.number, i.elder_id, i.device_no, i.kind, i.severity, i.status,
        i.condition_active, i.test, i.division_code, i.lat, i.lon, i.position_at,
        i.position_accuracy_m, i.activation_count, i.opened_at, i.last_activation_at,
        i.first_acknowledged_at, i.acknowledged_at, i.acknowledged_by, i.dispatched_at,
        i.on_scene_at, i.resolved_at, i.resolved_by, i.resolution, i.resolution_reason,
        i.reopened_count, i.escalation_policy, i.escalation_level, i.version,
        u.username AS holder_username, u.display_name AS holder_name
    FROM incident i LEFT JOIN user_account u ON u.id = i.acknowledged_by
"""
# FOR NO KEY UPDATE: lines of the timeline that others insert (they share the key) do not wait.
_LOCK: LiteralString = " FOR NO KEY UPDATE OF i"


async def get(tx: Tx, incident_id: uuid.UUID, division: str = "") -> Incident | None:
    """Return the incident if it lies in the division prefix."""
    return await fetch_one(
        tx,
        Incident,
        _SELECT + " WHERE i.id = %s AND i.division_code LIKE %s || '%%'",
        (incident_id, division),
    )


async def lock(tx: Tx, incident_id: uuid.UUID, division: str = "") -> Incident | None:
    """Return the incident and hold its row until the transaction ends."""
    return await fetch_one(
        tx,
        Incident,
        _SELECT + " WHERE i.id = %s AND i.division_code LIKE %s || '%%'" + _LOCK,
        (incident_id, division),
    )


async def lock_open(
    tx: Tx, kind: str, elder_id: uuid.UUID | None, device_no: int | None
) -> Incident | None:
    """Return and hold the one unresolved incident of the elder (else the device) and kind."""
    if elder_id is not None:
        return await fetch_one(
            tx,
            Incident,
            _SELECT + " WHERE i.elder_id = %s AND i.kind = %s AND i.status <> 'resolved'" + _LOCK,
            (elder_id, kind),
        )
    return await fetch_one(
        tx,
        Incident,
        _SELECT + " WHERE i.elder_id IS NULL AND i.device_no = %s AND i.kind = %s"
        " AND i.status <> 'resolved'" + _LOCK,
        (device_no, kind),
    )


async def lock_one_due(tx: Tx, now: datetime) -> Incident | None:
    """Return and hold an incident with a due deadline that nobody else works on."""
    return await fetch_one(
        tx,
        Incident,
        _SELECT
        + """
        JOIN incident_deadline d ON d.incident_id = i.id
        WHERE d.done_at IS NULL AND d.cancelled_at IS NULL AND d.due_at <= %s
        ORDER BY d.due_at LIMIT 1"""
        + _LOCK
        + " SKIP LOCKED",
        (now,),
    )


async def insert_incident(
    tx: Tx, alarm: RaisedAlarm, policy: Mapping[str, Any], now: datetime
) -> uuid.UUID | None:
    """Insert an open incident; None when somebody else has opened the same in the meantime."""
    return await fetch_value(  # type: ignore[no-any-return]
        tx,
        """
        INSERT INTO incident (id, elder_id, device_no, kind, severity, status, test, division_code,
            lat, lon, position_at, position_accuracy_m, opened_at, last_activation_at,
            escalation_policy)
        VALUES (%(id)s, %(elder)s, %(device)s, %(kind)s, %(severity)s, 'open', %(test)s,
            %(division)s, %(lat)s, %(lon)s, %(position_at)s, %(accuracy)s, %(now)s, %(now)s,
            %(policy)s)
        ON CONFLICT DO NOTHING RETURNING id
        """,
        {
            "id": new_id(),
            "elder": alarm.elder_id,
            "device": alarm.device_no,
            "kind": alarm.kind,
            "severity": alarm.severity,
            "test": alarm.test,
            "division": alarm.division_code,
            "lat": alarm.lat,
            "lon": alarm.lon,
            "position_at": alarm.position_at,
            "accuracy": alarm.position_accuracy_m,
            "now": now,
            "policy": Jsonb(dict(policy)),
        },
    )


async def repeat_incident(
    tx: Tx,
    incident_id: uuid.UUID,
    alarm: RaisedAlarm,
    severity: Severity,
    policy: Mapping[str, Any],
    now: datetime,
) -> None:
    """Count a further activation. A real alarm turns a test into a real incident."""
    await execute(
        tx,
        """
        UPDATE incident SET activation_count = activation_count + 1, last_activation_at = %(now)s,
            condition_active = true, severity = %(severity)s, escalation_policy = %(policy)s,
            test = test AND %(test)s,
            lat = coalesce(%(lat)s, lat), lon = coalesce(%(lon)s, lon),
            position_at = CASE WHEN %(lat)s IS NULL THEN position_at ELSE %(position_at)s END,
            position_accuracy_m =
                CASE WHEN %(lat)s IS NULL THEN position_accuracy_m ELSE %(accuracy)s END
        WHERE id = %(id)s
        """,
        {
            "id": incident_id,
            "severity": severity,
            "policy": Jsonb(dict(policy)),
            "test": alarm.test,
            "lat": alarm.lat,
            "lon": alarm.lon,
            "position_at": alarm.position_at,
            "accuracy": alarm.position_accuracy_m,
            "now": now,
        },
    )


async def insert_activation(
    tx: Tx, incident_id: uuid.UUID, alarm: RaisedAlarm, now: datetime, *, over: bool = False
) -> None:
    """Record that the alarm fired; `over`: it is no condition that lasts."""
    await execute(
        tx,
        "INSERT INTO incident_activation (id, incident_id, alarm_id, at, device_no, cleared_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (new_id(), incident_id, alarm.id, now, alarm.device_no, now if over else None),
    )


async def has_activation(tx: Tx, alarm_id: uuid.UUID) -> bool:
    """True when this very alarm was reacted to before."""
    sql: LiteralString = "SELECT true FROM incident_activation WHERE alarm_id = %s"
    return await fetch_value(tx, sql, (alarm_id,)) is True


async def clear_activations(
    tx: Tx, incident_id: uuid.UUID, device_no: int | None, at: datetime
) -> int:
    """Mark the activations of the device (None: all) as over; return how many were not yet."""
    return await execute(
        tx,
        "UPDATE incident_activation SET cleared_at = %(at)s WHERE incident_id = %(id)s"
        " AND cleared_at IS NULL AND (%(device)s::bigint IS NULL OR device_no = %(device)s)",
        {"id": incident_id, "device": device_no, "at": at},
    )


async def settle_condition(tx: Tx, incident_id: uuid.UUID) -> bool:
    """Set `condition_active` to whether any activation is not over; return it."""
    return bool(
        await fetch_value(
            tx,
            "UPDATE incident i SET condition_active = EXISTS (SELECT 1 FROM incident_activation a"
            " WHERE a.incident_id = i.id AND a.cleared_at IS NULL)"
            " WHERE i.id = %s RETURNING condition_active",
            (incident_id,),
        )
    )


async def activations(tx: Tx, incident_id: uuid.UUID) -> list[Activation]:
    """Return every activation, oldest first."""
    return await fetch_all(
        tx,
        Activation,
        """
        SELECT a.id, a.alarm_id, a.at, a.device_no, d.id AS device_id, m.source, a.cleared_at,
            m.detail
        FROM incident_activation a JOIN alarm m ON m.id = a.alarm_id
            LEFT JOIN device d ON d.no = a.device_no
        WHERE a.incident_id = %s ORDER BY a.at, a.id
        """,
        (incident_id,),
    )


# What each action writes besides status and version. Only what an action is about is touched.
_CHANGES: dict[Action, LiteralString] = {
    Action.ACKNOWLEDGE: """, acknowledged_at = %(now)s, acknowledged_by = %(holder)s,
        first_acknowledged_at = coalesce(first_acknowledged_at, %(now)s), escalation_level = 0""",
    Action.RELEASE: ", acknowledged_at = NULL, acknowledged_by = NULL, escalation_level = 0",
    Action.HAND_OVER: ", acknowledged_at = %(now)s, acknowledged_by = %(holder)s",
    Action.DISPATCH: ", dispatched_at = coalesce(dispatched_at, %(now)s), escalation_level = 0",
    Action.STAND_DOWN: ", dispatched_at = NULL",
    Action.ARRIVE: ", on_scene_at = coalesce(on_scene_at, %(now)s), escalation_level = 0",
    Action.RESOLVE: """, resolved_at = %(now)s, resolved_by = %(holder)s,
        resolution = %(resolution)s, resolution_reason = %(reason)s, escalation_level = 0""",
    Action.REOPEN: """, resolved_at = NULL, resolved_by = NULL, resolution = NULL,
        resolution_reason = NULL, dispatched_at = NULL, on_scene_at = NULL,
        acknowledged_at = %(now)s, acknowledged_by = %(holder)s,
        first_acknowledged_at = coalesce(first_acknowledged_at, %(now)s),
        reopened_count = reopened_count + 1""",
}


async def move(
    tx: Tx,
    incident: Incident,
    action: Action,
    goal: Status,
    *,
    holder: uuid.UUID | None,
    now: datetime,
    resolution: Resolution | None = None,
    reason: str | None = None,
) -> bool:
    """Change the status if the version is still the incident's; False when somebody was faster."""
    touched = await execute(
        tx,
        "UPDATE incident SET status = %(goal)s, version = version + 1"  # noqa: S608 - our own constants
        + _CHANGES[action]
        + " WHERE id = %(id)s AND version = %(version)s AND status = %(status)s",
        {
            "id": incident.id,
            "version": incident.version,
            "status": incident.status,
            "goal": goal,
            "holder": holder,
            "now": now,
            "resolution": resolution,
            "reason": reason,
        },
    )
    return touched == 1


async def raise_level(tx: Tx, incident_id: uuid.UUID, level: int) -> None:
    """Make the incident louder: its level is at least `level` from now on."""
    await execute(
        tx,
        "UPDATE incident SET escalation_level = greatest(escalation_level, %s) WHERE id = %s",
        (level, incident_id),
    )


async def add_event(
    tx: Tx,
    incident_id: uuid.UUID,
    kind: str,
    *,
    actor: Actor,
    now: datetime,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write a line on the timeline."""
    await execute(
        tx,
        "INSERT INTO incident_event (id, incident_id, at, actor_id, actor_name, kind, data)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            new_id(),
            incident_id,
            now,
            actor.user_id,
            actor.display_name,
            kind,
            Jsonb(dict(data or {})),
        ),
    )


async def events(tx: Tx, incident_id: uuid.UUID) -> list[Event]:
    """Return the timeline, oldest first."""
    return await fetch_all(
        tx,
        Event,
        "SELECT id, seq, at, actor_id, actor_name, kind, data FROM incident_event"
        " WHERE incident_id = %s ORDER BY seq",
        (incident_id,),
    )


async def last_move(tx: Tx, incident_id: uuid.UUID) -> Event | None:
    """Return the last line of the timeline that moved the incident."""
    return await fetch_one(
        tx,
        Event,
        "SELECT id, seq, at, actor_id, actor_name, kind, data FROM incident_event"
        " WHERE incident_id = %s AND data ? 'version' ORDER BY seq DESC LIMIT 1",
        (incident_id,),
    )


async def operator(tx: Tx, user_id: uuid.UUID) -> tuple[str, list[str], str] | None:
    """Return (display name, roles, division) of an account that is not disabled."""
    rows = await fetch_tuples(
        tx,
        "SELECT display_name, roles, division FROM user_account"
        " WHERE id = %s AND disabled_at IS NULL",
        (user_id,),
    )
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


async def has_note(tx: Tx, incident_id: uuid.UUID, dispatch_id: str, key: str) -> bool:
    """True when a note of a dispatch with this key is on the timeline."""
    sql: LiteralString = (
        "SELECT true FROM incident_event WHERE incident_id = %s AND kind = 'dispatch.note'"
        " AND data ->> 'dispatch' = %s AND data ->> 'key' = %s"
    )
    return await fetch_value(tx, sql, (incident_id, dispatch_id, key)) is True


@dataclass(frozen=True, slots=True)
class Taker:
    """Somebody who could hold an incident."""

    id: uuid.UUID
    display_name: str
    roles: list[str]
    on_duty: bool


async def takers(tx: Tx, division_code: str, roles: list[str]) -> list[Taker]:
    """Return the accounts with one of the roles whose division covers the code, on duty first."""
    return await fetch_all(
        tx,
        Taker,
        "SELECT id, display_name, roles, on_duty FROM user_account WHERE disabled_at IS NULL"
        " AND roles && %s AND %s LIKE division || '%%' ORDER BY on_duty DESC, display_name, id",
        (roles, division_code),
    )


async def account_id(tx: Tx, username: str) -> uuid.UUID | None:
    """Return the account of a name."""
    return await fetch_value(  # type: ignore[no-any-return]
        tx, "SELECT id FROM user_account WHERE lower(username) = lower(%s)", (username,)
    )
