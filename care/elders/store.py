"""Elders in the database: encrypts on the way in, decrypts on the way out."""

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

import psycopg

from care.elders.model import (
    Contact,
    Draft,
    Elder,
    ElderCard,
    LivingSituation,
    Phone,
    Relation,
    Sex,
)
from care.elders.pinyin import reading_of
from care.elders.problems import Problem, invalid
from kernel.crypto import FieldCipher
from kernel.db import Tx, execute, fetch_one, fetch_tuples, fetch_value
from kernel.ids import new_id

ID_NUMBER, PHONE, ADDRESS, MEDICAL, ACCESS = "id_number", "phone", "address", "medical", "access"


@dataclass(frozen=True, slots=True)
class NewElder:
    """A record to insert: the rules have passed on every part of it.

    `registered_at` is when it was taken down; None is when it is inserted.
    """

    id: uuid.UUID
    draft: Draft
    contacts: tuple[Contact, ...] = ()
    registered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """What a change has to know first; reading it locks the record."""

    id: uuid.UUID
    division_code: str
    version: int
    archived_at: datetime | None
    updated_at: datetime
    updated_by: str | None


@dataclass(frozen=True, slots=True)
class _Row:
    id: uuid.UUID
    name: str
    sex: str
    birth_date: date | None
    id_number_enc: bytes | None
    division_code: str
    division_name: str
    address_enc: bytes | None
    lat: float | None
    lon: float | None
    living_situation: str
    risk_notes: str
    medical_enc: bytes | None
    access_enc: bytes | None
    languages: list[str]
    created_at: datetime
    updated_at: datetime
    updated_by: str | None
    archived_at: datetime | None
    version: int


_SELECT = (
    "SELECT e.id, e.name, e.sex, e.birth_date, e.id_number_enc, e.division_code,"
    " concat_ws(' ', county.name, town.name, village.name) AS division_name,"
    " e.address_enc, e.lat, e.lon, e.living_situation,"
    " e.risk_notes, e.medical_enc, e.access_enc, e.languages, e.created_at, e.updated_at,"
    " u.display_name AS updated_by, e.archived_at, e.version"
    " FROM elder e"
    " LEFT JOIN division county ON county.code = left(e.division_code, 6) || '000000'"
    " LEFT JOIN division town ON town.code = left(e.division_code, 9) || '000'"
    "   AND substr(e.division_code, 7, 3) <> '000'"
    " LEFT JOIN division village ON village.code = e.division_code"
    "   AND right(e.division_code, 3) <> '000'"
    " LEFT JOIN user_account u ON u.id = e.updated_by"
)


def _seal(cipher: FieldCipher, purpose: str, text: str) -> bytes | None:
    return cipher.encrypt(purpose, text) if text else None


def _open(cipher: FieldCipher, purpose: str, box: bytes | None) -> str:
    return cipher.decrypt(purpose, box) if box else ""


def _columns(cipher: FieldCipher, draft: Draft) -> dict[str, Any]:
    reading = reading_of(draft.name)
    number = draft.id_number
    return {
        "name": draft.name,
        "pinyin": reading.pinyin,
        "pinyin_initials": reading.initials,
        "sex": draft.sex.value,
        "birth_date": draft.birth_date,
        "id_number_enc": _seal(cipher, ID_NUMBER, number),
        "id_number_index": cipher.blind_index(ID_NUMBER, number) if number else None,
        "division_code": draft.division_code,
        "address_enc": _seal(cipher, ADDRESS, draft.address),
        "lat": draft.lat,
        "lon": draft.lon,
        "living_situation": draft.living_situation.value,
        "risk_notes": draft.risk_notes,
        "medical_enc": _seal(cipher, MEDICAL, draft.medical_notes),
        "access_enc": _seal(cipher, ACCESS, draft.access_notes),
        "languages": list(draft.languages),
    }


@asynccontextmanager
async def _id_number_once() -> AsyncIterator[None]:
    # Two people may register the same person at the same moment: the index decides.
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name == "elder_id_number":
            raise invalid([Problem("id_number", "id_number_taken")]) from error
        raise


async def insert(
    tx: Tx,
    cipher: FieldCipher,
    elders: Sequence[NewElder],
    now: datetime,
    *,
    by: uuid.UUID | None,
    import_id: uuid.UUID | None = None,
) -> None:
    """Insert records with phones and contacts. Raises Invalid when an ID number is taken."""
    shared = {"by": by, "import_id": import_id}
    async with tx.cursor() as cursor, _id_number_once():
        await cursor.executemany(
            "INSERT INTO elder (id, name, pinyin, pinyin_initials, sex, birth_date, id_number_enc,"
            " id_number_index, division_code, address_enc, lat, lon, living_situation, risk_notes,"
            " medical_enc, access_enc, languages, created_at, updated_at, updated_by, import_id)"
            " VALUES (%(id)s, %(name)s, %(pinyin)s, %(pinyin_initials)s, %(sex)s, %(birth_date)s,"
            " %(id_number_enc)s, %(id_number_index)s, %(division_code)s, %(address_enc)s, %(lat)s,"
            " %(lon)s, %(living_situation)s, %(risk_notes)s, %(medical_enc)s, %(access_enc)s,"
            " %(languages)s, %(now)s, %(now)s, %(by)s, %(import_id)s)",
            [
                shared
                | {"id": one.id, "now": one.registered_at or now}
                | _columns(cipher, one.draft)
                for one in elders
            ],
        )
    await _insert_phones(tx, cipher, [(one.id, one.draft.phones) for one in elders])
    await _insert_contacts(tx, cipher, [(one.id, one.contacts) for one in elders])


async def _insert_phones(
    tx: Tx, cipher: FieldCipher, phones: Iterable[tuple[uuid.UUID, Sequence[Phone]]]
) -> None:
    async with tx.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO elder_phone (id, elder_id, position, label, phone_enc, phone_index)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (
                    phone.id or new_id(),
                    elder_id,
                    position,
                    phone.label,
                    cipher.encrypt(PHONE, phone.number),
                    cipher.blind_index(PHONE, phone.number),
                )
                for elder_id, many in phones
                for position, phone in enumerate(many, start=1)
            ],
        )


async def _insert_contacts(
    tx: Tx, cipher: FieldCipher, contacts: Iterable[tuple[uuid.UUID, Sequence[Contact]]]
) -> None:
    async with tx.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO elder_contact (id, elder_id, position, name, relation, phone_enc,"
            " phone_index, has_key, notes) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    contact.id or new_id(),
                    elder_id,
                    position,
                    contact.name,
                    contact.relation.value,
                    cipher.encrypt(PHONE, contact.phone),
                    cipher.blind_index(PHONE, contact.phone),
                    contact.has_key,
                    contact.notes,
                )
                for elder_id, many in contacts
                for position, contact in enumerate(many, start=1)
            ],
        )


async def update(tx: Tx, cipher: FieldCipher, elder_id: uuid.UUID, draft: Draft) -> None:
    """Write the person and the home of a record that `lock` holds. Raises as `insert` does."""
    async with _id_number_once():
        await _update(tx, {"id": elder_id} | _columns(cipher, draft))
    await execute(tx, "DELETE FROM elder_phone WHERE elder_id = %s", (elder_id,))
    await _insert_phones(tx, cipher, [(elder_id, draft.phones)])


async def _update(tx: Tx, columns: dict[str, Any]) -> None:
    await execute(
        tx,
        "UPDATE elder SET name = %(name)s, pinyin = %(pinyin)s,"
        " pinyin_initials = %(pinyin_initials)s, sex = %(sex)s, birth_date = %(birth_date)s,"
        " id_number_enc = %(id_number_enc)s, id_number_index = %(id_number_index)s,"
        " division_code = %(division_code)s, address_enc = %(address_enc)s, lat = %(lat)s,"
        " lon = %(lon)s, living_situation = %(living_situation)s, risk_notes = %(risk_notes)s,"
        " medical_enc = %(medical_enc)s, access_enc = %(access_enc)s, languages = %(languages)s"
        " WHERE id = %(id)s",
        columns,
    )


async def replace_contacts(
    tx: Tx, cipher: FieldCipher, elder_id: uuid.UUID, contacts: Sequence[Contact]
) -> None:
    """Make these the contacts, in this order; a contact with an id of before keeps it."""
    await execute(tx, "DELETE FROM elder_contact WHERE elder_id = %s", (elder_id,))
    await _insert_contacts(tx, cipher, [(elder_id, contacts)])


async def touch(tx: Tx, elder_id: uuid.UUID, now: datetime, by: uuid.UUID | None) -> int:
    """Count the version up after a change and return it."""
    return int(
        await fetch_value(
            tx,
            "UPDATE elder SET version = version + 1, updated_at = %s, updated_by = %s"
            " WHERE id = %s RETURNING version",
            (now, by, elder_id),
        )
    )


async def set_archived(tx: Tx, elder_id: uuid.UUID, at: datetime | None) -> None:
    """Take a record out of the lists, or bring it back with None."""
    await execute(tx, "UPDATE elder SET archived_at = %s WHERE id = %s", (at, elder_id))


async def lock(tx: Tx, elder_id: uuid.UUID) -> Head | None:
    """Lock a record for a change."""
    return await fetch_one(
        tx,
        Head,
        "SELECT e.id, e.division_code, e.version, e.archived_at, e.updated_at,"
        " (SELECT u.display_name FROM user_account u WHERE u.id = e.updated_by) AS updated_by"
        " FROM elder e WHERE e.id = %s FOR UPDATE OF e",
        (elder_id,),
    )


async def get(tx: Tx, cipher: FieldCipher, elder_id: uuid.UUID) -> Elder | None:
    """Return a whole record in plain text."""
    row = await fetch_one(tx, _Row, _SELECT + " WHERE e.id = %s", (elder_id,))
    if row is None:
        return None
    return Elder(
        id=row.id,
        name=row.name,
        sex=Sex(row.sex),
        birth_date=row.birth_date,
        id_number=_open(cipher, ID_NUMBER, row.id_number_enc),
        division_code=row.division_code,
        division_name=row.division_name,
        address=_open(cipher, ADDRESS, row.address_enc),
        lat=row.lat,
        lon=row.lon,
        living_situation=LivingSituation(row.living_situation),
        risk_notes=row.risk_notes,
        medical_notes=_open(cipher, MEDICAL, row.medical_enc),
        access_notes=_open(cipher, ACCESS, row.access_enc),
        languages=tuple(row.languages),
        created_at=row.created_at,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
        archived_at=row.archived_at,
        version=row.version,
        phones=await phones_of(tx, cipher, elder_id),
        contacts=await contacts_of(tx, cipher, elder_id),
    )


async def division_of(tx: Tx, elder_id: uuid.UUID) -> str | None:
    """Return the division code of a record, None when there is none."""
    found: str | None = await fetch_value(
        tx, "SELECT division_code FROM elder WHERE id = %s", (elder_id,)
    )
    return found


def card_of(elder: Elder) -> ElderCard:
    """Return the part of a record that somebody who handles an incident needs."""
    return ElderCard(**{one.name: getattr(elder, one.name) for one in fields(ElderCard)})


async def phones_of(tx: Tx, cipher: FieldCipher, elder_id: uuid.UUID) -> tuple[Phone, ...]:
    """Return the elder's own numbers in their order."""
    rows = await fetch_tuples(
        tx,
        "SELECT id, label, phone_enc FROM elder_phone WHERE elder_id = %s ORDER BY position",
        (elder_id,),
    )
    return tuple(Phone(cipher.decrypt(PHONE, box), label, key) for key, label, box in rows)


async def contacts_of(tx: Tx, cipher: FieldCipher, elder_id: uuid.UUID) -> tuple[Contact, ...]:
    """Return the emergency contacts in the order in which they are called."""
    rows = await fetch_tuples(
        tx,
        "SELECT id, name, relation, phone_enc, has_key, notes FROM elder_contact"
        " WHERE elder_id = %s ORDER BY position",
        (elder_id,),
    )
    return tuple(
        Contact(name, Relation(relation), cipher.decrypt(PHONE, box), has_key, notes, key)
        for key, name, relation, box, has_key, notes in rows
    )


async def any_sealed_phone(tx: Tx) -> bytes | None:
    """Return some elder's number as it is stored, to try a key on; None when there is none."""
    box: bytes | None = await fetch_value(tx, "SELECT phone_enc FROM elder_phone LIMIT 1")
    return box


async def owners_of_id_numbers(
    tx: Tx, cipher: FieldCipher, numbers: Sequence[str]
) -> dict[str, uuid.UUID]:
    """Return which of the normalised ID numbers are registered, and for whom."""
    indexes = {cipher.blind_index(ID_NUMBER, number): number for number in numbers}
    rows = await fetch_tuples(
        tx,
        "SELECT id_number_index, id FROM elder WHERE id_number_index = ANY(%s)",
        (list(indexes),),
    )
    return {indexes[bytes(index)]: owner for index, owner in rows}


async def division_exists(tx: Tx, code: str) -> bool:
    """True for a code of the division table, also a former one."""
    return bool(await fetch_value(tx, "SELECT true FROM division WHERE code = %s", (code,)))


async def add_note(
    tx: Tx, elder_id: uuid.UUID, text: str, now: datetime, by: uuid.UUID | None
) -> uuid.UUID:
    """Insert a note and return its id."""
    note_id = new_id()
    await execute(
        tx,
        "INSERT INTO elder_note (id, elder_id, at, author_id, text) VALUES (%s, %s, %s, %s, %s)",
        (note_id, elder_id, now, by, text),
    )
    return note_id
