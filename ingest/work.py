"""What goes through the pipeline: a frame as it came, and what the steps make of it."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from devices.codecs import codec_for_topic
from devices.messages import AlarmSignal, Codec, Decoded, Frame, Message
from devices.registry.model import DeviceContext
from ingest.deadletters.model import Draft
from ingest.detection.model import ElderWatch, Measured, Observation
from ingest.identity import Arrival, Identity
from ingest.telemetry.model import ReadingRow
from ingest.transports.mqtt_packets import DUP

Place = tuple[int, int]
"""Where a frame stands among all that this process has taken in: the rules judge in this order. The
second number is for frames that were read together."""
_places = itertools.count(1)


def next_place() -> Place:
    """A place behind everything that was taken in before."""
    return next(_places), 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One frame as a transport took it in.

    `codec` is None for a topic that nobody serves. `settled` is called once, on the event loop,
    when everything in the frame has been committed: the transport then acknowledges or answers.
    """

    frame: Frame
    transport: str
    codec: Codec | None
    arrival: Arrival
    settled: Callable[["Work"], None]
    place: Place = field(default_factory=next_place)

    @property
    def size(self) -> int:
        """About how much memory it takes until it is committed, decoded form included."""
        return 2_000 + 8 * len(self.frame.payload)


@dataclass(slots=True, eq=False)
class Sheaf:
    """Frames of vitals that were read together (`vitals.rules.belongs`), as columns.

    `settled` is called once, with the sheaf, when everything in all of them has been committed.
    """

    topics: Sequence[bytes]
    payloads: Sequence[bytes]
    packet_ids: Sequence[int]
    flags: Sequence[int]
    received_at: datetime
    settled: Callable[["Sheaf"], None]
    place: int = field(default_factory=lambda: next(_places))
    open_frames: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.open_frames = len(self.payloads)
        # About how much memory it takes until it is committed, columns included.
        self.size = 500 * len(self.payloads) + 4 * sum(map(len, self.payloads))

    def __len__(self) -> int:
        return len(self.payloads)

    def delivery(self, index: int) -> Delivery:
        """One of its frames by itself."""
        topic = topic_text(self.topics[index])
        return Delivery(
            frame=Frame(self.payloads[index], topic),
            transport="mqtt",
            codec=codec_for_topic(topic),
            arrival=Arrival(
                self.received_at, self.packet_ids[index], bool(self.flags[index] & DUP)
            ),
            settled=lambda _: self.committed(1),
            place=(self.place, index),
        )

    def committed(self, frames: int) -> None:
        """So many of its frames are done with; the last ones settle it."""
        self.open_frames -= frames
        if self.open_frames == 0:
            self.settled(self)


def topic_text(topic: bytes) -> str:
    """A topic as text, "" when it is none (3.1.1, 1.5.3)."""
    try:
        return topic.decode()
    except UnicodeDecodeError:
        return ""


@dataclass(slots=True)
class Part:
    """One message of a frame on its way; the steps of the pipeline fill it in from top to bottom.

    `content` is what makes a message without number or time another one than the next: its frame
    and its place there. `place` is that of the frame, and its own in it. `at` is the time at which
    it counts. `route` is by which codec and where a platform on MQTT keeps the device. `urgent` are
    the device's own alarms, which go ahead of everything else; `signals` what it says besides.
    """

    message: Message
    content: bytes
    device: DeviceContext
    watch: ElderWatch
    received_at: datetime
    place: tuple[int, int, int]
    retained: bool = False
    bridged: bool = False
    route: tuple[str, str] | None = None
    at: datetime = field(init=False)
    identity: Identity = field(init=False)
    observation: Observation = field(init=False)
    quality: int = 0
    measured: list[Measured] = field(default_factory=list)
    rows: list[ReadingRow] = field(default_factory=list)
    urgent: tuple[AlarmSignal, ...] = ()
    signals: tuple[AlarmSignal, ...] = ()
    movement: str = ""


@dataclass(slots=True)
class Work:
    """A frame on its way: its messages, and what of it cannot be used.

    `alarms` are the parts in which a device signals an alarm; they are stored on their own, also
    when the rest of the frame turns out to be useless.
    `open_parts` counts the transactions that must still be committed before it is settled.
    """

    delivery: Delivery
    decoded: Decoded | None = None
    parts: list[Part] = field(default_factory=list)
    alarms: list[Part] = field(default_factory=list)
    letters: list[Draft] = field(default_factory=list)
    open_parts: int = 1

    @property
    def urgent(self) -> bool:
        """Whether a device signals an alarm in it."""
        return bool(self.alarms)

    @property
    def weight(self) -> int:
        """Messages in it; at least 1, because a dead letter is work too."""
        return max(1, len(self.parts))

    def refuse(
        self, reason: str, detail: str, address: str = "", payload: bytes | None = None
    ) -> None:
        """Keep the frame, or the part of it that `payload` is, as a dead letter."""
        self.letters.append(self.letter(reason, detail, address, payload))

    def letter(
        self, reason: str, detail: str, address: str = "", payload: bytes | None = None
    ) -> Draft:
        """The dead letter that the frame would be."""
        frame = self.delivery.frame
        return Draft(
            received_at=self.delivery.arrival.received_at,
            transport=self.delivery.transport,
            codec=self.delivery.codec.name if self.delivery.codec else None,
            topic=frame.topic,
            address=address or (self.decoded.device if self.decoded else "") or frame.device,
            payload=frame.payload if payload is None else payload,
            reason=reason,
            detail=detail,
        )

    def committed(self) -> None:
        """One transaction of it was committed; the last one settles the frame."""
        self.open_parts -= 1
        if self.open_parts == 0:
            self.delivery.settled(self)
