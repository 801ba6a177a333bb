"""What we say to a device, in one shape, whatever the protocol: the input of every codec's encoder.

An encoder is a pure function from `CommandRequest` to `Downlink`, as a decoder is from bytes to
`devices.messages`. Queue, tries and expiry are not its business (`devices/commands`).
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

INTERVALS = range(10, 86_401)
"""Seconds that a device may be told to report in, where its protocol has no narrower bounds."""
_PLACE = re.compile(r"\{([a-z]+)\}")


class CommandName(StrEnum):
    """What can be asked of a device (docs/protocol.md, section 8)."""

    LOCATE = "locate"
    RING = "ring"
    SPEAK = "speak"
    SET_INTERVAL = "set_interval"
    SET_THRESHOLDS = "set_thresholds"
    REBOOT = "reboot"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """A command with everything that a codec needs to write it down.

    `args` are checked (devices/commands/rules.py). `address` is the device's name in its protocol.
    `gateway` is our id of the gateway or platform that the device is behind, `base_topics` are the
    trees of topics that its model has there. `form` is how the device's model words the command,
    empty where the codec's own form will do (`Profile.forms`). `last` is the last frame that came
    on the device's TCP connection, for what has to be mirrored. `route` is where a platform on
    MQTT keeps the device, as its last message said (`Message.route`).
    """

    id: uuid.UUID
    name: CommandName
    args: Mapping[str, Any]
    expires_at: datetime
    now: datetime
    address: str
    device_id: str
    profile: str
    gateway: str = ""
    base_topics: tuple[str, ...] = ()
    form: str = ""
    last: bytes = b""
    route: str = ""


@dataclass(frozen=True, slots=True)
class Downlink:
    """A frame to a device: under `topic` on MQTT, on its own connection where that is empty."""

    payload: bytes
    topic: str = ""


UNSAYABLE = frozenset(
    {"unknown_command", "text_encoding", "too_long", "interval", "bad_value", "bad_device_id"}
)
"""Why a command cannot be said to a device (`CodecError.reason` of an encoder), for the pages."""


HANDED_OVER, TRANSMITTED, REPEATED, UNCONFIRMED = (
    "handed_over",
    "transmitted",
    "repeated",
    "unconfirmed",
)
FAILED, WRONG_MESSAGE, NOT_SUPPORTED = "failed", "wrong_message", "not_supported"
RESULTS = frozenset({FAILED, WRONG_MESSAGE, NOT_SUPPORTED})
"""Why a device refused, where its protocol has a number for it and no words, for the pages."""
NOT_DELIVERED = "not_delivered."
"""Before the detail of a refusal that is the platform's: the device has heard nothing, or said
nothing. Behind it stands one of the words here, or the platform's own."""
PLATFORM_WORDS = frozenset({HANDED_OVER, TRANSMITTED, REPEATED, UNCONFIRMED})
"""What is heard of a command that a platform has taken over, for the pages: it was published for
the platform; a gateway has sent it; the device did not confirm it and gets it again; it did not."""


class NotNow(Exception):
    """The command can only be written down once the device has said something else."""


def number_of(command_id: uuid.UUID, modulus: int) -> int:
    """The number from 0 to `modulus` - 1 that stands for a command where a protocol has no ids.

    It is the same at each try. The last bits of a UUIDv7 are random, so that two open commands of
    one device seldom share it; then the older one gets the answer.
    """
    return command_id.int % modulus


def worded(form: str, **values: object) -> str:
    """A model's wording with the values in the places of their names, `TIMER,{seconds}#`."""
    return _PLACE.sub(lambda match: str(values.get(match[1], match[0])), form)
