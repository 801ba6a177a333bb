"""The use cases of a record on a real database: what is stored, who may, and what is on record."""

import asyncio
import json
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from care.consents import service as consents
from care.consents.model import ConsentPurpose
from care.elders import service, store, summary
from care.elders.demo import seed_elders
from care.elders.model import Contact, Phone, Relation, Secret
from care.watching import service as watching
from care.watching.model import Watch
from kernel import audit
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples, fetch_value
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tests.care.clerk import actions, register
from tests.care.conftest import add_actor
from tests.care.samples import (
    ADDRESS,
    ID_NUMBER,
    LANDLINE,
    LI,
    NEIGHBOUR,
    PHONE,
    SON,
    SON_PHONE,
    draft,
)


async def test_a_registered_elder_is_read_back_as_entered(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        elder = await service.get_for_change(tx, cipher, manager, elder_id, now)
    assert not elder.masked
    for name in LI.__slots__:
        if name != "phones":
            assert getattr(elder, name) == getattr(LI, name), name
    assert [(one.number, one.label) for one in elder.phones] == [
        (PHONE, "手机"),
        (LANDLINE, "家里"),
    ]
    assert [(one.name, one.phone) for one in elder.contacts] == [
        (SON.name, SON_PHONE),
        (NEIGHBOUR.name, NEIGHBOUR.phone),
    ]
    assert elder.division_name == "新城区 东风路街道"
    assert elder.age(now) == 86


async def test_no_column_holds_a_number_or_an_address_in_plain_text(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        await seed_elders(tx, cipher, 20, now, 7)
        people = [
            await summary.elder_card(tx, cipher, key)
            for (key,) in await fetch_tuples(tx, "SELECT id FROM elder")
        ]
        tables = await fetch_tuples(
            tx,
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            " AND table_type = 'BASE TABLE' AND table_name <> 'division'",
        )
        rows: list[str] = []
        for (table,) in tables:
            found = await fetch_tuples(tx, f'SELECT t::text FROM "{table}" t')  # noqa: S608
            rows += [row[0] for row in found]
    everything = "\n".join(rows)
    assert str(elder_id) in everything
    secrets = [ID_NUMBER, ADDRESS, LI.medical_notes, LI.access_notes]
    for person in people:
        secrets += [one.number for one in person.phones] + [one.phone for one in person.contacts]
        secrets += [person.address, person.medical_notes, person.access_notes]
    for secret in filter(None, secrets):
        assert secret not in everything
        assert secret.encode().hex() not in everything


async def test_every_problem_is_said_at_once(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    wrong = replace(LI, name="", id_number="150102194001011239", division_code="150102999999")
    with pytest.raises(Invalid) as raised:
        async with db.transaction() as tx:
            await service.create(
                tx, cipher, manager, wrong, now, contacts=[Contact("", Relation.SON, "1")]
            )
    assert set(raised.value.fields) == {
        "name",
        "id_number",
        "division_code",
        "contacts.0.name",
        "contacts.0.phone",
    }


async def test_one_id_number_is_one_person_also_for_two_clerks_at_once(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    results = await asyncio.gather(
        *(register(db, cipher, manager, now) for _ in range(2)), return_exceptions=True
    )
    failures = [one for one in results if isinstance(one, Invalid)]
    assert len(failures) == 1
    assert set(failures[0].fields) == {"id_number"}
    with pytest.raises(Invalid):
        await register(db, cipher, manager, now, name="李国")


async def test_who_comes_second_is_told_who_was_first(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        other = await add_actor(tx, "lijianguo", Role.SUPERVISOR, name="李建国")
        await service.update(
            tx, cipher, other, elder_id, version=1, draft=replace(LI, address="新址1号"), now=now
        )
    with pytest.raises(Conflict) as raised:
        async with db.transaction() as tx:
            await service.update(
                tx, cipher, manager, elder_id, version=1, draft=replace(LI, name="李国"), now=now
            )
    assert raised.value.facts["by"] == "李建国"
    assert raised.value.facts["at"] == now
    assert raised.value.facts["version"] == 2


async def test_a_change_names_the_fields_and_not_their_values(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    later = now + timedelta(hours=1)
    async with db.transaction() as tx:
        changed = replace(LI, address="新址1号", phones=(Phone(LANDLINE, "家里"),))
        version = await service.update(
            tx, cipher, manager, elder_id, version=1, draft=changed, now=later
        )
        same = await service.update(
            tx, cipher, manager, elder_id, version=version, draft=changed, now=later
        )
    assert version == same == 2
    assert await actions(db, elder_id) == [
        ("elder.created", {}),
        ("elder.updated", {"fields": ["address", "phones"], "version": 2}),
    ]


async def test_who_may_not_reveal_can_change_the_rest_of_a_record(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        admin = await add_actor(tx, "admin", Role.ADMINISTRATOR)
        form = await service.get_for_change(tx, cipher, admin, elder_id, now)
        assert form.masked
        shown = replace(
            LI,
            name="李建国强",
            id_number="",
            address="",
            medical_notes="",
            access_notes="",
            phones=(),
        )
        await service.update(
            tx,
            cipher,
            admin,
            elder_id,
            version=1,
            draft=shown,
            now=now,
            keep=frozenset(Secret),
        )
        card = await summary.elder_card(tx, cipher, elder_id)
    assert (card.name, card.address, card.medical_notes) == ("李建国强", ADDRESS, LI.medical_notes)
    assert [one.number for one in card.phones] == [PHONE, LANDLINE]


async def test_outside_of_ones_division_there_is_nobody(
    db: Database, cipher: FieldCipher, manager: Actor, outsider: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        for attempt in (
            service.get(tx, cipher, outsider, elder_id, now),
            service.get_for_change(tx, cipher, outsider, elder_id, now),
            service.reveal(tx, cipher, outsider, elder_id, secret=Secret.ADDRESS, now=now),
            service.add_note(tx, outsider, elder_id, "走访", now),
            service.archive(tx, outsider, elder_id, version=1, reason="迁出", now=now),
            service.set_contacts(
                tx, cipher, outsider, elder_id, version=1, contacts=[SON], now=now
            ),
            watching.set_watch(tx, outsider, elder_id, version=1, watch=Watch(), now=now),
            consents.give(
                tx, outsider, elder_id, purpose=ConsentPurpose.FACE, text_version="1",
                given_by="本人", now=now,
            ),
            service.read_card(tx, cipher, outsider, elder_id, now, why="incident"),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                await attempt
        with pytest.raises(Invalid) as raised:
            await service.create(tx, cipher, outsider, draft(), now)
        assert set(raised.value.fields) == {"division_code"}


async def test_nobody_moves_a_record_out_of_their_own_reach(
    db: Database, cipher: FieldCipher, outsider: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, outsider, now, division_code="150104001000")
    with pytest.raises(Invalid) as raised:
        async with db.transaction() as tx:
            await service.update(tx, cipher, outsider, elder_id, version=1, draft=LI, now=now)
    assert set(raised.value.fields) == {"division_code"}


async def test_roles_decide_who_writes_and_who_reveals(
    db: Database, cipher: FieldCipher, manager: Actor, operator: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        officer = await add_actor(tx, "officer", Role.SUBSIDY_OFFICER)
        responder = await add_actor(tx, "responder", Role.RESPONDER)
        with pytest.raises(Forbidden):
            await service.create(tx, cipher, operator, draft(), now)
        with pytest.raises(Forbidden):
            await service.reveal(tx, cipher, officer, elder_id, secret=Secret.ADDRESS, now=now)
        with pytest.raises(Forbidden):
            await service.get(tx, cipher, responder, elder_id, now)
        assert (await service.get(tx, cipher, officer, elder_id, now)).masked
        address = await service.reveal(
            tx, cipher, operator, elder_id, secret=Secret.ADDRESS, now=now
        )
    assert address == ADDRESS


async def test_each_look_and_each_reveal_is_on_record(
    db: Database, cipher: FieldCipher, manager: Actor, operator: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        elder = await service.get(tx, cipher, operator, elder_id, now)
        contact = elder.contacts[0].id
        number = await service.reveal(
            tx, cipher, operator, elder_id, secret=Secret.CONTACTS, now=now, item=contact
        )
        await service.read_card(tx, cipher, operator, elder_id, now, why="incident")
    assert number == SON_PHONE
    seen = await actions(db, elder_id)
    assert seen[1:3] == [
        ("elder.read", {}),
        ("elder.revealed", {"fields": ["contacts"], "item": str(contact)}),
    ]
    assert seen[3][0] == "elder.revealed"
    assert seen[3][1]["why"] == "incident"
    async with db.connection() as conn:
        whole = await audit.search(conn, audit.AuditFilters())
        assert (await audit.verify(conn)).ok
    text = json.dumps([(e.actor_name, e.detail, e.subject_id) for e in whole.entries])
    for secret in (PHONE, SON_PHONE, ID_NUMBER, ADDRESS, LI.name):
        assert secret not in text


async def test_a_reveal_of_somebody_elses_phone_finds_nothing(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    first = await register(db, cipher, manager, now)
    second = await register(db, cipher, manager, now, id_number="", name="王芳")
    async with db.transaction() as tx:
        other = await service.get(tx, cipher, manager, second, now)
        with pytest.raises(NotFound):
            await service.reveal(
                tx, cipher, manager, first, secret=Secret.PHONES, now=now, item=other.phones[0].id
            )


async def test_contacts_are_put_in_another_order_and_keep_their_ids(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        before = (await service.get(tx, cipher, manager, elder_id, now)).contacts
        turned = [replace(one, phone="") for one in reversed(before)]
        version = await service.set_contacts(
            tx, cipher, manager, elder_id, version=1, contacts=turned, now=now, keep_phones=True
        )
        after = await store.contacts_of(tx, cipher, elder_id)
    assert version == 2
    assert [one.id for one in after] == [one.id for one in reversed(before)]
    assert [one.phone for one in after] == [NEIGHBOUR.phone, SON_PHONE]


async def test_a_foreign_contact_id_becomes_a_new_contact(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    first = await register(db, cipher, manager, now)
    second = await register(db, cipher, manager, now, id_number="", name="王芳")
    async with db.transaction() as tx:
        foreign = (await store.contacts_of(tx, cipher, first))[0]
        await service.set_contacts(
            tx, cipher, manager, second, version=1, contacts=[foreign], now=now
        )
        assert len(await store.contacts_of(tx, cipher, first)) == 2
        assert (await store.contacts_of(tx, cipher, second))[0].id != foreign.id


async def test_an_archived_record_can_come_back(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now)
    async with db.transaction() as tx:
        await service.archive(tx, manager, elder_id, version=1, reason="迁往北京", now=now)
        assert (await service.get(tx, cipher, manager, elder_id, now)).archived_at == now
        with pytest.raises(Conflict):
            await service.archive(tx, manager, elder_id, version=2, reason="再次", now=now)
        await service.restore(tx, manager, elder_id, version=2, now=now)
        elder = await service.get(tx, cipher, manager, elder_id, now)
        notes = await fetch_tuples(
            tx,
            "SELECT n.text, u.display_name FROM elder_note n"
            " JOIN user_account u ON u.id = n.author_id WHERE n.elder_id = %s",
            (elder_id,),
        )
    assert elder.archived_at is None
    assert notes == [("迁往北京", "孙丽")]


async def test_a_name_of_sixty_characters_is_stored(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    elder_id = await register(db, cipher, manager, now, name="重乐行朝" * 15)
    async with db.connection() as conn:
        found = await fetch_value(conn, "SELECT pinyin FROM elder WHERE id = %s", (elder_id,))
    assert 0 < len(found) <= 1000


async def test_a_birthday_counts_on_the_local_calendar(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    # 14:03 UTC is still the 5th in Shanghai, 16:30 UTC is the 6th.
    elder_id = await register(db, cipher, manager, now, id_number="", birth_date=date(1946, 3, 6))
    async with db.transaction() as tx:
        elder = await service.get(tx, cipher, manager, elder_id, now)
    assert elder.age(now) == 79
    assert elder.age(now.replace(hour=16, minute=30)) == 80
