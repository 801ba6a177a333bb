"""SQL of what happened to a device: bindings, other names, alarms, the last change."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from devices.registry.model import Address, AlarmRow, Binding, Change
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples


async def open_binding(
    tx: Tx,
    binding_id: uuid.UUID,
    device_no: int,
    elder_id: uuid.UUID,
    room: str,
    now: datetime,
    by: uuid.UUID | None,
) -> None:
    """Begin a binding."""
    await execute(
        tx,
        "INSERT INTO device_binding (id, device_no, elder_id, room, bound_at, bound_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (binding_id, device_no, elder_id, room, now, by),
    )


async def close_binding(
    tx: Tx, device_no: int, now: datetime, by: uuid.UUID | None, reason: str, note: str
) -> None:
    """End the open binding of a device, if there is one."""
    await execute(
        tx,
        "UPDATE device_binding SET unbound_at = %s, unbound_by = %s, reason = %s, note = %s"
        " WHERE device_no = %s AND unbound_at IS NULL",
        (now, by, reason, note, device_no),
    )


async def bindings(tx: Tx, device_no: int, scope: str) -> list[Binding]:
    """Return the device's history, newest first; elders outside of the prefix are left out."""
    return await fetch_all(
        tx,
        Binding,
        "SELECT b.id, b.elder_id, e.name AS elder_name, b.room, b.bound_at,"
        " u.display_name AS bound_by, b.unbound_at, v.display_name AS unbound_by, b.reason, b.note"
        " FROM device_binding b JOIN elder e ON e.id = b.elder_id"
        " LEFT JOIN user_account u ON u.id = b.bound_by"
        " LEFT JOIN user_account v ON v.id = b.unbound_by"
        " WHERE b.device_no = %s AND starts_with(e.division_code, %s)"
        " ORDER BY b.bound_at DESC, b.id DESC",
        (device_no, scope),
    )


async def add_alias(tx: Tx, codec: str, address: str, device_no: int) -> bool:
    """Give the device another name; False when the name is taken."""
    added = await execute(
        tx,
        "INSERT INTO device_alias (codec, address, device_no) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (codec, address, device_no),
    )
    return added == 1


async def remove_alias(tx: Tx, codec: str, address: str, device_no: int) -> bool:
    """Take a name from the device; False when it had no such name."""
    removed = await execute(
        tx,
        "DELETE FROM device_alias WHERE codec = %s AND address = %s AND device_no = %s",
        (codec, address, device_no),
    )
    return removed == 1


async def aliases(tx: Tx, device_no: int) -> list[Address]:
    """Return the other names of a device."""
    return await fetch_all(
        tx,
        Address,
        "SELECT codec, address FROM device_alias WHERE device_no = %s ORDER BY 1, 2",
        (device_no,),
    )


async def names_of(tx: Tx, nos: Sequence[int]) -> dict[int, str]:
    """Return a name in a protocol, one of each device that has any."""
    rows = await fetch_tuples(
        tx,
        "SELECT DISTINCT ON (device_no) device_no, address FROM device_alias"
        " WHERE device_no = ANY(%s) ORDER BY device_no, codec, address",
        (list(nos),),
    )
    return {int(no): str(address) for no, address in rows}


async def alarms(tx: Tx, device_no: int, limit: int) -> list[AlarmRow]:
    """Return the device's alarms, newest first.

    Alarms belong to ingest and incidents to the hotline, which lie above; their tables are only
    read here, because the device's page shows them in one list.
    """
    return await fetch_all(
        tx,
        AlarmRow,
        "SELECT a.id, a.kind, a.severity, a.source, a.received_at, a.test, a.suppressed,"
        " i.id AS incident_id, i.number AS incident_number"
        " FROM alarm a LEFT JOIN incident_activation c ON c.alarm_id = a.id"
        " LEFT JOIN incident i ON i.id = c.incident_id"
        " WHERE a.device_no = %s ORDER BY a.received_at DESC, a.id DESC LIMIT %s",
        (device_no, limit),
    )


async def changes(tx: Tx, device_id: str, limit: int) -> list[Change]:
    """Return what people last did with the device, newest first; looking at it is not counted."""
    return await fetch_all(
        tx,
        Change,
        "SELECT a.action, coalesce(u.display_name, a.actor_name) AS by, a.at"
        " FROM audit_log a LEFT JOIN user_account u ON u.id = a.actor_id"
        " WHERE a.subject_type = 'device' AND a.subject_id = %s AND a.action <> 'device.viewed'"
        " ORDER BY a.seq DESC LIMIT %s",
        (device_id, limit),
    )


async def clear_technical_alarms(tx: Tx, device_no: int, now: datetime) -> None:
    """Clear what is open of a device that leaves service (devices/technical/)."""
    await execute(
        tx,
        "UPDATE technical_alarm SET state = 'cleared', cleared_at = greatest(%s, raised_at),"
        " shelved_until = NULL, version = version + 1"
        " WHERE device_no = %s AND state <> 'cleared'",
        (now, device_no),
    )


@dataclass(frozen=True, slots=True)
class Home:
    """Where an elder lives, WGS-84 degrees."""

    lat: float
    lon: float


async def elder_home(tx: Tx, elder_id: uuid.UUID) -> Home | None:
    """Return where the elder lives, if it is known."""
    return await fetch_one(
        tx, Home, "SELECT lat, lon FROM elder WHERE id = %s AND lat IS NOT NULL", (elder_id,)
    )
