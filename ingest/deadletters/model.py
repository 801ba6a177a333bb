"""A frame that could not be used, before and after it is kept."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

MAX_PAYLOAD = 64 * 1024
"""So many bytes of a payload are kept; of a longer one the beginning, and it cannot be replayed."""

_MAX_TOPIC = 1024
_MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be kept. `reason` is a stable code, `detail` a sentence for a person.

    `address` is the device that the frame speaks of, "" when that is not known.
    """

    received_at: datetime
    transport: str
    codec: str | None
    topic: str
    address: str
    payload: bytes
    reason: str
    detail: str

    @property
    def fingerprint(self) -> uuid.UUID:
        """Equal for the same (reason, topic, payload), address included."""
        head = "\0".join((self.reason, self.transport, self.topic, self.address))
        digest = blake2b(head.encode("utf-8", "replace"), digest_size=16)
        digest.update(b"\0" + self.payload)
        return uuid.UUID(bytes=digest.digest())

    def storable(self) -> "Draft":
        """The draft in the bounds of the table: text without NUL, everything of limited length."""
        return Draft(
            self.received_at,
            self.transport,
            self.codec,
            storable_text(self.topic, _MAX_TOPIC),
            storable_text(self.address, _MAX_TOPIC),
            self.payload[:MAX_PAYLOAD],
            self.reason,
            storable_text(self.detail, _MAX_TEXT),
        )


def storable_text(text: str, limit: int) -> str:
    """Text that PostgreSQL accepts whatever it was: no NUL, no half of a surrogate pair."""
    cleaned = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is kept. `occurrences` counts the same frame within an hour."""

    id: uuid.UUID
    received_at: datetime
    last_at: datetime
    transport: str
    codec: str | None
    topic: str
    address: str
    payload: bytes
    payload_size: int
    reason: str
    detail: str
    occurrences: int
    replay_requested_at: datetime | None
    replayed_at: datetime | None
    replayed_by: uuid.UUID | None
    replay_note: str | None
    discarded_at: datetime | None
    discarded_by: uuid.UUID | None
    discard_note: str | None

    @property
    def status(self) -> str:
        """`open`, `requested` (waits for its replay), `replayed` or `discarded`."""
        if self.discarded_at is not None:
            return "discarded"
        if self.replayed_at is not None:
            return "replayed"
        return "requested" if self.replay_requested_at is not None else "open"

    @property
    def complete(self) -> bool:
        """Whether the whole payload was kept, so that it can be replayed."""
        return len(self.payload) == self.payload_size


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; "" does not filter. `status` is that of DeadLetter, or "all".

    `text` is a part of the topic or the address. `scope` is the reader's division prefix: letters
    of a device that is registered elsewhere are left out, those of nobody's device are everybody's.
    """

    status: str = "open"
    reason: str = ""
    text: str = ""
    transport: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first; `total` is the count of everything found."""

    letters: list[DeadLetter]
    total: int


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many open dead letters a reason has."""

    reason: str
    letters: int
    occurrences: int
