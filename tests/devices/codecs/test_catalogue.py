import pytest

from devices.codecs import CODECS, codec_for_topic
from devices.codecs.catalogue import matches


@pytest.mark.parametrize(
    ("topic", "codec"),
    [
        ("silverline/v1/W-0001/vitals", "silverline_v1"),
        ("silverline/v1/W-0001/alarm", "silverline_v1"),
        ("zigbee2mqtt/hall", "zigbee2mqtt"),
        ("zigbee2mqtt/hall/availability", "zigbee2mqtt"),
        ("silverline/v1/W-0001/command", None),
        ("silverline/v2/W-0001/vitals", None),
        ("$SYS/broker/uptime", None),
        ("", None),
    ],
)
def test_a_topic_leads_to_a_codec_or_to_none(topic: str, codec: str | None) -> None:
    found = codec_for_topic(topic)
    assert (found.name if found else None) == codec


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a//c", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("a/b", "a/b/", False),
    ],
)
def test_filters_match_as_mqtt_says(topic_filter: str, topic: str, fits: bool) -> None:
    assert matches(topic_filter, topic) is fits


def test_alarms_of_protocol_v1_have_a_lane_of_their_own() -> None:
    codec = CODECS["silverline_v1"]
    assert codec.express_topics == ("silverline/v1/+/alarm",)
    assert not set(codec.topics) & set(codec.express_topics)
