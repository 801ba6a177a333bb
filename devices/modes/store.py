"""SQL of modes: the deadlines on the device's row, and who set them and why."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import LiteralString

from devices.modes.model import DeviceMode, ModeRun
from devices.registry.model import Device
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples

_COLUMN: dict[DeviceMode, LiteralString] = {
    DeviceMode.TEST: "test_until",
    DeviceMode.AWAY: "away_until",
    DeviceMode.MAINTENANCE: "maintenance_until",
}
_SELECT: LiteralString = """
    SELECT m.id, m.device_no, d.id AS device_id,
        coalesce(e.division_code, d.division_code) AS division_code, m.mode, m.reason,
        m.started_at, u.display_name AS started_by, m.ends_at, m.renewed, m.reminded_at,
        m.ended_at, v.display_name AS ended_by
    FROM device_mode m JOIN device d ON d.no = m.device_no LEFT JOIN elder e ON e.id = d.elder_id
        LEFT JOIN user_account u ON u.id = m.started_by
        LEFT JOIN user_account v ON v.id = m.ended_by
"""


async def set_until(
    tx: Tx, device: Device, mode: DeviceMode, until: datetime, now: datetime
) -> bool:
    """Write the end of a mode on the device's row; False when somebody was faster."""
    changed = await execute(
        tx,
        "UPDATE device SET "  # noqa: S608 - a column of ours
        + _COLUMN[mode]
        + " = %s, updated_at = %s, version = version + 1 WHERE no = %s AND version = %s",
        (until, now, device.no, device.version),
    )
    return changed == 1


async def open_run(tx: Tx, run: ModeRun, by: uuid.UUID | None) -> None:
    """Write down a mode that begins."""
    await execute(
        tx,
        "INSERT INTO device_mode (id, device_no, mode, reason, started_at, started_by, ends_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (run.id, run.device_no, run.mode.value, run.reason, run.started_at, by, run.ends_at),
    )


async def renew(tx: Tx, run_id: uuid.UUID, ends_at: datetime, reason: str) -> None:
    """Move the end of a mode that runs; it is called to mind anew."""
    await execute(
        tx,
        "UPDATE device_mode SET ends_at = %s, reason = %s, renewed = renewed + 1,"
        " reminded_at = NULL WHERE id = %s",
        (ends_at, reason, run_id),
    )


async def running(tx: Tx, device_no: int) -> list[ModeRun]:
    """Return the modes of a device that nobody and no time has ended."""
    return await fetch_all(
        tx,
        ModeRun,
        _SELECT + " WHERE m.device_no = %s AND m.ended_at IS NULL ORDER BY m.mode",
        (device_no,),
    )


async def run_of(tx: Tx, device_no: int, mode: DeviceMode) -> ModeRun | None:
    """Return the run of a mode that is open."""
    return await fetch_one(
        tx,
        ModeRun,
        _SELECT + " WHERE m.device_no = %s AND m.mode = %s AND m.ended_at IS NULL",
        (device_no, mode.value),
    )


async def end_running(
    tx: Tx, device_no: int, modes: Collection[DeviceMode], now: datetime, by: uuid.UUID | None
) -> int:
    """End modes of a device before their time, on its row too; return how many ran."""
    ended = await execute(
        tx,
        "UPDATE device_mode SET ended_at = %s, ended_by = %s"
        " WHERE device_no = %s AND mode = ANY(%s) AND ended_at IS NULL",
        (now, by, device_no, [mode.value for mode in modes]),
    )
    for mode in modes:
        column = _COLUMN[mode]
        await execute(
            tx,
            "UPDATE device SET "  # noqa: S608 - a column of ours
            + column
            + " = %s WHERE no = %s AND "
            + column
            + " > %s",
            (now, device_no, now),
        )
    return ended


async def take_expired(tx: Tx, now: datetime) -> list[ModeRun]:
    """Close the modes whose time is over, and return them as they are now."""
    closed = await fetch_tuples(
        tx,
        "UPDATE device_mode SET ended_at = ends_at WHERE id IN (SELECT id FROM device_mode"
        " WHERE ended_at IS NULL AND ends_at <= %s FOR UPDATE SKIP LOCKED) RETURNING id",
        (now,),
    )
    return await _of(tx, [row[0] for row in closed])


async def near_their_end(tx: Tx, before: datetime, now: datetime) -> list[ModeRun]:
    """Return modes that end until `before` and were not called to mind yet, the rows locked."""
    return await fetch_all(
        tx,
        ModeRun,
        _SELECT + " WHERE m.ended_at IS NULL AND m.reminded_at IS NULL AND m.ends_at <= %s"
        " AND m.ends_at > %s ORDER BY m.ends_at FOR UPDATE OF m SKIP LOCKED",
        (before, now),
    )


async def note_reminded(tx: Tx, ids: Collection[uuid.UUID], now: datetime) -> None:
    """Write down that the end of these was called to mind."""
    await execute(
        tx, "UPDATE device_mode SET reminded_at = %s WHERE id = ANY(%s)", (now, list(ids))
    )


async def ending(tx: Tx, scope: str, now: datetime, limit: int) -> list[ModeRun]:
    """Return the modes of a division prefix that run, those that end soonest first."""
    return await fetch_all(
        tx,
        ModeRun,
        _SELECT + " WHERE m.ended_at IS NULL AND m.ends_at > %s"
        " AND starts_with(coalesce(e.division_code, d.division_code), %s)"
        " ORDER BY m.ends_at, m.id LIMIT %s",
        (now, scope, limit),
    )


async def _of(tx: Tx, ids: list[uuid.UUID]) -> list[ModeRun]:
    if not ids:
        return []
    return await fetch_all(
        tx, ModeRun, _SELECT + " WHERE m.id = ANY(%s) ORDER BY m.ends_at, m.id", (ids,)
    )
