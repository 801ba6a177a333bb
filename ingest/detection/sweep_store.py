"""SQL of the sweeps: what has been silent or open for too long, many devices in one statement."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ingest.detection.model import State
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value


@dataclass(frozen=True, slots=True)
class Listening:
    """What the ingest processes say of themselves. `since` is None when none is listening."""

    known: bool
    since: datetime | None


async def listening(tx: Tx, now: datetime, fresh: timedelta) -> Listening:
    """Return since when devices are heard; not `known` where ingest has never run."""
    found = await fetch_one(
        tx,
        Listening,
        "SELECT count(*) > 0 AS known, min(since) FILTER (WHERE at > %s) AS since"
        " FROM ingest_listening",
        (now - fresh,),
    )
    return found or Listening(False, None)


@dataclass(frozen=True, slots=True)
class SilentDevice:
    """A device that has said nothing for longer than its profile allows."""

    no: int
    last_seen_at: datetime
    minutes: int


async def silent_devices(
    tx: Tx, limits: Mapping[str, int], heard_since: datetime, now: datetime
) -> list[SilentDevice]:
    """Return devices in service that are silent beyond the seconds that their profile allows.

    Not: what is held to be offline already, paused devices, and what stands behind a gateway that
    is silent itself (its own alarm says it all). Silence before `heard_since` does not count.
    """
    return await fetch_all(
        tx,
        SilentDevice,
        """
        WITH silent AS (
            SELECT d.no, d.gateway_no, d.last_seen_at FROM device d
            JOIN unnest(%(profiles)s::text[], %(seconds)s::int[]) AS p (profile, seconds)
                ON p.profile = d.profile
            WHERE d.state = 'bound'
              AND greatest(d.last_seen_at, %(heard)s) < %(now)s - make_interval(secs => p.seconds)
        )
        SELECT s.no, s.last_seen_at,
            (extract(epoch FROM %(now)s - s.last_seen_at) / 60)::int AS minutes
        FROM silent s JOIN device d ON d.no = s.no
        WHERE (d.paused_until IS NULL OR d.paused_until <= %(now)s)
          AND NOT EXISTS (SELECT 1 FROM silent g WHERE g.no = s.gateway_no)
          AND NOT EXISTS (SELECT 1 FROM detection_state t
                          WHERE t.subject = 'd:' || s.no AND t.rule = 'offline')
        ORDER BY s.no
        """,
        {
            "profiles": list(limits),
            "seconds": list(limits.values()),
            "heard": heard_since,
            "now": now,
        },
    )


async def mark_offline(tx: Tx, device: SilentDevice, now: datetime) -> bool:
    """Hold a device to be offline, unless it has spoken since (compare-and-set on last_seen_at)."""
    marked = await execute(
        tx,
        "UPDATE device SET online = false WHERE no = %s AND last_seen_at = %s AND state = 'bound'",
        (device.no, device.last_seen_at),
    )
    if not marked:
        return False
    added = await execute(
        tx,
        "INSERT INTO detection_state (subject, rule, state, updated_at)"
        " VALUES ('d:' || %s::bigint, 'offline', %s, %s) ON CONFLICT DO NOTHING",
        (device.no, Jsonb({"since": device.last_seen_at.isoformat()}), now),
    )
    return added > 0


@dataclass(frozen=True, slots=True)
class Held:
    """A condition of a device that a rule holds, and what may silence it."""

    no: int
    elder_id: uuid.UUID | None
    state: dict[str, Any]


async def waiting_conditions(tx: Tx, rule: str, before: datetime, now: datetime) -> list[Held]:
    """Return devices whose condition of a rule began before a moment and that are in service.

    Not: those of paused devices and of elders who are away, whose time has not come.
    """
    return await fetch_all(
        tx,
        Held,
        """
        SELECT d.no, d.elder_id, s.state FROM detection_state s
        JOIN device d ON d.no = substr(s.subject, 3)::bigint
        LEFT JOIN elder_watch w ON w.elder_id = d.elder_id
        WHERE s.rule = %(rule)s AND s.subject LIKE 'd:%%'
          AND (s.state->>'since')::timestamptz <= %(before)s
          AND d.state = 'bound'
          AND NOT (s.state ? 'suppressed'
                   AND (coalesce(d.paused_until > %(now)s, false)
                        OR coalesce(w.away_until > %(now)s, false)))
        ORDER BY d.no
        """,
        {"rule": rule, "before": before, "now": now},
    )


async def lock_state(tx: Tx, subject: str, rule: str) -> State | None:
    """Return a state and keep others from changing it until the transaction ends."""
    found: dict[str, Any] | None = await fetch_value(
        tx,
        "SELECT state FROM detection_state WHERE subject = %s AND rule = %s FOR UPDATE",
        (subject, rule),
    )
    return found


@dataclass(frozen=True, slots=True)
class QuietElder:
    """An elder whose sensors have not shown movement since `at`."""

    elder_id: uuid.UUID
    at: datetime
    device_no: int
    since: datetime


async def quiet_elders(tx: Tx, before: datetime, now: datetime) -> list[QuietElder]:
    """Return elders without movement since before a moment, who are at home and can be heard.

    An elder is watched from the first movement on, while some device of theirs is in service and
    not held to be offline: sensors that are dead say nothing about who lives there. After a journey
    the silence counts from the return.
    """
    return await fetch_all(
        tx,
        QuietElder,
        """
        SELECT a.elder_id, a.at, d.no AS device_no,
            greatest(a.at, w.away_until, d.bound_at) AS since
        FROM elder_activity a
        JOIN elder e ON e.id = a.elder_id AND e.archived_at IS NULL
        LEFT JOIN elder_watch w ON w.elder_id = a.elder_id
        CROSS JOIN LATERAL (
            SELECT d.no, b.bound_at FROM device d
            JOIN device_binding b ON b.device_no = d.no AND b.unbound_at IS NULL
            WHERE d.elder_id = a.elder_id AND d.state = 'bound' AND d.online IS NOT FALSE
              AND (d.paused_until IS NULL OR d.paused_until <= %(now)s)
            ORDER BY d.no = a.device_no DESC, d.no LIMIT 1
        ) AS d
        WHERE greatest(a.at, w.away_until) <= %(before)s
        ORDER BY a.elder_id
        """,
        {"before": before, "now": now},
    )


async def still_quiet(tx: Tx, elder: QuietElder) -> bool:
    """Whether nothing has moved since the elder was looked at; locks the sign of movement."""
    found = await fetch_value(
        tx,
        "SELECT 1 FROM elder_activity WHERE elder_id = %s AND at = %s FOR UPDATE",
        (elder.elder_id, elder.at),
    )
    return found is not None
