"""From frames to columns, and which messages a rule has to look at. Pure but for the tracker.

Narrow on purpose: whatever is not plainly a message of vitals as protocol v1 knows it (one more
field, a flag, a clock that is ahead, a device of which something is special) is left to the
ordinary way, which refuses or takes it as it always does. What is taken here must come to the same
rows and the same alarms: tests/ingest/vitals holds both ways against each other.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np

from devices.codecs import silverline_v1
from devices.codecs.fields import MAX_PAYLOAD
from devices.metrics import METRICS
from devices.profiles import PROFILES
from devices.registry.model import DeviceContext, DeviceState
from ingest.detection import rules
from ingest.detection.defaults import VITALS
from ingest.detection.model import Limits
from ingest.detection.movement import MovementTracker
from ingest.identity import COMMON, salt_of
from ingest.steps import FUTURE, PAST
from ingest.telemetry.model import Quality
from ingest.transports.mqtt_packets import RETAINED
from ingest.vitals.model import Columns, Floats, Ints, Mask, Shorts, Speaker, micros
from ingest.work import Sheaf

T = TypeVar("T")
_MICRO = timedelta(microseconds=1)
_MOST_SESSIONS = 10_000
_LATE = timedelta(minutes=5) // _MICRO
"""A message that is later than this may say that its device's clock is slow."""

Window = tuple[int, int, int]
"""Device times that can be right, first and last (ms), and when the sheaf was received (µs)."""
CODEC = silverline_v1.CODEC.name
PREFIX, SUFFIX = b"silverline/v1/", b"/vitals"
_HEAD, _TAIL = len(PREFIX), len(SUFFIX)

# Readings that say how a home is, not how a body is: their rules need the whole message.
_Metric = Literal[
    "heart_rate", "spo2", "bp_systolic", "bp_diastolic", "body_temperature", "respiratory_rate",
    "glucose", "weight", "steps", "battery", "ambient_temperature", "humidity", "illuminance",
    "linkquality", "roll_count", "signal",
]  # fmt: skip
_COUNTED_NUMBERS = [METRICS[code].id for code in ("steps", "roll_count")]
_NUMBER = {code: metric.id for code, metric in METRICS.items()}
_CODE = {metric.id: code for code, metric in METRICS.items()}


class _Vitals(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One message, of its own or in a batch; numbers and times within what an identity holds."""

    seq: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    t: Annotated[int, msgspec.Meta(ge=0, lt=2**48)]
    vitals: Annotated[dict[_Metric, float], msgspec.Meta(min_length=1)]
    sid: str | None = None
    replayed: bool | None = None
    test: bool | None = None
    device: str | None = None


class _Gateway(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    batch: Annotated[list[_Vitals], msgspec.Meta(min_length=1, max_length=silverline_v1.MAX_BATCH)]


_one = msgspec.json.Decoder(_Vitals)
_many = msgspec.json.Decoder(_Gateway)
_BATCH = b'{"batch":'


def _table(default: float) -> Floats:
    """A value for each metric number."""
    return np.full(max(_CODE) + 1, default, dtype=np.float64)


_LEAST, _MOST = _table(-np.inf), _table(np.inf)
for _metric in METRICS.values():
    _LEAST[_metric.id], _MOST[_metric.id] = _metric.plausible_min, _metric.plausible_max


def band(limits: Limits) -> tuple[float, float]:
    """Values strictly between these two are inside of all limits."""
    lows = [each for each in (limits.low_critical, limits.low_major) if each is not None]
    highs = [each for each in (limits.high_critical, limits.high_major) if each is not None]
    return max(lows, default=-np.inf), min(highs, default=np.inf)


_UNDER, _OVER = _table(-np.inf), _table(np.inf)
for _rule in VITALS.values():
    _UNDER[_NUMBER[_rule.metric]], _OVER[_NUMBER[_rule.metric]] = band(_rule.limits)


def belongs(topic: bytes, flags: int) -> bool:
    """Whether a frame may be taken in columns: vitals of our protocol, and not a retained one."""
    return topic[-_TAIL:] == SUFFIX and topic[:_HEAD] == PREFIX and not flags & RETAINED


def plain_from(device: DeviceContext) -> float:
    """From when on (microseconds since 1970) a device's vitals mean what they say.

    After its test; never, if it is out of service or its model has rules of its own.
    """
    profile = PROFILES.get(device.profile)
    if device.state is DeviceState.RETIRED or (profile is not None and profile.alarms):
        return math.inf
    until = device.modes.test_until
    return 0.0 if until is None else micros(until)


@dataclass(slots=True)
class Found:
    """What reading a sheaf comes to.

    `odd` are frames for the ordinary way, `unknown` the addresses in them that are not known.
    """

    columns: Columns | None
    odd: list[int]
    unknown: set[str]


@dataclass(slots=True)
class _Growing:
    """The columns while they are read."""

    speakers: list[Speaker] = field(default_factory=list)
    gateways: dict[int, Speaker] = field(default_factory=dict)
    frame: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    salt: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, index: int, speaker: Speaker, said: _Vitals, salt: int) -> None:
        self.speakers.append(speaker)
        self.frame.append(index)
        self.time.append(said.t)
        self.seq.append(said.seq)
        self.salt.append(salt)
        vitals = said.vitals
        self.count.append(len(vitals))
        self.codes.extend(vitals)
        self.values.extend(vitals.values())


class Reader:
    """Reads sheaves. `speakers` are the devices that are known, by address; it only looks."""

    def __init__(self, speakers: Mapping[str, Speaker], movements: MovementTracker) -> None:
        self._speakers = speakers
        self._movements = movements
        self._salts: dict[str | None, int] = {None: salt_of("vitals", None, COMMON)}

    def read(self, sheaf: Sheaf, oldest: float) -> Found:
        """Take what is plain; what is known of a device from before `oldest` (s) is out of date."""
        growing = _Growing()
        odd: list[int] = []
        unknown: set[str] = set()
        received = micros(sheaf.received_at)
        oldest_t, newest_t = received - PAST // _MICRO, received + FUTURE // _MICRO
        window = oldest_t // 1000 + 1, newest_t // 1000, received
        find = self._speakers.get
        for index, (topic, payload) in enumerate(zip(sheaf.topics, sheaf.payloads, strict=True)):
            name = topic[_HEAD:-_TAIL].decode("ascii", "replace")
            sender = find(name)
            if sender is None or sender.at < oldest:
                unknown.add(name)
                odd.append(index)
            elif payload[:9] == _BATCH:
                if not self._take_batch(growing, index, sender, payload, window, oldest, unknown):
                    odd.append(index)
            else:
                said = _decode(_one, payload)
                salt = None if said is None else self._salt(sender, said, window)
                if said is None or salt is None or said.device is not None:
                    odd.append(index)
                else:
                    growing.add(index, sender, said, salt)
        if not growing.speakers:
            return Found(None, odd, unknown)
        frames = len(sheaf) - len(odd)
        return Found(_columns(sheaf, frames, growing), odd, unknown)

    def _take_batch(
        self,
        growing: _Growing,
        index: int,
        sender: Speaker,
        payload: bytes,
        window: Window,
        oldest: float,
        unknown: set[str],
    ) -> bool:
        """Take a gateway's frame, the whole of it or nothing; False when it is not plain."""
        gateway = _decode(_many, payload)
        if gateway is None:
            return False
        taken: list[tuple[Speaker, _Vitals, int]] = []
        plain = True
        for said in gateway.batch:
            speaker = sender if said.device is None else self._speakers.get(said.device)
            if speaker is None or speaker.at < oldest:
                unknown.add(said.device or "")
                plain = False
                continue
            salt = self._salt(speaker, said, window)
            if salt is None or sender.no not in (speaker.no, speaker.gateway_no):
                plain = False
            else:
                taken.append((speaker, said, salt))
        if plain:
            growing.gateways[sender.no] = sender
            for speaker, said, salt in taken:
                growing.add(index, speaker, said, salt)
        return plain

    def _salt(self, speaker: Speaker, said: _Vitals, window: Window) -> int | None:
        """The end of the message's identity; None when the message is not plain."""
        least, most, received = window
        if speaker.plain_from > received or said.replayed or said.test:
            return None
        if not least <= said.t <= most:
            return None
        salt = self._salts.get(said.sid)
        if (
            salt is None
            and said.sid is not None
            and len(said.sid) <= silverline_v1.MAX_SID
            and said.sid.isalnum()
        ):
            if len(self._salts) >= _MOST_SESSIONS:
                self._salts = {None: self._salts[None]}
            salt = self._salts[said.sid] = salt_of("vitals", said.sid, COMMON)
        return salt

    def note_movements(self, columns: Columns) -> None:
        """Find out in which messages somebody moved: to be called once, in the order of arrival."""
        counted = np.isin(columns.metric, _COUNTED_NUMBERS) & (columns.quality == 0)
        for place in np.flatnonzero(counted).tolist():
            owner, code = int(columns.owner[place]), _CODE[int(columns.metric[place])]
            speaker = columns.speakers[owner]
            if self._movements.moved(speaker.no, code, float(columns.value[place])):
                columns.moved.setdefault(owner, code)


def _decode(decoder: "msgspec.json.Decoder[T]", payload: bytes) -> "T | None":
    if len(payload) > MAX_PAYLOAD:
        return None
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _columns(sheaf: Sheaf, frames: int, growing: _Growing) -> Columns:
    seq = np.array(growing.seq, dtype=np.uint64)
    millis = np.array(growing.time, dtype=np.int64)
    metric = np.array([_NUMBER[code] for code in growing.codes], dtype=np.int16)
    value = np.array(growing.values, dtype=np.float64)
    count = np.array(growing.count, dtype=np.int64)
    owner = np.repeat(np.arange(len(count)), count)
    time = millis * 1000
    plausible = (value >= _LEAST[metric]) & (value <= _MOST[metric])
    return Columns(
        sheaf=sheaf,
        frames=frames,
        speakers=growing.speakers,
        gateways=list(growing.gateways.values()),
        frame=growing.frame,
        device_no=np.array([each.no for each in growing.speakers], dtype=np.int64),
        time=time,
        high=millis.astype(np.uint64) << np.uint64(16) | seq >> np.uint64(16),
        low=(seq & np.uint64(0xFFFF)) << np.uint64(48) | np.array(growing.salt, dtype=np.uint64),
        owner=owner,
        metric=metric,
        value=value,
        quality=np.where(plausible, 0, int(Quality.IMPLAUSIBLE)).astype(np.int16),
        near=sorted(
            index
            for index in (
                _beyond_limits(growing, metric, value, plausible, owner, count)
                | _late(time, micros(sheaf.received_at))
            )
            if growing.speakers[index].watched
        ),
        moved={},
    )


def _late(time: Ints, received: int) -> set[int]:
    """Messages that are so late that the rule of clocks looks at them.

    Where a backlog is caught up, all are late, and that says nothing of a clock: only what is later
    than the middle of what was read with it.
    """
    behind = received - time
    usual = int(np.median(behind))
    return set(np.flatnonzero(behind > _LATE + (usual if usual > _LATE else 0)).tolist())


def _beyond_limits(
    growing: _Growing, metric: Shorts, value: Floats, plausible: Mask, owner: Ints, count: Ints
) -> set[int]:
    """Messages with a value on or beyond a limit: for all others, "normal" is what a rule finds."""
    beyond = plausible & ((value <= _UNDER[metric]) | (value >= _OVER[metric]))
    near = set(owner[beyond].tolist())
    own = [index for index, each in enumerate(growing.speakers) if each.limits is not None]
    if own:
        near.difference_update(own)
        ends = np.cumsum(count)
        for index in own:
            end = int(ends[index])
            said = range(end - growing.count[index], end)
            readings = [(growing.codes[at], growing.values[at]) for at in said]
            if _beyond(growing.speakers[index].limits or {}, readings):
                near.add(index)
    return near


def _beyond(limits: Mapping[str, Limits], readings: Iterable[tuple[str, float]]) -> bool:
    for code, value in readings:
        rule = VITALS.get(code)
        if rule is not None and rules.zone(value, limits.get(code, rule.limits)) is not None:
            return True
    return False
