from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.binary import luhn_digit, xor
from devices.codecs.jt808.codec import decode
from devices.codecs.jt808.frames import split
from devices.messages import Frame


def framed(number: int, body: bytes, terminal: str = "013800138000", serial: int = 7) -> bytes:
    """A frame as a terminal puts it on the wire."""
    head = number.to_bytes(2, "big") + len(body).to_bytes(2, "big") + bytes.fromhex(terminal)
    content = head + serial.to_bytes(2, "big") + body
    content += bytes([xor(content)])
    escaped = content.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")
    return b"\x7e" + escaped + b"\x7e"


LOCATION = bytes.fromhex(
    "00000000000000020270e1fc06a92f800410000000002511221015 00".replace(" ", "")
)


@given(items=st.binary(max_size=60))
def test_whatever_bytes_a_body_has_the_marks_stay_marks(items: bytes) -> None:
    frame = framed(0x6006, b"\0" + items)
    assert split(frame) == ([frame], b"")
    assert decode(Frame(frame)).device == "13800138000"


@given(items=st.binary(min_size=2, max_size=40))
def test_extra_items_of_any_kind_leave_the_position(items: bytes) -> None:
    decoded = decode(Frame(framed(0x0200, LOCATION + items)))
    (message,) = decoded.messages
    assert message.position is not None
    assert (round(message.position.lat, 3), round(message.position.lon, 3)) == (40.952, 111.751)


def test_a_frame_without_its_escapes_is_read_too() -> None:
    frame = framed(0x0200, LOCATION + bytes.fromhex("7d027e7e"))
    bare = (
        b"\x7e" + frame[1:-1].replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d") + b"\x7e"
    )
    assert decode(Frame(bare)).messages == decode(Frame(frame)).messages


def test_a_wrong_check_byte_is_a_warning() -> None:
    frame = bytearray(framed(0x0200, LOCATION))
    frame[-2] ^= 1
    decoded = decode(Frame(bytes(frame)))
    assert decoded.warnings == ("bad_checksum: the check byte is wrong",)
    assert decoded.messages


def test_a_registration_is_answered_with_a_code_and_the_code_is_taken() -> None:
    (answer,) = decode(Frame(framed(0x0100, b"\0" * 37))).replies
    assert answer[1:3] == b"\x81\x00"
    assert answer[13:16] == b"\x00\x07\x00"
    (answer,) = decode(Frame(framed(0x0102, b"013800138000"))).replies
    assert answer[1:3] == b"\x80\x01"


def test_the_time_is_told_to_who_asks_for_it() -> None:
    now = datetime(2025, 11, 22, 2, 3, 4, tzinfo=UTC)
    (answer,) = decode(Frame(framed(0x0109, b""), received_at=now)).replies
    assert answer[13:21] == bytes([0x07, 0xE9, 11, 22, 2, 3, 4, 0])


def test_after_a_lost_beginning_the_stream_finds_its_marks_again() -> None:
    good = framed(0x0200, LOCATION)
    frames, rest = split(b"\x01\x02\x7e" + good + good)
    assert frames == [b"\x01\x02", good, good]
    assert rest == b""


def test_the_check_digit_of_an_imei() -> None:
    assert luhn_digit(86547807010206) == 8
    assert luhn_digit(35320807676031) == 5
