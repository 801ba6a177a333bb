"""The way of a frame, from bytes to rows: the one module where the flow is read.

    decode → resolve → interpret → identity → time → plausibility → observe      (`prepare`)
    → alarms of the device itself, at once, each frame a transaction             (`store_alarms`)
    → dedup → readings → detection → alarms of rules → device → dead letters     (`store`)

The commonest frame of all, vitals of our own protocol, is taken hundreds at a time in columns
(`take`, ingest/vitals, ADR 0013). It comes to the same rows; a message that a rule has to look at
is taken out of its column (`_lift`) and goes through the steps like any other.

`prepare` needs no transaction and changes nothing. A frame in which a device signals an alarm goes
two ways: its alarm is stored and reacted to at once by the express lane, the rest of it with the
next batch of the bulk lane, like everything else. Each of the two transactions has an exactly-once
mark of its own (the alarm's row, the message's row), so that a frame that is delivered again
completes whichever of them was missing. It is acknowledged after both.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import structlog
from psycopg.errors import UniqueViolation

from devices.alarms import AlarmKind, ClearedCondition
from devices.commands import service as commands
from devices.discovery import service as discovery
from devices.firmware import service as firmware
from devices.messages import Flag, Message, Proposal
from devices.registry.model import Address, DeviceContext
from ingest import metrics, presence, said, steps, store
from ingest.deadletters import store as deadletters
from ingest.detection import service as detection
from ingest.detection import store as detection_store
from ingest.detection.model import NO_WATCH, ElderWatch, Raise
from ingest.detection.movement import MovementTracker
from ingest.detection.service import Case, Finding
from ingest.raising import Cleared, Occasion, Raiser, React
from ingest.registry_cache import RegistryCache
from ingest.store import MessageKey, Touch
from ingest.telemetry.latest import LatestBuffer
from ingest.telemetry.store import append_columns, append_readings, enter
from ingest.turns import Turn
from ingest.vitals import service as vitals
from ingest.vitals.model import Columns, Speaker, micros
from ingest.vitals.rules import CODEC, Reader
from ingest.vitals.service import Fresh
from ingest.work import Delivery, Part, Sheaf, Work
from kernel.db import Database, Tx
from kernel.logs import describe

log = structlog.get_logger(__name__)

Step = Callable[[Part, Work], None]
_DOUBTS = 10
"""Batches that are stored with care after one in which a message came again."""


class Pipeline:
    """Takes frames through the steps. One instance serves all lanes of a process."""

    def __init__(
        self, db: Database, registry: RegistryCache, react: React, cleared: Cleared
    ) -> None:
        self._db = db
        self._registry = registry
        self._raiser = Raiser(react, cleared)
        self._movements = MovementTracker()
        self._reader = Reader(registry.speakers, self._movements)
        self._doubts = 0
        self.latest = LatestBuffer()
        self._steps: tuple[Step, ...] = (
            steps.interpret_states,
            steps.make_identity,
            steps.check_time,
            steps.take_readings,
            self._observe,
        )

    async def take(self, sheaf: Sheaf) -> tuple[Columns | None, Sequence[int]]:
        """Take vitals in columns; also returns which of the frames must be prepared singly.

        Raises what the database raises when a device must be looked up and it is away.
        """
        with metrics.cpu("decode"):
            found = self._reader.read(sheaf, self._registry.oldest)
        # A gateway is found first, those behind it in the second round.
        for _ in range(2):
            if not found.unknown or not await self._registry.introduce(found.unknown):
                break
            with metrics.cpu("decode"):
                found = self._reader.read(sheaf, self._registry.oldest)
        columns = found.columns
        if columns is not None:
            with metrics.cpu("decode"):
                self._reader.note_movements(columns)
            metrics.FRAMES.labels("mqtt", CODEC).inc(columns.frames)
            metrics.IMPLAUSIBLE.inc(int((columns.quality != 0).sum()))
            oldest = micros(sheaf.received_at) - int(columns.time.min())
            metrics.LATENESS_SECONDS.observe(max(0.0, oldest / 1e6))
        return columns, found.odd

    async def unfold(self, columns: Columns) -> list[Work]:
        """Take what is in columns as frames of their own, because not all of it can be stored.

        Raises what the database raises when a device must be looked up and it is away.
        """
        sheaf = columns.sheaf
        works = await self.prepare([sheaf.delivery(index) for index in sorted(set(columns.frame))])
        columns.unfolded = True
        return works

    async def prepare(self, deliveries: Sequence[Delivery]) -> list[Work]:
        """Take frames through the steps before the database.

        Raises what the database raises when a device must be looked up and it is away.
        """
        works = [steps.decode(delivery) for delivery in deliveries]
        await self._resolve(works)
        for work in works:
            self._take(work)
        return works

    async def _resolve(self, works: Sequence[Work]) -> None:
        """Addresses → devices; every message becomes a part, or a dead letter of its frame."""
        wanted = {address for work in works for address in said.addresses(work)}
        devices = await self._registry.devices(wanted)
        elders = {device.elder_id for device in devices.values() if device.elder_id is not None}
        watches = await self._registry.watches(elders)
        for work in works:
            codec = work.delivery.codec
            if codec is None or work.decoded is None:
                continue
            refused: dict[str, tuple[str, str]] = {}
            several = len(work.decoded.messages) > 1
            for index, message in enumerate(work.decoded.messages):
                device = devices.get(Address(codec.name, message.device))
                gateway = devices.get(Address(codec.name, message.via)) if message.via else None
                if device is None:
                    text = f"{message.device} is not in the registry"
                    refused[message.device] = ("unknown_device", text)
                elif reason := steps.refusal(device, gateway, work, message.via):
                    refused[message.device] = reason
                else:
                    watch = watches[device.elder_id] if device.elder_id else NO_WATCH
                    part = _part(work.delivery, several, index, message, device, watch)
                    work.parts.append(part)
            for address, (reason_code, text) in refused.items():
                work.refuse(reason_code, text, address)

    def _take(self, work: Work) -> None:
        try:
            for part in work.parts:
                for step in self._steps:
                    step(part, work)
        # A fault of ours in one message must not stop the stream: the frame is kept and can be
        # replayed when the fault is mended.
        except Exception as error:
            log.exception("ingest.step_failed", topic=work.delivery.frame.topic[:100])
            self.give_up(work, error)
        work.alarms = [part for part in work.parts if part.urgent]
        work.open_parts = 2 if work.urgent else 1

    def give_up(self, work: Work, error: Exception) -> None:
        """Make a whole frame a dead letter; of its messages only alarms are still stored."""
        work.parts.clear()
        work.letters.clear()
        work.refuse("processing_failed", describe(error))

    def _observe(self, part: Part, _: Work) -> None:
        steps.observe(part, self._movements)

    async def store_alarms(self, work: Work, now: datetime) -> None:
        """Store and react to what devices themselves signal in a frame: one transaction."""
        async with self._db.transaction() as tx:
            await store.one_at_a_time(tx, _repeated(work.alarms))
            for part in work.alarms:
                copies = part.identity.copies
                if copies is not None and await store.was_raised(tx, part.device.no, copies):
                    continue
                case = Case(
                    part.device, part.watch, part.observation, part.urgent, test=said.is_test(part)
                )
                for finding in await detection.signalled(tx, case, now):
                    await self._act(tx, finding, part, now)

    async def store(
        self, works: Sequence[Work | Columns], now: datetime, turn: Turn | None = None
    ) -> int:
        """Store a batch of frames in one transaction, all of it or nothing.

        Returns how many messages had not been stored before. It is judged when its `turn` has come.
        """
        turn = turn or Turn()
        if self._doubts <= 0:
            try:
                return await self._store(works, now, turn, careful=False)
            except UniqueViolation:
                if turn.begun:
                    raise
                self._doubts = _DOUBTS
        self._doubts -= 1
        return await self._store(works, now, turn, careful=True)

    async def _store(
        self, works: Sequence[Work | Columns], now: datetime, turn: Turn, *, careful: bool
    ) -> int:
        frames = [work for work in works if isinstance(work, Work)]
        columns = [work for work in works if isinstance(work, Columns)]
        parts = [part for work in frames for part in work.parts]
        async with self._db.transaction() as tx:
            await turn.begins()
            late_before = await enter(tx)
            fresh = await self._fresh(tx, parts)
            news = [part for part in parts if id(part) in fresh]
            taken = await vitals.mark(tx, columns, careful=careful)
            turn.has_begun()
            rows = [row for part in news for row in part.rows]
            await append_readings(tx, rows, late_before)
            readings = vitals.readings(taken)
            await append_columns(tx, readings, late_before)
            await turn.comes()
            await _answers(tx, news, now)
            await store.note_routes(tx, said.routes(news))
            await detection_store.note_movements(
                tx, [*said.movements(news), *vitals.movements(taken)]
            )
            judged = await self._with_lifted(tx, news, taken)
            # From here on rows are locked that the express lane may want: it must be short.
            for finding in await detection.detect(tx, [said.case(part) for part in judged], now):
                part = judged[finding.order]
                await self._act(tx, finding, part, now)
            await deadletters.keep(tx, [letter for work in frames for letter in work.letters])
            await discovery.note(tx, _proposals(frames), now)
            heard = vitals.heard(taken, now)
            await self._touch(tx, judged, heard, now)
        self.latest.note(rows)
        self.latest.note_columns(readings)
        self._note_heard(heard, judged)
        stored = len(news) + len(taken)
        _count(frames, len(parts) + sum(each.weight for each in columns), stored)
        metrics.READINGS.inc(len(rows) + len(readings))
        return stored

    async def _with_lifted(self, tx: Tx, news: Sequence[Part], taken: Fresh) -> Sequence[Part]:
        """The messages that the rules see, in the order in which they came."""
        others = [
            subject
            for part in news
            if said.concerns_vitals(part)
            for subject in said.subjects(part)
        ]
        wanted = await vitals.to_judge(tx, taken, others)
        lifted = [self._lift(*each) for each in wanted]
        return sorted([*news, *lifted], key=said.place) if lifted else news

    def _lift(self, columns: Columns, index: int) -> Part:
        """Take a message out of its column, through the steps."""
        frame, speaker = columns.frame[index], columns.speakers[index]
        work = steps.decode(columns.sheaf.delivery(frame))
        if work.decoded is None:
            raise RuntimeError("what is in columns was decoded before")
        messages = work.decoded.messages
        place = index - columns.frame.index(frame)
        part = _part(
            work.delivery, len(messages) > 1, place, messages[place], speaker.device, speaker.watch
        )
        for step in self._steps[:-1]:
            step(part, work)
        # The tracker has seen it before.
        steps.observe(part, MovementTracker(0))
        part.movement = columns.moved.get(index, "")
        return part

    def _note_heard(self, heard: Sequence[tuple[Speaker, datetime]], parts: Sequence[Part]) -> None:
        """Remember after the commit what of the devices' presence has been written."""
        for speaker, at in heard:
            speaker.touched = micros(at)
        for part in parts:
            gone = self._registry.speakers.get(part.message.device)
            if gone is not None and said.has_gone(part):
                # Its next word is to be written at once.
                gone.touched = 0

    async def _fresh(self, tx: Tx, parts: Sequence[Part]) -> set[int]:
        """Which parts were never stored before, by `id`; the first of several copies counts."""
        await store.one_at_a_time(tx, _repeated(parts))
        again = [part for part in parts if part.identity.copies is not None]
        wanted = [(p.device.no, p.identity.copies) for p in again if p.identity.copies is not None]
        known = {id(again[place]) for place in await store.stored_before(tx, wanted)}
        first: dict[MessageKey, Part] = {}
        for part in parts:
            if id(part) not in known:
                first.setdefault((part.device.no, part.identity.key), part)
        marks = {key: part.received_at for key, part in first.items()}
        stored = await store.insert_identities(tx, marks)
        return {id(part) for key, part in first.items() if key in stored}

    async def _act(self, tx: Tx, finding: Finding, part: Part, now: datetime) -> None:
        """Do what a finding asks for."""
        event = finding.event
        if not isinstance(event, Raise):
            condition = ClearedCondition(event.kind, part.device.no, part.device.elder_id, part.at)
            await self._raiser.clear(tx, condition, now)
            return
        message, position = part.message, part.observation.position
        occasion = Occasion(
            device=part.device,
            watch=part.watch,
            received_at=part.received_at,
            device_time=message.at,
            identity=part.identity.key,
            seq=message.seq,
            position=position,
            position_at=(position.at or part.at) if position else None,
            test=Flag.TEST in message.flags,
            replayed=Flag.REPLAYED in message.flags,
        )
        await self._raiser.raise_alarm(tx, event, occasion, by_device=finding.by_device, now=now)

    async def _touch(
        self,
        tx: Tx,
        parts: Sequence[Part],
        heard: Sequence[tuple[Speaker, datetime]],
        now: datetime,
    ) -> None:
        """What the batch says of the devices; a device that speaks is no longer offline."""
        touches = presence.touches(parts, now)
        for speaker, at in heard:
            touches.setdefault(speaker.no, Touch(speaker.no, seen_at=at, online=True))
        await store.touch_devices(tx, touches.values())
        alive = [no for no, touch in touches.items() if touch.seen_at is not None]
        for device in await detection_store.take_offline(tx, alive):
            condition = ClearedCondition(AlarmKind.DEVICE_OFFLINE, device.no, device.elder_id, now)
            await self._raiser.clear(tx, condition, now)


def _repeated(parts: Iterable[Part]) -> Iterator[int]:
    """Devices of whose messages some may be repetitions that only a search can tell."""
    return (part.device.no for part in parts if part.identity.copies is not None)


def _part(
    delivery: Delivery,
    several: bool,
    index: int,
    message: Message,
    device: DeviceContext,
    watch: ElderWatch,
) -> Part:
    frame = delivery.frame
    return Part(
        message=message,
        content=frame.payload + f"|{index}".encode() if several else frame.payload,
        device=device,
        watch=watch,
        received_at=delivery.arrival.received_at,
        place=(*delivery.place, index),
        retained=frame.retained,
        bridged=bool(frame.topic) and not frame.topic.startswith("silverline/"),
        route=_route(delivery, message),
    )


def _route(delivery: Delivery, message: Message) -> tuple[str, str] | None:
    """Where commands to the device go, if it was heard by the way on which they are sent."""
    if delivery.codec is None or delivery.transport != "mqtt" or not message.route:
        return None
    return delivery.codec.name, message.route


def _proposals(works: Iterable[Work]) -> Iterator[Proposal]:
    """What installations announced in these frames."""
    return (each for work in works if work.decoded for each in work.decoded.proposals)


async def _answers(tx: Tx, news: Sequence[Part], now: datetime) -> None:
    """What devices say to what was asked of them: commands, and firmware among them."""
    await commands.settle(tx, said.acks(news), now)
    await firmware.note_progress(tx, said.updates(news), now)


def _count(works: Sequence[Work], messages: int, stored: int) -> None:
    metrics.MESSAGES.inc(stored)
    metrics.DUPLICATES.inc(messages - stored)
    metrics.BATCH.observe(max(1, messages))
    for work in works:
        for letter in work.letters:
            metrics.DEAD_LETTERS.labels(letter.reason).inc()
