"""SQL of found devices and their entities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from devices.discovery.model import FoundRow
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value

_SELECT: LiteralString = """
    SELECT f.gateway_no, g.id AS gateway_id, g.division_code, f.key, f.name, f.manufacturer,
    f.model, f.found_at, f.ignored_at, d.id AS device_id,
    coalesce((SELECT jsonb_object_agg(e.key, e.entity) FROM discovered_entity e
              WHERE e.gateway_no = f.gateway_no AND e.device_key = f.key), '{}') AS entities
"""
_FROM: LiteralString = """
    FROM discovered_device f JOIN device g ON g.no = f.gateway_no
    LEFT JOIN device d ON d.no = f.device_no
"""
# What announces nothing that we can read is not shown, unless it was adopted.
_WHERE: LiteralString = """
    WHERE starts_with(g.division_code, %(scope)s)
      AND CASE %(status)s
        WHEN 'adopted' THEN f.device_no IS NOT NULL
        WHEN 'ignored' THEN f.ignored_at IS NOT NULL
        ELSE f.device_no IS NULL AND f.ignored_at IS NULL AND EXISTS (
            SELECT FROM discovered_entity e
            WHERE e.gateway_no = f.gateway_no AND e.device_key = f.key)
        END
"""


@dataclass(frozen=True, slots=True)
class AdoptedRow:
    """An entity of an adopted device."""

    gateway_id: str
    device_key: str
    entity: Mapping[str, Any]


async def gateway_numbers(tx: Tx, ids: Sequence[str], profiles: Sequence[str]) -> dict[str, int]:
    """Return the numbers of installations that may announce: of these profiles, not retired."""
    rows = await fetch_tuples(
        tx,
        "SELECT id, no FROM device WHERE id = ANY(%s) AND profile = ANY(%s) AND state <> 'retired'",
        (list(ids), list(profiles)),
    )
    return {str(device_id): int(no) for device_id, no in rows}


async def keep_device(
    tx: Tx, gateway_no: int, key: str, words: tuple[str, str, str], most: int, now: datetime
) -> bool:
    """Note a device (name, manufacturer, model). False when the installation has too many."""
    name, manufacturer, model = words
    await execute(
        tx,
        "INSERT INTO discovered_device (gateway_no, key, name, manufacturer, model, found_at)"
        " SELECT %(no)s, %(key)s, %(name)s, %(maker)s, %(model)s, %(now)s"
        " WHERE (SELECT count(*) FROM discovered_device WHERE gateway_no = %(no)s) < %(most)s"
        " ON CONFLICT (gateway_no, key) DO UPDATE SET name = excluded.name,"
        " manufacturer = excluded.manufacturer, model = excluded.model"
        " WHERE (discovered_device.name, discovered_device.manufacturer, discovered_device.model)"
        " IS DISTINCT FROM (excluded.name, excluded.manufacturer, excluded.model)",
        {
            "no": gateway_no,
            "key": key,
            "name": name,
            "maker": manufacturer,
            "model": model,
            "now": now,
            "most": most,
        },
    )
    return bool(
        await fetch_value(
            tx,
            "SELECT EXISTS (SELECT FROM discovered_device WHERE gateway_no = %s AND key = %s)",
            (gateway_no, key),
        )
    )


async def keep_entity(
    tx: Tx, gateway_no: int, key: str, device_key: str, entity: Mapping[str, Any], now: datetime
) -> None:
    """Note an entity; what is announced again as it was is not written."""
    await execute(
        tx,
        "INSERT INTO discovered_entity (gateway_no, key, device_key, entity, changed_at)"
        " VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (gateway_no, key) DO UPDATE SET device_key = excluded.device_key,"
        " entity = excluded.entity, changed_at = excluded.changed_at"
        " WHERE (discovered_entity.device_key, discovered_entity.entity)"
        " IS DISTINCT FROM (excluded.device_key, excluded.entity)",
        (gateway_no, key, device_key, Jsonb(dict(entity)), now),
    )


async def drop_entities(tx: Tx, gateway_no: int, key: str) -> None:
    """Forget what an announcement told of: one entity, or all that it told of at once."""
    await execute(
        tx,
        "DELETE FROM discovered_entity WHERE gateway_no = %(no)s"
        " AND (key = %(key)s OR starts_with(key, %(key)s || '/'))",
        {"no": gateway_no, "key": key},
    )


async def page(tx: Tx, scope: str, status: str, limit: int, offset: int) -> list[FoundRow]:
    """Return one page of the found devices of a status, the newest first."""
    return await fetch_all(
        tx,
        FoundRow,
        _SELECT
        + _FROM
        + _WHERE
        + " ORDER BY f.found_at DESC, f.gateway_no, f.key LIMIT %(limit)s OFFSET %(offset)s",
        {"scope": scope, "status": status, "limit": limit, "offset": offset},
    )


async def total(tx: Tx, scope: str, status: str) -> int:
    """Return how many found devices there are of a status."""
    found: int = await fetch_value(
        tx, "SELECT count(*)" + _FROM + _WHERE, {"scope": scope, "status": status}
    )
    return found


async def get(tx: Tx, gateway_id: str, key: str) -> FoundRow | None:
    """Return one found device."""
    return await fetch_one(
        tx, FoundRow, _SELECT + _FROM + " WHERE g.id = %s AND f.key = %s", (gateway_id, key)
    )


async def set_adopted(tx: Tx, gateway_no: int, key: str, device_no: int) -> bool:
    """Write what it was adopted as; False when somebody was faster."""
    return (
        await execute(
            tx,
            "UPDATE discovered_device SET device_no = %s, ignored_at = NULL"
            " WHERE gateway_no = %s AND key = %s AND device_no IS NULL",
            (device_no, gateway_no, key),
        )
        == 1
    )


async def set_ignored(tx: Tx, gateway_no: int, key: str, at: datetime | None) -> bool:
    """Put it out of sight, or back; False when it was adopted in between."""
    return (
        await execute(
            tx,
            "UPDATE discovered_device SET ignored_at = %s"
            " WHERE gateway_no = %s AND key = %s AND device_no IS NULL",
            (at, gateway_no, key),
        )
        == 1
    )


async def adopted(tx: Tx) -> list[AdoptedRow]:
    """Return the entities of all adopted devices that are still in use."""
    return await fetch_all(
        tx,
        AdoptedRow,
        "SELECT g.id AS gateway_id, e.device_key, e.entity FROM discovered_entity e"
        " JOIN discovered_device f ON f.gateway_no = e.gateway_no AND f.key = e.device_key"
        " JOIN device g ON g.no = f.gateway_no JOIN device d ON d.no = f.device_no"
        " WHERE d.state <> 'retired' ORDER BY g.id, e.key",
    )
