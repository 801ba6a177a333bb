"""Sending: the outbox handler, and the job that tries again what was not answered."""

import uuid
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from devices.codecs.silverline_v1 import encode_command
from devices.commands import rules, service, store
from devices.commands.model import Outgoing
from devices.commands.publisher import DownlinkError
from devices.commands.service import COMMAND_TOPIC
from devices.messages import CodecError
from devices.profiles import PROFILES
from kernel.clock import utcnow
from kernel.db import Database
from kernel.jobs import Job
from kernel.outbox import Handler, OutboxItem, PermanentFailure

log = structlog.get_logger(__name__)
_MOST_AT_ONCE = 500
_AGAIN = timedelta(seconds=5)


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
        model = PROFILES.get(command.profile)
        if model is not None and model.codec == "setracker":
            await _ask_listeners(db, command)
        else:
            await _publish(db, downlink, command)

    return {COMMAND_TOPIC: send}


async def _publish(db: Database, downlink: Downlink, command: Outgoing) -> None:
    try:
        frame = encode_command(
            command.device_id, str(command.id), command.name, dict(command.args),
            command.expires_at,
        )  # fmt: skip
    except CodecError as error:
        raise PermanentFailure(str(error)) from error
    sent_at: datetime | None = None
    try:
        await downlink.publish(frame.topic, frame.payload)
        sent_at = utcnow()
    except DownlinkError as error:
        # The row knows better than the outbox for how long it is worth trying.
        log.warning("commands.not_sent", command=str(command.id), error=str(error))
    await note_try(db, command, sent_at)


async def _ask_listeners(db: Database, command: Outgoing) -> None:
    """A watch is on the TCP connection of some ingest process; if of none, it is tried again."""
    async with db.transaction() as tx:
        due_at = utcnow() + _pause(command.tries)
        await store.tried(tx, command.id, sent_at=None, due_at=due_at)
        await store.wake_listeners(tx, command.id)


async def note_try(db: Database, command: Outgoing, sent_at: datetime | None) -> None:
    """Write down that a command left (`sent_at`), or that it did not."""
    async with db.transaction() as tx:
        due_at = utcnow() + _pause(command.tries)
        await store.tried(tx, command.id, sent_at=sent_at, due_at=due_at)


def _pause(tries: int) -> timedelta:
    """5, 10, 20 … seconds, at most a minute: a device that comes back must not wait long."""
    return min(rules.LONGEST_PAUSE, _AGAIN * 2.0 ** min(tries, 10))


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


JOBS = [Job("devices.resend_commands", resend, every_seconds=5)]
