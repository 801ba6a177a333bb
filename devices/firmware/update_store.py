"""SQL of how far single devices are with a roll-out: what they said, and what silence means."""

import uuid
from datetime import datetime
from typing import LiteralString

from devices.firmware.model import Rollout, UpdateState
from kernel.db import Tx, execute, fetch_tuples


async def lock_update(
    tx: Tx, device_no: int, command_id: uuid.UUID
) -> tuple[uuid.UUID, UpdateState] | None:
    """Return the roll-out and state of a device's update by its command, the row locked."""
    rows = await fetch_tuples(
        tx,
        "SELECT rollout_id, state FROM firmware_update WHERE command_id = %s AND device_no = %s"
        " FOR UPDATE",
        (command_id, device_no),
    )
    return (rows[0][0], UpdateState(rows[0][1])) if rows else None


async def move_update(
    tx: Tx,
    rollout_id: uuid.UUID,
    device_no: int,
    state: UpdateState,
    *,
    percent: int,
    detail: str,
    now: datetime,
) -> None:
    """Write how far a device is."""
    settled = state in (UpdateState.INSTALLED, UpdateState.FAILED, UpdateState.WITHDRAWN)
    await execute(
        tx,
        "UPDATE firmware_update SET state = %s, percent = %s, detail = %s, updated_at = %s,"
        " settled_at = %s WHERE rollout_id = %s AND device_no = %s",
        (state.value, percent, detail, now, now if settled else None, rollout_id, device_no),
    )


async def confirm_installed(tx: Tx, rollout: Rollout, now: datetime) -> int:
    """Close the updates whose device says the version; return how many."""
    return await execute(
        tx,
        "UPDATE firmware_update u SET state = 'installed', percent = 100, detail = '',"
        " updated_at = %s, settled_at = %s FROM device d WHERE u.rollout_id = %s"
        " AND d.no = u.device_no AND u.state <> 'installed' AND d.firmware = %s",
        (now, now, rollout.id, rollout.package_version),
    )


async def fail_rolled_back(tx: Tx, rollout: Rollout, now: datetime) -> int:
    """Take back the success of devices that say their old version again; return how many."""
    return await execute(
        tx,
        "UPDATE firmware_update u SET state = 'failed', percent = 0, detail = 'rolled_back',"
        " updated_at = %s, settled_at = %s FROM device d WHERE u.rollout_id = %s"
        " AND d.no = u.device_no AND u.state = 'installed'"
        " AND d.firmware = u.from_version AND d.firmware <> %s",
        (now, now, rollout.id, rollout.package_version),
    )


async def take_back(tx: Tx, rollout: Rollout, before: datetime, now: datetime) -> int:
    """Forget offers, made before a moment, to devices that have gone without a word of it.

    They are asked again when they are back: to be switched off is no failure. Returns how many.
    """
    gone: LiteralString = (
        " FROM firmware_update u JOIN device d ON d.no = u.device_no"
        " WHERE u.rollout_id = %(rollout)s AND u.state = 'offered' AND u.updated_at < %(before)s"
        " AND d.online IS NOT TRUE"
    )
    values = {"rollout": rollout.id, "before": before, "now": now}
    rows = await fetch_tuples(tx, "SELECT u.device_no, u.command_id" + gone, values)
    # Commands before updates: ingest locks them in this order, too.
    await execute(
        tx,
        "UPDATE device_command SET state = 'expired', detail = 'withdrawn', settled_at = %s"
        " WHERE state IN ('queued', 'sent') AND id = ANY(%s)",
        (now, [command for _, command in rows]),
    )
    return await execute(
        tx,
        "DELETE FROM firmware_update WHERE rollout_id = %s AND device_no = ANY(%s)"
        " AND state = 'offered'",
        (rollout.id, [device_no for device_no, _ in rows]),
    )


async def fail_silent(tx: Tx, rollout: Rollout, before: datetime, now: datetime) -> int:
    """Give up devices that have said nothing of it since a moment; return how many."""
    return await execute(
        tx,
        "UPDATE firmware_update SET state = 'failed', detail = 'no_answer', updated_at = %s,"
        " settled_at = %s WHERE rollout_id = %s"
        " AND state IN ('offered', 'downloading', 'downloaded') AND updated_at < %s",
        (now, now, rollout.id, before),
    )


async def fail_refused(tx: Tx, rollout: Rollout, now: datetime) -> int:
    """Take over what devices answered to the command itself: a refusal is a failure."""
    return await execute(
        tx,
        "UPDATE firmware_update u SET state = 'failed', updated_at = %(now)s, settled_at = %(now)s,"
        " detail = coalesce(nullif(c.detail, ''), 'refused') FROM device_command c"
        " WHERE u.rollout_id = %(rollout)s AND c.id = u.command_id AND c.state = 'refused'"
        " AND u.state IN ('offered', 'downloading', 'downloaded')",
        {"now": now, "rollout": rollout.id},
    )


async def withdraw_open(tx: Tx, rollout_id: uuid.UUID, now: datetime) -> int:
    """Take back what is open of a roll-out, its links too; return how many."""
    return await execute(
        tx,
        "UPDATE firmware_update SET state = 'withdrawn', updated_at = %(now)s,"
        " settled_at = %(now)s, token_expires_at = least(token_expires_at, %(now)s)"
        " WHERE rollout_id = %(rollout)s AND state IN ('offered', 'downloading', 'downloaded')",
        {"now": now, "rollout": rollout_id},
    )


async def end_commands(tx: Tx, rollout_id: uuid.UUID, now: datetime) -> None:
    """End the commands of a roll-out's open updates that were not answered yet.

    Before the updates themselves: ingest locks commands first, too.
    """
    await execute(
        tx,
        "UPDATE device_command SET state = 'expired', detail = 'withdrawn', settled_at = %s"
        " WHERE state IN ('queued', 'sent') AND id IN (SELECT command_id FROM firmware_update"
        " WHERE rollout_id = %s AND state IN ('offered', 'downloading', 'downloaded'))",
        (now, rollout_id),
    )
