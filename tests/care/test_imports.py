"""Importing a list: all of it comes in or nothing, and only for those who may."""

import asyncio
import json
import time
from datetime import datetime, timedelta

import pytest

from care.elders import service, summary
from care.imports import service as imports
from care.imports.model import State
from care.sheets.reading import MOST_ROWS, read_rows
from kernel import audit
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples, fetch_value
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tests.care.conftest import add_actor
from tests.care.lists import GOOD, sheet
from tests.care.samples import ID_NUMBER, LI


async def start(
    db: Database, cipher: FieldCipher, actor: Actor, data: bytes, now: datetime
) -> object:
    return await imports.preview(db, cipher, actor, filename="名册.xlsx", data=data, now=now)


async def elders_in(db: Database) -> int:
    async with db.connection() as conn:
        return int(await fetch_value(conn, "SELECT count(*) FROM elder"))


async def test_a_preview_stores_nobody_and_a_confirmation_everybody(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    import_id = await start(db, cipher, manager, sheet(GOOD), now)
    async with db.transaction() as tx:
        waiting = await imports.get(tx, cipher, manager, import_id)
    assert waiting.ready
    assert [row.name for row in waiting.report.rows] == ["李建国", "王芳", "张秀兰"]
    assert waiting.report.rows[0].phone == "138****5678"
    assert waiting.report.rows[0].area == "新城区 东风路街道"
    assert await elders_in(db) == 0
    done = await imports.confirm(db, cipher, manager, import_id, now)
    assert done.state is State.IMPORTED
    assert await elders_in(db) == 3
    async with db.transaction() as tx:
        card = await summary.elder_card(tx, cipher, done.report.rows[0].elder_id)
        kept = await fetch_tuples(
            tx,
            "SELECT e.import_id, i.file_enc FROM elder e JOIN elder_import i ON i.id = e.import_id",
        )
    assert (card.name, card.phones[0].number) == ("李建国", "13812345678")
    assert kept == [(import_id, None)] * 3
    with pytest.raises(Conflict):
        await imports.confirm(db, cipher, manager, import_id, now)
    async with db.connection() as conn:
        found = await audit.search(conn, audit.AuditFilters(subject_type="elder_import"))
    assert [(one.action, one.facts) for one in reversed(found.entries)] == [
        ("elder_import.previewed", {"rows": 3, "rows_wrong": 0}),
        ("elder_import.imported", {"rows": 3}),
    ]


async def test_one_wrong_row_keeps_everybody_out(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    rows = [*GOOD, ["赵六", "", "", "火星", "", "", "", "", ""]]
    import_id = await start(db, cipher, manager, sheet(rows), now)
    again = await imports.confirm(db, cipher, manager, import_id, now)
    assert again.state is State.PREVIEWED
    assert (again.rows_total, again.rows_wrong) == (4, 1)
    assert [(one.row, one.code) for one in again.report.problems] == [(5, "division_unknown")]
    assert await elders_in(db) == 0


async def test_somebody_registered_in_the_meantime_is_found_at_the_confirmation(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    import_id = await start(db, cipher, manager, sheet(GOOD), now)
    async with db.transaction() as tx:
        await service.create(tx, cipher, manager, LI, now)
    again = await imports.confirm(db, cipher, manager, import_id, now)
    assert [(one.row, one.column, one.code) for one in again.report.problems] == [
        (2, "身份证号", "id_number_taken")
    ]
    assert {(one.row, one.code) for one in again.report.warnings} == {(2, "perhaps_registered")}
    assert await elders_in(db) == 1


async def test_two_confirmations_at_once_import_once(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    import_id = await start(db, cipher, manager, sheet(GOOD), now)
    results = await asyncio.gather(
        *(imports.confirm(db, cipher, manager, import_id, now) for _ in range(2)),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in results) == ["Conflict", "Import"]
    assert await elders_in(db) == 3


async def test_a_clerk_imports_only_into_their_own_division(
    db: Database, cipher: FieldCipher, outsider: Actor, now: datetime
) -> None:
    rows = [
        [name, "", "", area, "", "", "", "", ""]
        for name, area in (("王芳", "玉泉区"), ("李芳", "呼和浩特市"), ("张芳", "新城区"))
    ]
    import_id = await start(db, cipher, outsider, sheet(rows), now)
    async with db.transaction() as tx:
        found = await imports.get(tx, cipher, outsider, import_id)
    assert [(one.row, one.code) for one in found.report.problems] == [
        (3, "division_outside"),
        (4, "division_unknown"),
    ]


async def test_an_import_is_its_creators_alone(
    db: Database,
    cipher: FieldCipher,
    manager: Actor,
    outsider: Actor,
    operator: Actor,
    now: datetime,
) -> None:
    import_id = await start(db, cipher, manager, sheet(GOOD), now)
    async with db.transaction() as tx:
        with pytest.raises(NotFound):
            await imports.get(tx, cipher, outsider, import_id)
        assert await imports.recent(tx, outsider) == []
        assert [one.id for one in await imports.recent(tx, manager)] == [import_id]
    for attempt in (
        imports.confirm(db, cipher, outsider, import_id, now),
        imports.drop(db, cipher, outsider, import_id, now),
    ):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(Forbidden):
        await start(db, cipher, operator, sheet(GOOD), now)


async def test_a_file_is_gone_once_dropped_or_after_a_day(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    dropped = await start(db, cipher, manager, sheet(GOOD), now)
    await imports.drop(db, cipher, manager, dropped, now)
    old = await start(db, cipher, manager, sheet(GOOD), now)
    await imports.expire_old(db, now + timedelta(hours=23))
    fresh = await start(db, cipher, manager, sheet(GOOD), now + timedelta(hours=23))
    await imports.expire_old(db, now + timedelta(hours=25))
    async with db.transaction() as tx:
        states = dict(await fetch_tuples(tx, "SELECT id, state FROM elder_import"))
        left = await fetch_value(tx, "SELECT count(*) FROM elder_import WHERE file_enc IS NOT NULL")
    assert states == {dropped: "dropped", old: "expired", fresh: "previewed"}
    assert left == 1
    with pytest.raises(Conflict):
        await imports.confirm(db, cipher, manager, old, now)


async def test_nothing_of_a_file_is_stored_in_plain_text(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    await start(db, cipher, manager, sheet(GOOD), now)
    async with db.transaction() as tx:
        rows = await fetch_tuples(tx, "SELECT t::text FROM elder_import t")
        logged = await fetch_tuples(tx, "SELECT t::text FROM audit_log t")
    text = json.dumps([*rows, *logged], ensure_ascii=False)
    for secret in ("13812345678", ID_NUMBER, "海东路88号", "李建国"):
        assert secret not in text


async def test_a_broken_file_is_an_error_of_its_field(
    db: Database, cipher: FieldCipher, manager: Actor, now: datetime
) -> None:
    with pytest.raises(Invalid) as raised:
        await start(db, cipher, manager, b"PK\x03\x04nothing", now)
    assert set(raised.value.fields) == {"file"}
    assert raised.value.facts["problems"][0].code == "file_unreadable"


async def test_five_thousand_rows_come_in_and_the_loop_stays_awake(
    db: Database, cipher: FieldCipher, now: datetime
) -> None:
    async with db.transaction() as tx:
        clerk = await add_actor(tx, "clerk", Role.CARE_MANAGER)
    rows = [
        [f"张秀兰{chr(0x4E00 + n % 2000)}", "", "女", "新城区东风路街道", f"海东路{n}号",
         f"138{n:08d}", "李强", "儿子", f"139{n:08d}"]
        for n in range(MOST_ROWS)
    ]  # fmt: skip
    data = sheet(rows)
    assert len(read_rows(data)) == MOST_ROWS + 1
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            # The loop's own processor time between two turns: a busy machine does not count.
            begun = time.thread_time()
            await asyncio.sleep(0.01)
            longest = max(longest, time.thread_time() - begun)

    watcher = asyncio.create_task(watch())
    import_id = await start(db, cipher, clerk, data, now)
    done = await imports.confirm(db, cipher, clerk, import_id, now)
    watcher.cancel()
    assert done.state is State.IMPORTED
    assert await elders_in(db) == MOST_ROWS
    # About 100 ms on two cores; a reading on the loop itself would hold it for seconds.
    assert longest < 1.0
