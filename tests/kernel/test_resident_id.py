"""The check of resident ID numbers (GB 11643)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernel.resident_id import (
    PROBLEMS,
    WARNINGS,
    check_character,
    check_resident_id,
    normalise_id_number,
)

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)


def number_of(division: str, born: date, sequence: int) -> str:
    body = f"{division}{born:%Y%m%d}{sequence:03}"
    return body + check_character(body)


valid_numbers = st.builds(
    number_of,
    st.sampled_from(["150102", "110101", "152601", "999999"]),
    st.dates(date(1890, 1, 1), date(2026, 3, 5)),
    st.integers(0, 999),
)


@pytest.mark.parametrize(
    ("text", "sex", "born", "warnings"),
    [
        ("150102194001011238", "male", date(1940, 1, 1), ()),
        ("11010519491231002X", "female", date(1949, 12, 31), ()),
        ("11010519491231002x", "female", date(1949, 12, 31), ()),
        ("150102 19400101 1238", "male", date(1940, 1, 1), ()),
        ("１５０１０２１９４００１０１１２３８", "male", date(1940, 1, 1), ()),
        (number_of("152601", date(1936, 2, 29), 20), "female", date(1936, 2, 29),
         ("id_number_division",)),
        (number_of("830000", date(1950, 5, 5), 1), "male", date(1950, 5, 5), ()),
    ],
)  # fmt: skip
def test_valid_numbers_say_who_they_belong_to(
    text: str, sex: str, born: date, warnings: tuple[str, ...]
) -> None:
    result = check_resident_id(text, NOW)
    assert result.valid
    assert result.problem == ""
    assert (result.sex, result.birth_date, result.warnings) == (sex, born, warnings)
    assert result.division == result.number[:6]
    assert set(result.warnings) <= set(WARNINGS)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "id_number_length"),
        ("15010219400101123", "id_number_length"),
        ("1501021940010112388", "id_number_length"),
        ("150102400101123", "id_number_old"),
        ("15010240010112X", "id_number_length"),
        ("15010219400101123A", "id_number_characters"),
        ("X50102194001011238", "id_number_characters"),
        ("1501021940010112٣٨", "id_number_characters"),
        ("150102-94001011238", "id_number_characters"),
        ("150102194002301234", "id_number_birth_date"),
        ("150102190002291234", "id_number_birth_date"),
        ("150102194013011234", "id_number_birth_date"),
        ("150102000001011234", "id_number_birth_date"),
        ("150102202603071234", "id_number_birth_date"),
        ("150102194001011239", "id_number_check"),
        ("15010219400101123X", "id_number_check"),
        ("150102194001011328", "id_number_check"),
    ],
)
def test_wrong_numbers_are_refused_for_the_right_reason(text: str, code: str) -> None:
    result = check_resident_id(text, NOW)
    assert not result.valid
    assert result.code == code
    assert result.problem == PROBLEMS[code]
    assert (result.birth_date, result.sex, result.division) == (None, None, None)


def test_the_day_of_birth_is_compared_with_the_calendar_in_china() -> None:
    born_today = number_of("150102", date(2026, 3, 6), 1)
    assert not check_resident_id(born_today, NOW).valid
    assert check_resident_id(born_today, NOW + timedelta(hours=2)).valid


def test_the_known_divisions_can_be_given() -> None:
    assert check_resident_id("150102194001011238", NOW, counties={"110101"}).warnings


@given(valid_numbers)
def test_every_number_with_its_check_character_is_valid(number: str) -> None:
    assert check_resident_id(number, NOW).valid
    assert check_resident_id(f" {number.lower()} ", NOW).number == number


@given(valid_numbers, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_wrong_character_never_passes(number: str, place: int, other: str) -> None:
    assume(number[place] != other)
    assert not check_resident_id(number[:place] + other + number[place + 1 :], NOW).valid


@given(valid_numbers, st.integers(0, 16))
def test_two_swapped_neighbours_never_pass(number: str, place: int) -> None:
    assume(number[place] != number[place + 1])
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert not check_resident_id(swapped, NOW).valid


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    result = check_resident_id(text, NOW)
    assert result.valid or result.problem
    assert result.number == normalise_id_number(text)
