"""SQL of firmware packages and roll-outs."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from devices.firmware.model import (
    Download,
    Package,
    Progress,
    Rollout,
    RolloutState,
    Target,
    UpdateRow,
)
from kernel.db import Tx, execute, fetch_all, fetch_one, fetch_tuples, fetch_value

_PACKAGE: LiteralString = """
    SELECT p.id, p.profile, p.version, encode(p.sha256, 'hex') AS sha256, p.size, p.file_name,
        p.notes, p.uploaded_at, u.display_name AS uploaded_by, u.division,
        p.withdrawn_at
    FROM firmware_package p LEFT JOIN user_account u ON u.id = p.uploaded_by
"""
_ROLLOUT: LiteralString = """
    SELECT r.id, r.package_id, p.profile, p.version AS package_version,
        encode(p.sha256, 'hex') AS sha256, p.size, r.division, r.canaries, r.steps, r.step,
        r.step_since, r.soak_minutes, r.failure_percent, r.state, r.reason, r.created_at,
        u.display_name AS created_by, r.ended_at, r.version
    FROM firmware_rollout r JOIN firmware_package p ON p.id = r.package_id
    LEFT JOIN user_account u ON u.id = r.created_by
"""
# Devices that a roll-out is for: of its model and division, in service or in stock, on a line of
# their own, without the version, and not asked yet. `reached` is the share of the step.
_ITS_DEVICES: LiteralString = """
    FROM device d LEFT JOIN elder e ON e.id = d.elder_id
    WHERE d.profile = %(profile)s AND d.state IN ('bound', 'stock') AND d.gateway_no IS NULL
      AND starts_with(coalesce(e.division_code, d.division_code), %(division)s)
"""
_TARGETS: LiteralString = (
    _ITS_DEVICES
    + """
      AND d.firmware IS DISTINCT FROM %(version)s
      AND NOT EXISTS (SELECT FROM firmware_update u
                      WHERE u.rollout_id = %(rollout)s AND u.device_no = d.no)
      AND (d.id = ANY(%(canaries)s) OR
           ('x' || left(md5(%(rollout)s::text || d.id), 7))::bit(28)::int %% 100 < %(percent)s)
"""
)


def _of_rollout(rollout: Rollout) -> dict[str, object]:
    return {
        "rollout": rollout.id,
        "profile": rollout.profile,
        "division": rollout.division,
        "version": rollout.package_version,
        "canaries": rollout.canaries,
        "percent": rollout.percent,
    }


async def insert_package(tx: Tx, package: Package, by: uuid.UUID | None) -> bool:
    """Add a package; False when the model has one of the version already."""
    added = await execute(
        tx,
        "INSERT INTO firmware_package (id, profile, version, sha256, size, file_name, notes,"
        " uploaded_at, uploaded_by) VALUES (%s, %s, %s, decode(%s, 'hex'), %s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (
            package.id, package.profile, package.version, package.sha256, package.size,
            package.file_name, package.notes, package.uploaded_at, by,
        ),
    )  # fmt: skip
    return added > 0


async def packages(tx: Tx) -> list[Package]:
    """Return all packages that are not withdrawn, the newest first."""
    return await fetch_all(
        tx, Package, _PACKAGE + " WHERE p.withdrawn_at IS NULL ORDER BY p.uploaded_at DESC, p.id"
    )


async def package(tx: Tx, package_id: uuid.UUID) -> Package | None:
    """Return a package."""
    return await fetch_one(tx, Package, _PACKAGE + " WHERE p.id = %s", (package_id,))


async def withdraw(tx: Tx, package_id: uuid.UUID, now: datetime, by: uuid.UUID | None) -> bool:
    """Take a package away; False while a roll-out of it is open."""
    changed = await execute(
        tx,
        "UPDATE firmware_package p SET withdrawn_at = %s, withdrawn_by = %s WHERE p.id = %s"
        " AND p.withdrawn_at IS NULL AND NOT EXISTS (SELECT FROM firmware_rollout r"
        " WHERE r.package_id = p.id AND r.state IN ('running', 'paused'))",
        (now, by, package_id),
    )
    return changed > 0


async def one_rollout_at_a_time(tx: Tx, profile: str, division: str) -> bool:
    """Whether no open roll-out of the model meets the division; others wait with their question."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('firmware'), hashtext(%s))", (profile,))
    rows = await fetch_tuples(
        tx,
        "SELECT 1 FROM firmware_rollout r JOIN firmware_package p ON p.id = r.package_id"
        " WHERE r.state IN ('running', 'paused') AND p.profile = %s"
        " AND (starts_with(r.division, %s) OR starts_with(%s, r.division)) LIMIT 1",
        (profile, division, division),
    )
    return not rows


async def insert_rollout(tx: Tx, rollout: Rollout, by: uuid.UUID | None) -> None:
    """Begin a roll-out."""
    await execute(
        tx,
        "INSERT INTO firmware_rollout (id, package_id, division, canaries, steps, step, step_since,"
        " soak_minutes, failure_percent, created_at, created_by)"
        " VALUES (%s, %s, %s, %s, %s, 0, %s, %s, %s, %s, %s)",
        (
            rollout.id, rollout.package_id, rollout.division, rollout.canaries, rollout.steps,
            rollout.created_at, rollout.soak_minutes, rollout.failure_percent, rollout.created_at,
            by,
        ),
    )  # fmt: skip


async def rollouts(tx: Tx, scope: str, limit: int) -> list[Rollout]:
    """Return the roll-outs that meet a division prefix, open ones first, then the newest."""
    return await fetch_all(
        tx,
        Rollout,
        _ROLLOUT + " WHERE starts_with(r.division, %s) OR starts_with(%s, r.division)"
        " ORDER BY r.state NOT IN ('running', 'paused'), r.created_at DESC, r.id LIMIT %s",
        (scope, scope, limit),
    )


async def rollout(tx: Tx, rollout_id: uuid.UUID) -> Rollout | None:
    """Return a roll-out."""
    return await fetch_one(tx, Rollout, _ROLLOUT + " WHERE r.id = %s", (rollout_id,))


async def lock_running(tx: Tx, rollout_id: uuid.UUID) -> Rollout | None:
    """Return a roll-out that runs, its row locked; None where somebody else works on it."""
    return await fetch_one(
        tx,
        Rollout,
        _ROLLOUT + " WHERE r.id = %s AND r.state = 'running' FOR UPDATE OF r SKIP LOCKED",
        (rollout_id,),
    )


async def running_ids(tx: Tx) -> list[uuid.UUID]:
    """Return the ids of the roll-outs that run."""
    rows = await fetch_tuples(tx, "SELECT id FROM firmware_rollout WHERE state = 'running'")
    return [row[0] for row in rows]


async def set_state(
    tx: Tx, rollout: Rollout, state: RolloutState, reason: str, now: datetime
) -> bool:
    """Move a roll-out on if it is still as it was seen; False when somebody was faster."""
    ended = now if state in (RolloutState.COMPLETED, RolloutState.ABORTED) else None
    changed = await execute(
        tx,
        "UPDATE firmware_rollout SET state = %s, reason = %s, ended_at = %s, version = version + 1"
        " WHERE id = %s AND version = %s",
        (state.value, reason, ended, rollout.id, rollout.version),
    )
    return changed > 0


async def next_step(tx: Tx, rollout: Rollout, now: datetime) -> None:
    """Go on to the next step."""
    await execute(
        tx,
        "UPDATE firmware_rollout SET step = step + 1, step_since = %s, version = version + 1"
        " WHERE id = %s AND version = %s",
        (now, rollout.id, rollout.version),
    )


async def progress(tx: Tx, rollout: Rollout) -> Progress:
    """Return how many devices of a roll-out are how."""
    found = await fetch_one(
        tx,
        Progress,
        """
        SELECT u.*, t.pending, t.pending_online FROM (
            SELECT count(*) FILTER (WHERE state = 'offered')::int AS offered,
                count(*) FILTER (WHERE state = 'downloading')::int AS downloading,
                count(*) FILTER (WHERE state = 'downloaded')::int AS downloaded,
                count(*) FILTER (WHERE state = 'installed')::int AS installed,
                count(*) FILTER (WHERE state = 'failed')::int AS failed,
                count(*) FILTER (WHERE state = 'withdrawn')::int AS withdrawn,
                count(*) FILTER (WHERE state = 'installed' AND step = %(step)s)::int
                    AS step_installed,
                count(*) FILTER (WHERE state = 'failed' AND step = %(step)s)::int AS step_failed
            FROM firmware_update WHERE rollout_id = %(rollout)s
        ) u, (SELECT count(*)::int AS pending,
                count(*) FILTER (WHERE d.online)::int AS pending_online"""  # noqa: S608 - ours
        + _TARGETS
        + ") t",
        _of_rollout(rollout) | {"step": rollout.step},
    )
    if found is None:
        raise RuntimeError("an aggregate without a row")
    return found


async def targets(tx: Tx, rollout: Rollout, limit: int) -> list[Target]:
    """Return devices of the step that can be heard now and were not asked yet."""
    return await fetch_all(
        tx,
        Target,
        "SELECT d.no, d.id, d.firmware" + _TARGETS + " AND d.online ORDER BY d.no LIMIT %(limit)s",
        _of_rollout(rollout) | {"limit": limit},
    )


async def strangers(tx: Tx, profile: str, division: str, canaries: Sequence[str]) -> bool:
    """Whether a canary is no device that such a roll-out is for, whatever its version."""
    known: int = await fetch_value(
        tx,
        "SELECT count(*)" + _ITS_DEVICES + " AND d.id = ANY(%(canaries)s)",
        {"profile": profile, "division": division, "canaries": list(canaries)},
    )
    return known < len(set(canaries))


async def offer(
    tx: Tx,
    rollout: Rollout,
    target: Target,
    command_id: uuid.UUID,
    token_hash: bytes,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Write down that a device was asked."""
    await execute(
        tx,
        "INSERT INTO firmware_update (rollout_id, device_no, step, from_version, command_id,"
        " token_hash, token_expires_at, offered_at, updated_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            rollout.id, target.no, rollout.step, target.firmware, command_id, token_hash,
            expires_at, now, now,
        ),
    )  # fmt: skip


async def take_token(tx: Tx, token_hash: bytes, now: datetime, most_uses: int) -> Download | None:
    """Use a link once more; None where there is none, or it is over, used up, or too late."""
    return await fetch_one(
        tx,
        Download,
        "UPDATE firmware_update u SET token_uses = token_uses + 1"
        " FROM firmware_rollout r JOIN firmware_package p ON p.id = r.package_id"
        " WHERE u.token_hash = %s AND r.id = u.rollout_id AND u.token_used_at IS NULL"
        " AND u.token_expires_at > %s AND u.token_uses < %s"
        " RETURNING u.rollout_id, u.device_no, encode(p.sha256, 'hex') AS sha256, p.size,"
        " p.version",
        (token_hash, now, most_uses),
    )


async def token_done(tx: Tx, token_hash: bytes, now: datetime) -> None:
    """End a link: the whole file was sent."""
    await execute(
        tx,
        "UPDATE firmware_update SET token_used_at = %s WHERE token_hash = %s"
        " AND token_used_at IS NULL",
        (now, token_hash),
    )


async def updates(
    tx: Tx, rollout: Rollout, scope: str, state: str, after: int, limit: int
) -> list[UpdateRow]:
    """Return devices of a roll-out within a division prefix, those in trouble first by `state`."""
    return await fetch_all(
        tx,
        UpdateRow,
        """
        SELECT u.device_no, d.id AS device_id,
            coalesce(county.name, '') || coalesce(town.name, '') AS place, d.firmware,
            u.from_version, u.step, u.state, u.percent, u.detail, u.offered_at, u.updated_at
        FROM firmware_update u JOIN device d ON d.no = u.device_no
        LEFT JOIN elder e ON e.id = d.elder_id
        LEFT JOIN division county
            ON county.code = left(coalesce(e.division_code, d.division_code), 6) || '000000'
        LEFT JOIN division town
            ON town.code = left(coalesce(e.division_code, d.division_code), 9) || '000'
            AND town.code <> county.code
        WHERE u.rollout_id = %(rollout)s AND (%(state)s = '' OR u.state = %(state)s)
          AND starts_with(coalesce(e.division_code, d.division_code), %(scope)s)
          AND u.device_no > %(after)s
        ORDER BY u.device_no LIMIT %(limit)s
        """,
        {
            "rollout": rollout.id,
            "scope": scope,
            "state": state,
            "after": after,
            "limit": limit,
        },
    )
