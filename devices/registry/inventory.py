"""SQL of the registry's own side: devices in stock and in homes, and the list of them."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString

from devices.profiles import PROFILES
from devices.registry.model import (
    Device,
    DeviceFilters,
    DeviceOrder,
    DeviceSort,
    DeviceState,
)
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value

_SELECT: LiteralString = """
    SELECT d.no, d.id, d.profile, d.serial, d.state, d.state_reason, d.state_note, d.state_at,
    d.elder_id, e.name AS elder_name, d.room, g.id AS gateway_id,
    coalesce(e.division_code, d.division_code) AS division_code, d.firmware, d.online,
    d.last_seen_at, d.battery_percent, d.lat, d.lon, d.position_accuracy_m, d.position_at,
    d.test_until, d.away_until, d.maintenance_until, d.created_at, d.version
"""
_FROM: LiteralString = """
    FROM device d LEFT JOIN elder e ON e.id = d.elder_id LEFT JOIN device g ON g.no = d.gateway_no
"""
# A connection that breaks is back within seconds, mostly: who was heard a moment ago is not silent.
_SILENT_AFTER = timedelta(minutes=2)
SILENT: LiteralString = (
    "(d.online = false AND coalesce(d.last_seen_at, '-infinity') < %(silent_since)s)"
)
"""A device that was heard and is not any more; the parameter comes from `silent_since`."""
HEARD: LiteralString = "(d.online OR d.online = false AND d.last_seen_at >= %(silent_since)s)"
NEVER: LiteralString = "d.online IS NULL"
# Letters are searched from the start of a word: `pinyin_initials` holds "lxy xy y" for 李秀英.
_WHERE: LiteralString = (
    """
    WHERE starts_with(coalesce(e.division_code, d.division_code), %(scope)s)
      AND starts_with(coalesce(e.division_code, d.division_code), %(division)s)
      AND (%(text)s = '' OR strpos(lower(d.id), %(text)s) > 0
           OR strpos(lower(d.serial), %(text)s) > 0 OR strpos(lower(e.name), %(text)s) > 0
           OR (%(letters)s AND strpos(' ' || e.pinyin_initials, ' ' || %(text)s) > 0)
           OR (%(letters)s AND strpos(' ' || e.pinyin, ' ' || %(text)s) > 0)
           OR EXISTS (SELECT FROM device_alias a WHERE a.device_no = d.no
                      AND strpos(lower(a.address), %(text)s) > 0))
      AND (%(state)s = '' OR d.state = %(state)s)
      AND (%(profile)s = '' OR d.profile = %(profile)s)
      AND CASE %(connection)s WHEN 'online' THEN """  # noqa: S608 - parts of this module
    + HEARD
    + " WHEN 'never' THEN "
    + NEVER
    + " WHEN 'offline' THEN "
    + SILENT
    + """ ELSE true END
      AND (NOT %(low_battery)s OR d.battery_percent <= coalesce(
            (SELECT l.percent FROM unnest(%(models)s::text[], %(limits)s::real[])
             AS l (profile, percent) WHERE l.profile = d.profile), %(usual_limit)s))
      AND (NOT %(held_back)s OR greatest(d.test_until, d.away_until, d.maintenance_until) > %(now)s)
      AND CASE %(mode)s WHEN 'test' THEN d.test_until > %(now)s
          WHEN 'away' THEN d.away_until > %(now)s
          WHEN 'maintenance' THEN d.maintenance_until > %(now)s ELSE true END
      AND (%(unseen_since)s::timestamptz IS NULL OR d.last_seen_at < %(unseen_since)s)
      AND (%(battery_at_most)s::int IS NULL OR d.battery_percent <= %(battery_at_most)s)
      AND (%(firmware)s = '' OR d.firmware = %(firmware)s)
"""
)
_ORDER: dict[tuple[DeviceSort, bool], LiteralString] = {
    (DeviceSort.ID, False): "d.id",
    (DeviceSort.ID, True): "d.id DESC",
    (DeviceSort.ELDER, False): "e.pinyin NULLS LAST, e.name, d.id",
    (DeviceSort.ELDER, True): "e.pinyin DESC NULLS LAST, e.name DESC, d.id",
    (DeviceSort.SEEN, False): "d.last_seen_at NULLS FIRST, d.id",
    (DeviceSort.SEEN, True): "d.last_seen_at DESC NULLS LAST, d.id",
    (DeviceSort.BATTERY, False): "d.battery_percent NULLS LAST, d.id",
    (DeviceSort.BATTERY, True): "d.battery_percent DESC NULLS LAST, d.id",
}
USUAL_LOW_BATTERY = 20
"""Per cent; counts for a model that names no limit of its own."""


def _values(filters: DeviceFilters, scope: str, now: datetime) -> dict[str, Any]:
    text = filters.text.strip().lower()
    limits = {
        code: profile.low_battery_percent
        for code, profile in PROFILES.items()
        if profile.low_battery_percent is not None
    }
    return {
        "scope": scope,
        "division": filters.division,
        "text": text,
        "letters": text.isascii() and text.isalpha(),
        "state": filters.state.value if filters.state else "",
        "profile": filters.profile,
        "connection": filters.connection.value if filters.connection else "",
        "low_battery": filters.low_battery,
        "models": list(limits),
        "limits": list(limits.values()),
        "usual_limit": USUAL_LOW_BATTERY,
        "held_back": filters.held_back,
        "mode": filters.mode.value if filters.mode else "",
        "unseen_since": now - filters.unseen_for if filters.unseen_for else None,
        "battery_at_most": filters.battery_at_most,
        "firmware": filters.firmware,
        "silent_since": silent_since(now),
        "now": now,
    }


def silent_since(now: datetime) -> datetime:
    """Return since when a device must not have been heard to be silent."""
    return now - _SILENT_AFTER


async def page(
    tx: Tx, filters: DeviceFilters, order: DeviceOrder, now: datetime, *, scope: str
) -> list[Device]:
    """Return one page of the devices within the division prefix `scope`, retired ones last."""
    by = _ORDER[order.sort, order.descending]
    return await fetch_all(
        tx,
        Device,
        # The parts are literals of this module; every value is a parameter.
        _SELECT
        + _FROM
        + _WHERE
        + " ORDER BY d.state = 'retired', "
        + by
        + " LIMIT %(limit)s OFFSET %(offset)s",
        _values(filters, scope, now) | {"limit": order.limit, "offset": order.offset},
    )


async def numbers(
    tx: Tx, filters: DeviceFilters, order: DeviceOrder, now: datetime, *, scope: str
) -> list[int]:
    """Return the numbers of the devices of a list in its order, at most `order.limit`."""
    rows = await fetch_tuples(
        tx,
        # The parts are literals of this module; every value is a parameter.
        "SELECT d.no"
        + _FROM
        + _WHERE
        + " ORDER BY d.state = 'retired', "
        + _ORDER[order.sort, order.descending]
        + " LIMIT %(limit)s",
        _values(filters, scope, now) | {"limit": order.limit},
    )
    return [row[0] for row in rows]


async def of_numbers(tx: Tx, nos: Sequence[int]) -> list[Device]:
    """Return the devices of these numbers in this order; one that is gone is left out."""
    return await fetch_all(
        tx,
        Device,
        _SELECT
        + _FROM
        + " JOIN unnest(%s::bigint[]) WITH ORDINALITY AS wanted (no, place) ON wanted.no = d.no"
        " ORDER BY wanted.place",
        (list(nos),),
    )


async def total(tx: Tx, filters: DeviceFilters, now: datetime, *, scope: str) -> int:
    """Return how many devices the filters leave."""
    found: int = await fetch_value(
        tx, "SELECT count(*)" + _FROM + _WHERE, _values(filters, scope, now)
    )
    return found


async def by_id(tx: Tx, device_id: str) -> Device | None:
    """Return the device of that id."""
    return await fetch_one(tx, Device, _SELECT + _FROM + " WHERE d.id = %s", (device_id,))


async def by_no(tx: Tx, no: int) -> Device | None:
    """Return the device of that number."""
    return await fetch_one(tx, Device, _SELECT + _FROM + " WHERE d.no = %s", (no,))


async def of_elder(tx: Tx, elder_id: uuid.UUID) -> list[Device]:
    """Return the devices that are bound to the elder now."""
    return await fetch_all(
        tx, Device, _SELECT + _FROM + " WHERE d.elder_id = %s ORDER BY d.id", (elder_id,)
    )


async def behind(tx: Tx, gateway_no: int) -> list[Device]:
    """Return the devices that a gateway speaks for, retired ones left out."""
    return await fetch_all(
        tx,
        Device,
        _SELECT + _FROM + " WHERE d.gateway_no = %s AND d.state <> 'retired' ORDER BY d.id",
        (gateway_no,),
    )


async def to_put_behind(
    tx: Tx, gateway: Device, models: list[str], text: str, *, scope: str, limit: int
) -> list[Device]:
    """Return devices of these models within the prefix that are not behind this gateway.

    `text` is a part of the id, the serial number or another name. Without one, those that may well
    be meant: of the gateway's own home, or free in stock. The own home's and free ones come first.
    """
    return await fetch_all(
        tx,
        Device,
        # The parts are literals of this module; every value is a parameter.
        _SELECT + _FROM + " WHERE d.profile = ANY(%(models)s) AND d.state <> 'retired'"  # noqa: S608
        " AND d.no <> %(gateway)s AND d.gateway_no IS DISTINCT FROM %(gateway)s"
        " AND starts_with(coalesce(e.division_code, d.division_code), %(scope)s)"
        " AND (strpos(lower(d.id), %(text)s) > 0 OR strpos(lower(d.serial), %(text)s) > 0"
        "   OR EXISTS (SELECT FROM device_alias a WHERE a.device_no = d.no"
        "              AND strpos(lower(a.address), %(text)s) > 0))"
        " AND (%(text)s <> '' OR d.elder_id = %(elder)s"
        "   OR d.state = 'stock' AND d.gateway_no IS NULL)"
        " ORDER BY d.elder_id IS DISTINCT FROM %(elder)s, d.elder_id IS NOT NULL,"
        "   d.gateway_no IS NOT NULL, d.id LIMIT %(limit)s",
        {
            "models": models,
            "gateway": gateway.no,
            "elder": gateway.elder_id,
            "scope": scope,
            "text": text.strip().lower(),
            "limit": limit,
        },
    )


async def gateways(tx: Tx, models: list[str], scope: str) -> list[Device]:
    """Return the devices of these models within the division prefix that are not retired."""
    return await fetch_all(
        tx,
        Device,
        _SELECT + _FROM + " WHERE d.profile = ANY(%s) AND d.state <> 'retired'"
        " AND starts_with(coalesce(e.division_code, d.division_code), %s) ORDER BY d.id",
        (models, scope),
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
    *,
    elder_id: uuid.UUID | None,
    room: str,
    division_code: str,
    reason: str,
    note: str,
    now: datetime,
) -> bool:
    """Move the device on if it is still as it was seen; False when somebody was faster."""
    changed = await execute(
        tx,
        "UPDATE device SET state = %s, elder_id = %s, room = %s, division_code = %s,"
        " state_reason = %s, state_note = %s, state_at = %s, updated_at = %s,"
        " version = version + 1 WHERE no = %s AND version = %s",
        (
            state.value, elder_id, room, division_code, reason, note, now, now, device.no,
            device.version,
        ),
    )  # fmt: skip
    return changed == 1


async def set_details(
    tx: Tx,
    device: Device,
    *,
    serial: str | None,
    gateway_no: int | None,
    division_code: str,
    now: datetime,
) -> bool:
    """Correct what was registered; False when somebody was faster."""
    changed = await execute(
        tx,
        "UPDATE device SET serial = %s, gateway_no = %s, division_code = %s, updated_at = %s,"
        " version = version + 1 WHERE no = %s AND version = %s",
        (serial, gateway_no, division_code, now, device.no, device.version),
    )
    return changed == 1


async def elder_division(tx: Tx, elder_id: uuid.UUID) -> str | None:
    """Return the division code of an elder who is not archived."""
    found: str | None = await fetch_value(
        tx, "SELECT division_code FROM elder WHERE id = %s AND archived_at IS NULL", (elder_id,)
    )
    return found
