from datetime import UTC, datetime

from devices.codecs.iw_trv.codec import decode
from devices.codecs.iw_trv.frames import split
from devices.messages import Frame


def test_the_login_is_answered_with_the_time_and_names_the_connection() -> None:
    frame = Frame(
        b"IWAP00353456789012345#", received_at=datetime(2025, 11, 22, 2, 3, 4, tzinfo=UTC)
    )
    decoded = decode(frame)
    assert decoded.device == "353456789012345"
    assert decoded.replies == (b"IWBP00,20251122020304,0#",)
    assert decoded.messages == ()


def test_what_follows_belongs_to_the_watch_that_logged_in() -> None:
    (message,) = decode(Frame(b"IWAP49,68#", device="353456789012345")).messages
    assert message.device == "353456789012345"


def test_sugar_in_mg_per_dl_becomes_mmol_per_l() -> None:
    decoded = decode(Frame(b"IWAPHP,,,,,126,#"))
    assert [(r.metric, r.value) for r in decoded.messages[0].readings] == [("glucose", 6.99)]
    assert decoded.warnings == ("glucose is taken as mg/dL",)


def test_sugar_in_mmol_per_l_stays() -> None:
    (message,) = decode(Frame(b"IWAPHP,,,,,5.6,#")).messages
    assert [(r.metric, r.value) for r in message.readings] == [("glucose", 5.6)]


def test_a_voice_packet_is_cut_by_its_length() -> None:
    voice = b"IWAP07,20140818064408,6,1,5,##a##"
    assert split(voice) == ([], voice)
    assert split(voice + b"#IWAP49,70#") == ([voice + b"#", b"IWAP49,70#"], b"")


def test_a_voice_packet_of_an_absurd_length_does_not_hold_up_the_stream() -> None:
    frames, _ = split(b"IWAP07,20140818064408,6,1,99999,abc#IWAP49,70#")
    assert frames[-1] == b"IWAP49,70#"
