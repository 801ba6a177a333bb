"""SQL of the pipeline: identities, alarms, what is known of a device."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from devices.alarms import RaisedAlarm
from ingest.identity import Copies
from kernel.db import Tx, execute, fetch_one, fetch_tuples

_COPY_LOCK, _COPY_LOCKS = 0x51_1F_E4, 64
MessageKey = tuple[int, uuid.UUID]
"""(device no, identity)."""


async def insert_identities(tx: Tx, marks: Mapping[MessageKey, datetime]) -> set[MessageKey]:
    """Mark messages as stored, with when they came, and return those that were not before.

    A transaction of another process that stores one of them at this moment is waited for.
    """
    if not marks:
        return set()
    # In one order, so that two processes with the same messages cannot wait for each other.
    ordered = sorted(marks.items())
    rows = await fetch_tuples(
        tx,
        "INSERT INTO ingest_message (device_no, identity, received_at)"
        " SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::timestamptz[])"
        " ON CONFLICT DO NOTHING RETURNING device_no, identity",
        (
            [no for (no, _), _ in ordered],
            [identity for (_, identity), _ in ordered],
            [at for _, at in ordered],
        ),
    )
    return {(row[0], row[1]) for row in rows}


async def one_at_a_time(tx: Tx, device_nos: Iterable[int]) -> None:
    """Wait until no other transaction looks for first deliveries of these devices' messages.

    Two deliveries of one message that come at the same moment have identities of their own and
    would not find each other. The devices share a few locks: a server has room for so many only.
    """
    shares = sorted({no % _COPY_LOCKS for no in device_nos})
    if shares:
        await execute(
            tx,
            "SELECT pg_advisory_xact_lock(%s, share) FROM unnest(%s::int[]) AS share",
            (_COPY_LOCK, shares),
        )


async def stored_before(tx: Tx, wanted: Sequence[tuple[int, Copies]]) -> set[int]:
    """Of redelivered messages, return the places of those whose first delivery was stored.

    For messages without number and time only (identity.py, third kind).
    """
    if not wanted:
        return set()
    rows = await fetch_tuples(
        tx,
        "SELECT k.place, m.identity"
        " FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) WITH ORDINALITY"
        " AS k (no, low, high, place)"
        " JOIN ingest_message m ON m.device_no = k.no AND m.identity BETWEEN k.low AND k.high",
        (
            [no for no, _ in wanted],
            [copies.low for _, copies in wanted],
            [copies.high for _, copies in wanted],
        ),
    )
    return {place - 1 for place, identity in rows if wanted[place - 1][1].matches(identity)}


async def was_raised(tx: Tx, device_no: int, copies: Copies) -> bool:
    """Whether the first delivery of a redelivered message has raised its alarm."""
    rows = await fetch_tuples(
        tx,
        "SELECT identity FROM alarm WHERE device_no = %s AND identity BETWEEN %s AND %s",
        (device_no, copies.low, copies.high),
    )
    return any(copies.matches(row[0]) for row in rows)


async def insert_alarm(
    tx: Tx,
    alarm: RaisedAlarm,
    *,
    identity: uuid.UUID | None,
    seq: int | None,
    suppressed: str | None,
) -> bool:
    """Store an alarm; False when the message with this identity has raised it before."""
    added = await execute(
        tx,
        "INSERT INTO alarm (id, device_no, elder_id, kind, severity, source, device_time,"
        " received_at, seq, identity, test, suppressed, lat, lon, position_at,"
        " position_accuracy_m, detail)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (device_no, identity, kind) WHERE identity IS NOT NULL DO NOTHING",
        (
            alarm.id, alarm.device_no, alarm.elder_id, alarm.kind.value, alarm.severity.value,
            alarm.source, alarm.device_time, alarm.received_at, seq, identity, alarm.test,
            suppressed, alarm.lat, alarm.lon, alarm.position_at, alarm.position_accuracy_m,
            Jsonb(dict(alarm.detail)),
        ),
    )  # fmt: skip
    return added > 0


@dataclass(frozen=True, slots=True)
class LastPosition:
    """The last fix of a device, WGS-84."""

    lat: float
    lon: float
    position_at: datetime | None
    position_accuracy_m: float | None


async def last_position(tx: Tx, device_no: int) -> LastPosition | None:
    """Return the last fix of a device, None where it never had one."""
    return await fetch_one(
        tx,
        LastPosition,
        "SELECT lat, lon, position_at, position_accuracy_m FROM device"
        " WHERE no = %s AND lat IS NOT NULL AND lon IS NOT NULL",
        (device_no,),
    )


async def note_routes(tx: Tx, routes: Mapping[int, tuple[str, str]]) -> None:
    """Keep by which codec and where platforms keep devices; what is known so is not written."""
    if not routes:
        return
    ordered = sorted((no, *route) for no, route in routes.items())
    await execute(
        tx,
        "INSERT INTO device_route (device_no, codec, route)"
        " SELECT n.no, n.codec, n.route FROM unnest(%s::bigint[], %s::text[], %s::text[])"
        " AS n (no, codec, route) LEFT JOIN device_route r ON r.device_no = n.no"
        " WHERE (r.codec, r.route) IS DISTINCT FROM (n.codec, n.route)"
        " ON CONFLICT (device_no) DO UPDATE SET codec = excluded.codec, route = excluded.route",
        ([no for no, _, _ in ordered], [codec for _, codec, _ in ordered],
         [route for _, _, route in ordered]),
    )  # fmt: skip


@dataclass(slots=True)
class Touch:
    """What a batch of messages says of one device; None leaves as it is what is known.

    `gone_at` is when the broker said that it has gone, where that is the last word (`online`).
    """

    no: int
    seen_at: datetime | None = None
    gone_at: datetime | None = None
    online: bool | None = None
    battery: float | None = None
    firmware: str | None = None
    lat: float | None = None
    lon: float | None = None
    accuracy_m: float | None = None
    position_at: datetime | None = None


async def touch_devices(tx: Tx, touches: Iterable[Touch]) -> None:
    """Bring the devices up to date, in one statement; an older fix does not replace a newer one.

    The rows are locked in the order of their numbers, as every process does. Who comes or goes gets
    a row in the history of presence.
    """
    ordered = sorted(touches, key=lambda touch: touch.no)
    if not ordered:
        return
    await execute(
        tx,
        """
        WITH said AS (
            SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::boolean[],
                %s::timestamptz[], %s::real[], %s::text[], %s::float8[], %s::float8[],
                %s::float8[], %s::timestamptz[])
            AS x (no, seen_at, online, changed_at, battery, firmware, lat, lon, accuracy,
                position_at)
        ), locked AS (
            SELECT d.no, d.online AS was, said.lat IS NOT NULL
                AND said.position_at >= coalesce(d.position_at, '-infinity') AS newer
            FROM device d JOIN said USING (no) ORDER BY d.no FOR NO KEY UPDATE OF d
        ), came_or_went AS (
            INSERT INTO device_presence (device_no, at, online)
            SELECT no, said.changed_at, said.online FROM locked JOIN said USING (no)
            WHERE said.online <> locked.was OR (locked.was IS NULL AND said.online)
            ON CONFLICT (device_no, at) DO UPDATE SET online = excluded.online
        )
        UPDATE device d SET
            last_seen_at = greatest(d.last_seen_at, said.seen_at),
            online = coalesce(said.online, d.online),
            battery_percent = coalesce(said.battery, d.battery_percent),
            firmware = coalesce(said.firmware, d.firmware),
            lat = CASE WHEN newer THEN said.lat ELSE d.lat END,
            lon = CASE WHEN newer THEN said.lon ELSE d.lon END,
            position_accuracy_m = CASE WHEN newer THEN said.accuracy ELSE d.position_accuracy_m END,
            position_at = CASE WHEN newer THEN said.position_at ELSE d.position_at END
        FROM locked JOIN said USING (no)
        WHERE d.no = locked.no
        """,
        (
            [each.no for each in ordered],
            [each.seen_at for each in ordered],
            [each.online for each in ordered],
            [each.seen_at if each.online else each.gone_at for each in ordered],
            [each.battery for each in ordered],
            [each.firmware for each in ordered],
            [each.lat for each in ordered],
            [each.lon for each in ordered],
            [each.accuracy_m for each in ordered],
            [each.position_at for each in ordered],
        ),
    )


async def note_listening(tx: Tx, instance: str, since: datetime, now: datetime) -> None:
    """Say that this process hears the devices, without a gap since a moment."""
    await execute(
        tx,
        "INSERT INTO ingest_listening (instance, since, at) VALUES (%s, %s, %s)"
        " ON CONFLICT (instance) DO UPDATE SET since = excluded.since, at = excluded.at",
        (instance, since, now),
    )


async def forget_identities(tx: Tx, before: datetime, limit: int) -> int:
    """Delete marks of messages that came before a moment, and return how many."""
    return await execute(
        tx,
        "DELETE FROM ingest_message WHERE ctid = ANY(ARRAY("
        "SELECT ctid FROM ingest_message WHERE received_at < %s LIMIT %s))",
        (before, limit),
    )


async def forget_listening(tx: Tx, before: datetime) -> None:
    """Delete processes that have not been there since a moment, but never the last one."""
    await execute(
        tx,
        "DELETE FROM ingest_listening WHERE at < least(%s, (SELECT max(at) FROM ingest_listening))",
        (before,),
    )
