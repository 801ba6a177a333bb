"""Importing a list: what is said of each cell."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care.elders import importer_words
from care.elders.importer import interpret
from care.elders.model import LivingSituation, Relation, Sex
from kernel.divisions.bundled import read
from tests.care.lists import GOOD, HEADER, NOW, hohhot, said, table


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
