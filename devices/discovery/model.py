"""A found device, and what it says that it can tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devices.codecs.homeassistant.config import Entity, entity_of


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A found device as it is stored. `entities` are the announcements, by key."""

    gateway_no: int
    gateway_id: str
    division_code: str
    key: str
    name: str
    manufacturer: str
    model: str
    found_at: datetime
    ignored_at: datetime | None
    device_id: str | None
    entities: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """A found device as a person sees it. `profile` is the model that fits what it announces."""

    gateway_id: str
    key: str
    name: str
    manufacturer: str
    model: str
    found_at: datetime
    ignored: bool
    device_id: str | None
    entities: tuple[Entity, ...]
    profile: str
    proposed_id: str

    @property
    def title(self) -> str:
        """Its name, or what the installation calls it where it has none."""
        return self.name or self.key


@dataclass(frozen=True, slots=True)
class FoundPage:
    """One page of the list, and how many there are."""

    found: tuple[Found, ...]
    total: int


def entities_of(row: FoundRow) -> tuple[Entity, ...]:
    """The entities of a row; one that an older version stored otherwise is left out."""
    known: list[Entity] = []
    for plain in row.entities.values():
        try:
            known.append(entity_of(plain))
        except TypeError:
            continue
    return tuple(known)
