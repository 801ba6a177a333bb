"""The two floating point forms of IEEE 11073-20601, and values of which only the kind is given."""

import pytest

from devices.codecs.binary import Reader
from devices.codecs.gatt.codec import decode, short_uuid
from devices.codecs.gatt.ieee11073 import Special, read_float, read_sfloat
from devices.messages import Frame


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (0x0072, 114.0), (0xF16E, 36.6), (0xFFFF, -0.1), (0x0801 | 0xF000, -204.7),
        (0x8001, 1e-8), (0x7001, 1e7), (0x07FD, 2045.0), (0x0803, -2045.0), (0x0000, 0.0),
    ],
)  # fmt: skip
def test_a_short_float_is_its_decimal_number(word: int, value: float) -> None:
    assert read_sfloat(Reader(word.to_bytes(2, "little"))) == value


@pytest.mark.parametrize(
    ("word", "special"),
    [(0x07FF, "nan"), (0x0800, "nres"), (0x07FE, "+inf"), (0x0802, "-inf"), (0x0801, "reserved")],
)
def test_a_short_float_has_five_words_for_no_number(word: int, special: str) -> None:
    value = read_sfloat(Reader(word.to_bytes(2, "little")))
    assert isinstance(value, Special)
    assert value == special


@pytest.mark.parametrize(
    ("word", "value"),
    [(0xFF00016E, 36.6), (0xFE000E60, 36.8), (0x00800003, -8388605.0), (0x80000001, 1e-128)],
)
def test_a_float_is_its_decimal_number(word: int, value: float) -> None:
    assert read_float(Reader(word.to_bytes(4, "little"))) == value


@pytest.mark.parametrize(
    ("word", "special"),
    [
        (0x007FFFFF, "nan"), (0x00800000, "nres"), (0x007FFFFE, "+inf"), (0x00800002, "-inf"),
        (0x00800001, "reserved"),
    ],
)  # fmt: skip
def test_a_float_has_five_words_for_no_number(word: int, special: str) -> None:
    assert read_float(Reader(word.to_bytes(4, "little"))) == special


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2A35", 0x2A35), ("0x2a35", 0x2A35), ("00002a35-0000-1000-8000-00805f9b34fb", 0x2A35),
        ("00002A3500001000800000805F9B34FB", 0x2A35), ("2a35-1", None), ("", None),
        ("f0001234-0451-4000-b000-000000000000", None),
    ],
)  # fmt: skip
def test_a_characteristic_is_known_by_every_form_of_its_uuid(text: str, number: int | None) -> None:
    assert short_uuid(text) == number


def test_the_topic_may_be_the_characteristic_alone() -> None:
    decoded = decode(Frame(bytes.fromhex("006e0100ff"), "2A1C"))
    assert [(r.metric, r.value) for r in decoded.messages[0].readings] == [
        ("body_temperature", 36.6)
    ]
