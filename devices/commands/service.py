"""Use cases of commands: ask a device for something, hear its answer, look what became of it."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from devices.commands import rules, store
from devices.commands.machine import CommandEvent, next_state
from devices.commands.model import Command, CommandName, CommandState, Outgoing
from devices.downlink import UNSAYABLE
from devices.messages import CommandAck
from devices.registry import guard
from kernel.auth.model import Actor
from kernel.db import Tx
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from kernel.ids import new_id
from kernel.outbox import enqueue

COMMAND_TOPIC = "device.command"
NOT_SAID = "not_said."
"""Before the code of why a command could not be said; other details are the device's words."""
_LONGEST_DETAIL = 200


async def request(
    tx: Tx,
    device_no: int,
    name: str,
    args: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    expires_at: datetime | None = None,
) -> Command:
    """Ask a device for something; it is sent, and sent again, until it is answered or too late.

    The same thing asked twice is one command: the one that waits is returned (`rules.is_the_same`).
    Without `expires_at` the name says how long it makes sense. Raises NotFound, Forbidden, Conflict
    (a device that takes no such command) and Invalid (name: unknown; expires_at: range; fields of
    the arguments).
    """
    device = await guard.mine(tx, device_no, actor)
    wanted = _name(name)
    if not rules.may_request(actor, wanted):
        raise Forbidden(f"This person may not ask a device to {wanted}.")
    if wanted not in rules.available(device):
        raise Conflict(f"Device {device.id} does not take {wanted}.", device_id=device.id)
    expires = expires_at or now + rules.lifetime(wanted)
    fields = rules.wrong_args(device, wanted, args)
    if not now < expires <= now + rules.LONGEST_LIFE:
        fields["expires_at"] = "range"
    if fields:
        raise Invalid("The command cannot be given like this.", fields)
    await store.one_at_a_time(tx, device_no)
    for other in await store.waiting(tx, device_no, wanted, now):
        if dict(other.args) == dict(args) and rules.is_the_same(device, wanted, other.state):
            return await get(tx, other.id)
        if rules.replaces(wanted, args, other.args):
            await store.supersede(tx, other.id, now)
    command_id = new_id()
    await store.insert(
        tx, command_id, device_no, wanted, args,
        created_by=actor.user_id, now=now, expires_at=expires, due_at=now + rules.FIRST_TRY,
    )  # fmt: skip
    await send_soon(tx, command_id, 0)
    await guard.record(
        tx, actor, "device.command_requested", device.id, device.division_code, now,
        command=wanted.value, command_id=str(command_id),
    )  # fmt: skip
    return await get(tx, command_id)


def _name(name: str) -> CommandName:
    try:
        return CommandName(name)
    except ValueError as error:
        raise Invalid("There is no such command.", {"name": "unknown"}) from error


async def get(tx: Tx, command_id: uuid.UUID) -> Command:
    """Return a command. Raises NotFound."""
    found = await store.get(tx, command_id)
    if found is None:
        raise NotFound("There is no such command.", command_id=str(command_id))
    return found


async def recent(tx: Tx, device_no: int, limit: int = 6) -> list[Command]:
    """Return what was last asked of the device, newest first."""
    return await store.recent(tx, device_no, limit)


async def send_soon(tx: Tx, command_id: uuid.UUID, tries: int) -> None:
    """Put the next try into the outbox; the same try is never there twice."""
    await enqueue(tx, COMMAND_TOPIC, {"command_id": str(command_id)}, key=f"{command_id}:{tries}")


async def settle(tx: Tx, acks: Iterable[tuple[int, CommandAck]], now: datetime) -> None:
    """Write devices' answers to their commands; `acks` are pairs of device number and answer.

    An answer to no command of the device, or to one that is settled, changes nothing.
    """
    ordered = sorted(acks, key=lambda each: (each[0], each[1].command_id, each[1].number))
    for device_no, ack in ordered:
        found = await _answered(tx, device_no, ack, now)
        if found is None:
            continue
        if not ack.final:
            await store.note(tx, found.id, ack.detail[:_LONGEST_DETAIL])
            continue
        event = CommandEvent.ACCEPT if ack.ok else CommandEvent.REFUSE
        state = next_state(CommandState(found.state), event)
        if state is not None:
            await store.settle(tx, found.id, state, ack.detail[:_LONGEST_DETAIL], now)


async def give_up(tx: Tx, command: Outgoing, reason: str, now: datetime) -> None:
    """End a command that cannot be said to the device; `reason` is that of the encoder."""
    detail = NOT_SAID + (reason if reason in UNSAYABLE else "bad_value")
    found = await store.standing(tx, command.id, command.device_no)
    state = found and next_state(CommandState(found.state), CommandEvent.REFUSE)
    if found and state:
        await store.settle(tx, found.id, state, detail, now)


async def _answered(
    tx: Tx, device_no: int, ack: CommandAck, now: datetime
) -> store.Standing | None:
    if ack.modulus or ack.names:
        names = ack.names or frozenset(CommandName)
        open_ones = await store.unanswered(tx, device_no, names, now, ok=ack.ok)
        meant = rules.answered(ack, {each.id: each.args for each in open_ones})
        return None if meant is None else await store.standing(tx, meant, device_no)
    try:
        command_id = uuid.UUID(ack.command_id)
    except ValueError:
        return None
    return await store.standing(tx, command_id, device_no)
