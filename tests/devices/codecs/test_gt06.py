from datetime import UTC, datetime

from devices.codecs.binary import crc_itu
from devices.codecs.gt06 import decode, split
from devices.messages import Frame

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
