"""Every codec has frames, and every frame decodes to what its line says."""

import pytest

from devices.codecs import CODECS, codec_for_topic
from devices.messages import CodecError
from devices.metrics import METRICS
from tests.contract.codec_frames import Sample, outcome, samples

SAMPLES = samples()
OUTCOME = ("messages", "replies", "rejects")


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_frame_decodes_to_what_its_line_says(sample: Sample) -> None:
    decode = CODECS[sample.codec].decode
    if "error" in sample.entry:
        with pytest.raises(CodecError) as caught:
            decode(sample.frame)
        assert caught.value.reason == sample.entry["error"]
        return
    expected = {key: sample.entry[key] for key in OUTCOME if key in sample.entry}
    assert outcome(decode(sample.frame)) == expected


@pytest.mark.parametrize("name", CODECS)
def test_every_codec_has_frames_that_decode_and_frames_that_it_refuses(name: str) -> None:
    own = [sample for sample in SAMPLES if sample.codec == name]
    assert any("messages" in sample.entry for sample in own)
    assert any("error" in sample.entry for sample in own)


def test_no_frame_file_is_without_a_codec() -> None:
    assert {sample.codec for sample in SAMPLES} <= set(CODECS)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_frame_names_where_it_comes_from(sample: Sample) -> None:
    assert sample.entry["title"]
    assert sample.entry["source"]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_readings_are_metrics_of_the_catalogue(sample: Sample) -> None:
    for message in sample.entry.get("messages", ()):
        assert set(message.get("readings", {})) <= set(METRICS)


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s.entry.get("topic") and s.entry.get("messages")], ids=str
)
def test_a_topic_leads_to_its_codec(sample: Sample) -> None:
    codec = codec_for_topic(sample.entry["topic"])
    assert codec is not None
    assert codec.name == sample.codec


def test_a_codec_is_served_by_topics_or_by_a_stream_or_by_requests() -> None:
    for codec in CODECS.values():
        assert codec.topics or codec.express_topics or codec.split or codec.name == "scaip"
