"""The way of a frame, from bytes to rows: the one module where the flow is read.

    decode → resolve → interpret → identity → time → plausibility → observe      (`prepare`)
    → alarms of the device itself, at once, each frame a transaction             (`store_alarms`)
    → dedup → readings → detection → alarms of rules → device → dead letters     (`store`)

`prepare` needs no transaction and changes nothing. A frame in which a device signals an alarm goes
two ways: its alarm is stored and reacted to at once by the express lane, the rest of it with the
next batch of the bulk lane, like everything else. Each of the two transactions has an exactly-once
mark of its own (the alarm's row, the message's row), so that a frame that is delivered again
completes whichever of them was missing. It is acknowledged after both.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import structlog

from devices.alarms import AlarmKind, ClearedCondition
from devices.commands import service as commands
from devices.messages import CommandAck, Flag, Message
from devices.registry.model import Address, DeviceContext
from ingest import metrics, presence, steps, store
from ingest.deadletters import store as deadletters
from ingest.detection import service as detection
from ingest.detection import store as detection_store
from ingest.detection.model import NO_WATCH, ElderWatch, Raise
from ingest.detection.movement import MovementTracker
from ingest.detection.service import Case, Finding
from ingest.detection.store import Movement
from ingest.raising import Cleared, Occasion, Raiser, React
from ingest.registry_cache import RegistryCache
from ingest.store import MessageKey
from ingest.telemetry.latest import LatestBuffer
from ingest.telemetry.store import copy_readings
from ingest.work import Delivery, Part, Work
from kernel.db import Database, Tx
from kernel.logs import describe

log = structlog.get_logger(__name__)

Step = Callable[[Part, Work], None]


class Pipeline:
    """Takes frames through the steps. One instance serves all lanes of a process."""

    def __init__(
        self, db: Database, registry: RegistryCache, react: React, cleared: Cleared
    ) -> None:
        self._db = db
        self._registry = registry
        self._raiser = Raiser(react, cleared)
        self._movements = MovementTracker()
        self.latest = LatestBuffer()
        self._steps: tuple[Step, ...] = (
            steps.interpret_states,
            steps.make_identity,
            steps.check_time,
            steps.take_readings,
            self._observe,
        )

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
        wanted = {address for work in works for address in _addresses(work)}
        devices = await self._registry.devices(wanted)
        elders = {device.elder_id for device in devices.values() if device.elder_id is not None}
        watches = await self._registry.watches(elders)
        for work in works:
            codec = work.delivery.codec
            if codec is None or work.decoded is None:
                continue
            refused: dict[str, tuple[str, str]] = {}
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
                    work.parts.append(_part(work, index, message, device, watch))
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
            for part in work.alarms:
                copies = part.identity.copies
                if copies is not None and await store.was_raised(tx, part.device.no, copies):
                    continue
                case = Case(part.device, part.watch, part.observation, part.urgent)
                for finding in await detection.signalled(tx, case, now):
                    await self._act(tx, finding, part, now)

    async def store(self, works: Sequence[Work], now: datetime) -> int:
        """Store a batch of frames in one transaction, all of it or nothing.

        Returns how many messages had not been stored before.
        """
        parts = [part for work in works for part in work.parts]
        async with self._db.transaction() as tx:
            fresh = await self._fresh(tx, parts)
            news = [part for part in parts if id(part) in fresh]
            rows = [row for part in news for row in part.rows]
            await copy_readings(tx, rows)
            await commands.settle(tx, _acks(news), now)
            await detection_store.note_movements(tx, _movements(news))
            cases = [
                Case(p.device, p.watch, p.observation, p.signals, bool(p.movement)) for p in news
            ]
            # From here on rows are locked that the express lane may want: it must be short.
            for finding in await detection.detect(tx, cases, now):
                part = news[finding.order]
                await self._act(tx, finding, part, now)
            await deadletters.keep(tx, [letter for work in works for letter in work.letters])
            await self._touch(tx, news, now)
        self.latest.note(rows)
        _count(works, parts, len(news), len(rows))
        return len(news)

    async def _fresh(self, tx: Tx, parts: Sequence[Part]) -> set[int]:
        """Which parts were never stored before, by `id`; the first of several copies counts."""
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

    async def _touch(self, tx: Tx, parts: Sequence[Part], now: datetime) -> None:
        """What the batch says of the devices; a device that speaks is no longer offline."""
        touches = presence.touches(parts, now)
        await store.touch_devices(tx, touches.values())
        alive = [no for no, touch in touches.items() if touch.seen_at is not None]
        for device in await detection_store.take_offline(tx, alive):
            condition = ClearedCondition(AlarmKind.DEVICE_OFFLINE, device.no, device.elder_id, now)
            await self._raiser.clear(tx, condition, now)


def _addresses(work: Work) -> Iterator[Address]:
    codec = work.delivery.codec
    if codec is None or work.decoded is None:
        return
    for message in work.decoded.messages:
        yield Address(codec.name, message.device)
        if message.via:
            yield Address(codec.name, message.via)


def _part(
    work: Work, index: int, message: Message, device: DeviceContext, watch: ElderWatch
) -> Part:
    frame = work.delivery.frame
    decoded = work.decoded
    several = decoded is not None and len(decoded.messages) > 1
    return Part(
        message=message,
        content=frame.payload + f"|{index}".encode() if several else frame.payload,
        device=device,
        watch=watch,
        received_at=work.delivery.arrival.received_at,
        retained=frame.retained,
        bridged=bool(frame.topic) and not frame.topic.startswith("silverline/"),
    )


def _acks(parts: Iterable[Part]) -> Iterator[tuple[int, CommandAck]]:
    for part in parts:
        if part.message.ack is not None:
            yield part.device.no, part.message.ack


def _movements(parts: Iterable[Part]) -> list[Movement]:
    return [
        Movement(part.device.elder_id, part.at, part.device.no, part.movement)
        for part in parts
        if part.movement and part.device.elder_id is not None
    ]


def _count(works: Sequence[Work], parts: Sequence[Part], stored: int, readings: int) -> None:
    metrics.MESSAGES.inc(stored)
    metrics.DUPLICATES.inc(len(parts) - stored)
    metrics.READINGS.inc(readings)
    metrics.BATCH.observe(max(1, len(parts)))
    for work in works:
        for letter in work.letters:
            metrics.DEAD_LETTERS.labels(letter.reason).inc()
