"""`silverline decode`: one frame in, flat records out, a sentence when it cannot be."""

from datetime import datetime
from pathlib import Path

import pytest

from app import decoding
from devices.codecs import CODECS
from devices.downlink import CommandName
from devices.messages import Frame
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
    commands = {entry["codec"]: entry["commands"] for entry in listed}
    assert commands["gt06"] == ["locate", "reboot", "set_interval"]
    assert commands["scaip"] == []


def test_the_list_names_the_sensors_of_a_server_that_shares_them() -> None:
    listed = {entry["codec"]: entry for entry in decoding.codec_list()}
    assert {"ls-tts", "ls-vs373", "ls-ws101"} <= set(listed["tts"]["profiles"])
    assert "fall" in listed["tts"]["capabilities"]
    assert "ls-tts" not in listed["chirpstack"]["profiles"]


def documented_commands(project: Path) -> dict[str, set[str]]:
    """The table of docs/devices.md, section Commands: what can be said in each protocol."""
    text = (project / "docs/devices.md").read_text("utf-8")
    section = text.split("\n## Commands", 1)[1].split("\n## ", 1)[0]
    table = section.split("|---|---|---|---|\n", 1)[1].split("\n\n", 1)[0]
    said: dict[str, set[str]] = {}
    codec = above = ""
    for line in table.splitlines():
        protocol, command = (cell.strip() for cell in line.split("|")[1:3])
        if protocol:
            above, codec = codec, protocol.split("`")[1]
        names = {command.split(" ")[0]}
        if command == "all of them":
            names = {name.value for name in CommandName}
        elif command == "the same":
            names = said[above]
        said.setdefault(codec, set()).update(names)
    return said


def test_the_document_has_the_commands_of_every_codec_and_no_others(project: Path) -> None:
    listed = {entry["codec"]: set(entry["commands"]) for entry in decoding.codec_list()}
    assert documented_commands(project) == {code: names for code, names in listed.items() if names}


def test_a_name_from_elsewhere_leads_to_the_codec() -> None:
    with pytest.raises(NotFound, match="Did you mean setracker"):
        decoding.codec_named("watch")
    with pytest.raises(NotFound, match="Did you mean zigbee2mqtt"):
        decoding.codec_named("zigbee2mqqt")


@pytest.mark.parametrize(
    ("codec", "payload", "topic"),
    [
        ("zigbee2mqtt", '{"occupancy":true}', "zigbee2mqtt/device"),
        ("silverline_v1", '{"seq":1,"alarm":"sos"}', "silverline/v1/device/alarm"),
        ("silverline_v1", '{"batch":[{"vitals":{}}]}', "silverline/v1/device/vitals"),
        ("chirpstack", '{"deviceInfo":{"devEui":"a1"},"data":""}',
         "application/1/device/a1/event/up"),
        ("chirpstack", '{"deviceInfo":{"devEui":"a1"},"margin":5}',
         "application/1/device/a1/event/status"),
        ("tts", '{"end_device_ids":{"device_id":"d"},"uplink_message":{}}', "v3/app/devices/d/up"),
        ("tasmota", '{"StatusSNS":{}}', "stat/device/STATUS10"),
        ("tasmota", '{"Button1":{"Action":"SINGLE"}}', "tele/device/RESULT"),
        ("owntracks", '{"_type":"location","topic":"owntracks/a/b"}', "owntracks/a/b"),
        ("theengs", '{"id":"AA","tempc":20}', "home/gateway/BTtoMQTT"),
    ],
)  # fmt: skip
def test_a_payload_without_a_topic_is_read_under_one_that_fits(
    codec: str, payload: str, topic: str
) -> None:
    frame, note = decoding.placed(CODECS[codec], Frame(payload.encode()))
    assert frame.topic == topic
    assert topic in note


def test_a_file_may_bring_its_topic_along() -> None:
    wrapped = Frame(b'{"topic":"zigbee2mqtt/hall","payload":{"occupancy":true},"retained":true}')
    frame, note = decoding.placed(CODECS["zigbee2mqtt"], wrapped)
    assert (frame.topic, frame.payload, frame.retained, note) == (
        "zigbee2mqtt/hall", b'{"occupancy":true}', True, "",
    )  # fmt: skip


def test_a_state_of_home_assistant_is_read_by_its_announcement(tmp_path: Path) -> None:
    file = tmp_path / "announced.json"
    file.write_text(
        '{"topic":"homeassistant/binary_sensor/k/config","config":{"device_class":"smoke",'
        '"state_topic":"z/k","value_template":"{{ value_json.smoke }}","payload_on":true}}'
    )
    announced = decoding.announced_in(file)
    frame = Frame(b'{"smoke":true}', "z/k")
    decoded = decoding.decode(CODECS["homeassistant"], frame, "ha-smoke", announced)
    assert [r["code"] for r in decoding.records(decoded) if r["kind"] == "alarm"] == ["smoke"]


def test_a_login_is_told_in_words_with_its_answer(now: datetime) -> None:
    frame = Frame(bytes.fromhex("78780D01086471700328358100093F040D0A"), received_at=now)
    decoded = decoding.decode(CODECS["gt06"], frame)
    told = dict(decoding.remarks(decoded))
    assert "864717003283581" in told["note"]
    assert told["answer"] == "78780501000955940d0a"


def test_the_list_says_how_a_frame_is_given() -> None:
    ways = {entry["codec"]: entry["decode_with"] for entry in decoding.codec_list()}
    assert ways["gt06"] == "--hex H"
    assert ways["setracker"] == "--text T"
    assert ways["zigbee2mqtt"] == "--topic T --json FILE"
    assert "--characteristic" in ways["gatt"]
