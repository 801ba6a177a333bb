"""What is known of an elder, and what may be written about one.

Telephone numbers, ID numbers, addresses, medical and access notes are plain text only inside these
objects; in the database they are encrypted (see store.py).
"""

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from care.elders.ages import age_on


class Sex(StrEnum):
    """As the ID number or the person says."""

    MALE = "male"
    FEMALE = "female"
    UNKNOWN = "unknown"


class LivingSituation(StrEnum):
    """Who is at home when something happens."""

    ALONE = "alone"
    COUPLE = "couple"
    WITH_FAMILY = "with_family"
    WITH_CARER = "with_carer"
    INSTITUTION = "institution"
    UNKNOWN = "unknown"


class Relation(StrEnum):
    """What an emergency contact is to the elder."""

    SPOUSE = "spouse"
    SON = "son"
    DAUGHTER = "daughter"
    CHILD = "child"
    GRANDCHILD = "grandchild"
    SIBLING = "sibling"
    RELATIVE = "relative"
    NEIGHBOUR = "neighbour"
    FRIEND = "friend"
    CARER = "carer"
    COMMUNITY = "community"
    GUARDIAN = "guardian"
    DOCTOR = "doctor"
    OTHER = "other"


class Secret(StrEnum):
    """Parts of a record that are masked until somebody asks to see them."""

    ID_NUMBER = "id_number"
    ADDRESS = "address"
    MEDICAL = "medical"
    ACCESS = "access"
    PHONES = "phones"
    CONTACTS = "contacts"


@dataclass(frozen=True, slots=True)
class Phone:
    """A number of the elder's own; they are tried in order. `label` says where it rings."""

    number: str
    label: str = ""
    id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to call in an emergency; contacts are called in their order."""

    name: str
    relation: Relation
    phone: str
    has_key: bool = False
    notes: str = ""
    id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person or a file says of an elder, before the rules looked at it."""

    name: str
    division_code: str
    sex: Sex = Sex.UNKNOWN
    birth_date: date | None = None
    id_number: str = ""
    address: str = ""
    lat: float | None = None
    lon: float | None = None
    living_situation: LivingSituation = LivingSituation.UNKNOWN
    risk_notes: str = ""
    medical_notes: str = ""
    access_notes: str = ""
    languages: tuple[str, ...] = ()
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True, slots=True)
class Elder:
    """A whole record. When `masked`, what `Secret` names is hidden: numbers and the address keep
    the parts that masks keep, notes are only shown to exist.
    """

    id: uuid.UUID
    name: str
    sex: Sex
    birth_date: date | None
    id_number: str
    division_code: str
    division_name: str
    address: str
    lat: float | None
    lon: float | None
    living_situation: LivingSituation
    risk_notes: str
    medical_notes: str
    access_notes: str
    languages: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    updated_by: str | None
    archived_at: datetime | None
    version: int
    phones: tuple[Phone, ...] = ()
    contacts: tuple[Contact, ...] = ()
    masked: bool = False

    def age(self, now: datetime) -> int | None:
        """Completed years on the local calendar, None when the birth date is not known."""
        return age_on(self.birth_date, now)


@dataclass(frozen=True, slots=True)
class ElderCard:
    """What somebody who handles an incident must see at once, in plain text.

    Reading one is reading the record: the caller writes it to the audit log.
    """

    id: uuid.UUID
    name: str
    sex: Sex
    birth_date: date | None
    living_situation: LivingSituation
    division_code: str
    division_name: str
    address: str
    lat: float | None
    lon: float | None
    risk_notes: str
    medical_notes: str
    access_notes: str
    languages: tuple[str, ...]
    archived_at: datetime | None
    phones: tuple[Phone, ...] = ()
    contacts: tuple[Contact, ...] = ()

    def age(self, now: datetime) -> int | None:
        """Completed years on the local calendar, None when the birth date is not known."""
        return age_on(self.birth_date, now)
