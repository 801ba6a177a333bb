"""What a model of device is and can do, and which of its states are alarms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from devices.alarms import AlarmKind
from devices.downlink import CommandName
from devices.messages import Message, Scalar
from devices.metrics import Metric

NO_FORMS: Mapping[CommandName, str] = MappingProxyType({})


class DeviceType(StrEnum):
    """What a thing is to the people who install it."""

    WATCH = "watch"
    PENDANT = "pendant"
    BUTTON = "button"
    FALL_DETECTOR = "fall_detector"
    BED_SENSOR = "bed_sensor"
    SMOKE = "smoke"
    GAS = "gas"
    LEAK = "leak"
    DOOR = "door"
    MOTION = "motion"
    CLIMATE = "climate"
    GATEWAY = "gateway"
    OTHER = "other"


class Capability(StrEnum):
    """What one may count on a model for."""

    SOS = "sos"
    FALL = "fall"
    VITALS = "vitals"
    LOCATION = "location"
    GEOFENCE = "geofence"
    SPEECH = "speech"
    RING = "ring"
    BED = "bed"
    MOTION = "motion"
    DOOR = "door"
    SMOKE = "smoke"
    GAS = "gas"
    WATER_LEAK = "water_leak"
    CLIMATE = "climate"
    SUBDEVICES = "subdevices"
    COMMANDS = "commands"


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """When `field` (a state, else a metric) has one of these values, the alarm is on or off.

    `level` False says that each message with the value is an activation of its own (a press);
    True that the value stands until it changes.
    """

    kind: AlarmKind
    field: str
    active: tuple[Scalar, ...]
    inactive: tuple[Scalar, ...] = ()
    level: bool = True

    def reads(self, message: Message) -> bool | None:
        """Whether the message says on (True), off (False) or nothing (None) of the alarm."""
        value = message.states.get(self.field)
        if value is None:
            value = next((r.value for r in message.readings if r.metric == self.field), None)
        if value is None:
            return None
        if any(_same(value, each) for each in self.active):
            return True
        return False if any(_same(value, each) for each in self.inactive) else None


def _same(value: Scalar, wanted: Scalar) -> bool:
    """Equality without Python's True == 1: a count of 1 is not a yes."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


_OF_LORAWAN = frozenset({"chirpstack", "tts"})
"""Servers of the same sensors: a model of one is a model of the other."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A model of device.

    `heartbeat_seconds` is the longest silence that is normal, `offline_after_seconds` the silence
    after which the device counts as offline. `self_test_days` is how often somebody is to try out
    that it calls (0: never). `base_topics` are the MQTT trees that a bridge may
    publish in; `{device_id}` in them stands for the bridge's own id. `models` are the names under
    which a bridge lists the model. `commands` narrows what the protocol has a form for to what the
    model carries out (None: all of it); `forms` are the model's own words for commands, where it
    does not take the protocol's.
    """

    code: str
    title_zh: str
    title_en: str
    vendor: str
    codec: str
    type: DeviceType
    capabilities: frozenset[Capability]
    metrics: tuple[Metric, ...]
    heartbeat_seconds: int
    offline_after_seconds: int
    low_battery_percent: int | None
    alarms: tuple[AlarmRule, ...]
    self_test_days: int = 0
    base_topics: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    note: str = ""
    commands: frozenset[CommandName] | None = None
    forms: Mapping[CommandName, str] = field(default_factory=lambda: NO_FORMS)

    def title(self, language: str) -> str:
        """The title in this language (`zh…`, else English)."""
        return self.title_zh if language.startswith("zh") else self.title_en

    def speaks_for(self, model: "Profile") -> bool:
        """Whether devices of that model may be behind a gateway of this one."""
        if model.type is DeviceType.GATEWAY:
            return False
        return model.codec == self.codec or {model.codec, self.codec} <= _OF_LORAWAN

    def bridge_topics(self, device_id: str) -> tuple[str, ...]:
        """The base topics of this very bridge."""
        return tuple(topic.replace("{device_id}", device_id) for topic in self.base_topics)


Profiles = Mapping[str, Profile]
