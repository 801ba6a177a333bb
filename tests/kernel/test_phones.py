"""One spelling of a telephone number, however somebody wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.phones import is_phone, phone_of


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("13812345678", "13812345678"),
        ("+86 138-1234-5678", "13812345678"),
        ("0086 138 1234 5678", "13812345678"),
        ("8613812345678", "13812345678"),
        ("１３８１２３４５６７８", "13812345678"),
        ("（0471）691 2345", "04716912345"),
        ("+86 471 691 2345", "04716912345"),
        ("86123456", "86123456"),
        ("12349", "12349"),
        ("٣٨", ""),
        ("没有电话", ""),
    ],
)
def test_phone_numbers_are_written_one_way(text: str, digits: str) -> None:
    assert phone_of(text) == digits


@given(st.text(max_size=40))
def test_a_normal_phone_number_stays_as_it_is(text: str) -> None:
    once = phone_of(text)
    assert phone_of(once) == once
    assert once.isascii()


@given(st.text(alphabet="0123456789+-() 转x０１２", max_size=24))
def test_a_phone_keeps_only_digits_and_a_leading_plus(text: str) -> None:
    number = phone_of(text)
    assert number.removeprefix("+").isdigit() or number == ""


@given(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.sampled_from(["", "+86", "0086 ", "86"])
)
def test_a_mobile_number_is_found_however_it_is_written(number: str, prefix: str) -> None:
    spaced = f"{prefix}{number[:3]}-{number[3:7]} {number[7:]}"
    assert phone_of(spaced) == number
    assert is_phone(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0471-6281234", "04716281234"),
        ("(0471) 628 1234 转 802", "04716281234"),
        ("+86 471 6281234", "04716281234"),
        ("+86 10 8888 1234", "01088881234"),
        ("400-800-1234", "4008001234"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("００４９ 30 901820", "+4930901820"),
        ("１３８１２３４５６７８", "13812345678"),
        ("12349", "12349"),
    ],
)
def test_phones_of_every_kind_get_one_spelling(text: str, number: str) -> None:
    assert phone_of(text) == number
    assert is_phone(number)
