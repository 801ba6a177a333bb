"""Takes a push through the pipeline and says what came of it, after the commit.

The same pipeline as for MQTT: alarms first, in a transaction of their own, then the rest. There are
no batches here: each push is committed before it is answered, and a platform that wants speed sends
several messages in one push.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from devices.codecs import CODECS
from devices.messages import Codec, CodecError, Decoded, Frame
from ingest.identity import Arrival
from ingest.persisting import until_stored
from ingest.pipeline import Pipeline
from ingest.push.adapters import ADAPTERS
from ingest.push.model import Outcome, Push, Refusal, Source
from ingest.repeats import arrival_of
from ingest.work import Delivery, Part, Work
from kernel.db import TRANSIENT_ERRORS, Database
from kernel.errors import Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PushSettings:
    """Bounds of one web process.

    `largest_body` in bytes; `rate` requests a second and `burst` at once for each source;
    `at_once` are stored at the same time, `waiting` may wait for that; a push that is not stored
    within `patience` seconds is told to come again.
    """

    largest_body: int = 256 * 1024
    rate: float = 50.0
    burst: float = 200.0
    at_once: int = 3
    waiting: int = 200
    patience: float = 8.0


class PushDesk:
    """One for each web process. `settings` are for the routes as well."""

    def __init__(self, db: Database, pipeline: Pipeline, settings: PushSettings) -> None:
        self.settings = settings
        self._db = db
        self._pipeline = pipeline
        self._turns = asyncio.Semaphore(settings.at_once)
        self._waiting = 0

    async def take(
        self, source: Source, push: Push, now: datetime, *, error: CodecError | None = None
    ) -> Outcome:
        """Store what a source pushed; with `error` only keep it aside. Returns after the commit.

        Raises Unavailable when there is too much to do, or the database does not answer.
        """
        if self._waiting >= self.settings.waiting:
            raise Unavailable("Too many pushes are waiting; please send it again.", retry_after=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.patience), self._turns:
                return await self._store(source, _delivery(source, push, now, error), now)
        except TimeoutError as late:
            text = "It could not be stored in time; please send it again."
            raise Unavailable(text, retry_after=5) from late
        finally:
            self._waiting -= 1

    async def _store(self, source: Source, delivery: Delivery, now: datetime) -> Outcome:
        [work] = await until_stored(self._pipeline.prepare, [delivery])
        _keep_to_division(work, source)
        messages = len(work.parts)
        stored = 0
        try:
            if work.urgent:
                await until_stored(self._pipeline.store_alarms, work, now)
            stored = await until_stored(self._pipeline.store, [work], now)
        # Kept, to be replayed when the fault is mended; the sender is told that it is ours.
        except Exception as fault:
            log.exception("push.frame_refused", codec=source.codec)
            self._pipeline.give_up(work, fault)
            await until_stored(self._pipeline.store, [work], now)
            messages = 0
        await self._note_latest()
        return Outcome(
            stored=stored,
            known=messages - stored,
            decoded=work.decoded is not None,
            refused=tuple(Refusal(each.reason, each.detail, each.address) for each in work.letters),
            replies=work.decoded.replies if work.decoded else (),
        )

    async def _note_latest(self) -> None:
        try:
            await self._pipeline.latest.flush(self._db)
        except TRANSIENT_ERRORS as error:
            # It stays in memory and goes with the next push.
            log.warning("push.latest_not_written", error=type(error).__name__)


def _delivery(source: Source, push: Push, now: datetime, error: CodecError | None) -> Delivery:
    codec = CODECS[source.codec]
    frame = Frame(push.body)
    if error is None:
        try:
            frame = ADAPTERS[source.codec](push)
        except CodecError as found:
            error = found
    if error is not None:
        codec = _refusing(codec, error)
    return Delivery(
        frame=replace(frame, received_at=now),
        transport="http",
        codec=codec,
        arrival=_arrival(push, source, now),
        settled=_nobody_waits,
    )


def _refusing(codec: Codec, error: CodecError) -> Codec:
    """A codec of the same name that keeps the frame aside for a reason found before decoding."""

    def refuse(_: Frame) -> Decoded:
        raise error

    return Codec(codec.name, codec.title, refuse)


def _arrival(push: Push, source: Source, now: datetime) -> Arrival:
    """A repetition is known by its number or time; without those by what its sender says it is.

    SCAIP has a reference in every request; others may send `Idempotency-Key`. It counts together
    with the content, for a minute (ingest/identity.py).
    """
    key = push.headers.get("idempotency-key", "").encode()
    if source.codec == "scaip":
        key = push.body
    if not key:
        return Arrival(now)
    return arrival_of(now, key)


def _keep_to_division(work: Work, source: Source) -> None:
    """A source speaks for the devices of its division only, whatever their names are."""
    outside: dict[int, Part] = {
        id(part): part
        for part in work.parts
        if not part.device.division_code.startswith(source.division)
    }
    if not outside:
        return
    work.parts = [part for part in work.parts if id(part) not in outside]
    work.alarms = [part for part in work.alarms if id(part) not in outside]
    for address in dict.fromkeys(part.message.device for part in outside.values()):
        text = f"{address} lies outside of the division of source {source.name}"
        work.refuse("outside_division", text, address)


def _nobody_waits(_: Work) -> None:
    """The request waits for the transaction itself."""
