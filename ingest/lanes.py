"""The lanes: how frames come from the transports to the pipeline, bounded and in order.

Most frames come one by one (`Delivery` → `Work`); vitals of our own protocol come in sheaves and
are taken in columns as far as they are plain (`Sheaf` → `Columns` and the `Work` of the rest).

A `Lane` is one transport's share: what it has taken in and not yet committed is counted, and a full
lane stops reading. All lanes share one `BulkWriter`, which writes batches, and the `AlarmDesk`,
whose workers store each alarm in a transaction of its own, in the order of each device.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from devices.messages import Codec, Frame
from ingest import metrics
from ingest.deadletters import store as deadletters
from ingest.identity import Arrival
from ingest.persisting import until_kept, until_stored
from ingest.pipeline import Pipeline
from ingest.settings import IngestSettings
from ingest.turns import OvertakenError, Turn
from ingest.vitals.model import Columns
from ingest.work import Delivery, Sheaf, Work
from kernel.clock import monotonic, utcnow
from kernel.db import Database
from kernel.logs import describe

log = structlog.get_logger(__name__)
CHUNK = 64
"""Frames that are decoded before the event loop gets its turn: 64 take a few milliseconds."""
_ALARM_ATTEMPTS = 3
_AT_A_TIME = 2
"""Batches that are written at the same time: while one waits for the disk, the other is copied."""


class BulkWriter:
    """Gathers frames into batches and writes each in a transaction, judged one after the other."""

    def __init__(self, pipeline: Pipeline, settings: IngestSettings) -> None:
        self._pipeline = pipeline
        self._batch = settings.batch_messages
        self._flush = settings.flush_ms / 1000
        self._quiet = settings.quiet_ms / 1000
        self._waiting: deque[Work | Columns] = deque()
        self._weight = 0
        self._arrived = asyncio.Event()

    def put(self, work: Work | Columns) -> None:
        """Add a frame, or several in columns, to the next batch."""
        self._waiting.append(work)
        self._weight += work.weight
        self._arrived.set()

    async def run(self) -> None:
        """Write batches until cancelled, two at the same time where there is so much."""
        before: Turn | None = None
        room = asyncio.Semaphore(_AT_A_TIME)
        async with asyncio.TaskGroup() as group:
            while True:
                await room.acquire()
                await self._gather()
                turn = before = Turn(before)
                task = group.create_task(self._finish(self._take(), turn))
                task.add_done_callback(lambda _: room.release())

    async def _finish(self, works: Sequence[Work | Columns], turn: Turn) -> None:
        await self._store(works, turn)
        turn.settle()
        for index, work in enumerate(works):
            if not (isinstance(work, Columns) and work.unfolded):
                work.committed()
            if index % 500 == 499:
                await asyncio.sleep(0)

    async def _gather(self) -> None:
        """Wait for the first frame, then for a full batch, for the time to be up, or for quiet."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        until = monotonic() + self._flush
        while self._weight < self._batch and (left := until - monotonic()) > 0:
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(left, self._quiet)):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _take(self) -> list[Work | Columns]:
        works: list[Work | Columns] = []
        weight = 0
        while self._waiting and (not works or weight + self._waiting[0].weight <= self._batch):
            works.append(self._waiting.popleft())
            weight += works[-1].weight
        self._weight -= weight
        return works

    async def _write(self, works: Sequence[Work | Columns], turn: Turn) -> None:
        try:
            await self._pipeline.store(works, utcnow(), turn)
        except OvertakenError:
            turn.fails()
            await turn.is_first()
            await self._write(works, turn)
        except BaseException:
            turn.fails()
            raise

    async def _store(self, works: Sequence[Work | Columns], turn: Turn) -> None:
        """Write a batch; if its data is refused, its halves, down to the frame that is at fault."""
        try:
            await until_stored(self._write, works, turn)
        except Exception as found:  # noqa: BLE001 - logged below, for a batch or for the frame
            error = found
        else:
            return
        if len(works) == 1:
            await self._store_singly(works[0], error, turn)
            return
        log.warning("ingest.batch_refused", frames=len(works), error=type(error).__name__)
        middle = len(works) // 2
        await self._store(works[:middle], turn)
        await self._store(works[middle:], turn)

    async def _store_singly(self, work: Work | Columns, error: Exception, turn: Turn) -> None:
        if isinstance(work, Work):
            await self._give_up(work, error, turn)
            return
        # One of its messages is at fault: they go on as frames of their own.
        frames = await until_stored(self._pipeline.unfold, work)
        await self._store(frames, turn)
        for frame in frames:
            frame.committed()

    async def _give_up(self, work: Work, error: Exception, turn: Turn) -> None:
        log.exception("ingest.frame_refused", exc_info=error)
        self._pipeline.give_up(work, error)
        await until_kept(self._write, [work], turn)


class AlarmDesk:
    """Workers that store alarms at once; those of one device keep their order."""

    def __init__(self, db: Database, pipeline: Pipeline, workers: int) -> None:
        self._db = db
        self._pipeline = pipeline
        self._queues: list[asyncio.Queue[Work]] = [asyncio.Queue() for _ in range(workers)]

    def put(self, work: Work) -> None:
        """Have the alarms of a frame stored."""
        sender = work.decoded.device if work.decoded else ""
        self._queues[hash(sender) % len(self._queues)].put_nowait(work)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for queue in self._queues:
                group.create_task(self._work(queue))

    async def _write(self, work: Work) -> None:
        await self._pipeline.store_alarms(work, utcnow())

    async def _work(self, queue: asyncio.Queue[Work]) -> None:
        while True:
            work = await queue.get()
            await self._store(work)
            received = work.delivery.arrival.received_at
            metrics.COMMIT_SECONDS.labels("alarm").observe((utcnow() - received).total_seconds())
            work.committed()

    async def _store(self, work: Work) -> None:
        # Two alarms of one elder at the same moment can get into each other's way in a reaction;
        # the second try finds what the first one of them has left.
        for attempt in range(1, _ALARM_ATTEMPTS + 1):
            try:
                await until_stored(self._write, work)
            except Exception as error:
                log.exception("ingest.alarm_failed", attempt=attempt)
                if attempt == _ALARM_ATTEMPTS:
                    await self._give_up(work, error)
                await asyncio.sleep(0.05 * attempt)
            else:
                return

    async def _give_up(self, work: Work, error: Exception) -> None:
        """An alarm that cannot be stored is the loudest of all faults: kept, to be replayed."""
        log.critical("ingest.alarm_refused", error=type(error).__name__)
        letter = work.letter("processing_failed", describe(error))

        async def keep() -> None:
            async with self._db.transaction() as tx:
                await deadletters.keep(tx, [letter])

        await until_kept(keep)
        metrics.DEAD_LETTERS.labels(letter.reason).inc()


class Lane:
    """What one transport has taken in and is not yet committed: `frames` of `taken` in all."""

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        bulk: BulkWriter,
        alarms: AlarmDesk,
        settings: IngestSettings,
    ) -> None:
        self.name = name
        self._pipeline = pipeline
        self._bulk = bulk
        self._alarms = alarms
        self._max_frames = settings.queue_frames
        self._max_bytes = settings.queue_bytes
        self._arrivals: deque[Delivery | Sheaf] = deque()
        self._arrived = asyncio.Event()
        self.frames = 0
        self.taken = 0
        self._bytes = 0
        self._wake: list[Callable[[], None]] = []
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def full(self) -> bool:
        """Whether nothing more may be taken in until something is committed."""
        return self.frames >= self._max_frames or self._bytes >= self._max_bytes

    @property
    def room(self) -> int:
        """How many frames may still be taken in."""
        return 0 if self.full else self._max_frames - self.frames

    async def drained(self) -> None:
        """Wait until everything that was taken in is committed."""
        await self._idle.wait()

    def on_room(self, wake: Callable[[], None]) -> None:
        """Have `wake` called once, when a full lane has room again (a quarter of it)."""
        self._wake.append(wake)

    def offer(self, delivery: Delivery) -> None:
        """Take in a frame. The transport must not offer more while the lane is full."""
        self._take_in(delivery, 1)

    async def store(self, frame: Frame, codec: Codec, arrival: Arrival, *, transport: str) -> Work:
        """Take in a frame, as `offer` does, and wait until everything in it is committed."""
        stored: asyncio.Future[Work] = asyncio.get_running_loop().create_future()
        delivery: Delivery

        def settled(work: Work) -> None:
            self.settled(delivery)
            if not stored.done():
                stored.set_result(work)

        delivery = Delivery(frame, transport, codec, arrival, settled)
        self.offer(delivery)
        return await stored

    def offer_sheaf(self, sheaf: Sheaf) -> None:
        """Take in frames that were read together, not more than there is room for."""
        self._take_in(sheaf, len(sheaf))

    def _take_in(self, arrival: Delivery | Sheaf, frames: int) -> None:
        self.frames += frames
        self.taken += frames
        self._bytes += arrival.size
        self._idle.clear()
        self._note()
        self._arrivals.append(arrival)
        self._arrived.set()

    def settled(self, delivery: Delivery) -> None:
        """A frame is committed: called by the transport from `Delivery.settled`."""
        self._let_go(1, delivery.size, delivery.arrival.received_at)

    def settled_sheaf(self, sheaf: Sheaf) -> None:
        """All of a sheaf is committed: called by the transport from `Sheaf.settled`."""
        self._let_go(len(sheaf), sheaf.size, sheaf.received_at)

    def _let_go(self, frames: int, size: int, received_at: datetime) -> None:
        self.frames -= frames
        self._bytes -= size
        self._note()
        seconds = (utcnow() - received_at).total_seconds()
        metrics.COMMIT_SECONDS.labels(self.name).observe(seconds)
        if self.frames == 0:
            self._idle.set()
        roomy = self.frames <= self._max_frames * 3 // 4 and self._bytes <= self._max_bytes * 3 // 4
        if self._wake and roomy:
            wakes, self._wake = self._wake, []
            for wake in wakes:
                wake()

    def _note(self) -> None:
        metrics.QUEUE.labels(self.name).set(self.frames)
        metrics.QUEUE_BYTES.labels(self.name).set(self._bytes)

    async def run(self) -> None:
        """Decode what comes in and pass it on, until cancelled."""
        while True:
            while not self._arrivals:
                self._arrived.clear()
                await self._arrived.wait()
            for work in await self._next():
                if isinstance(work, Work) and work.urgent:
                    self._alarms.put(work)
                self._bulk.put(work)
            await asyncio.sleep(0)

    async def _next(self) -> Sequence[Work | Columns]:
        """Decode the next sheaf, or the single frames up to the next one."""
        first = self._arrivals.popleft()
        if isinstance(first, Sheaf):
            return await self._take_sheaf(first)
        chunk = [first]
        while self._arrivals and len(chunk) < CHUNK:
            following = self._arrivals[0]
            if isinstance(following, Sheaf):
                break
            chunk.append(following)
            self._arrivals.popleft()
        return await self._prepare(chunk)

    async def _take_sheaf(self, sheaf: Sheaf) -> Sequence[Work | Columns]:
        try:
            columns, odd = await until_stored(self._pipeline.take, sheaf)
        except Exception:
            log.exception("ingest.sheaf_refused", frames=len(sheaf))
            columns, odd = None, range(len(sheaf))
        works: list[Work | Columns] = [] if columns is None else [columns]
        for start in range(0, len(odd), CHUNK):
            chunk = [sheaf.delivery(index) for index in odd[start : start + CHUNK]]
            works.extend(await self._prepare(chunk))
        return works

    async def _prepare(self, chunk: Sequence[Delivery]) -> list[Work]:
        try:
            return await until_stored(self._pipeline.prepare, chunk)
        except Exception as error:
            if len(chunk) > 1:
                return [work for each in chunk for work in await self._prepare([each])]
            log.exception("ingest.frame_refused")
            work = Work(chunk[0])
            self._pipeline.give_up(work, error)
            return [work]
