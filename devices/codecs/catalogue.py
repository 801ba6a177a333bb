"""Every codec that we have, by name and by MQTT topic."""

from collections.abc import Mapping
from types import MappingProxyType

from devices.codecs import (
    chirpstack,
    gatt,
    gt06,
    homeassistant,
    iw_trv,
    jt808,
    minifinder,
    owntracks,
    scaip,
    setracker,
    silverline_v1,
    tasmota,
    theengs,
    tts,
    zigbee2mqtt,
)
from devices.messages import Codec

_MODULES = (
    silverline_v1,
    zigbee2mqtt,
    setracker,
    iw_trv,
    jt808,
    minifinder,
    gt06,
    owntracks,
    tasmota,
    chirpstack,
    tts,
    theengs,
    gatt,
    homeassistant,
    scaip,
)
CODECS: Mapping[str, Codec] = MappingProxyType(
    {module.CODEC.name: module.CODEC for module in _MODULES}
)


def codec_for_topic(topic: str) -> Codec | None:
    """The codec whose filters match this topic, None where nobody's do."""
    for codec in CODECS.values():
        if any(matches(each, topic) for each in (*codec.express_topics, *codec.topics)):
            return codec
    return None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT filter matches a topic : `+` one level, `#` the rest (MQTT 5, 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if levels[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
