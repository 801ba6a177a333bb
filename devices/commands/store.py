"""SQL of commands to devices."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from devices.commands.model import (
    CHANNEL,
    MOVED_ON,
    PERSONAL,
    SUPERSEDED,
    Command,
    CommandName,
    CommandState,
    Due,
    Outgoing,
)
from kernel.db import Tx, execute, fetch_all, fetch_one

_LOCK = 0x51_1F_C0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that is not settled yet."""

    id: uuid.UUID
    args: Mapping[str, Any]
    state: CommandState

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", CommandState(self.state))


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A command that left, and what it asked for."""

    id: uuid.UUID
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """A command and its state, with its row locked."""

    id: uuid.UUID
    state: str


async def one_at_a_time(tx: Tx, device_no: int) -> None:
    """Let nobody else request anything of the device until the end of the transaction.

    Not the device's row: ingest locks commands before devices.
    """
    await tx.execute("SELECT pg_advisory_xact_lock(%s, %s::int)", (_LOCK, device_no % 2**31))


async def insert(
    tx: Tx,
    command_id: uuid.UUID,
    device_no: int,
    name: CommandName,
    args: Mapping[str, Any],
    *,
    created_by: uuid.UUID | None,
    now: datetime,
    expires_at: datetime,
    due_at: datetime,
) -> None:
    """Queue a command."""
    await execute(
        tx,
        "INSERT INTO device_command"
        " (id, device_no, name, args, created_at, created_by, expires_at, due_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            command_id, device_no, name.value, Jsonb(dict(args)), now, created_by, expires_at,
            due_at,
        ),
    )  # fmt: skip


# Command c has lost its device d: that is no more, or was another elder's when it was asked.
# Found out here and not written by the registry, which locks devices before commands. The bindings
# have no index by device: they are asked only of one that changed since (`state_at`).
_MOVED_ON: LiteralString = (
    "(d.state = 'retired' OR c.name = ANY(%(personal)s) AND coalesce(d.state_at, 'infinity')"
    " >= c.created_at AND EXISTS (SELECT FROM device_binding b WHERE b.device_no = c.device_no"
    " AND b.bound_at <= c.created_at"
    " AND coalesce(b.unbound_at, 'infinity') > c.created_at"
    " AND b.elder_id IS DISTINCT FROM d.elder_id))"
)
_PERSONAL = [name.value for name in PERSONAL]
_WAITING: LiteralString = (
    "SELECT c.id, c.args, c.state FROM device_command c JOIN device d ON d.no = c.device_no"
    " WHERE c.device_no = %(no)s AND c.name = %(name)s AND c.state IN ('queued', 'sent')"
    " AND c.expires_at > %(now)s AND NOT "
)


async def waiting(tx: Tx, device_no: int, name: CommandName, now: datetime) -> list[Waiting]:
    """Return the commands of the name that the device may still answer, oldest first."""
    order: LiteralString = " ORDER BY c.created_at, c.id"
    values = {"no": device_no, "name": name.value, "now": now, "personal": _PERSONAL}
    return await fetch_all(tx, Waiting, _WAITING + _MOVED_ON + order, values)


_COLUMNS: LiteralString = (
    "SELECT c.id, c.name, c.args, c.state, c.created_at, u.display_name AS created_by,"
    " c.expires_at, c.sent_at, c.settled_at, c.tries, c.detail"
    " FROM device_command c LEFT JOIN user_account u ON u.id = c.created_by"
)


async def get(tx: Tx, command_id: uuid.UUID) -> Command | None:
    """Return a command."""
    return await fetch_one(tx, Command, _COLUMNS + " WHERE c.id = %s", (command_id,))


async def recent(tx: Tx, device_no: int, limit: int) -> list[Command]:
    """Return the device's last commands, newest first."""
    return await fetch_all(
        tx,
        Command,
        _COLUMNS + " WHERE c.device_no = %s ORDER BY c.created_at DESC, c.id DESC LIMIT %s",
        (device_no, limit),
    )


_OUTGOING: LiteralString = (
    "SELECT c.id, c.device_no, d.id AS device_id, d.profile, g.id AS gateway_id,"
    " g.profile AS gateway_profile, c.name, c.args, c.expires_at, c.tries,"
    " coalesce((SELECT jsonb_object_agg(a.codec, a.addresses) FROM (SELECT codec,"
    "  array_agg(address ORDER BY address) AS addresses FROM device_alias"
    "  WHERE device_no = d.no GROUP BY codec) a), '{}') AS aliases,"
    " r.codec AS route_codec, r.route"
    " FROM device_command c JOIN device d ON d.no = c.device_no"
    " LEFT JOIN device g ON g.no = d.gateway_no"
    " LEFT JOIN device_route r ON r.device_no = d.no"
    " WHERE c.id = %(id)s AND c.state IN ('queued', 'sent') AND c.expires_at > %(now)s AND NOT "
)


async def outgoing(tx: Tx, command_id: uuid.UUID, now: datetime) -> Outgoing | None:
    """Return a command that may still be sent: open, in time, to a device that is still meant."""
    values = {"id": command_id, "now": now, "personal": _PERSONAL}
    return await fetch_one(tx, Outgoing, _OUTGOING + _MOVED_ON, values)


async def tried(tx: Tx, command_id: uuid.UUID, due_at: datetime) -> None:
    """Count a try, and note when the next one is due."""
    await execute(
        tx,
        "UPDATE device_command SET tries = tries + 1, due_at = %s"
        " WHERE id = %s AND state IN ('queued', 'sent')",
        (due_at, command_id),
    )


async def left(tx: Tx, command_id: uuid.UUID, at: datetime) -> None:
    """Note that a command whose try was counted before has left; it may be answered already."""
    await execute(
        tx,
        "UPDATE device_command SET sent_at = %s,"
        " state = CASE state WHEN 'queued' THEN 'sent' ELSE state END"
        " WHERE id = %s AND (state IN ('queued', 'sent') OR sent_at IS NULL)",
        (at, command_id),
    )


async def put_off(tx: Tx, command_id: uuid.UUID, due_at: datetime) -> None:
    """Say when the next try of an open command is due."""
    await execute(
        tx,
        "UPDATE device_command SET due_at = %s WHERE id = %s AND state IN ('queued', 'sent')",
        (due_at, command_id),
    )


async def wake_listeners(tx: Tx, command_id: uuid.UUID) -> None:
    """Tell whoever holds connections of watches, when this commits."""
    await tx.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(command_id)))


async def standing(tx: Tx, command_id: uuid.UUID, device_no: int) -> Standing | None:
    """Return the state of a command of the device, its row locked."""
    return await fetch_one(
        tx,
        Standing,
        "SELECT id, state FROM device_command WHERE id = %s AND device_no = %s FOR UPDATE",
        (command_id, device_no),
    )


async def unanswered(
    tx: Tx, device_no: int, names: Collection[CommandName], now: datetime, *, ok: bool
) -> list[Unanswered]:
    """Return the commands of these names that left and are not answered, oldest first.

    A setting that was superseded on its way is among them for who says yes (`ok`): else its answer
    would be taken for that of the newer one, which the device perhaps never gets.

    A device may answer before it is written down that the command left, never before its try is.
    """
    return await fetch_all(
        tx,
        Unanswered,
        "SELECT id, args FROM device_command WHERE device_no = %s AND name = ANY(%s)"
        " AND (state = 'sent' OR state = 'queued' AND tries > 0"
        "  OR %s AND state = 'expired' AND detail = %s AND sent_at IS NOT NULL AND expires_at > %s)"
        " ORDER BY created_at, id",
        (device_no, [name.value for name in names], ok, SUPERSEDED, now),
    )


async def settle(
    tx: Tx, command_id: uuid.UUID, state: CommandState, detail: str, now: datetime
) -> None:
    """Write how a command ended."""
    await execute(
        tx,
        "UPDATE device_command SET state = %s, detail = %s, settled_at = %s WHERE id = %s",
        (state.value, detail, now, command_id),
    )


async def supersede(tx: Tx, command_id: uuid.UUID, now: datetime) -> None:
    """End a setting because a newer one came, unless it is answered at this moment."""
    await execute(
        tx,
        "UPDATE device_command SET state = 'expired', detail = %s, settled_at = %s"
        " WHERE id = %s AND state IN ('queued', 'sent')",
        (SUPERSEDED, now, command_id),
    )


async def note(tx: Tx, command_id: uuid.UUID, detail: str, *, first: bool = False) -> None:
    """Write what is heard of a command that is still under way; `first` only if nothing was yet."""
    await execute(
        tx,
        "UPDATE device_command SET detail = %s WHERE id = %s AND state IN ('queued', 'sent')"
        " AND (detail = '' OR NOT %s)",
        (detail, command_id, first),
    )


_ENDED: LiteralString = (
    "SELECT c.id FROM device_command c JOIN device d ON d.no = c.device_no"
    " WHERE c.state IN ('queued', 'sent') AND (c.expires_at <= %(now)s OR "
)
_EXPIRE: LiteralString = (
    "UPDATE device_command SET state = 'expired', settled_at = %(now)s,"
    " detail = CASE WHEN expires_at <= %(now)s THEN detail ELSE %(moved_on)s END WHERE id IN ("
)


async def expire(tx: Tx, now: datetime) -> int:
    """End what is too late or has lost its device, and return how many.

    What an answer is just settling is left.
    """
    ended: LiteralString = _ENDED + _MOVED_ON + ") FOR UPDATE OF c SKIP LOCKED"
    values = {"now": now, "moved_on": MOVED_ON, "personal": _PERSONAL}
    return await execute(tx, _EXPIRE + ended + ")", values)


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete commands settled before a moment, at most `limit`; returns how many.

    Not one by which an open update of firmware is still known.
    """
    return await execute(
        tx,
        "DELETE FROM device_command WHERE id IN (SELECT c.id FROM device_command c"
        " WHERE c.settled_at < %s AND NOT EXISTS (SELECT FROM firmware_update u"
        " WHERE u.command_id = c.id AND u.settled_at IS NULL)"
        " ORDER BY c.settled_at LIMIT %s FOR UPDATE OF c SKIP LOCKED)",
        (before, limit),
    )


async def take_due(
    tx: Tx, *, now: datetime, heard_since: datetime, longest_pause: timedelta, limit: int
) -> list[Due]:
    """Return commands to be tried now and put off their next try, longer after each.

    What never left is tried some times whatever is known of the device; then, and what did leave,
    once the device is there.
    """
    return await fetch_all(
        tx,
        Due,
        """
        WITH due AS (
            SELECT c.id FROM device_command c JOIN device d ON d.no = c.device_no
            WHERE c.state IN ('queued', 'sent') AND c.due_at <= %(now)s AND c.expires_at > %(now)s
              AND (c.state = 'queued' AND c.tries < 5
                   OR (d.online IS NOT FALSE AND d.last_seen_at >= %(heard)s))
            ORDER BY c.created_at LIMIT %(limit)s FOR UPDATE OF c SKIP LOCKED
        )
        UPDATE device_command c
        SET due_at = %(now)s + least(%(longest)s, interval '5 seconds' * 2 ^ least(c.tries, 10))
        FROM due WHERE c.id = due.id RETURNING c.id, c.tries
        """,
        {"now": now, "heard": heard_since, "longest": longest_pause, "limit": limit},
    )
