"""Protocol v1, read back from what an independent encoder writes."""

import json
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.alarms import AlarmKind
from devices.codecs.silverline_v1 import CODEC, decode, encode_command
from devices.messages import (
    AlarmSignal,
    CodecError,
    CommandAck,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Position,
    Reading,
)
from devices.metrics import METRICS
from tests.devices.codecs.asking import ID, NOW, request

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
ids = st.builds(
    "{}{}".format,
    st.sampled_from(string.ascii_letters + string.digits),
    st.text(string.ascii_letters + string.digits + "_-", max_size=63),
)
words = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs"]), max_size=60)
moments = st.integers(0, 4_102_444_800_000).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
positions = st.builds(
    Position,
    st.floats(-90, 90),
    st.floats(-180, 180),
    accuracy_m=st.none() | st.floats(0, 1e6),
    speed_kmh=st.none() | st.floats(0, 2000),
    source=st.sampled_from(["gnss", "wifi", "cell", "manual"]),
)
bodies = {
    "vitals": st.fixed_dictionaries(
        {
            "readings": st.dictionaries(st.sampled_from(sorted(METRICS)), numbers, min_size=1).map(
                lambda values: tuple(Reading(code, value) for code, value in values.items())
            )
        }
    ),
    "alarm": st.fixed_dictionaries(
        {
            "alarms": st.builds(
                AlarmSignal, st.sampled_from(list(AlarmKind)), st.booleans(), words
            ).map(lambda signal: (signal,)),
            "position": st.none() | positions,
        }
    ),
    "location": st.fixed_dictionaries({"position": positions}),
    "status": st.fixed_dictionaries(
        {
            "status": st.builds(
                DeviceStatus,
                online=st.none() | st.booleans(),
                battery_percent=st.floats(0, 100),
                firmware=st.none() | words,
                rssi_dbm=st.none() | st.floats(-150, 0),
                charging=st.none() | st.booleans(),
            )
        }
    ),
    "ack": st.fixed_dictionaries(
        {"ack": st.builds(CommandAck, words.filter(bool), st.booleans(), words)}
    ),
}


@st.composite
def messages(draw: st.DrawFn, kind: str) -> Message:
    flags = frozenset(draw(st.sets(st.sampled_from([Flag.REPLAYED, Flag.TEST]))))
    return Message(
        device=draw(ids),
        kind=kind,
        seq=draw(st.integers(0, 2**63 - 1)),
        session=draw(st.none() | st.text(string.ascii_letters, min_size=1, max_size=16)),
        at=draw(moments),
        flags=flags,
        **draw(bodies[kind]),
    )


def written(message: Message) -> dict[str, Any]:
    """The payload of a message, as docs/protocol.md says."""
    at = message.at or EPOCH
    body: dict[str, Any] = {"seq": message.seq, "t": (at - EPOCH) // timedelta(milliseconds=1)}
    body |= {"sid": message.session} if message.session else {}
    body |= {flag.value: True for flag in message.flags}
    if message.kind == "vitals":
        body["vitals"] = {reading.metric: reading.value for reading in message.readings}
    if message.kind == "location" and message.position:
        body |= position(message.position)
    for alarm in message.alarms:
        body |= {"alarm": alarm.kind.value, "active": alarm.active, "detail": alarm.detail}
        body |= {"position": position(message.position)} if message.position else {}
    if message.status is not None:
        status = message.status
        body |= {"online": status.online, "battery": status.battery_percent}
        body |= {"firmware": status.firmware, "rssi": status.rssi_dbm}
        body |= {"charging": status.charging}
    if message.ack is not None:
        ack = message.ack
        body |= {"command": ack.command_id, "ok": ack.ok, "detail": ack.detail}
    return {name: value for name, value in body.items() if value is not None}


def position(fix: Position) -> dict[str, Any]:
    fields = {"lat": fix.lat, "lon": fix.lon, "accuracy": fix.accuracy_m, "speed": fix.speed_kmh}
    return {**{k: v for k, v in fields.items() if v is not None}, "source": fix.source}


def frame(device: str, kind: str, body: dict[str, Any]) -> Frame:
    return Frame(json.dumps(body).encode(), f"silverline/v1/{device}/{kind}")


@pytest.mark.parametrize("kind", bodies)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_what_a_device_writes_is_what_the_server_reads(kind: str, data: st.DataObject) -> None:
    message = data.draw(messages(kind))
    decoded = decode(frame(message.device, kind, written(message)))
    assert decoded.messages == (message,)
    assert decoded.warnings == ()
    assert decoded.device == message.device


@settings(max_examples=60, deadline=None)
@given(gateway=ids, inner=st.lists(messages("vitals"), min_size=1, max_size=8))
def test_a_batch_is_its_elements_through_the_gateway(gateway: str, inner: list[Message]) -> None:
    elements = [{"device": message.device, **written(message)} for message in inner]
    decoded = decode(frame(gateway, "vitals", {"batch": elements}))
    assert [m.via for m in decoded.messages] == [gateway] * len(inner)
    assert [(m.device, m.seq, m.readings) for m in decoded.messages] == [
        (m.device, m.seq, m.readings) for m in inner
    ]
    assert decoded.rejects == ()


def test_a_batch_of_five_hundred_is_taken_and_one_more_is_not() -> None:
    element = {"device": "B1", "seq": 1, "t": 0, "vitals": {"heart_rate": 60}}
    assert len(decode(frame("G1", "vitals", {"batch": [element] * 500})).messages) == 500
    with pytest.raises(CodecError) as caught:
        decode(frame("G1", "vitals", {"batch": [element] * 501}))
    assert caught.value.reason == "batch_too_large"


def test_a_rejected_element_can_be_replayed_on_its_own() -> None:
    good = {"device": "B1", "seq": 1, "t": 0, "vitals": {"heart_rate": 60}}
    bad = {"device": "B2", "seq": 1, "t": 0, "vitals": {"heart_rate": "60"}}
    (reject,) = decode(frame("G1", "vitals", {"batch": [good, bad]})).rejects
    assert reject.reason == "bad_type"
    with pytest.raises(CodecError) as caught:
        decode(Frame(reject.payload, "silverline/v1/G1/vitals"))
    assert caught.value.reason == reject.reason


def test_a_payload_of_64_kib_is_taken_and_one_byte_more_is_not() -> None:
    body = json.dumps({"seq": 1, "t": 0, "vitals": {"heart_rate": 60}})
    topic = "silverline/v1/W1/vitals"
    assert decode(Frame(body.ljust(65_536).encode(), topic)).messages
    with pytest.raises(CodecError) as caught:
        decode(Frame(body.ljust(65_537).encode(), topic))
    assert caught.value.reason == "oversized"


def test_what_was_odd_is_said() -> None:
    body = {"seq": 1, "t": 0, "alarm": "sos", "detail": "x" * 300, "position": {"lat": 91}}
    decoded = decode(frame("P1", "alarm", body))
    assert decoded.messages[0].alarms[0].detail == "x" * 200
    assert [warning.split(":")[0] for warning in decoded.warnings] == ["bad_value", "bad_value"]


def test_a_metric_that_is_not_known_is_named_in_a_warning() -> None:
    body = {"seq": 1, "t": 0, "vitals": {"mood": 3, "heart_rate": 60}}
    assert decode(frame("W1", "vitals", body)).warnings == ("unknown_metric: mood",)


def test_control_characters_do_not_reach_the_database() -> None:
    body = {"seq": 1, "t": 0, "online": True, "firmware": "1.0\u0000\n2"}
    (message,) = decode(frame("W1", "status", body)).messages
    assert message.status is not None
    assert message.status.firmware == "1.0  2"


@pytest.mark.parametrize("name", sorted(CODEC.commands))
def test_a_command_goes_to_the_devices_own_topic(name: str) -> None:
    sent = encode_command(request(name, "another name", seconds=60))
    assert sent.topic == "silverline/v1/W-0001/command"
    assert json.loads(sent.payload) == {
        "id": str(ID),
        "name": name,
        "args": {"seconds": 60},
        "expires": int((NOW + timedelta(minutes=10)).timestamp() * 1000),
    }


@pytest.mark.parametrize(
    ("device", "args", "reason"),
    [("W/0001", {}, "bad_device_id"), ("W-0001", {"text": object()}, "bad_value")],
)
def test_a_command_that_cannot_be_sent_is_refused(
    device: str, args: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CodecError) as caught:
        encode_command(replace(request("speak", **args), device_id=device))
    assert caught.value.reason == reason
