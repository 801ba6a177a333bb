"""SQL of the registry's own side: devices in stock and in homes, their bindings, their lists."""

import uuid
from datetime import datetime

from devices.registry.model import (
    Binding,
    Device,
    DeviceAliasRow,
    DeviceFilters,
    DeviceState,
)
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_value

_COLUMNS = """
    d.no, d.id, d.profile, d.serial, d.state, d.elder_id, e.name AS elder_name, d.room,
    g.id AS gateway_id, d.division_code, d.firmware, d.online, d.last_seen_at, d.battery_percent,
    d.lat, d.lon, d.position_accuracy_m, d.position_at, d.paused_until, d.paused_reason,
    d.test_mode, d.created_at, d.version
    FROM device d LEFT JOIN elder e ON e.id = d.elder_id LEFT JOIN device g ON g.no = d.gateway_no
"""
_WHERE = """
    WHERE coalesce(e.division_code, d.division_code) LIKE %(division)s || '%%'
      AND (%(text)s = '' OR d.id ILIKE %(text)s || '%%' OR d.serial ILIKE %(text)s || '%%'
           OR e.name LIKE %(text)s || '%%' OR e.pinyin_initials LIKE lower(%(text)s) || '%%')
      AND (%(state)s = '' OR d.state = %(state)s)
      AND (%(profile)s = '' OR d.profile = %(profile)s)
      AND (%(online)s::boolean IS NULL OR d.online IS NOT DISTINCT FROM %(online)s::boolean)
      AND (NOT %(low_battery)s OR d.battery_percent < 20)
"""


def _values(filters: DeviceFilters) -> dict[str, object]:
    return {
        "division": filters.division,
        "text": filters.text.strip(),
        "state": filters.state,
        "profile": filters.profile,
        "online": filters.online,
        "low_battery": filters.low_battery,
    }


async def page(tx: Tx, filters: DeviceFilters, limit: int, offset: int) -> list[Device]:
    """Return one page of devices, those in homes first, by id."""
    return await fetch_all(
        tx,
        Device,
        # The parts are constants of this file; every value is a parameter.
        "SELECT" + _COLUMNS + _WHERE + " ORDER BY d.state = 'retired', d.id"
        " LIMIT %(limit)s OFFSET %(offset)s",
        _values(filters) | {"limit": limit, "offset": offset},
    )


async def total(tx: Tx, filters: DeviceFilters) -> int:
    """Return how many devices the filters leave."""
    found: int = await fetch_value(
        tx,
        "SELECT count(*) FROM device d LEFT JOIN elder e ON e.id = d.elder_id" + _WHERE,  # noqa: S608
        _values(filters),
    )
    return found


async def by_id(tx: Tx, device_id: str) -> Device | None:
    """Return the device of that id."""
    return await fetch_one(tx, Device, "SELECT" + _COLUMNS + " WHERE d.id = %s", (device_id,))


async def by_no(tx: Tx, no: int) -> Device | None:
    """Return the device of that number."""
    return await fetch_one(tx, Device, "SELECT" + _COLUMNS + " WHERE d.no = %s", (no,))


async def of_elder(tx: Tx, elder_id: uuid.UUID) -> list[Device]:
    """Return the devices that are bound to the elder now."""
    return await fetch_all(
        tx, Device, "SELECT" + _COLUMNS + " WHERE d.elder_id = %s ORDER BY d.id", (elder_id,)
    )


async def insert(
    tx: Tx,
    *,
    device_id: str,
    profile: str,
    division_code: str,
    serial: str | None,
    gateway_no: int | None,
    now: datetime,
) -> int | None:
    """Add a device to the stock; return its number, None when the id is taken."""
    found: int | None = await fetch_value(
        tx,
        "INSERT INTO device"
        " (id, profile, division_code, serial, gateway_no, created_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING RETURNING no",
        (device_id, profile, division_code, serial, gateway_no, now, now),
    )
    return found


async def set_state(
    tx: Tx,
    device: Device,
    state: DeviceState,
    elder_id: uuid.UUID | None,
    room: str,
    now: datetime,
) -> bool:
    """Move the device on if it is still as it was seen; False when somebody was faster."""
    changed = await execute(
        tx,
        "UPDATE device SET state = %s, elder_id = %s, room = %s, updated_at = %s,"
        " version = version + 1 WHERE no = %s AND version = %s",
        (state.value, elder_id, room, now, device.no, device.version),
    )
    return changed == 1


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
    tx: Tx, device_no: int, now: datetime, by: uuid.UUID | None, reason: str
) -> None:
    """End the open binding of a device, if there is one."""
    await execute(
        tx,
        "UPDATE device_binding SET unbound_at = %s, unbound_by = %s, reason = %s"
        " WHERE device_no = %s AND unbound_at IS NULL",
        (now, by, reason, device_no),
    )


async def bindings(tx: Tx, device_no: int) -> list[Binding]:
    """Return the device's history, newest first."""
    return await fetch_all(
        tx,
        Binding,
        "SELECT b.id, b.elder_id, e.name AS elder_name, b.room, b.bound_at,"
        " u.display_name AS bound_by, b.unbound_at, v.display_name AS unbound_by, b.reason"
        " FROM device_binding b JOIN elder e ON e.id = b.elder_id"
        " LEFT JOIN user_account u ON u.id = b.bound_by"
        " LEFT JOIN user_account v ON v.id = b.unbound_by"
        " WHERE b.device_no = %s ORDER BY b.bound_at DESC",
        (device_no,),
    )


async def elder_division(tx: Tx, elder_id: uuid.UUID) -> str | None:
    """Return the division code of an elder who is not archived."""
    found: str | None = await fetch_value(
        tx, "SELECT division_code FROM elder WHERE id = %s AND archived_at IS NULL", (elder_id,)
    )
    return found


async def add_alias(tx: Tx, codec: str, address: str, device_no: int) -> bool:
    """Give the device another name; False when the name is taken."""
    added = await execute(
        tx,
        "INSERT INTO device_alias (codec, address, device_no) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (codec, address, device_no),
    )
    return added == 1


async def aliases(tx: Tx, device_no: int) -> list[DeviceAliasRow]:
    """Return the other names of a device."""
    return await fetch_all(
        tx,
        DeviceAliasRow,
        "SELECT codec, address FROM device_alias WHERE device_no = %s ORDER BY 1, 2",
        (device_no,),
    )


async def set_pause(
    tx: Tx,
    device_no: int,
    until: datetime | None,
    reason: str | None,
    test_mode: bool,
    now: datetime,
) -> None:
    """Take the device out of service until a moment, or put it in test mode."""
    await execute(
        tx,
        "UPDATE device SET paused_until = %s, paused_reason = %s, test_mode = %s, updated_at = %s,"
        " version = version + 1 WHERE no = %s",
        (until, reason, test_mode, now, device_no),
    )
