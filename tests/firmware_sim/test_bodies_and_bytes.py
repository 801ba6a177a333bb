"""People who stay well by themselves, and the bytes of the two protocols."""

import random
from datetime import UTC, datetime, timedelta

import mqtt_packets as packets
import pytest
import setracker_frames as frames
from hypothesis import given
from hypothesis import strategies as st
from roster import make_up, take
from sim_clock import SHANGHAI
from vital_signs import Person

MIDNIGHT = datetime(2026, 3, 5, tzinfo=SHANGHAI)


def at(hours: float) -> int:
    return int((MIDNIGHT + timedelta(hours=hours)).timestamp() * 1000)


def test_a_well_person_never_leaves_the_ordinary_band() -> None:
    for seed in range(40):
        person = Person(random.Random(seed))
        for quarter in range(96):
            values = person.vitals(at(quarter / 4), blood_pressure=True)
            assert 60 < values["heart_rate"] < 110
            assert 95 <= values["spo2"] <= 100
            assert 36.0 < values["body_temperature"] < 37.2
            assert 100 < values["bp_systolic"] < 138
            assert 60 < values["bp_diastolic"] < 88
            assert values["bp_systolic"] - values["bp_diastolic"] >= 25


def test_day_and_night_differ_and_steps_begin_anew_at_midnight() -> None:
    person = Person(random.Random(7))
    night = [person.vitals(at(4), blood_pressure=False)["heart_rate"] for _ in range(200)]
    day = [person.vitals(at(16), blood_pressure=False)["heart_rate"] for _ in range(200)]
    assert sum(day) / 200 - sum(night) / 200 > 5
    steps = [person.steps(at(quarter / 4)) for quarter in range(96)]
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert steps[-1] > 1500
    assert person.steps(at(24)) == 0
    assert person.in_bed(at(2))
    assert not person.in_bed(at(10))


def test_the_same_seed_makes_the_same_person() -> None:
    first, second = (Person(random.Random("1:W-0001")) for _ in range(2))
    assert first.vitals(at(9), blood_pressure=True) == second.vitals(at(9), blood_pressure=True)


def test_made_up_fleet_has_the_asked_size_and_right_imeis() -> None:
    fleet = {"watch": 3.0, "door": 5.0, "gateway": 1.0, "setracker": 1.0}
    roster = make_up(37, fleet, frozenset({"door"}), 4)
    assert len({identity.device_id for identity in roster}) == 37
    gateways = [identity.gateway for identity in roster if identity.gateway]
    assert max(gateways.count(name) for name in gateways) <= 4
    for identity in roster:
        digits = [int(digit) for digit in identity.imei]
        doubled = [sum(divmod(2 * d, 10)) if i % 2 else d for i, d in enumerate(digits)]
        assert len(digits) == 15
        assert sum(doubled) % 10 == 0
    part = take(roster, 20)
    names = {identity.device_id for identity in part}
    assert len(part) == 20
    assert all(identity.gateway is None or identity.gateway in names for identity in part)


@given(st.text(max_size=60))
def test_setracker_escapes_leave_no_framing_characters_and_come_back(text: str) -> None:
    escaped = frames.escape(text)
    assert not set(b"[],*") & set(escaped)
    assert frames.unescape(escaped).decode() == text


@given(st.lists(st.text(max_size=20), max_size=8), st.integers(1, 40))
def test_setracker_frames_survive_any_cut_of_the_stream(fields: list[str], size: int) -> None:
    stream = frames.frame("862222222222222", "UD_LTE", fields) * 2
    buffer, found = b"", []
    for start in range(0, len(stream), size):
        contents, buffer = frames.split(buffer + stream[start : start + size])
        found += contents
    assert buffer == b""
    assert len(found) == 2
    for content in found:
        assert int(content.split(b"*")[2], 16) == len(content.split(b"*", 3)[3])
        read = frames.read(content)
        assert read is not None
        assert (read.device, read.command) == ("862222222222222", "UD_LTE")
        assert list(read.fields) == fields


def test_position_in_the_south_west_keeps_its_hemispheres() -> None:
    moment = datetime(2026, 3, 5, 14, 3, 9, tzinfo=UTC)
    track = frames.Track(moment, False, -33.5, -70.25, 3.5, 81, 12, 1 << 16, (), 9.0)
    fields = frames.track_fields(track)
    assert fields[:7] == ["050326", "140309", "V", "33.500000", "S", "70.2500000", "W"]
    assert fields[15] == "00010000"


@given(
    st.lists(st.tuples(st.text(max_size=30), st.binary(max_size=400)), max_size=6),
    st.integers(1, 50),
    st.sampled_from([4, 5]),
)
def test_mqtt_packets_survive_any_cut_of_the_stream(
    messages: list[tuple[str, bytes]], size: int, level: int
) -> None:
    stream = b"".join(
        packets.publish(topic, payload, number, dup=False, level=level)
        for number, (topic, payload) in enumerate(messages, 1)
    )
    reader, found = packets.PacketReader(), []
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])
    incoming = [packets.read_publish(packet, level) for packet in found]
    assert [(i.topic, i.payload) for i in incoming] == messages
    assert [i.packet_id for i in incoming] == list(range(1, len(messages) + 1))
    assert all(i.qos == 1 for i in incoming)


def test_mqtt_5_limits_of_the_broker_are_read() -> None:
    properties = b"\x21\x00\x05\x13\x00\x1e\x26\x00\x01a\x00\x01b\x12\x00\x02id\x27\x00\x00\x10\x00"
    welcome = packets.read_connack(b"\x00\x00" + bytes((len(properties),)) + properties, 5)
    assert (welcome.code, welcome.receive_maximum, welcome.keepalive) == (0, 5, 30)
    assert packets.read_connack(b"\x00\x05", 4).code == 5


@pytest.mark.parametrize("stream", [b"\x30\xff\xff\xff\xff\x01", b"\x20\x80\x80\x80\x80"])
def test_mqtt_length_of_five_bytes_is_refused(stream: bytes) -> None:
    with pytest.raises(packets.MqttError):
        packets.PacketReader().feed(stream)
