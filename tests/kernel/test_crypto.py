"""Encryption of fields, blind indexes and masks."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.crypto import (
    CryptoError,
    FieldCipher,
    mask_address,
    mask_id_number,
    mask_name,
    mask_phone,
    new_master_key,
    parse_master_key,
)

FIRST, SECOND = bytes(range(32)), bytes(range(1, 33))
CIPHER = FieldCipher({1: FIRST})


@given(st.text(), st.sampled_from(["phone", "address"]))
def test_what_is_encrypted_comes_back(text: str, purpose: str) -> None:
    assert CIPHER.decrypt(purpose, CIPHER.encrypt(purpose, text)) == text


@given(st.binary(max_size=2000))
def test_bytes_come_back_too(data: bytes) -> None:
    assert CIPHER.decrypt_bytes("face", CIPHER.encrypt_bytes("face", data)) == data


def test_the_same_text_looks_different_each_time() -> None:
    assert CIPHER.encrypt("phone", "13812345678") != CIPHER.encrypt("phone", "13812345678")
    assert b"13812345678" not in CIPHER.encrypt("phone", "13812345678")


def test_a_box_opens_for_its_purpose_only() -> None:
    with pytest.raises(CryptoError, match="does not open"):
        CIPHER.decrypt("address", CIPHER.encrypt("phone", "13812345678"))


@given(st.integers(0, 40), st.integers(1, 255))
def test_a_damaged_box_never_opens(place: int, change: int) -> None:
    box = bytearray(CIPHER.encrypt("phone", "13812345678"))
    box[place % len(box)] ^= change
    with pytest.raises(CryptoError):
        CIPHER.decrypt("phone", bytes(box))


@pytest.mark.parametrize(
    "box", [b"", b"\x01", b"\x02" + bytes(40), b"plain text that is long enough"]
)
def test_what_is_no_box_is_refused(box: bytes) -> None:
    with pytest.raises(CryptoError, match="not an encrypted field"):
        CIPHER.decrypt("phone", box)


def test_another_master_key_opens_nothing() -> None:
    with pytest.raises(CryptoError, match="wrong key or damaged"):
        FieldCipher({1: SECOND}).decrypt("phone", CIPHER.encrypt("phone", "1"))


def test_a_new_key_encrypts_while_the_old_one_still_opens() -> None:
    rotated = FieldCipher({1: FIRST, 2: SECOND})
    assert rotated.decrypt("phone", CIPHER.encrypt("phone", "13812345678")) == "13812345678"
    fresh = rotated.encrypt("phone", "13812345678")
    assert fresh[1] == 2
    with pytest.raises(CryptoError, match="master key 2 is not configured"):
        CIPHER.decrypt("phone", fresh)
    assert FieldCipher({1: FIRST, 2: SECOND}, current=1).encrypt("phone", "1")[1] == 1


def test_a_blind_index_finds_again_and_survives_a_rotation() -> None:
    index = CIPHER.blind_index("phone", "13812345678")
    assert len(index) == 32
    assert index == FieldCipher({1: FIRST, 2: SECOND}).blind_index("phone", "13812345678")
    assert index != CIPHER.blind_index("phone", "13812345679")
    assert index != CIPHER.blind_index("id_number", "13812345678")
    assert index != FieldCipher({1: SECOND}).blind_index("phone", "13812345678")


def test_master_keys_are_made_and_read() -> None:
    assert len(parse_master_key(new_master_key())) == 32
    assert new_master_key() != new_master_key()
    with pytest.raises(CryptoError, match="openssl rand"):
        parse_master_key("not base64!")
    with pytest.raises(CryptoError, match="16 bytes instead of 32"):
        parse_master_key(base64.b64encode(os.urandom(16)).decode())
    with pytest.raises(CryptoError, match="no master key"):
        FieldCipher({})


@pytest.mark.parametrize(
    ("mask", "text", "shown"),
    [
        (mask_name, "", ""),
        (mask_name, "王", "王"),
        (mask_name, "张三", "张*"),
        (mask_name, "张三丰", "张*丰"),
        (mask_name, "欧阳娜娜", "欧**娜"),
        (mask_phone, "13812345678", "138****5678"),
        (mask_phone, "04716912345", "047****2345"),
        (mask_phone, "0471691234567", "047******4567"),
        (mask_phone, "69123456", "****3456"),
        (mask_phone, "6912345", "***2345"),
        (mask_phone, "12349", "***49"),
        (mask_phone, "1", "1"),
        (mask_phone, "", ""),
        (mask_id_number, "150102194001011238", "150102********1238"),
        (mask_id_number, "15010219X", "*********"),
        (mask_address, "新城区海拉尔东路街道12号楼3-2-501", "新城区海拉尔东路街道***"),
        (mask_address, "牧场深处", "牧场***"),
        (mask_address, "3号楼", "***"),
        (mask_address, "", "***"),
    ],
)
def test_masks(mask: object, text: str, shown: str) -> None:
    assert callable(mask)
    assert mask(text) == shown


@given(st.text(alphabet="0123456789", min_size=7, max_size=20))
def test_no_phone_number_is_shown_whole(phone: str) -> None:
    shown = mask_phone(phone)
    assert len(shown) == len(phone)
    assert shown.count("*") >= 3
