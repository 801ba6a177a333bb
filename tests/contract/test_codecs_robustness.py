"""Whatever bytes come, a codec answers with messages or with a CodecError, never otherwise."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs import CODECS
from devices.messages import Codec, CodecError, Frame
from tests.contract.codec_frames import Sample, samples
from tests.contract.mutations import check

GOOD = [sample for sample in samples() if "messages" in sample.entry]
TOPICS = sorted({sample.entry["topic"] for sample in samples() if "topic" in sample.entry})


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Sample, Frame]:
    """A good frame with bytes changed, dropped, doubled or put in."""
    sample = draw(st.sampled_from(GOOD))
    payload = bytearray(sample.frame.payload)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(payload) - 1)))
        piece = draw(st.sampled_from([b"", b"\0", b"-", b"9", b"e9", b",", b"]", b"[", b'"', b"}"]))
        length = draw(st.integers(0, 4))
        payload[place : place + length] = piece or draw(st.binary(max_size=4))
    frame = sample.frame
    return sample, Frame(bytes(payload), frame.topic, frame.retained, frame.device)


@settings(max_examples=200, deadline=None)
@given(mutations())
def test_a_damaged_frame_is_decoded_or_refused(mutation: tuple[Sample, Frame]) -> None:
    sample, frame = mutation
    check(CODECS[sample.codec], frame)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=60, deadline=None)
@given(payload=st.binary(max_size=400), topic=st.sampled_from([*TOPICS, "", "a/b"]) | st.text())
def test_any_bytes_are_decoded_or_refused(name: str, payload: bytes, topic: str) -> None:
    check(CODECS[name], Frame(payload, topic))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
FIELDS = sorted(
    {"seq", "sid", "t", "replayed", "test", "vitals", "alarm", "active", "detail", "position"}
    | {"online", "battery", "firmware", "rssi", "charging", "lat", "lon", "accuracy", "source"}
    | {"command", "ok", "batch", "device", "action", "contact", "last_seen", "occupancy", "sos"}
    | {"state", "speed", "course", "linkquality", "heart_rate", "_type", "tst", "batt", "bs"}
    | {"StatusSNS", "Time", "data", "deviceInfo", "object", "uplink_message", "weight", "unit"}
)


@settings(max_examples=150, deadline=None)
@given(
    topic=st.sampled_from(TOPICS), body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8)
)
def test_any_json_is_decoded_or_refused(topic: str, body: dict[str, object]) -> None:
    for codec in CODECS.values():
        if codec.topics or codec.express_topics:
            check(codec, Frame(json.dumps(body).encode(), topic))


@pytest.mark.parametrize("name", CODECS)
def test_a_frame_of_a_megabyte_is_refused(name: str) -> None:
    topic = next((s.entry["topic"] for s in GOOD if s.codec == name and "topic" in s.entry), "")
    with pytest.raises(CodecError) as caught:
        CODECS[name].decode(Frame(b"[" + b" " * 1_000_000 + b"]", topic))
    assert caught.value.reason == "oversized"


STREAMS = [codec.name for codec in CODECS.values() if codec.split is not None]


def feed(codec: Codec, chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    """What a transport does with what it receives."""
    assert codec.split is not None
    frames: list[bytes] = []
    rest = b""
    for chunk in chunks:
        found, rest = codec.split(rest + chunk)
        frames.extend(found)
    return frames, rest


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_stream_gives_the_same_frames_however_it_is_cut(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    own = [s.frame.payload for s in samples() if s.codec == name]
    pieces = st.sampled_from(own) | st.binary(max_size=12) | st.sampled_from([b"\r\n", b"[", b"]"])
    stream = b"".join(data.draw(st.lists(pieces, max_size=8)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[begin:end] for begin, end in pairwise(edges)]
    assert feed(codec, chunks) == feed(codec, [stream])


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_good_frames_comes_out_whole(name: str) -> None:
    own = [s.frame.payload for s in GOOD if s.codec == name]
    frames, rest = feed(CODECS[name], [b"".join(own)])
    assert frames == own
    assert rest == b""


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_never_ends_a_frame_is_given_up(name: str) -> None:
    with pytest.raises(CodecError) as caught:
        feed(CODECS[name], [b"[3G*8800000015*" + b"x" * 4096] * 100)
    assert caught.value.reason == "oversized"
