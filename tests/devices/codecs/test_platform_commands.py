"""Commands in the words of MQTT platforms: exactly what is published, and under which topic."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from devices.codecs import CODECS
from devices.codecs.catalogue import matches
from devices.downlink import CommandName, CommandRequest, Downlink, NotNow
from devices.messages import CodecError
from devices.profiles import PROFILES
from devices.profiles.model import Capability
from tests.devices.codecs.asking import ID, request

EUI = "24e124710c140815"
APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"
WARNING = {"mode": "emergency", "strobe": True}
MODELS = [
    (profile.code, name)
    for profile in PROFILES.values()
    if Capability.COMMANDS in profile.capabilities
    and profile.codec in ("chirpstack", "zigbee2mqtt")
    for name in sorted(CODECS[profile.codec].commands)
]


def of(profile: str, name: str, address: str, route: str = "", **args: Any) -> CommandRequest:
    """A command to a device of the model, as it is asked for."""
    form = PROFILES[profile].forms.get(CommandName(name), "")
    return replace(request(name, address, form=form, **args), profile=profile, route=route)


def encoded(codec: str, wanted: CommandRequest) -> Downlink:
    encode = CODECS[codec].encode
    assert encode is not None
    return encode(wanted)


def reason(codec: str, wanted: CommandRequest) -> str:
    with pytest.raises(CodecError) as caught:
        encoded(codec, wanted)
    return caught.value.reason


@pytest.mark.parametrize(
    ("profile", "name", "args", "payload", "confirmed"),
    [
        ("ls-ws101", "reboot", {}, "ff10ff", False),
        ("ls-ws301", "set_interval", {"seconds": 1200}, "ff03b004", True),
        ("ls-vs373", "set_interval", {"seconds": 1200}, "ff8e001400", True),
        # What is no whole minute is not made more often than was asked.
        ("ls-vs373", "set_interval", {"seconds": 61}, "ff8e000200", True),
    ],
)
def test_chirpstack_gets_a_downlink_for_the_devices_queue(
    profile: str, name: str, args: dict[str, Any], payload: str, confirmed: bool
) -> None:
    sent = encoded("chirpstack", of(profile, name, EUI.upper(), APPLICATION, **args))
    assert sent.topic == f"application/{APPLICATION}/device/{EUI}/command/down"
    assert json.loads(sent.payload) == {
        "devEui": EUI,
        "confirmed": confirmed,
        "fPort": 85,
        "data": base64.b64encode(bytes.fromhex(payload)).decode(),
        "id": str(ID),
        "expiresAt": "2026-11-22T02:10:00Z",
    }


def test_the_things_stack_gets_a_downlink_that_carries_our_id() -> None:
    wanted = of("ls-ws301", "set_interval", "door-3", "care@ttn", seconds=600)
    sent = encoded("tts", wanted)
    assert sent.topic == "v3/care@ttn/devices/door-3/down/push"
    assert json.loads(sent.payload) == {
        "downlinks": [
            {
                "f_port": 85,
                "frm_payload": "/wNYAg==",
                "confirmed": True,
                "priority": "NORMAL",
                "correlation_ids": [f"silverline:{ID}"],
            }
        ]
    }
    # Confirmed, it would be repeated to a device that restarts each time.
    restart = encoded("tts", of("ls-ws301", "reboot", "door-3", "care@ttn"))
    assert json.loads(restart.payload)["downlinks"][0]["confirmed"] is False


@pytest.mark.parametrize("codec", ["chirpstack", "tts"])
def test_lorawan_waits_for_the_first_word_of_the_device_and_keeps_its_limits(codec: str) -> None:
    with pytest.raises(NotNow):
        encoded(codec, of("ls-ws301", "reboot", EUI))
    for seconds in (59, 64_801):
        wanted = of("ls-ws301", "set_interval", EUI, APPLICATION, seconds=seconds)
        assert reason(codec, wanted) == "interval"
    unworded = replace(of("ls-ws301", "reboot", EUI, APPLICATION), form="")
    assert reason(codec, unworded) == "unknown_command"


def test_chirpstack_wants_a_dev_eui() -> None:
    # Of The Things Stack, perhaps, through which it has not been heard yet.
    with pytest.raises(NotNow):
        encoded("chirpstack", of("ls-ws301", "reboot", "door-3"))
    assert reason("chirpstack", of("ls-ws301", "reboot", "door-3", APPLICATION)) == "bad_device_id"


@pytest.mark.parametrize(
    ("profile", "args", "expected"),
    [
        ("z2m-siren", {}, {"warning": WARNING | {"duration": 30}}),
        ("z2m-siren", {"seconds": 5}, {"warning": WARNING | {"duration": 5}}),
        ("z2m-siren-neo", {"seconds": 60}, {"duration": 60, "alarm": True}),
    ],
)
def test_a_zigbee_siren_is_asked_in_its_models_words(
    profile: str, args: dict[str, Any], expected: dict[str, Any]
) -> None:
    sent = encoded("zigbee2mqtt", of(profile, "ring", "hall/siren 1", **args))
    assert sent.topic == "zigbee2mqtt/hall/siren 1/set"
    assert json.loads(sent.payload) == expected


@pytest.mark.parametrize(
    ("name", "args", "topic", "payload"),
    [
        ("reboot", {}, "cmnd/T-0001/Restart", b"1"),
        ("set_interval", {"seconds": 10}, "cmnd/T-0001/TelePeriod", b"10"),
        ("set_interval", {"seconds": 3600}, "cmnd/T-0001/TelePeriod", b"3600"),
        ("ring", {}, "cmnd/T-0001/Buzzer", b"30,5,5"),
        ("ring", {"seconds": 8}, "cmnd/T-0001/Buzzer", b"8,5,5"),
    ],
)
def test_tasmota_has_a_topic_for_each_command(
    name: str, args: dict[str, Any], topic: str, payload: bytes
) -> None:
    sent = encoded("tasmota", request(name, "T-0001", **args))
    assert (sent.topic, sent.payload) == (topic, payload)
    assert reason("tasmota", request("set_interval", "T-0001", seconds=3601)) == "interval"
    assert reason("tasmota", request("locate", "T-0001")) == "unknown_command"


def test_owntracks_is_asked_where_it_is() -> None:
    sent = encoded("owntracks", request("locate", "FM-1/phone"))
    assert sent.topic == "owntracks/FM-1/phone/cmd"
    assert json.loads(sent.payload) == {"_type": "cmd", "action": "reportLocation"}
    assert reason("owntracks", request("ring", "FM-1/phone")) == "unknown_command"


@pytest.mark.parametrize("name", ["siren/#", "siren/+/x", "/siren", "siren//x", "si\nren"])
def test_a_name_that_is_no_topic_is_refused(name: str) -> None:
    assert reason("zigbee2mqtt", of("z2m-siren", "ring", name)) == "bad_device_id"
    assert reason("tasmota", request("reboot", name)) == "bad_device_id"
    assert reason("owntracks", request("locate", name)) == "bad_device_id"
    assert reason("tts", of("ls-ws301", "reboot", name, "care")) == "bad_device_id"


@pytest.mark.parametrize(("profile", "name"), MODELS)
def test_every_model_has_words_for_every_command_that_it_takes(
    profile: str, name: CommandName
) -> None:
    codec = PROFILES[profile].codec
    wanted = of(profile, name, EUI, APPLICATION, seconds=60)
    sent = encoded(codec, wanted)
    assert json.loads(sent.payload)


@pytest.mark.parametrize(
    ("codec", "wanted"),
    [
        ("silverline_v1", request("ring")),
        ("chirpstack", of("ls-ws301", "reboot", EUI, APPLICATION)),
        ("tts", of("ls-ws301", "reboot", "door-3", "care")),
        ("zigbee2mqtt", of("z2m-siren", "ring", "hall/siren")),
        ("tasmota", request("reboot", "T-0001")),
        ("owntracks", request("locate", "FM-1/phone")),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_codec_names_the_topics_that_its_commands_need_the_right_to(
    codec: str, wanted: CommandRequest
) -> None:
    topic = encoded(codec, wanted).topic
    assert any(matches(each, topic) for each in CODECS[codec].down_topics)
    ours = [each for each in CODECS.values() if each.encode and each.split is None]
    assert all(each.down_topics for each in ours)
