"""SQL of the sweeps: what has been silent or open for too long, many devices in one statement."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ingest.detection.model import Rule, State
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
    """A device that has said nothing for longer than its profile allows.

    `behind` says that it stands behind a gateway that is silent itself.
    """

    no: int
    last_seen_at: datetime
    minutes: int
    behind: bool


async def silent_devices(
    tx: Tx, limits: Mapping[str, int], heard_since: datetime, now: datetime
) -> list[SilentDevice]:
    """Return devices in service that are silent beyond the seconds that their profile allows.

    Not: what is held to be offline already, unless its alarm was held back by what is over by now
    (a mode, a silent gateway), after which the device had its time once more. Silence before
    `heard_since` does not count.
    """
    return await fetch_all(
        tx,
        SilentDevice,
        """
        WITH silent AS (
            SELECT d.no, d.gateway_no, d.last_seen_at, p.seconds FROM device d
            JOIN unnest(%(profiles)s::text[], %(seconds)s::int[]) AS p (profile, seconds)
                ON p.profile = d.profile
            WHERE d.state = 'bound' AND d.last_seen_at IS NOT NULL
              AND greatest(d.last_seen_at, %(heard)s) < %(now)s - make_interval(secs => p.seconds)
        )
        SELECT s.no, s.last_seen_at, g.no IS NOT NULL AS behind,
            (extract(epoch FROM %(now)s - s.last_seen_at) / 60)::int AS minutes
        FROM silent s LEFT JOIN silent g ON g.no = s.gateway_no
        LEFT JOIN detection_state t ON t.subject = 'd:' || s.no AND t.rule = 'offline'
        WHERE t.subject IS NULL
           OR (t.state ? 'suppressed' AND g.no IS NULL AND EXISTS (
                SELECT FROM device d WHERE d.no = s.no
                AND coalesce(greatest(d.test_until, d.away_until, d.maintenance_until) <= %(now)s
                    , true)
                AND coalesce(greatest(d.test_until, d.away_until, d.maintenance_until, (
                    SELECT max(p.at) FROM device_presence p
                    WHERE p.device_no = s.gateway_no AND p.online)
                ) < %(now)s - make_interval(secs => s.seconds), true)))
        ORDER BY s.no
        """,
        {
            "profiles": list(limits),
            "seconds": list(limits.values()),
            "heard": heard_since,
            "now": now,
        },
    )


async def forget_out_of_service(tx: Tx) -> int:
    """Forget what was held of a device that is not bound: bound again, it is looked at anew.

    Else the door of one home would stand open in the next, and nobody would be told once more of a
    battery or a clock. What a device says of itself in any state (`Rule.SIGNAL`) is kept.
    """
    return await execute(
        tx,
        "DELETE FROM detection_state s USING device d WHERE s.rule = ANY(%s)"
        " AND d.no = substr(s.subject, 3)::bigint AND d.state <> 'bound'",
        ([Rule.OFFLINE, Rule.DOOR, Rule.BED, Rule.BATTERY, Rule.CLOCK],),
    )


async def mark_offline(tx: Tx, device: SilentDevice, heard_since: datetime, now: datetime) -> bool:
    """Hold a device to be offline, unless it has spoken since (compare-and-set on last_seen_at).

    It went when it last spoke; what nobody could hear is not held against it.
    """
    marked = await execute(
        tx,
        """
        WITH before AS (
            SELECT no, online FROM device
            WHERE no = %(no)s AND last_seen_at = %(seen)s AND state = 'bound'
            FOR NO KEY UPDATE
        ), gone AS (
            INSERT INTO device_presence (device_no, at, online)
            SELECT no, %(at)s, false FROM before WHERE online IS DISTINCT FROM false
            ON CONFLICT (device_no, at) DO UPDATE SET online = false
        )
        UPDATE device d SET online = false FROM before b WHERE d.no = b.no
        """,
        {
            "no": device.no,
            "seen": device.last_seen_at,
            "at": max(device.last_seen_at, heard_since),
        },
    )
    if not marked:
        return False
    added = await execute(
        tx,
        "INSERT INTO detection_state AS t (subject, rule, state, updated_at)"
        " VALUES ('d:' || %s::bigint, 'offline', %s, %s) ON CONFLICT (subject, rule)"
        " DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at"
        " WHERE t.state ? 'suppressed'",
        (device.no, Jsonb({"since": device.last_seen_at.isoformat()}), now),
    )
    return added > 0


async def note_held_back(tx: Tx, no: int, reason: str) -> None:
    """Write to a device's offline state that nobody was told, and why."""
    await execute(
        tx,
        "UPDATE detection_state SET state = state || jsonb_build_object('suppressed', %s::text)"
        " WHERE subject = 'd:' || %s::bigint AND rule = 'offline'",
        (reason, no),
    )


@dataclass(frozen=True, slots=True)
class Held:
    """A condition of a device that a rule holds, and what may silence it."""

    no: int
    elder_id: uuid.UUID | None
    state: dict[str, Any]


async def waiting_conditions(tx: Tx, rule: str, before: datetime, now: datetime) -> list[Held]:
    """Return devices whose condition of a rule began before a moment and that are in service.

    Not: those that a mode of the device or the elder's absence holds back and still does.
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
                   AND (coalesce(
                            greatest(d.test_until, d.away_until, d.maintenance_until) > %(now)s,
                            false)
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
    """An elder whose sensors have not shown movement since `at`.

    `in_test`: there is no device in service but those in test mode.
    """

    elder_id: uuid.UUID
    at: datetime
    device_no: int
    since: datetime
    in_test: bool


async def quiet_elders(tx: Tx, before: datetime, now: datetime) -> list[QuietElder]:
    """Return elders without movement since before a moment, who are at home and can be heard.

    An elder is watched from the first movement on, while some device of theirs is in service and
    not held to be offline: sensors that are dead say nothing about who lives there. Who is away, by
    a device's mode too, is not watched; after a journey or a repair silence counts from its end.
    """
    return await fetch_all(
        tx,
        QuietElder,
        """
        SELECT a.elder_id, a.at, d.no AS device_no,
            greatest(a.at, w.away_until, d.bound_at, d.back_at) AS since, d.in_test
        FROM elder_activity a
        JOIN elder e ON e.id = a.elder_id AND e.archived_at IS NULL
        LEFT JOIN elder_watch w ON w.elder_id = a.elder_id
        CROSS JOIN LATERAL (
            SELECT d.no, b.bound_at, greatest(d.away_until, d.maintenance_until) AS back_at,
                coalesce(d.test_until > %(now)s, false) AS in_test
            FROM device d
            JOIN device_binding b ON b.device_no = d.no AND b.unbound_at IS NULL
            WHERE d.elder_id = a.elder_id AND d.state = 'bound' AND d.online IS NOT FALSE
              AND coalesce(greatest(d.away_until, d.maintenance_until) <= %(now)s, true)
            -- A device in test mode would make a test of what is none.
            ORDER BY coalesce(d.test_until > %(now)s, false), d.no = a.device_no DESC, d.no LIMIT 1
        ) AS d
        WHERE greatest(a.at, w.away_until) <= %(before)s
          AND NOT EXISTS (SELECT FROM device x WHERE x.elder_id = a.elder_id
                          AND x.state = 'bound' AND x.away_until > %(now)s)
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
