"""Finding elders by whatever somebody types, within one's own division."""

import uuid
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from care.elders import service
from care.elders.ages import band_of
from care.elders.demo import seed_elders
from care.elders.model import Contact, LivingSituation, Phone, Relation
from care.roster import service as roster
from care.roster import store as roster_store
from care.roster.model import Filters, Order, RosterRow, Sort
from care.roster.rules import read_query
from kernel import audit
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, Tx
from kernel.errors import Forbidden
from tests.care.conftest import add_actor
from tests.care.samples import ID_NUMBER, LI, PHONE, SON, draft


@pytest.fixture
async def people(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> dict[str, uuid.UUID]:
    """Five people: two called 李, one with a watch, one archived, one in 玉泉区."""
    drafts = {
        "李建国": LI,
        "李秀英": draft(
            name="李秀英",
            phones=(Phone("15047110001"),),
            living_situation=LivingSituation.COUPLE,
            birth_date=date(1930, 5, 1),
        ),
        "单田芳": draft(
            name="单田芳",
            phones=(),
            division_code="150104001000",
            birth_date=date(1951, 1, 1),
            living_situation=LivingSituation.INSTITUTION,
        ),
        "张建李": draft(name="张建李", phones=(), birth_date=None),
        "王芳": draft(name="王芳", phones=()),
    }
    found: dict[str, uuid.UUID] = {}
    async with db.transaction() as tx:
        for name, one in drafts.items():
            contacts = [SON] if name == "李建国" else []
            found[name] = await service.create(tx, cipher, manager, one, now, contacts=contacts)
        await service.archive(tx, manager, found["王芳"], version=1, reason="去世", now=now)
        await add_device(tx, "W-0193", found["李秀英"], now)
    return found


async def add_device(tx: Tx, device_id: str, elder_id: uuid.UUID, now: datetime) -> None:
    await tx.execute(
        "INSERT INTO device (id, profile, state, elder_id, division_code, online, created_at,"
        " updated_at) VALUES (%s, 'watch', 'bound', %s, '150102006000', false, %s, %s)",
        (device_id, elder_id, now, now),
    )
    await tx.execute(
        "INSERT INTO device_alias (codec, address, device_no)"
        " SELECT 'setracker', '4700609403', no FROM device WHERE id = %s",
        (device_id,),
    )


async def names(
    db: Database, cipher: FieldCipher, actor: Actor, now: datetime, **filters: object
) -> list[str]:
    async with db.transaction() as tx:
        page = await roster.search(tx, cipher, actor, Filters(**filters), Order(), now)  # type: ignore[arg-type]
    assert page.total == len(page.rows)
    return [row.name for row in page.rows]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("李", ["李建国", "李秀英", "张建李"]),
        ("李秀英", ["李秀英"]),
        ("秀英", ["李秀英"]),
        ("建", ["李建国", "张建李"]),
        ("lixiuying", ["李秀英"]),
        ("LXY", ["李秀英"]),
        ("xiuy", ["李秀英"]),
        ("shan", ["单田芳"]),
        ("stf", ["单田芳"]),
        ("li xiu ying", ["李秀英"]),
        ("138-1234-5678", ["李建国"]),
        ("+8613812345678", ["李建国"]),
        (SON.phone, ["李建国"]),
        (ID_NUMBER, ["李建国"]),
        ("150102 19400101 1238", ["李建国"]),
        ("W-0193", ["李秀英"]),
        ("w-01", ["李秀英"]),
        ("0193", ["李秀英"]),
        ("4700609403", ["李秀英"]),
        ("王芳", []),
        ("13800000000", []),
        ("%", []),
        ("_", []),
        ("1", []),
        ("'; DROP TABLE elder; --", []),
    ],
)
async def test_a_query_finds_whom_it_means(
    db: Database,
    cipher: FieldCipher,
    manager: Actor,
    people: dict[str, uuid.UUID],
    now: datetime,
    query: str,
    expected: list[str],
) -> None:
    assert await names(db, cipher, manager, now, query=query) == expected


async def test_filters_narrow_the_list(
    db: Database,
    cipher: FieldCipher,
    manager: Actor,
    people: dict[str, uuid.UUID],
    now: datetime,
) -> None:
    async def ask(**filters: object) -> set[str]:
        return set(await names(db, cipher, manager, now, **filters))

    assert await ask() == {"李建国", "李秀英", "单田芳", "张建李"}
    assert await ask(division="150104") == {"单田芳"}
    assert await ask(living_situation=LivingSituation.COUPLE) == {"李秀英"}
    assert await ask(age_band=band_of("90-99")) == {"李秀英"}
    assert await ask(age_band=band_of("80-89")) == {"李建国"}
    assert await ask(no_device=True) == {"李建国", "单田芳", "张建李"}
    assert await ask(archived=True) == {"王芳"}
    assert await ask(open_incident=True) == set()
    assert await ask(query="李", no_device=True) == {"李建国", "张建李"}
    async with db.transaction() as tx:
        for severity in ("minor", "critical"):
            await tx.execute(
                "INSERT INTO incident (id, elder_id, kind, severity, status, division_code,"
                " opened_at, last_activation_at, escalation_policy) VALUES (gen_random_uuid(),"
                " %s, %s, %s, 'open', '150102006000', %s, %s, '{}')",
                (people["李建国"], f"sos_{severity}", severity, now, now),
            )
    assert await ask(open_incident=True) == {"李建国"}
    async with db.transaction() as tx:
        page = await roster.search(tx, cipher, manager, Filters(), Order(), now)
    rows = {row.name: row for row in page.rows}
    assert (rows["李建国"].open_incidents, rows["李建国"].worst_severity) == (2, "critical")
    assert (rows["李秀英"].devices, rows["李秀英"].devices_offline) == (1, 1)
    assert rows["李建国"].phone == "138****5678"
    assert rows["李建国"].area == "新城区 东风路街道"
    assert rows["单田芳"].area == "玉泉区 小召前街街道"


async def test_a_list_shows_only_the_actors_division(
    db: Database,
    cipher: FieldCipher,
    outsider: Actor,
    people: dict[str, uuid.UUID],
    now: datetime,
) -> None:
    assert await names(db, cipher, outsider, now) == ["单田芳"]
    assert await names(db, cipher, outsider, now, query=PHONE) == []
    assert await names(db, cipher, outsider, now, query=ID_NUMBER) == []
    assert await names(db, cipher, outsider, now, division="150102") == []
    async with db.transaction() as tx:
        taken = await roster.export(tx, cipher, outsider, Filters(), Order(), now)
        choices = await roster_store.divisions_in_use(tx, outsider.division)
    rows = await all_of(db, cipher, taken)
    assert [row.name for row in rows] == ["单田芳"]
    assert [(one.name, one.elders) for one in choices] == [("玉泉区", 1), ("小召前街街道", 1)]


async def all_of(db: Database, cipher: FieldCipher, taken: roster.Export) -> list[RosterRow]:
    return [row async for batch in roster.exported(db, cipher, taken) for row in batch]


async def test_an_export_has_the_order_of_the_list_and_holds_no_connection_between(
    db: Database,
    db_url: str,
    cipher: FieldCipher,
    manager: Actor,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roster, "EXPORT_AT_ONCE", 20)
    only_one = await Database.open(db_url, max_size=1)
    async with db.transaction() as tx:
        await seed_elders(tx, cipher, 73, now, 5)
        order = Order(Sort.AGE, True, 100, 0)
        page = await roster.search(tx, cipher, manager, Filters(), order, now)
        taken = await roster.export(tx, cipher, manager, Filters(), Order(Sort.AGE, True), now)
    batches = roster.exported(only_one, cipher, taken)
    seen = await anext(batches)
    # Whoever reads slowly lets others at the database, and sees who has left as gone.
    await only_one.ping()
    gone = page.rows[-1].id
    async with db.transaction() as tx:
        await tx.execute("UPDATE elder SET division_code = '150500000000' WHERE id = %s", (gone,))
    async for batch in batches:
        assert len(batch) <= 20
        seen += batch
    assert [row.id for row in seen] == [row.id for row in page.rows[:-1]]
    assert any("*" not in row.phone for row in seen if row.phone)
    await only_one.close()


async def test_every_page_together_is_the_whole_list_once(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    async with db.transaction() as tx:
        await seed_elders(tx, cipher, 73, now, 5)
        for sort in Sort:
            for descending in (False, True):
                seen: list[uuid.UUID] = []
                for offset in range(0, 73, 20):
                    order = Order(sort, descending, 20, offset)
                    page = await roster.search(tx, cipher, manager, Filters(), order, now)
                    assert page.total == 73
                    seen += [row.id for row in page.rows]
                assert len(seen) == len(set(seen)) == 73
        oldest = await roster.search(
            tx, cipher, manager, Filters(), Order(Sort.AGE, True, 3, 0), now
        )
    ages = [row.age(now) or 0 for row in oldest.rows]
    assert ages == sorted(ages, reverse=True)


async def test_looking_up_a_number_and_exporting_are_on_record(
    db: Database,
    cipher: FieldCipher,
    manager: Actor,
    people: dict[str, uuid.UUID],
    now: datetime,
) -> None:
    async with db.transaction() as tx:
        await roster.find(tx, cipher, manager, PHONE, now)
        await roster.find(tx, cipher, manager, "李", now)
        officer = await add_actor(tx, "officer", Role.SUBSIDY_OFFICER)
        whole = await roster.export(tx, cipher, manager, Filters(query="李"), Order(), now)
        masked = await roster.export(tx, cipher, officer, Filters(), Order(), now)
        auditor = await add_actor(tx, "auditor", Role.AUDITOR)
        with pytest.raises(Forbidden):
            await roster.search(tx, cipher, auditor, Filters(), Order(), now)
    assert {row.phone for row in await all_of(db, cipher, whole)} == {PHONE, "15047110001", ""}
    assert PHONE not in {row.phone for row in await all_of(db, cipher, masked)}
    async with db.connection() as conn:
        found = await audit.search(conn, audit.AuditFilters(subject_type="elder"))
    seen = [(e.action, e.facts) for e in found.entries if e.subject_id == ""]
    assert seen[::-1] == [
        ("elder.looked_up", {"by": ["phone"], "found": 1}),
        ("elder.exported", {"rows": 3, "whole_phones": True}),
        ("elder.exported", {"rows": 4, "whole_phones": False}),
    ]


async def test_a_contact_with_many_elders_finds_all_of_them(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    worker = Contact("社区小李", Relation.COMMUNITY, "18647110000")
    async with db.transaction() as tx:
        for name in ("赵一", "赵二"):
            one = draft(name=name, phones=())
            await service.create(tx, cipher, manager, one, now, contacts=[worker])
        page = await roster.find(tx, cipher, manager, "18647110000", now)
    assert {row.name for row in page.rows} == {"赵一", "赵二"}


@given(st.text(max_size=60))
def test_any_text_can_be_asked_for(text: str) -> None:
    wanted = read_query(text)
    assert wanted.letters.isascii()
    assert not wanted.phone or wanted.phone.lstrip("+").isdigit()
