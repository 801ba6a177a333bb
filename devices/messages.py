"""What a device said, in one shape, whatever the protocol: the output of every codec.

A codec is a pure function from bytes to `Decoded`. It never looks anything up: the registry
resolves `Message.device` (the protocol's own address: our device id, an IMEI, a friendly name),
and the device's profile turns `Message.states` into alarms where the meaning is the model's
(`devices/profiles`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from devices.alarms import AlarmKind
from devices.downlink import INTERVALS, CommandName, CommandRequest, Downlink

Scalar = str | int | float | bool
PLATFORM_SAYS = "downlink"
"""Kind of a message in which a platform tells what became of a command: the device itself has said
nothing, and may be away."""
NO_STATES: Mapping[str, Scalar] = MappingProxyType({})


class Flag(StrEnum):
    """Marks that travel with a message; none of them drops it."""

    LENGTH_MISMATCH = "length_mismatch"
    TIME_MISSING = "time_missing"
    TIME_IMPLAUSIBLE = "time_implausible"
    POSITION_INVALID = "position_invalid"
    REPLAYED = "replayed"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value. `metric` is a code of the metric catalogue; `value` is in its unit.

    `at` is the device's time of measurement in UTC, None when it is the message's own time.
    """

    metric: str
    value: float
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlarmSignal:
    """A device's own statement that something is wrong, or no longer is (`active=False`).

    `level` says that the message restates a standing condition (zigbee2mqtt repeats `smoke: true`
    in every report, a watch its status bits): only the change is an activation. False: this very
    message is the activation (a press), and each one rings.
    """

    kind: AlarmKind
    active: bool = True
    detail: str = ""
    level: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """A fix. WGS-84 degrees; `accuracy_m` and `altitude_m` (above the sea) in metres, None when
    the device does not say.
    """

    lat: float
    lon: float
    accuracy_m: float | None = None
    at: datetime | None = None
    valid: bool = True
    speed_kmh: float | None = None
    course_deg: float | None = None
    source: str = "gnss"
    altitude_m: float | None = None


@dataclass(frozen=True, slots=True)
class UpdateProgress:
    """How far a device is with the firmware of a command: `downloading`, `downloaded`, `failed`.

    `percent` of the file that it has, 0 to 100; `detail` is the reason of a failure.
    """

    command_id: str
    state: str
    percent: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """State of the device itself. `online` False comes from a last will or an orderly goodbye."""

    online: bool | None = None
    battery_percent: float | None = None
    firmware: str | None = None
    rssi_dbm: float | None = None
    charging: bool | None = None
    update: UpdateProgress | None = None


@dataclass(frozen=True, slots=True)
class CommandAck:
    """A device's answer to a command. `ok` False carries the device's own words in `detail`.

    Which command: the one with this id; where a protocol has numbers instead (`modulus` > 0), the
    open one whose `number_of` (devices/downlink.py) is `number`, and where it has none of both, the
    first open one of these `names`. `names` narrow the choice by number, too, and so does the
    `interval` that a device says it has now, in the seconds that this may have been written in:
    a command that wanted another one is not what it answers.

    `final` False is news of a command that is still under way: `detail` says what, nothing else
    changes.
    """

    command_id: str
    ok: bool
    detail: str = ""
    names: frozenset[CommandName] = frozenset()
    number: int = 0
    modulus: int = 0
    final: bool = True
    interval: range | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of one device, normalised.

    `seq` and `session` are the device's own numbering (None where the protocol has none); `at` is
    the device's time in UTC. Identity for exactly-once is made of them in `ingest/identity.py`.
    `states` are discrete states whose meaning a profile gives (`action`, `contact`, `smoke`, …).
    `via` is the address of the gateway that spoke for the device, empty when it spoke for itself:
    whether that gateway may speak for it is for the registry to say.
    `route` is where the platform that speaks for it keeps it, where commands have to name that.
    """

    device: str
    kind: str
    seq: int | None = None
    session: str | None = None
    at: datetime | None = None
    readings: tuple[Reading, ...] = ()
    alarms: tuple[AlarmSignal, ...] = ()
    position: Position | None = None
    status: DeviceStatus | None = None
    ack: CommandAck | None = None
    states: Mapping[str, Scalar] = field(default_factory=lambda: NO_STATES)
    flags: frozenset[Flag] = frozenset()
    via: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """A part of a frame that cannot be used while the rest can: a dead letter of its own.

    `payload` is a whole frame again (a batch of one), so that it can be replayed under its topic.
    """

    payload: bytes
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an installation says that it has, to be adopted as a device or not.

    `gateway` is the installation's address, `key` names the announcement within it (a later one
    with the same key replaces it), `device` the thing that it belongs to. `entity` is what the
    codec needs to read its messages later; None takes the announcement back.
    """

    gateway: str
    key: str
    device: str
    name: str = ""
    manufacturer: str = ""
    model: str = ""
    entity: Mapping[str, Scalar] | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """Result of one frame: the messages in it, what must be answered, and what was odd about it.

    `device` is the sender's address, given even where there is no message (a login, a keep-alive),
    so that a byte stream knows whose connection it is. `utc_offset` is the zone that a login says
    its later times are in, in minutes east of UTC. `rejects` are to be kept as dead letters,
    `proposals` noted for who takes devices in.
    """

    messages: tuple[Message, ...] = ()
    replies: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()
    device: str = ""
    rejects: tuple[Reject, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    utc_offset: int | None = None


class CodecError(ValueError):
    """The frame cannot be decoded. `reason` is a stable code, the text a sentence for a person."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Frame:
    """What a transport received: `topic` for MQTT, empty for a byte stream; `payload` is one frame.

    `retained` is MQTT's flag of an old message that a new subscriber gets: a press in it is not a
    press of now. `device` is the address that an earlier frame of the same connection gave
    (`Decoded.device`), for protocols where only the login carries it; so is `utc_offset`, in
    minutes. `received_at` is the time of arrival (UTC), which some watches want to be told in the
    answer to their login.
    """

    payload: bytes
    topic: str = ""
    retained: bool = False
    device: str = ""
    received_at: datetime | None = None
    utc_offset: int = 0


Decoder = Callable[[Frame], Decoded]
Encoder = Callable[[CommandRequest], Downlink]


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as the registry lists it.

    `topics` are MQTT filters that it serves; `express` says that its frames are few and may carry
    alarms, so that each is a transaction of its own (the alarm lane). `split` cuts a TCP byte
    stream into frames: it takes the buffer and returns (frames, rest).

    `commands` are those that the protocol has a form for; `encode` writes one down. It raises
    CodecError (reason: one of `downlink.UNSAYABLE`) for what cannot be said to the device, and
    NotNow for what cannot be said yet. `through_gateway` says that it reaches devices behind a
    gateway or platform, too. `down_topics` are the MQTT filters that its commands are published
    under. `keeps` says that a platform takes commands over and delivers them itself: what the
    broker has taken is never sent again, or the device would carry it out as often. `intervals` are
    the seconds that `set_interval` can say.
    """

    name: str
    title: str
    decode: Decoder
    topics: tuple[str, ...] = ()
    express_topics: tuple[str, ...] = ()
    split: Callable[[bytes], tuple[list[bytes], bytes]] | None = None
    commands: frozenset[CommandName] = frozenset()
    encode: Encoder | None = None
    through_gateway: bool = False
    down_topics: tuple[str, ...] = ()
    keeps: bool = False
    intervals: range = INTERVALS
