"""Importing a list: what is said of each cell, and that all of it comes in or nothing."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care.elders import importer_words, service, summary
from care.elders.importer import interpret
from care.elders.model import LivingSituation, Relation, Sex
from care.imports import service as imports
from care.imports.model import State
from care.imports.places import Places
from care.sheets.reading import MOST_ROWS, Row, read_rows
from care.sheets.writing import Sheet, write_xlsx
from kernel import audit
from kernel.auth.model import Actor, Role
from kernel.crypto import FieldCipher
from kernel.db import Database, fetch_tuples, fetch_value
from kernel.divisions.bundled import read
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from tests.care.conftest import add_actor
from tests.care.samples import ID_NUMBER, LI

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)
HEADER = [
    "姓名",
    "身份证号",
    "性别",
    "行政区划",
    "住址",
    "电话",
    "联系人1姓名",
    "联系人1关系",
    "联系人1电话",
]
GOOD = [
    ["李建国", ID_NUMBER, "男", "新城区东风路街道", "海东路88号3-2-501", "13812345678",
     "李强", "儿子", "13900001111"],
    ["王芳", "", "女", "150104", "大召前街9号", "0471-6281234", "", "", ""],
    ["张秀兰", "", "", "赛罕区大学西路", "", "", "王医生", "签约医生", "18647110000"],
]  # fmt: skip


@cache
def hohhot() -> Places:
    inside = [d for d in read() if d.code.startswith("1501") or d.code == "150000000000"]
    return Places((one.code, one.name) for one in inside)


def sheet(rows: list[list[str]], header: list[str] | None = None) -> bytes:
    return write_xlsx([Sheet("老人", header or HEADER, rows)])


def table(*rows: list[str]) -> list[Row]:
    return [Row(number, tuple(cells)) for number, cells in enumerate(rows, start=1)]


def said(rows: list[Row]) -> list[tuple[int, str, str]]:
    found = interpret(rows, hohhot(), NOW)
    return [(one.row, one.column, one.problem.code) for one in found.problems]


def test_a_good_list_becomes_drafts() -> None:
    found = interpret(table(HEADER, *GOOD), hohhot(), NOW)
    assert found.problems == ()
    li, wang, zhang = found.rows
    assert (li.number, li.draft.sex, str(li.draft.birth_date)) == (2, Sex.MALE, "1940-01-01")
    assert (li.contacts[0].relation, li.contacts[0].phone) == (Relation.SON, "13900001111")
    assert (wang.draft.division_code, wang.draft.phones[0].number) == (
        "150104000000",
        "04716281234",
    )
    assert zhang.draft.division_code == "150105002000"
    assert zhang.contacts[0].relation is Relation.DOCTOR


def test_a_title_other_headings_and_unknown_columns_are_no_obstacle() -> None:
    found = interpret(
        table(
            ["2026年独居老人名册"],
            ["序号", "老人姓名 *", "公民身份号码", "所属区县", "街道", "家庭住址",
             "联系电话（手机）", "紧急联系人", "与老人关系", "紧急联系人电话", "居住情况", "民族"],
            ["1", "李 秀英", "", "新城区", "东风路街道", "丽苑小区", "138 1234 5678",
             "李强", "长子", "13900001111", "独居", "汉"],
        ),
        hohhot(),
        NOW,
    )  # fmt: skip
    assert found.problems == ()
    assert found.ignored == ("序号", "民族")
    row = found.rows[0]
    assert (row.draft.name, row.draft.division_code) == ("李秀英", "150102006000")
    assert row.draft.living_situation is LivingSituation.ALONE
    assert row.contacts[0].relation is Relation.SON


def test_the_division_may_stand_in_the_address() -> None:
    found = interpret(
        table(["姓名", "地址"], ["李秀英", "内蒙古自治区呼和浩特市新城区东风路街道丽苑小区3-501"]),
        hohhot(),
        NOW,
    )
    assert found.rows[0].draft.division_code == "150102006000"


@pytest.mark.parametrize(
    ("column", "value", "heading", "code"),
    [
        (0, "", "姓名", "required"),
        (1, "150102194001011239", "身份证号", "id_number_check"),
        (1, "1.50102194001011E+17", "身份证号", "id_number_rounded"),
        (2, "女", "性别", "sex_disagrees"),
        (2, "公", "性别", "unknown_choice"),
        (3, "火星", "行政区划", "division_unknown"),
        (3, "", "行政区划", "required"),
        (3, "小区", "行政区划", "division_unknown"),
        (5, "12", "电话", "phone"),
        (6, "", "联系人1姓名", "required"),
        (8, "", "联系人1电话", "phone"),
        (8, "13812345678", "联系人1电话", "phone_is_own"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_heading(
    column: int, value: str, heading: str, code: str
) -> None:
    row = list(GOOD[0])
    row[column] = value
    assert said(table(HEADER, GOOD[1], row)) == [(3, heading, code)]


def test_an_id_number_twice_in_the_file_is_said_at_the_second() -> None:
    found = interpret(table(HEADER, GOOD[0], GOOD[1], GOOD[0]), hohhot(), NOW)
    assert [(one.row, one.problem.code, one.problem.facts) for one in found.problems] == [
        (4, "id_number_taken_in_file", {"row": 2})
    ]


def test_a_list_without_names_or_rows_is_a_problem_of_the_file() -> None:
    assert said(table(["电话"], ["13812345678"])) == [(1, "", "heading_missing")]
    assert said(table(HEADER)) == [(1, "", "no_rows")]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("150102", ["150102000000"]),
        ("150102006000", ["150102006000"]),
        ("999999", []),
        ("呼和浩特市新城区", ["150102000000"]),
        ("内蒙古自治区呼和浩特市新城区东风路街道丽苑社区居委会", ["150102006005"]),
        ("新城区 / 东风路街道", ["150102006000"]),
        ("玉泉区大召社区", ["150104003005"]),
        ("中山", ["150102003003", "150121100201"]),
        ("富丽社区", ["150103003029", "150104004008"]),
        ("回民区富丽社区", ["150103003029"]),
        ("", []),
        ("东风路街道的某个地方", []),
    ],
)
def test_a_division_is_found_by_code_or_name(text: str, codes: list[str]) -> None:
    assert hohhot().code_of(text) == codes


@given(st.sampled_from([one for one in read() if one.code.startswith("1501") and one.level >= 3]))
def test_every_division_is_found_by_its_code_and_its_whole_path(division: object) -> None:
    code, names = division.code, []  # type: ignore[attr-defined]
    assert hohhot().code_of(code) == [code]
    every = {one.code: one.name for one in read()}
    for width in (6, 9, 12):
        prefix = code[:width].ljust(12, "0")
        if prefix in every and every[prefix] not in names:
            names.append(every[prefix])
    assert code in hohhot().code_of("".join(names))


def test_every_heading_of_the_template_is_understood() -> None:
    found = interpret(table(list(importer_words.TEMPLATE)), hohhot(), NOW)
    assert found.ignored == ()
    assert len(found.columns) == len(importer_words.TEMPLATE)


wrong_cells = st.sampled_from(
    [(0, ""), (1, "123"), (2, "公"), (3, "火星"), (5, "12"), (6, ""), (8, "1")]
)


@given(st.lists(st.one_of(st.none(), wrong_cells), min_size=1, max_size=12))
@settings(max_examples=60)
def test_exactly_the_wrong_rows_are_reported(faults: list[tuple[int, str] | None]) -> None:
    rows = []
    for number, fault in enumerate(faults):
        row = [*GOOD[0][:1], "", *GOOD[0][2:]]
        row[5] = f"138{number:08d}"
        if fault:
            row[fault[0]] = fault[1]
        rows.append(row)
    found = said(table(HEADER, *rows))
    assert {row for row, _, _ in found} == {
        number for number, fault in enumerate(faults, start=2) if fault
    }
    for row, heading, _ in found:
        fault = faults[row - 2]
        assert fault is not None
        assert heading == HEADER[fault[0]]


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
