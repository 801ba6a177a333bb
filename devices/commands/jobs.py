"""Sending: the outbox handler, the job that tries again, and the one that forgets what is over."""

import uuid
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from devices.commands import rules, service, store
from devices.commands.model import Outgoing
from devices.commands.publisher import DownlinkError
from devices.commands.service import COMMAND_TOPIC
from devices.downlink import HANDED_OVER, NotNow
from devices.messages import Codec, CodecError, Encoder
from kernel.clock import utcnow
from kernel.db import Database, Tx
from kernel.jobs import Job
from kernel.outbox import Handler, OutboxItem

log = structlog.get_logger(__name__)
KEEP = timedelta(days=180)
"""For so long a settled command is kept, if nobody says otherwise. The audit log has who asked."""
_MOST_AT_ONCE = 500
_CHUNK = 5_000
_AGAIN = timedelta(seconds=5)
# Connecting and publishing have ten seconds each (publisher.py), encoding and notes next to none.
_IN_FLIGHT = timedelta(seconds=30)


class Downlink(Protocol):
    """The way to devices on MQTT."""

    async def publish(self, topic: str, payload: bytes) -> None:
        """Return when the broker has it. Raises DownlinkError."""
        ...


def outbox_handlers(db: Database, downlink: Downlink) -> dict[str, Handler]:
    """Return the handler that sends a command."""

    async def send(item: OutboxItem) -> None:
        async with db.connection() as conn:
            command = await store.outgoing(conn, uuid.UUID(item.payload["command_id"]), utcnow())
        if command is None:
            # Answered, too late, or the device is out of service.
            return
        codec = rules.codec_of(command)
        if codec is None or codec.encode is None:
            # A model that a newer server takes commands for, or an older one did.
            log.warning("commands.no_form", command=str(command.id), profile=command.profile)
            async with db.transaction() as tx:
                await count_try(tx, command)
        elif codec.split is not None:
            await _ask_listeners(db, command)
        else:
            await _publish(db, downlink, codec, codec.encode, command)

    return {COMMAND_TOPIC: send}


async def _publish(
    db: Database, downlink: Downlink, codec: Codec, encode: Encoder, command: Outgoing
) -> None:
    address = command.addresses(codec.name)[0]
    # Counted first, as whoever answers may be faster than our note that the command left; and by
    # nobody else as long as the broker may take.
    async with db.transaction() as tx:
        await store.tried(tx, command.id, utcnow() + _IN_FLIGHT)
    try:
        frame = encode(rules.asked(command, address, utcnow()))
        await downlink.publish(frame.topic, frame.payload)
    except CodecError as error:
        log.warning("commands.cannot_be_said", command=str(command.id), error=str(error))
        async with db.transaction() as tx:
            await service.give_up(tx, command, error.reason, utcnow())
        return
    except (DownlinkError, NotNow) as error:
        # The row knows better than the outbox for how long it is worth trying.
        log.warning("commands.not_sent", command=str(command.id), error=str(error))
        async with db.transaction() as tx:
            await store.put_off(tx, command.id, _next_try(command))
        return
    async with db.transaction() as tx:
        await note_left(tx, command, utcnow(), keeps=codec.keeps)


async def _ask_listeners(db: Database, command: Outgoing) -> None:
    """A watch is on the TCP connection of some ingest process; if of none, it is tried again."""
    async with db.transaction() as tx:
        await count_try(tx, command)
        await store.wake_listeners(tx, command.id)


async def count_try(tx: Tx, command: Outgoing) -> None:
    """Write down that a command is tried now, and when again if that comes to nothing."""
    await store.tried(tx, command.id, _next_try(command))


async def note_left(tx: Tx, command: Outgoing, at: datetime, *, keeps: bool) -> None:
    """Write down that a command has left; what a platform `keeps` must not be sent again."""
    if keeps:
        await store.note(tx, command.id, HANDED_OVER, first=True)
    await store.left(tx, command.id, at)
    due_at = command.expires_at if keeps else _next_try(command)
    await store.put_off(tx, command.id, due_at)


def _next_try(command: Outgoing) -> datetime:
    """In 5, 10, 20 … seconds, at most a minute: a device that comes back must not wait long."""
    return utcnow() + min(rules.LONGEST_PAUSE, _AGAIN * 2.0 ** min(command.tries, 10))


async def resend(db: Database, now: datetime) -> None:
    """End what is too late, and try again what has no answer and whose device is there."""
    async with db.transaction() as tx:
        await store.expire(tx, now)
        due = await store.take_due(
            tx,
            now=now,
            heard_since=now - rules.HEARD,
            longest_pause=rules.LONGEST_PAUSE,
            limit=_MOST_AT_ONCE,
        )
        for each in due:
            await service.send_soon(tx, each.id, each.tries)


async def forget(db: Database, now: datetime, keep: timedelta = KEEP) -> None:
    """Forget commands that were settled longer ago than they are kept; open ones stay."""
    while True:
        async with db.transaction() as tx:
            if await store.forget(tx, now - keep, _CHUNK) < _CHUNK:
                return


def jobs(keep: timedelta = KEEP) -> list[Job]:
    """Return the jobs of commands; `keep` is for how long a settled one is kept."""

    async def forget_old(db: Database, now: datetime) -> None:
        await forget(db, now, keep)

    return [
        Job("devices.resend_commands", resend, every_seconds=5),
        Job("devices.forget_commands", forget_old, every_seconds=3600),
    ]
