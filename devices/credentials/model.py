"""A credential as it is shown once, and the grant that it gives on a broker."""

import uuid
from dataclasses import dataclass
from datetime import datetime

PROTOCOL_PREFIX = "silverline/v1"


@dataclass(frozen=True, slots=True)
class Secret:
    """A fresh credential. `password` exists only here: the database keeps its SHA-256."""

    device_id: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a connection may do. `base_topics` are the trees of a bridge, such as zigbee2mqtt."""

    device_no: int
    device_id: str
    base_topics: tuple[str, ...] = ()

    def may_publish(self, topic: str) -> bool:
        """True for the device's own topics up, and for a bridge's trees."""
        own = f"{PROTOCOL_PREFIX}/{self.device_id}/"
        if topic.startswith(own):
            return topic != own + "command"
        return any(topic == base or topic.startswith(base + "/") for base in self.base_topics)

    def may_subscribe(self, topic_filter: str) -> bool:
        """True for the device's own command topic, and inside of a bridge's trees."""
        if topic_filter == f"{PROTOCOL_PREFIX}/{self.device_id}/command":
            return True
        return any(topic_filter.startswith(base + "/") for base in self.base_topics)


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A credential as the device page lists it; it is live while `revoked_at` is None."""

    id: uuid.UUID
    username: str
    created_at: datetime
    created_by: str | None
    revoked_at: datetime | None
