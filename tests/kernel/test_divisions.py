"""Divisions: arithmetic of the codes, the bundled data, and files of more of them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import divisions
from kernel.db import Database, Tx, execute, fetch_value
from kernel.divisions import DivisionImportError, bundled, codes


@st.composite
def prefixes(draw: st.DrawFn) -> str:
    parts = [str(draw(st.integers(11, 99)))]
    for width in (2, 2, 3, 3):
        parts.append(str(draw(st.integers(1, 10**width - 1))).zfill(width))
    return "".join(parts)[: draw(st.sampled_from(codes.WIDTHS))]


@pytest.mark.parametrize(
    ("code", "prefix", "level", "parent"),
    [
        ("150000000000", "15", 1, None),
        ("150100000000", "1501", 2, "150000000000"),
        ("150102000000", "150102", 3, "150100000000"),
        ("150102001000", "150102001", 4, "150102000000"),
        ("150102001006", "150102001006", 5, "150102001000"),
        ("441900003000", "441900003", 4, "441900000000"),
        ("110100000000", "1101", 2, "110000000000"),
    ],
)
def test_a_code_knows_its_prefix_level_and_parent(
    code: str, prefix: str, level: int, parent: str | None
) -> None:
    assert codes.significant_prefix(code) == prefix
    assert codes.level(code) == level
    assert codes.parent(code) == parent
    assert codes.pad(prefix) == code


@given(prefixes())
def test_a_prefix_survives_padding_and_its_code_lies_below_its_ancestors(prefix: str) -> None:
    code = codes.pad(prefix)
    assert codes.significant_prefix(code) == prefix
    assert len(codes.ancestors(code)) == codes.level(code) - 1
    for above in codes.ancestors(code):
        assert code.startswith(codes.significant_prefix(above))
        assert codes.level(above) < codes.level(code)


@pytest.mark.parametrize("text", ["", "15", "15010200000", "1501020000000", "00" * 6, "１" * 12])
def test_what_is_no_code_is_refused(text: str) -> None:
    assert not codes.is_code(text)
    with pytest.raises(ValueError, match="not a 12-digit"):
        codes.significant_prefix(text)


@pytest.mark.parametrize("text", ["1", "150", "15010", "1501021", "00", "1501 2", "abcd"])
def test_what_is_no_prefix_is_refused(text: str) -> None:
    assert not codes.is_prefix(text)
    with pytest.raises(ValueError, match="not the significant part"):
        codes.pad(text)


def test_the_bundled_data_is_whole() -> None:
    rows = bundled.read()
    by_code = {row.code: row for row in rows}
    assert len(by_code) == len(rows) > 4800
    for row in rows:
        assert codes.level(row.code) == row.level
        assert codes.parent(row.code) == row.parent
        assert row.parent is None or row.parent in by_code
    assert sum(row.level == 1 for row in rows) == 34
    assert {by_code[f"15010{n}000000"].name for n in (2, 3, 4, 5)} == {
        "新城区", "回民区", "玉泉区", "赛罕区",
    }  # fmt: skip
    assert sum(row.level >= 4 and row.code.startswith("1501") for row in rows) > 1400


async def test_loading_twice_changes_nothing_the_second_time(db: Database) -> None:
    async with db.transaction() as tx:
        assert await divisions.load_divisions(tx) == len(bundled.read())
        assert await divisions.load_divisions(tx) == 0
    async with db.transaction() as tx:
        assert await divisions.load_divisions(tx) == 0


async def test_loading_mends_what_is_bundled_and_keeps_what_was_imported(tx: Tx) -> None:
    await divisions.load_divisions(tx)
    await execute(tx, "UPDATE division SET name = '?' WHERE code = '150102000000'")
    assert await divisions.import_csv(tx, "code,name\n150103,回民区(新)".encode()) == 1
    assert await divisions.load_divisions(tx) == 1
    names = await divisions.path_names(tx, ["150102000000", "150103000000"])
    assert list(names.values()) == [
        "内蒙古自治区 呼和浩特市 新城区",
        "内蒙古自治区 呼和浩特市 回民区(新)",
    ]


async def test_path_names_leave_out_what_says_nothing(tx: Tx) -> None:
    await divisions.load_divisions(tx)
    assert await divisions.path_name(tx, "110101000000") == "北京市 东城区"
    assert await divisions.path_name(tx, "620201000000") == "甘肃省 嘉峪关市"
    assert await divisions.path_name(tx, "469001000000") == "海南省 五指山市"
    assert (
        await divisions.path_name(tx, "150102001001")
        == "内蒙古自治区 呼和浩特市 新城区 海拉尔东路街道 公主府社区居委会"
    )
    assert await divisions.path_name(tx, "150102999000") == "内蒙古自治区 呼和浩特市 新城区"


async def test_children_and_search(tx: Tx) -> None:
    await divisions.load_divisions(tx)
    assert len(await divisions.children(tx)) == 34
    assert [one.name for one in await divisions.children(tx, "150100000000")][:4] == [
        "新城区", "回民区", "玉泉区", "赛罕区",
    ]  # fmt: skip
    found = await divisions.search(tx, "新城", scope="1501")
    assert found[0].code == "150102000000"
    assert all(one.code.startswith("1501") for one in found)
    assert [one.name for one in await divisions.search(tx, "150102")] == ["新城区"]
    assert await divisions.search(tx, "150102", scope="11") == []
    assert await divisions.search(tx, " ") == []


async def test_an_abolished_division_stays_readable_but_is_not_offered(tx: Tx) -> None:
    await divisions.load_divisions(tx)
    text = "code,name,valid_from,valid_to\n150102001,海拉尔东路街道,1984-01-01,2025-06-30\n"
    assert await divisions.import_csv(tx, text.encode()) == 1
    one = await divisions.get(tx, "150102001000")
    assert one is not None
    assert (one.valid_from, one.valid_to) == (date(1984, 1, 1), date(2025, 6, 30))
    assert "海拉尔东路街道" not in [c.name for c in await divisions.children(tx, "150102000000")]
    assert await divisions.search(tx, "海拉尔东路街道") == []
    assert "海拉尔东路街道" in await divisions.path_name(tx, "150102001001")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_a_file_is_read_in_the_encodings_of_spreadsheets(tx: Tx, encoding: str) -> None:
    await divisions.load_divisions(tx)
    text = "Code , NAME\r\n130102001,建北街道\r\n130102001001,棉一社区居委会\r\n"
    assert await divisions.import_csv(tx, text.encode(encoding)) == 2
    assert (await divisions.path_name(tx, "130102001001")).endswith(
        "长安区 建北街道 棉一社区居委会"
    )


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("code,name\n1.50102E+11,新城区", "line 2", "rounded"),
        ("code,name\n150102,新城区\n15010,回民区", "line 3", "not the significant part"),
        ("code,name\n150102,", "line 2", "1 to 100"),
        ("code,name\n150102,新城区\n150102000000,新城区", "line 3", "twice"),
        ("code,name,valid_to\n150102,新城区,2025.6.30", "line 2", "not a date"),
        ("code,name,valid_from,valid_to\n150102,新,2025-01-02,2025-01-01", "line 2", "not after"),
        ("code,name\n150177001,某街道", "150177001000", "neither here nor"),
    ],
)
async def test_a_wrong_line_is_named_and_nothing_is_imported(
    tx: Tx, text: str, where: str, what: str
) -> None:
    await divisions.load_divisions(tx)
    with pytest.raises(DivisionImportError, match=what) as caught:
        await divisions.import_csv(tx, text.encode())
    assert list(caught.value.fields) == [where]
    assert await fetch_value(tx, "SELECT count(*) FROM division WHERE source = 'import'") == 0


async def test_a_file_without_its_columns_or_of_bytes_is_refused(tx: Tx) -> None:
    with pytest.raises(DivisionImportError, match="missing: name"):
        await divisions.import_csv(tx, b"code,label\n150102,x")
    with pytest.raises(DivisionImportError, match="missing"):
        await divisions.import_csv(tx, b"")
    with pytest.raises(DivisionImportError, match="neither UTF-8"):
        await divisions.import_csv(tx, b"\xff\xff\xff")
