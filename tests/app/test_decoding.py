"""`silverline decode`: one frame in, flat records out, a sentence when it cannot be."""

from datetime import datetime
from pathlib import Path

import pytest

from app import decoding
from devices.codecs import CODECS
from kernel.errors import Invalid, NotFound


def decode(now: datetime, codec: str, **given: str) -> list[dict[str, object]]:
    frame = decoding.frame_of(
        hex_text=given.get("hex"),
        text=given.get("text"),
        topic=given.get("topic", ""),
        json_file=Path(given["json"]) if "json" in given else None,
        now=now,
    )
    named = decoding.codec_named(codec)
    return decoding.records(decoding.decode(named, frame, given.get("profile")))


def test_a_reading_has_metric_value_unit_and_code(now: datetime) -> None:
    records = decode(now, "setracker", text="[3G*4700609403*0013*bphrt,120,79,73,,,,]")
    found = {r["metric"]: (r["value"], r["unit"], r["code"]) for r in records}
    assert found["bp_systolic"] == (120, "mm[Hg]", "8480-6")
    assert found["bp_diastolic"] == (79, "mm[Hg]", "8462-4")
    assert found["heart_rate"] == (73, "/min", "8867-4")


def test_dash_and_underscore_name_the_same_codec(now: datetime) -> None:
    assert decode(now, "iw-trv", text="IWAP49,68#") == decode(now, "iw_trv", text="IWAP49,68#")


def test_hexadecimal_may_be_written_in_groups(now: datetime) -> None:
    plain = "78780A13C40604000201298F5B0D0A"
    grouped = " ".join(plain[i : i + 2] for i in range(0, len(plain), 2))
    assert decode(now, "gt06", hex=plain) == decode(now, "gt06", hex=grouped)


def test_a_payload_comes_from_a_file_with_its_topic(now: datetime, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"seq":1,"t":1763776800123,"alarm":"sos"}')
    records = decode(now, "silverline_v1", topic="silverline/v1/P-1/alarm", json=str(file))
    assert [(r["kind"], r["code"], r["device"]) for r in records] == [("alarm", "sos", "P-1")]
    assert records[0]["time"] == "2025-11-22T02:00:00.123000Z"


def test_a_profile_says_what_a_state_means(now: datetime, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"action":"emergency","linkquality":90}')
    topic = "zigbee2mqtt/床头按钮"
    without = decode(now, "zigbee2mqtt", topic=topic, json=str(file))
    assert [r["code"] for r in without if r["kind"] == "alarm"] == []
    meant = decode(now, "zigbee2mqtt", topic=topic, json=str(file), profile="z2m-hs1eb")
    assert any(r["kind"] in ("alarm", "state") for r in meant)


@pytest.mark.parametrize(
    ("codec", "given", "sentence"),
    [
        ("setracker", {"text": "hello"}, "setracker:"),
        ("gt06", {"hex": "zz"}, "not hexadecimal"),
        ("gt06", {}, "exactly one"),
        ("gt06", {"hex": "00", "text": "x"}, "exactly one"),
        ("jt808", {"json": "/nowhere"}, "cannot be read"),
    ],
)
def test_what_cannot_be_decoded_is_a_sentence(
    now: datetime, codec: str, given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(Invalid, match=sentence):
        decode(now, codec, **given)


def test_an_unknown_codec_is_answered_with_the_known(now: datetime) -> None:
    with pytest.raises(NotFound, match="setracker"):
        decode(now, "morse", text="...---...")


def test_the_list_names_every_codec_once_with_its_transport() -> None:
    listed = decoding.codec_list()
    assert [entry["codec"] for entry in listed] == list(CODECS)
    transports = {entry["codec"]: entry["transport"] for entry in listed}
    assert transports["setracker"] == "tcp"
    assert transports["zigbee2mqtt"] == "mqtt"
