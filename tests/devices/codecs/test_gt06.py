from datetime import UTC, datetime, timedelta, timezone

import pytest

from devices.codecs.binary import crc_itu
from devices.codecs.gt06.codec import decode
from devices.codecs.gt06.frames import split
from devices.messages import CodecError, Frame

HEARTBEAT = bytes.fromhex("78780a13c40604000201298f5b0d0a")
LOGIN = bytes.fromhex("78780d01086471700328358100093f040d0a")


def test_the_check_sum_is_that_of_the_standard() -> None:
    assert crc_itu(b"123456789") == 0x906E


def test_the_login_names_the_connection_and_is_answered() -> None:
    decoded = decode(Frame(LOGIN))
    assert decoded.device == "864717003283581"
    (answer,) = decoded.replies
    assert answer[:6].hex() == "787805010009"


def test_an_answer_has_the_packets_number_and_serial() -> None:
    (answer,) = decode(Frame(HEARTBEAT, device="864717003283581")).replies
    assert answer[:6].hex() == "787805130129"
    assert crc_itu(answer[2:-4]) == int.from_bytes(answer[-4:-2], "big")


def test_the_time_is_told_to_who_asks_for_it() -> None:
    body = bytes([5, 0x8A, 0, 7])
    frame = b"\x78\x78" + body + crc_itu(body).to_bytes(2, "big") + b"\r\n"
    now = datetime(2025, 11, 22, 2, 3, 4, tzinfo=UTC)
    (answer,) = decode(Frame(frame, received_at=now)).replies
    assert answer[4:10] == bytes([25, 11, 22, 2, 3, 4])


def test_a_wrong_length_is_mended_at_the_next_end() -> None:
    wrong = bytearray(HEARTBEAT)
    wrong[2] = 0x0B
    frames, rest = split(bytes(wrong) + HEARTBEAT)
    assert frames == [bytes(wrong), HEARTBEAT]
    assert rest == b""


def test_an_end_inside_of_a_packet_does_not_cut_it() -> None:
    content = bytes.fromhex("190b0d0a0f00cc0461d5f80bfd2a00001410")
    body = bytes([5 + len(content), 0x12]) + content + b"\0\7"
    frame = b"\x78\x78" + body + crc_itu(body).to_bytes(2, "big") + b"\r\n"
    assert split(frame + HEARTBEAT) == ([frame, HEARTBEAT], b"")


def _packet(number: int, content: str) -> bytes:
    data = bytes.fromhex(content)
    body = bytes([5 + len(data), number]) + data + b"\0\1"
    return b"\x78\x78" + body + crc_itu(body).to_bytes(2, "big") + b"\r\n"


POSITION = _packet(0x12, "1a0b1610000fca0461c2500bfd472803145a01cc002666000ee1")


@pytest.mark.parametrize(
    ("zone", "minutes"), [("3200", 480), ("1908", -240), ("38e0", 550), ("0000", 0)]
)
def test_the_login_says_in_which_zone_its_times_are(zone: str, minutes: int) -> None:
    login = decode(Frame(_packet(0x01, f"0864717003664467100f{zone}")))
    assert login.utc_offset == minutes
    (message,) = decode(Frame(POSITION, device="1", utc_offset=minutes)).messages
    expected = datetime(2026, 11, 22, 16, 0, 15, tzinfo=timezone(timedelta(minutes=minutes)))
    assert message.at == expected
    assert message.position is not None
    assert message.position.at == expected


def test_a_zone_that_nobody_lives_in_is_none() -> None:
    assert decode(Frame(_packet(0x01, "0864717003664467100f9900"))).utc_offset is None
    assert decode(Frame(LOGIN)).utc_offset is None


def test_packets_come_out_of_a_stream_however_it_is_cut() -> None:
    stream = LOGIN + HEARTBEAT + POSITION
    for size in (1, 2, 7, len(stream)):
        frames: list[bytes] = []
        rest = b""
        for begin in range(0, len(stream), size):
            cut, rest = split(rest + stream[begin : begin + size])
            frames += cut
        assert frames == [LOGIN, HEARTBEAT, POSITION]
        assert rest == b""


def test_a_packet_without_its_very_last_byte_is_read_all_the_same() -> None:
    assert decode(Frame(POSITION[:-1])) == decode(Frame(POSITION))
    with pytest.raises(CodecError):
        decode(Frame(POSITION[:-2]))
