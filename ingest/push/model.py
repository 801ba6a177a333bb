"""A platform that pushes, what it sent, and what came of it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Source:
    """A platform with a token. It speaks one codec, for devices below a division prefix.

    `expires_at` None: the token holds until it is revoked.
    """

    id: uuid.UUID
    name: str
    codec: str
    division: str
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source with its token, which is shown once and cannot be read again."""

    source: Source
    token: str

    def __repr__(self) -> str:
        return f"NewSource({self.source.name})"


@dataclass(frozen=True, slots=True)
class Push:
    """One request: its body, and what of the query and the headers an adapter may look at.

    Names of headers are in small letters.
    """

    body: bytes
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part of a push that was kept as a dead letter. `reason` is a stable code."""

    reason: str
    detail: str
    address: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a push, after the commit.

    `stored` messages were new, `known` had been stored before; `decoded` is False when nothing in
    it could be read; `replies` are the protocol's own answers.
    """

    stored: int
    known: int
    decoded: bool
    refused: tuple[Refusal, ...] = ()
    replies: tuple[bytes, ...] = ()
