"""SQL of the registry's read side: from the addresses in messages to devices."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from devices.modes.model import Modes
from devices.profiles import PROFILES
from devices.registry.model import Address, DeviceContext, DeviceState
from kernel.db import Tx, fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class _Row:
    codec: str
    address: str
    by_alias: bool
    no: int
    id: str
    profile: str
    state: str
    division_code: str
    elder_id: uuid.UUID | None
    room: str
    gateway_no: int | None
    gateway_id: str | None
    gateway_profile: str | None
    test_until: datetime | None
    away_until: datetime | None
    maintenance_until: datetime | None
    elder_lat: float | None
    elder_lon: float | None


_SELECT: LiteralString = """
    SELECT d.no, d.id, d.profile, d.state, d.elder_id, d.room, d.gateway_no,
    coalesce(e.division_code, d.division_code) AS division_code,
    g.id AS gateway_id, g.profile AS gateway_profile,
    d.test_until, d.away_until, d.maintenance_until, e.lat AS elder_lat, e.lon AS elder_lon
"""
_BY_ADDRESS: LiteralString = """
    , k.codec, k.address, a.device_no IS NOT NULL AS by_alias
    FROM unnest(%s::text[], %s::text[]) AS k (codec, address)
    LEFT JOIN device_alias a ON a.codec = k.codec AND a.address = k.address
    JOIN device d ON d.no = coalesce(
        a.device_no, (SELECT own.no FROM device own WHERE own.id = k.address))
"""
_JOINS: LiteralString = """
    LEFT JOIN device g ON g.no = d.gateway_no
    LEFT JOIN elder e ON e.id = d.elder_id
"""


async def resolve(tx: Tx, addresses: Collection[Address]) -> dict[Address, DeviceContext]:
    """Return the devices behind these addresses; an address that nobody has is left out.

    An alias of the codec goes first. Without one, a device answers to its own id, but only in the
    codec of its profile: a byte stream without a log-in could otherwise speak for any device.
    """
    wanted = list(set(addresses))
    if not wanted:
        return {}
    rows = await fetch_all(
        tx,
        _Row,
        _SELECT + _BY_ADDRESS + _JOINS,
        ([each.codec for each in wanted], [each.address for each in wanted]),
    )
    return {Address(row.codec, row.address): _context(row) for row in rows if _may_use(row)}


async def by_number(tx: Tx, no: int) -> DeviceContext | None:
    """Return the device with this number, None when there is none."""
    row = await fetch_one(
        tx,
        _Row,
        _SELECT
        + ", '' AS codec, '' AS address, false AS by_alias FROM device d"
        + _JOINS
        + " WHERE d.no = %s",
        (no,),
    )
    return _context(row) if row else None


def _may_use(row: _Row) -> bool:
    if row.by_alias:
        return True
    profile = PROFILES.get(row.profile)
    return profile is not None and profile.codec == row.codec


def _context(row: _Row) -> DeviceContext:
    return DeviceContext(
        no=row.no,
        id=row.id,
        profile=row.profile,
        state=DeviceState(row.state),
        division_code=row.division_code,
        elder_id=row.elder_id,
        room=row.room,
        gateway_no=row.gateway_no,
        gateway_id=row.gateway_id,
        gateway_profile=row.gateway_profile,
        modes=Modes(row.test_until, row.away_until, row.maintenance_until),
        elder_lat=row.elder_lat,
        elder_lon=row.elder_lon,
    )
