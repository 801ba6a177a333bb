"""Adapters put a topic together or refuse; nothing else can come of a request."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs import CODECS, codec_for_topic
from devices.messages import CodecError
from ingest.push.adapters import ADAPTERS, not_pushed
from ingest.push.model import Push
from tests.contract.codec_frames import samples

KEYS = st.sampled_from(
    ["deviceInfo", "devEui", "applicationId", "end_device_ids", "device_id", "application_ids",
     "application_id", "uplink_message", "join_accept", "topic", "_type", "time", "object", "data",
     "gateway", "mac", "characteristic", "value"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | KEYS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
WORDS = st.dictionaries(
    st.sampled_from(
        [
            "event",
            "u",
            "d",
            "device",
            "kind",
            "x-limit-u",
            "x-limit-d",
            "gateway",
            "mac",
            "characteristic",
            "status",
        ]
    ),
    st.text(max_size=70),
    max_size=4,
)


@pytest.mark.parametrize("codec", sorted(ADAPTERS))
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_sent_is_decoded_or_refused(codec: str, data: Any) -> None:
    body = data.draw(st.binary(max_size=200) | VALUES.map(lambda v: json.dumps(v).encode()))
    push = Push(body, data.draw(WORDS), data.draw(WORDS))
    try:
        frame = ADAPTERS[codec](push)
        CODECS[codec].decode(frame)
    except CodecError:
        return
    assert frame.payload == body
    if frame.topic and codec in {"chirpstack", "silverline_v1"}:
        assert frame.topic.count("/") == {"chirpstack": 5, "silverline_v1": 3}[codec]


def test_the_topic_is_that_of_mqtt() -> None:
    seen = 0
    for sample in samples():
        if sample.codec != "chirpstack" or "deviceInfo" not in sample.entry.get("text", ""):
            continue
        frame = sample.frame
        kind = frame.topic.rsplit("/", 1)[1]
        assert ADAPTERS["chirpstack"](Push(frame.payload, {"event": kind}, {})) == frame
        seen += 1
    assert seen > 5


@pytest.mark.parametrize("codec", sorted(set(ADAPTERS) - {"scaip"}))
def test_every_adapter_makes_a_topic_of_its_codec(codec: str) -> None:
    body = json.dumps(
        {
            "deviceInfo": {"devEui": "0101", "applicationId": "7"},
            "end_device_ids": {"device_id": "dev1", "application_ids": {"application_id": "a"}},
            "uplink_message": {},
        }
    ).encode()
    query = {"event": "up", "u": "wang", "d": "phone", "device": "W-1", "kind": "vitals",
             "gateway": "GW-1"}  # fmt: skip
    found = codec_for_topic(ADAPTERS[codec](Push(body, query, {})).topic)
    assert found is CODECS[codec]


@pytest.mark.parametrize(
    ("query", "body", "topic"),
    [
        ({"gateway": "GW-1"}, b"[]", "gatt/GW-1"),
        ({}, b'{"gwMac":"AABBCCDDEEFF"}', "gatt/AABBCCDDEEFF"),
        ({"gateway": "GW-1"}, b'{"gateway":"GW-2"}', "gatt/GW-1"),
        ({"gateway": "GW-1", "mac": "A4C138112233"}, b"{}", "gatt/GW-1/A4C138112233"),
        ({"gateway": "GW-1", "mac": "A4C138112233", "characteristic": "2A35"}, b"\x1e\x78",
         "gatt/GW-1/A4C138112233/2A35"),
        ({"gateway": "GW-1", "status": "1"}, b"online", "gatt/GW-1/status"),
    ],
)  # fmt: skip
def test_a_bluetooth_gateway_says_who_it_is_where_it_can(
    query: dict[str, str], body: bytes, topic: str
) -> None:
    assert ADAPTERS["gatt"](Push(body, query, {})).topic == topic


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"gateway":7}', b"\x1e"])
def test_a_bluetooth_gateway_that_does_not_say_who_it_is_is_refused(body: bytes) -> None:
    with pytest.raises(CodecError):
        ADAPTERS["gatt"](Push(body, {}, {}))


@pytest.mark.parametrize(
    ("codec", "way"), [("zigbee2mqtt", "MQTT"), ("gt06", "TCP"), ("pigeon", "no codec")]
)
def test_what_is_not_pushed_is_told_how_it_comes(codec: str, way: str) -> None:
    sentence = not_pushed(codec)
    assert way in sentence
    assert "chirpstack" in sentence


@pytest.mark.parametrize("bad", ["a/b", "+", "#", "a\x00", "x" * 65, "", None, 7])
def test_what_is_not_one_level_of_a_topic_is_refused(bad: Any) -> None:
    body = json.dumps({"deviceInfo": {"devEui": bad, "applicationId": "7"}}).encode()
    with pytest.raises(CodecError):
        ADAPTERS["chirpstack"](Push(body, {"event": "up"}, {}))
