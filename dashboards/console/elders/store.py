"""What the elders' pages read across parts: one timeline, and the alarms on a chart.

Read only. A page that merges incidents, bindings, notes, consents and calls by time needs them in
one ordered query, or it could not stop after the newest fifty.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernel.db import Tx, fetch_all


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: `kind` says what, `ref` which one, `data` the codes and words."""

    at: datetime
    kind: str
    ref: str
    actor: str | None
    data: dict[str, Any]


_MOMENTS = """
    SELECT i.opened_at AS at, 'incident' AS kind, i.id::text AS ref, NULL::text AS actor,
           jsonb_build_object('number', i.number, 'alarm', i.kind, 'severity', i.severity,
               'status', i.status, 'resolution', i.resolution,
               'reason', i.resolution_reason) AS data
    FROM incident i WHERE i.elder_id = %(elder)s AND 'incident' = ANY(%(kinds)s)
    UNION ALL
    SELECT a.at, 'activation', i.id::text, NULL,
           jsonb_build_object('number', i.number, 'alarm', i.kind, 'severity', i.severity,
               'device', d.id)
    FROM incident i JOIN incident_activation a ON a.incident_id = i.id AND a.at > i.opened_at
    LEFT JOIN device d ON d.no = a.device_no
    WHERE i.elder_id = %(elder)s AND 'activation' = ANY(%(kinds)s)
    UNION ALL
    SELECT c.created_at, 'call', i.id::text, u.display_name,
           jsonb_build_object('number', i.number, 'channel', c.channel, 'to', c.to_name,
               'status', c.status)
    FROM incident i JOIN contact_attempt c ON c.incident_id = i.id
    LEFT JOIN user_account u ON u.id = c.created_by
    WHERE i.elder_id = %(elder)s AND 'call' = ANY(%(kinds)s)
    UNION ALL
    SELECT m.at, m.kind, d.id, u.display_name,
           jsonb_build_object('room', b.room,
               'reason', CASE m.kind WHEN 'unbound' THEN b.reason END)
    FROM device_binding b JOIN device d ON d.no = b.device_no
    CROSS JOIN LATERAL (VALUES ('bound', b.bound_at, b.bound_by),
                               ('unbound', b.unbound_at, b.unbound_by)) AS m (kind, at, by)
    LEFT JOIN user_account u ON u.id = m.by
    WHERE b.elder_id = %(elder)s AND m.at IS NOT NULL AND m.kind = ANY(%(kinds)s)
    UNION ALL
    SELECT n.at, 'note', n.id::text, u.display_name, jsonb_build_object('text', n.text)
    FROM elder_note n LEFT JOIN user_account u ON u.id = n.author_id
    WHERE n.elder_id = %(elder)s AND 'note' = ANY(%(kinds)s)
    UNION ALL
    SELECT m.at, m.kind, c.id::text, CASE m.kind WHEN 'consent' THEN u.display_name END,
           jsonb_build_object('purpose', c.purpose, 'version', c.text_version, 'by', c.given_by)
    FROM elder_consent c LEFT JOIN user_account u ON u.id = c.recorded_by
    CROSS JOIN LATERAL (VALUES ('consent', c.given_at),
                               ('withdrawal', c.withdrawn_at)) AS m (kind, at)
    WHERE c.elder_id = %(elder)s AND m.at IS NOT NULL AND m.kind = ANY(%(kinds)s)
"""


async def moments(
    tx: Tx,
    elder_id: uuid.UUID,
    kinds: Collection[str],
    *,
    before: tuple[datetime, str, str] | None = None,
    limit: int = 30,
) -> list[Moment]:
    """Return the newest moments of some kinds, the newest first.

    `before` is (at, kind, ref) of the last one seen: what follows it, also at the same instant.
    """
    at, kind, ref = before or (None, "", "")
    return await fetch_all(
        tx,
        Moment,
        # Only literals of this module are joined.
        "SELECT at, kind, ref, actor, data FROM (" + _MOMENTS + ") AS m"  # noqa: S608
        " WHERE %(at)s::timestamptz IS NULL OR (at, kind, ref) < (%(at)s, %(kind)s, %(ref)s)"
        " ORDER BY at DESC, kind DESC, ref DESC LIMIT %(limit)s",
        {
            "elder": elder_id,
            "kinds": list(kinds),
            "at": at,
            "kind": kind,
            "ref": ref,
            "limit": limit,
        },
    )


@dataclass(frozen=True, slots=True)
class AlarmMark:
    """An activation, to be drawn on a chart."""

    at: datetime
    kind: str
    severity: str


async def alarms_between(
    tx: Tx, elder_id: uuid.UUID, start: datetime, end: datetime
) -> list[AlarmMark]:
    """Return the activations of an elder's incidents from `start` to before `end`."""
    return await fetch_all(
        tx,
        AlarmMark,
        "SELECT a.at, i.kind, i.severity FROM incident i"
        " JOIN incident_activation a ON a.incident_id = i.id"
        " WHERE i.elder_id = %s AND a.at >= %s AND a.at < %s ORDER BY a.at LIMIT 200",
        (elder_id, start, end),
    )


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident that somebody has to look at."""

    id: uuid.UUID
    number: int
    kind: str
    severity: str
    status: str
    opened_at: datetime


async def open_incidents(tx: Tx, elder_id: uuid.UUID) -> list[OpenIncident]:
    """Return the elder's incidents that are not resolved, the oldest first."""
    return await fetch_all(
        tx,
        OpenIncident,
        "SELECT id, number, kind, severity, status, opened_at FROM incident"
        " WHERE elder_id = %s AND status <> 'resolved' ORDER BY opened_at",
        (elder_id,),
    )
