"""Frames put into the pipeline by hand: in a batch, redelivered, at a chosen time."""

from datetime import datetime
from typing import Any

from devices.codecs import CODECS, codec_for_topic
from devices.messages import Frame
from ingest.identity import Arrival
from ingest.pipeline import Pipeline
from ingest.vitals.model import Columns
from ingest.work import Delivery, Sheaf, Work
from tests.ingest.home import body


class Feed:
    """Does with frames what the lanes do: alarms at once, then everything as one batch."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.settled: list[Work] = []
        self.sheaves: list[Sheaf] = []
        self._packet_id = 0

    def mqtt(
        self,
        topic: str,
        payload: bytes,
        received_at: datetime,
        *,
        packet_id: int | None = None,
        dup: bool = False,
        retained: bool = False,
    ) -> Delivery:
        if packet_id is None:
            self._packet_id += 1
            packet_id = self._packet_id
        return Delivery(
            Frame(payload, topic, retained=retained),
            "mqtt",
            codec_for_topic(topic),
            Arrival(received_at, packet_id, dup),
            self.settled.append,
        )

    def tcp(self, frame: bytes, received_at: datetime, codec: str = "setracker") -> Delivery:
        arrival = Arrival(received_at)
        return Delivery(Frame(frame), "tcp", CODECS[codec], arrival, self.settled.append)

    async def give(self, *deliveries: Delivery) -> int:
        """Take a batch through the pipeline at the time of its last frame; how many were new."""
        now = deliveries[-1].arrival.received_at
        works = await self.pipeline.prepare(deliveries)
        for work in works:
            if work.urgent:
                await self.pipeline.store_alarms(work, now)
                work.committed()
        stored = await self.pipeline.store(works, now)
        for work in works:
            work.committed()
        return stored

    def sheaf(self, received_at: datetime, *frames: tuple[str, bytes]) -> Sheaf:
        """Frames of vitals, (sender, payload), as if they had been read together."""
        return Sheaf(
            [f"silverline/v1/{sender}/vitals".encode() for sender, _ in frames],
            [payload for _, payload in frames],
            [0] * len(frames),
            [0] * len(frames),
            received_at,
            self.sheaves.append,
        )

    async def together(self, sheaf: Sheaf, *deliveries: Delivery) -> int:
        """Take a sheaf, and what came after it, through the pipeline as one batch."""
        now = sheaf.received_at
        columns, odd = await self.pipeline.take(sheaf)
        singles = [sheaf.delivery(index) for index in odd]
        works: list[Work | Columns] = list(await self.pipeline.prepare([*singles, *deliveries]))
        if columns is not None:
            works.append(columns)
        stored = await self.pipeline.store(works, now)
        for work in works:
            work.committed()
        return stored

    async def v1(self, device: str, kind: str, received_at: datetime, /, **fields: Any) -> int:
        """One v1 message of a device, received at a moment; `t` is that moment if not given."""
        fields.setdefault("t", received_at)
        fields = {name: value for name, value in fields.items() if value is not None}
        topic = f"silverline/v1/{device}/{kind}"
        return await self.give(self.mqtt(topic, body(**fields), received_at))
