"""Use cases of firmware: put a package on the shelf, roll it out in steps, hear how far it is.

A device is asked by the command `update` (docs/protocol.md, section 8) with a link of its own, good
for one whole download and for a day. That it is installed is what its status says.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from devices.commands import service as commands
from devices.commands.model import CommandName
from devices.firmware import rules, store, update_store
from devices.firmware.machine import (
    RolloutAction,
    UpdateEvent,
    next_rollout,
    next_update,
)
from devices.firmware.model import Download, Package, Progress, Rollout, RolloutState, UpdateRow
from devices.firmware.rules import Verdict
from devices.firmware.shelf import Stored
from devices.messages import UpdateProgress
from kernel import audit
from kernel.auth.model import SYSTEM, Actor
from kernel.db import Tx
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from kernel.ids import new_id
from kernel.live import publish
from kernel.tokens import new_token, token_hash

PATH = "/firmware"
"""Where devices fetch files: PATH/<token>, under the installation's public address."""
TOO_MANY_FAILURES = "too_many_failures"
LONGEST_REASON = 200
_LONGEST_DETAIL = 200


async def add_package(
    tx: Tx,
    stored: Stored,
    *,
    profile: str,
    version: str,
    notes: str,
    file_name: str,
    actor: Actor,
    now: datetime,
) -> Package:
    """Register a file that is on the shelf. Raises Invalid (version: taken, form; and others)."""
    version, notes = version.strip(), notes.strip()
    wrong = rules.wrong_package(profile, version, stored.size, notes)
    package = Package(
        id=new_id(),
        profile=profile,
        version=version,
        sha256=stored.sha256,
        size=stored.size,
        file_name=file_name[:200],
        notes=notes,
        uploaded_at=now,
        uploaded_by=actor.display_name,
        division=actor.division,
        withdrawn_at=None,
    )
    if not wrong and not await store.insert_package(tx, package, actor.user_id):
        wrong["version"] = "taken"
    if wrong:
        raise Invalid("The package cannot be taken.", wrong)
    await _record(tx, actor, "firmware.uploaded", package.id, now, profile=profile, version=version)
    return package


async def withdraw_package(tx: Tx, package_id: uuid.UUID, actor: Actor, now: datetime) -> None:
    """Take a package away.

    Raises NotFound, Forbidden (see `Package`) and Conflict while it is being rolled out.
    """
    package = await get_package(tx, package_id)
    if not may_withdraw(package, actor):
        raise Forbidden("It was uploaded for more than your division.", version=package.version)
    if not await store.withdraw(tx, package_id, now, actor.user_id):
        raise Conflict("The package is being rolled out.", version=package.version)
    await _record(tx, actor, "firmware.withdrawn", package_id, now, version=package.version)


def may_withdraw(package: Package, actor: Actor) -> bool:
    """Whether somebody may take a package away from all who could roll it out."""
    return package.division is None or actor.covers(package.division)


async def get_package(tx: Tx, package_id: uuid.UUID) -> Package:
    """Return a package. Raises NotFound."""
    found = await store.package(tx, package_id)
    if found is None:
        raise NotFound("There is no such package.", package=str(package_id))
    return found


async def start_rollout(
    tx: Tx,
    package_id: uuid.UUID,
    *,
    division: str,
    steps: str,
    canaries: Sequence[str],
    soak_minutes: int,
    failure_percent: int,
    actor: Actor,
    now: datetime,
) -> Rollout:
    """Begin to roll a package out in the actor's division or a part of it.

    Raises NotFound, Invalid (steps: form; canaries: too_many, unknown; soak_minutes,
    failure_percent: range; division: outside) and Conflict: withdrawn, or another roll-out of the
    model is open there.
    """
    package = await get_package(tx, package_id)
    if package.withdrawn_at is not None:
        raise Conflict("The package was withdrawn.", version=package.version)
    shares = rules.parse_steps(steps)
    wrong = rules.wrong_rollout(shares, canaries, soak_minutes, failure_percent)
    if not division.startswith(actor.division) or not (division.isdigit() or division == ""):
        wrong["division"] = "outside"
    elif await store.strangers(tx, package.profile, division, canaries):
        wrong.setdefault("canaries", "unknown")
    if wrong or shares is None:
        raise Invalid("The roll-out cannot be as it is described.", wrong)
    if not await store.one_rollout_at_a_time(tx, package.profile, division):
        raise Conflict("Another roll-out of this model is open.", profile=package.profile)
    rollout = Rollout(
        id=new_id(), package_id=package.id, profile=package.profile,
        package_version=package.version, sha256=package.sha256, size=package.size,
        division=division, canaries=list(dict.fromkeys(canaries)), steps=shares, step=0,
        step_since=now, soak_minutes=soak_minutes, failure_percent=failure_percent,
        state=RolloutState.RUNNING, reason="", created_at=now, created_by=actor.display_name,
        ended_at=None, version=1,
    )  # fmt: skip
    await store.insert_rollout(tx, rollout, actor.user_id)
    await _record(
        tx, actor, "firmware.rollout_started", rollout.id, now, division=division,
        version=package.version,
    )  # fmt: skip
    return rollout


async def get_rollout(tx: Tx, rollout_id: uuid.UUID, actor: Actor) -> Rollout:
    """Return a roll-out that meets the actor's division. Raises NotFound."""
    found = await store.rollout(tx, rollout_id)
    meets = found is not None and (
        found.division.startswith(actor.division) or actor.division.startswith(found.division)
    )
    if found is None or not meets:
        raise NotFound("There is no such roll-out.", rollout=str(rollout_id))
    return found


async def change_rollout(
    tx: Tx,
    rollout_id: uuid.UUID,
    action: RolloutAction,
    *,
    reason: str,
    version: int,
    actor: Actor,
    now: datetime,
) -> Rollout:
    """Pause, resume or abort. Who sees only a part of its division may not.

    Raises NotFound, Conflict (somebody was faster, or no such step) and Invalid (reason).
    """
    rollout = await get_rollout(tx, rollout_id, actor)
    if not rollout.division.startswith(actor.division):
        raise NotFound("There is no such roll-out.", rollout=str(rollout_id))
    if rollout.version != version:
        raise Conflict("Somebody else has changed the roll-out.", state=rollout.state.value)
    state = next_rollout(rollout.state, action)
    reason = reason.strip()
    if action is RolloutAction.ABORT and not reason:
        raise Invalid("Say why.", {"reason": "required"})
    if len(reason) > LONGEST_REASON:
        raise Invalid("The reason is too long.", {"reason": "too_long"})
    await _end(tx, rollout, state, reason, now)
    await _record(tx, actor, f"firmware.rollout_{state}", rollout.id, now)
    return await get_rollout(tx, rollout_id, actor)


async def _end(tx: Tx, rollout: Rollout, state: RolloutState, reason: str, now: datetime) -> None:
    if not await store.set_state(tx, rollout, state, reason, now):
        raise Conflict("Somebody else has changed the roll-out.", state=rollout.state.value)
    if state is RolloutState.ABORTED:
        await update_store.end_commands(tx, rollout.id, now)
        await update_store.withdraw_open(tx, rollout.id, now)
    await _publish(tx, rollout)


async def overview(
    tx: Tx, rollout_id: uuid.UUID, actor: Actor, state: str, after: int, limit: int
) -> tuple[Rollout, Progress, list[UpdateRow]]:
    """Return a roll-out, how far it is, and a part of its devices. Raises NotFound."""
    rollout = await get_rollout(tx, rollout_id, actor)
    rows = await store.updates(tx, rollout, actor.division, state, after, limit)
    return rollout, await store.progress(tx, rollout), rows


# What devices say


async def note_progress(tx: Tx, said: Iterable[tuple[int, UpdateProgress]], now: datetime) -> None:
    """Write down how far devices are; what is of no update of theirs changes nothing."""
    for device_no, progress in sorted(said, key=lambda each: (each[0], each[1].command_id)):
        try:
            command_id, event = uuid.UUID(progress.command_id), UpdateEvent(progress.state)
        except ValueError:
            continue
        found = await update_store.lock_update(tx, device_no, command_id)
        state = next_update(found[1], event) if found else None
        if found is None or state is None:
            continue
        await update_store.move_update(
            tx, found[0], device_no, state, percent=progress.percent,
            detail=progress.detail[:_LONGEST_DETAIL], now=now,
        )  # fmt: skip


async def open_download(tx: Tx, token: str, now: datetime) -> Download:
    """Use a link. Raises NotFound for one that never was, is too late, or was used."""
    found = await store.take_token(tx, token_hash(token), now, rules.TOKEN_USES)
    if found is None:
        raise NotFound("This link is not valid any more.")
    return found


async def download_done(tx: Tx, token: str, now: datetime) -> None:
    """End a link whose file was sent whole."""
    await store.token_done(tx, token_hash(token), now)


# What the job does


async def advance(tx: Tx, rollout_id: uuid.UUID, public_url: str, now: datetime) -> Verdict | None:
    """Take a roll-out one look further; None where it does not run or somebody else is at it."""
    rollout = await store.lock_running(tx, rollout_id)
    if rollout is None:
        return None
    await update_store.confirm_installed(tx, rollout, now)
    await update_store.fail_rolled_back(tx, rollout, now)
    await update_store.fail_refused(tx, rollout, now)
    await update_store.take_back(tx, rollout, now - rules.NO_ANSWER, now)
    await update_store.fail_silent(tx, rollout, now - rules.NO_ANSWER, now)
    progress = await store.progress(tx, rollout)
    verdict = rules.judge(rollout, progress, now)
    if verdict is Verdict.ABORT:
        await _end(tx, rollout, RolloutState.ABORTED, TOO_MANY_FAILURES, now)
        await _record(tx, SYSTEM, "firmware.rollout_aborted", rollout.id, now)
    elif verdict is Verdict.COMPLETE:
        await _end(tx, rollout, RolloutState.COMPLETED, "", now)
        await _record(tx, SYSTEM, "firmware.rollout_completed", rollout.id, now)
    elif verdict is Verdict.NEXT_STEP:
        await store.next_step(tx, rollout, now)
        await _publish(tx, rollout)
    elif progress.pending_online:
        await _offer(tx, rollout, rules.AT_ONCE - progress.open, public_url, now)
    return verdict


async def _offer(tx: Tx, rollout: Rollout, room: int, public_url: str, now: datetime) -> None:
    for target in await store.targets(tx, rollout, max(0, room)):
        token = new_token()
        expires_at = now + rules.TOKEN_LIFE
        args = {
            "url": f"{public_url}{PATH}/{token}",
            "sha256": rollout.sha256,
            "size": rollout.size,
            "version": rollout.package_version,
        }
        command = await commands.request(
            tx, target.no, CommandName.UPDATE, args, SYSTEM, now, expires_at
        )
        await store.offer(tx, rollout, target, command.id, token_hash(token), expires_at, now)
    await _publish(tx, rollout)


async def _record(
    tx: Tx, actor: Actor, action: str, subject: uuid.UUID, now: datetime, **detail: str
) -> None:
    await audit.record(
        tx, actor=actor, action=action, subject_type="firmware", subject_id=str(subject),
        division=actor.division, detail=detail, now=now,
    )  # fmt: skip


async def _publish(tx: Tx, rollout: Rollout) -> None:
    division = rollout.division.ljust(12, "0") if rollout.division else ""
    await publish(tx, "device.firmware", division=division, data={"id": str(rollout.id)})
