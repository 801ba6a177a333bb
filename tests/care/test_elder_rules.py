"""What a record may say, how it is spelled, and what of it is shown."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from care.elders import ages, normalise, problems, rules
from care.elders.masking import HIDDEN, masked, secrets_of
from care.elders.model import Contact, Elder, LivingSituation, Phone, Relation, Secret, Sex
from care.elders.pinyin import reading_of
from care.watching.model import Threshold, Watch
from care.watching.rules import check_thresholds, check_watch
from kernel.ids import new_id
from tests.care.samples import ID_NUMBER, LI, NEIGHBOUR, PHONE, SON

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)


def codes(found: object) -> set[tuple[str, str]]:
    return {(one.field, one.code) for one in found}  # type: ignore[attr-defined]


def test_a_whole_record_has_no_problem() -> None:
    examined = rules.examine(LI, NOW)
    assert examined.problems == ()
    assert examined.warnings == ()
    assert examined.draft == LI


def test_sex_and_birth_date_come_from_the_id_number() -> None:
    examined = rules.examine(replace(LI, sex=Sex.UNKNOWN, birth_date=None), NOW)
    assert (examined.draft.sex, examined.draft.birth_date) == (Sex.MALE, date(1940, 1, 1))


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"sex": Sex.FEMALE}, "sex", "sex_disagrees"),
        ({"birth_date": date(1940, 1, 2)}, "birth_date", "birth_date_disagrees"),
        ({"id_number": "150102194001011239"}, "id_number", "id_number_check"),
        ({"id_number": "1501021940010112"}, "id_number", "id_number_length"),
        ({"name": " "}, "name", "required"),
        ({"name": "李<b>"}, "name", "name_characters"),
        ({"name": "李" * 61}, "name", "too_long"),
        ({"division_code": ""}, "division_code", "required"),
        ({"division_code": "150102"}, "division_code", "division_code"),
        ({"lon": None}, "lon", "position_half"),
        ({"lat": 91.0}, "lat", "position_range"),
        ({"lat": 51.5, "lon": -0.1}, "lat", "position_abroad"),
        ({"address": "长" * 201}, "address", "too_long"),
        ({"phones": (Phone("138123"),)}, "phones.0.number", "phone"),
        ({"phones": (Phone(PHONE), Phone("+86 " + PHONE))}, "phones.1.number", "phone_twice"),
        ({"phones": (Phone("", "手机"),)}, "phones.0.number", "phone"),
        ({"languages": tuple("一二三四五六七八九")}, "languages", "too_many"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(change: dict, field: str, code: str) -> None:
    assert codes(rules.examine(replace(LI, **change), NOW).problems) == {(field, code)}


def test_a_birth_date_lies_between_130_years_ago_and_today() -> None:
    free = replace(LI, id_number="")
    for day, code in (
        (date(2026, 3, 6), "date_in_future"),
        (date(1896, 3, 5), "too_old"),
        (date(1896, 3, 6), None),
        (date(2026, 3, 5), None),
    ):
        found = codes(rules.examine(replace(free, birth_date=day), NOW).problems)
        assert found == ({("birth_date", code)} if code else set())


def test_somebody_under_sixty_is_only_doubtful() -> None:
    young = rules.examine(replace(LI, id_number="", birth_date=date(1980, 1, 1)), NOW)
    assert young.problems == ()
    assert codes(young.warnings) == {("birth_date", "under_60")}


def test_an_unknown_division_of_an_id_number_is_only_doubtful() -> None:
    digits = "99010219400101123"
    from kernel.resident_id import check_character

    examined = rules.examine(replace(LI, id_number=digits + check_character(digits)), NOW)
    assert examined.problems == ()
    assert codes(examined.warnings) == {("id_number", "id_number_division")}


def test_contacts_keep_their_order_and_drop_empty_lines() -> None:
    empty = Contact("", Relation.OTHER, "")
    kept, found = rules.check_contacts([NEIGHBOUR, empty, SON], [PHONE])
    assert found == []
    assert kept == (NEIGHBOUR, SON)


@pytest.mark.parametrize(
    ("contact", "field", "code"),
    [
        (Contact("", Relation.SON, "13900001112"), "contacts.1.name", "required"),
        (Contact("李强", Relation.SON, ""), "contacts.1.phone", "phone"),
        (Contact("李强", Relation.SON, PHONE), "contacts.1.phone", "phone_is_own"),
        (Contact("李强", Relation.SON, "+86" + SON.phone), "contacts.1.phone", "phone_twice"),
    ],
)
def test_a_wrong_contact_is_said_at_its_line(contact: Contact, field: str, code: str) -> None:
    _, found = rules.check_contacts([SON, contact], [PHONE])
    assert codes(found) == {(field, code)}


@pytest.mark.parametrize(
    ("threshold", "code"),
    [
        (Threshold("heart_rate", 40, 50, 120, 140), None),
        (Threshold("spo2", 85, 90), None),
        (Threshold("heart_rate", 50, 40, 120, 140), "limits_order"),
        (Threshold("heart_rate", 40, 120, 120, 140), "limits_order"),
        (Threshold("heart_rate", None, 50, 300, None), "limits_range"),
        (Threshold("steps", 1, 2), "metric_unknown"),
    ],
)
def test_limits_rise_within_what_a_body_can_show(threshold: Threshold, code: str | None) -> None:
    assert {one.code for one in check_thresholds([threshold])} == ({code} if code else set())


@pytest.mark.parametrize(
    ("watch", "code"),
    [
        (Watch(), None),
        (Watch(inactivity_day_min=240, fence_lat=40.8, fence_lon=111.7, fence_radius_m=500), None),
        (Watch(inactivity_day_min=5), "minutes_range"),
        (Watch(fence_lat=40.8), "fence_incomplete"),
        (Watch(fence_lat=40.8, fence_lon=111.7, fence_radius_m=1), "radius_range"),
        (Watch(door_open_major_min=60, door_open_critical_min=30), "doors_order"),
    ],
)
def test_watch_settings_are_whole_and_within_their_ranges(watch: Watch, code: str | None) -> None:
    assert {one.code for one in check_watch(watch)} == ({code} if code else set())


@given(st.text(max_size=40))
def test_spelling_something_twice_changes_nothing(text: str) -> None:
    for spell in (
        normalise.name_of,
        normalise.id_number_of,
        normalise.address_of,
        normalise.plain_text,
    ):
        assert spell(spell(text)) == spell(text)


def test_names_lose_alignment_and_keep_their_dot() -> None:
    assert normalise.name_of("王　 芳") == "王芳"
    assert normalise.name_of("巴特尔•孟和") == "巴特尔·孟和"
    assert normalise.name_of(" John  Smith ") == "John Smith"


@pytest.mark.parametrize(
    ("name", "pinyin", "initials"),
    [
        ("李秀英", "lixiuying", "lxy"),
        ("单田芳", "shantianfang", "stf"),
        ("解桂花", "xieguihua", "xgh"),
        ("曾国强", "zengguoqiang", "zgq"),
        ("覃秀英", "tanxiuying", "txy"),
        ("覃秀英", "qinxiuying", "qxy"),
        ("欧阳锋", "ouyangfeng", "oyf"),
        ("万俟玉", "moqiyu", "mqy"),
        ("乌云其其格", "wuyunqiqige", "wyqqg"),
        ("巴特尔·孟和", "menghe", "mh"),
        ("张重阳", "zhangchongyang", "zcy"),
        ("张重阳", "zhangzhongyang", "zzy"),
        ("John Smith", "smith", "js"),
    ],
)
def test_a_name_is_found_by_each_of_its_readings(name: str, pinyin: str, initials: str) -> None:
    reading = reading_of(name)
    assert pinyin in reading.pinyin.split()
    assert initials in reading.initials.split()


@given(st.text(alphabet=st.characters(categories=["Lo", "Lu", "Ll"]), max_size=12))
def test_every_name_has_a_reading_of_ascii_words(name: str) -> None:
    reading = reading_of(normalise.name_of(name))
    for text in (reading.pinyin, reading.initials):
        assert all(word.isascii() and word.isalnum() for word in text.split())


def whole_elder(**changes: object) -> Elder:
    values = {name: getattr(LI, name) for name in LI.__slots__}
    return Elder(
        id=new_id(), created_at=NOW, updated_at=NOW, updated_by=None, archived_at=None, version=1,
        division_name="新城区", contacts=(SON,), **(values | changes),  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_masked_record_shows_that_something_is_there() -> None:
    shown = masked(whole_elder())
    assert shown.id_number == "150102********1238"
    assert shown.address == "海东路***"
    assert shown.medical_notes == shown.access_notes == HIDDEN
    assert [one.number for one in shown.phones] == ["138****5678", "047****1234"]
    assert shown.contacts[0].phone == "139****1111"
    assert shown.masked
    assert secrets_of(whole_elder()) == frozenset(Secret)


def test_masking_nothing_shows_nothing() -> None:
    bare = masked(
        whole_elder(id_number="", address="", medical_notes="", access_notes="", phones=())
    )
    assert (bare.id_number, bare.address, bare.medical_notes, bare.access_notes) == ("", "", "", "")


@given(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    st.text(alphabet="内蒙古呼和浩特新城区海东路小区", min_size=1, max_size=12),
    st.integers(1, 999),
)
def test_no_mask_gives_a_number_or_a_house_away(phone: str, street: str, house: int) -> None:
    address = f"{street}{house}号楼2单元501室"
    shown = masked(whole_elder(phones=(Phone(phone),), address=address))
    text = repr(shown)
    assert phone not in text
    assert ID_NUMBER not in text
    assert f"{house}号楼" not in shown.address


@given(st.dates(date(1900, 1, 1), date(2026, 3, 5)), st.datetimes(timezones=st.just(UTC)))
def test_everybody_is_in_exactly_one_age_band(born: date, at: datetime) -> None:
    if not 1920 <= at.year <= 2030:
        at = NOW
    age = ages.age_on(born, at)
    if age is None or age < 0:
        return
    inside = []
    for band in ages.AGE_BANDS:
        after, until = ages.births_of(band, at)
        if born <= until and (after is None or born > after):
            inside.append(band)
    assert len(inside) == 1
    assert inside[0].first <= age <= (inside[0].last or 999)


@given(st.dates(date(1890, 1, 1), date(2026, 1, 1)))
def test_a_date_is_read_in_every_usual_form(day: date) -> None:
    for text in (
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day.year}年{day.month}月{day.day}日",
        f"{day.year}.{day.month:02}.{day.day:02}",
        f"{day:%Y%m%d}",
        f"{day.isoformat()} 00:00:00",
    ):
        assert rules.date_of(text) == day


@pytest.mark.parametrize(
    "text", ["", "1943", "43-5-1", "1943-13-01", "1943-02-30", "约1943年5月1日"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert rules.date_of(text) is None


def test_every_problem_has_a_sentence_that_its_facts_fill() -> None:
    facts = {"limit": 1, "low": 1, "high": 2, "row": 3}
    for code in problems.SENTENCES:
        assert "%" not in problems.Problem("x", code, facts).sentence.replace("%)", "")


def test_living_situation_words_are_the_tables() -> None:
    assert {one.value for one in LivingSituation} >= {"alone", "couple", "with_family"}
