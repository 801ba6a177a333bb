"""A command to a device, as pages show it and as it is sent."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

CHANNEL = "device_command"
"""NOTIFY channel: ids of commands for whoever holds the TCP connections of watches."""


class CommandName(StrEnum):
    """What can be asked of a device (docs/protocol.md, section 8)."""

    LOCATE = "locate"
    RING = "ring"
    SPEAK = "speak"
    SET_INTERVAL = "set_interval"
    SET_THRESHOLDS = "set_thresholds"
    REBOOT = "reboot"
    UPDATE = "update"


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
    """A command that may still be sent. `address` is the device's name in its protocol."""

    id: uuid.UUID
    device_no: int
    device_id: str
    profile: str
    address: str
    name: str
    args: Mapping[str, Any]
    expires_at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Due:
    """A command whose next try is to be queued."""

    id: uuid.UUID
    tries: int
