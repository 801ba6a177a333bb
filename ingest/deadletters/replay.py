"""Takes a dead letter through the pipeline once more. Doing it twice stores nothing twice."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import structlog

from devices.codecs import CODECS, codec_for_topic
from devices.messages import Codec, Frame
from ingest.deadletters import store
from ingest.deadletters.model import DeadLetter
from ingest.identity import Arrival
from ingest.persisting import is_transient
from ingest.pipeline import Pipeline
from ingest.work import Delivery, Work
from kernel.clock import utcnow
from kernel.db import TRANSIENT_ERRORS, Database
from kernel.logs import describe
from kernel.outbox import Handler, OutboxItem

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What came of it: messages in the frame, how many of them were new, why it is still dead."""

    messages: int
    stored: int
    reason: str = ""
    detail: str = ""

    @property
    def note(self) -> str:
        """One line for the dead letter's page."""
        counts = f"{self.stored} of {self.messages} messages stored"
        return f"{counts}; {self.reason}: {self.detail}" if self.reason else counts


async def replay(
    db: Database, pipeline: Pipeline, letter_id: uuid.UUID, now: datetime
) -> ReplayResult | None:
    """Replay an open dead letter; None when there is none, or it was settled in the meantime.

    The frame counts as received when it first was, and its alarms ring: nobody has answered them.
    Raises what the database raises when it is away.
    """
    async with db.connection() as conn:
        letter = await store.get(conn, letter_id)
    if letter is None or letter.status not in {"open", "requested"} or not letter.complete:
        return None
    work = (await pipeline.prepare([_delivery(letter)]))[0]
    refused, work.letters = work.letters, []
    stored = 0
    reason, detail = (refused[0].reason, refused[0].detail) if refused else ("", "")
    messages = len(work.parts)
    try:
        if work.urgent:
            await pipeline.store_alarms(work, now)
        if work.parts:
            stored = await pipeline.store([work], now)
    except Exception as error:
        if is_transient(error):
            raise
        reason, detail = "processing_failed", describe(error)
    result = ReplayResult(messages, stored, reason, detail)
    async with db.transaction() as tx:
        if reason:
            await store.mark_still_dead(tx, letter_id, reason, result.note)
        else:
            await store.mark_replayed(tx, letter_id, result.note, now)
    await _note_latest(db, pipeline)
    return result


async def _note_latest(db: Database, pipeline: Pipeline) -> None:
    """Write the newest values: the worker has no ingest beside it that would."""
    try:
        await pipeline.latest.flush(db)
    except TRANSIENT_ERRORS as error:
        # They stay in memory and go with the next replay.
        log.warning("replay.latest_not_written", error=type(error).__name__)


def _delivery(letter: DeadLetter) -> Delivery:
    codec: Codec | None
    if letter.transport == "mqtt":
        codec = codec_for_topic(letter.topic)
    else:
        codec = CODECS.get(letter.codec or "")
    # The letter's own number in place of the packet identifier: every replay of it is the same.
    packet_id = letter.id.int & 0xFFFF or 1
    return Delivery(
        frame=Frame(bytes(letter.payload), letter.topic, device=letter.address),
        transport=letter.transport,
        codec=codec,
        arrival=Arrival(letter.received_at, packet_id, redelivered=True),
        settled=_nobody_waits,
    )


def _nobody_waits(_: Work) -> None:
    """A replay acknowledges nothing."""


def replay_handler(db: Database, pipeline: Pipeline) -> Handler:
    """The outbox handler of `service.REPLAY_TOPIC`."""

    async def handle(item: OutboxItem) -> None:
        await replay(db, pipeline, uuid.UUID(item.payload["id"]), utcnow())

    return handle
