"""A command to a device, as pages show it and as it is sent."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from devices.downlink import CommandName

__all__ = [
    "CHANNEL", "ENDED_EARLY", "MOVED_ON", "PERSONAL", "SUPERSEDED", "Command", "CommandName",
    "CommandState", "Due", "Outgoing",
]  # fmt: skip

CHANNEL = "device_command"
"""NOTIFY channel: ids of commands for whoever holds the TCP connections of watches."""

PERSONAL = frozenset(
    {CommandName.LOCATE, CommandName.RING, CommandName.SPEAK, CommandName.SET_THRESHOLDS}
)
"""What is meant for who wears the device: it ends when somebody else does."""
SUPERSEDED, MOVED_ON, WITHDRAWN = "superseded", "moved_on", "withdrawn"
ENDED_EARLY = frozenset({SUPERSEDED, MOVED_ON, WITHDRAWN})
"""Details of commands that ended before their time: a newer setting came, the device went, the
roll-out of a firmware took its update back (devices/firmware/update_store.py)."""


class CommandState(StrEnum):
    """Where a command is. `sent` says that it left, not that the device has it."""

    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is listed. `detail` is the device's own words; times are UTC."""

    id: uuid.UUID
    name: str
    args: Mapping[str, Any]
    state: CommandState
    created_at: datetime
    created_by: str | None
    expires_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    tries: int
    detail: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", CommandState(self.state))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A command that may still be sent. `aliases` are the device's other names, by codec.

    `route_codec` and `route` say where a platform on MQTT was last heard to keep the device.
    """

    id: uuid.UUID
    device_no: int
    device_id: str
    profile: str
    gateway_id: str | None
    gateway_profile: str | None
    aliases: Mapping[str, Sequence[str]]
    route_codec: str | None
    route: str | None
    name: str
    args: Mapping[str, Any]
    expires_at: datetime
    tries: int

    def addresses(self, codec: str) -> tuple[str, ...]:
        """Return the names under which the device speaks in the protocol: the id, if no other."""
        return tuple(self.aliases.get(codec, ())) or (self.device_id,)


@dataclass(frozen=True, slots=True)
class Due:
    """A command whose next try is to be queued."""

    id: uuid.UUID
    tries: int
