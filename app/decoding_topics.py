"""The topic that a payload would have come under, for who decodes a file without knowing it."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

_DEVICE = "device"
Body = Mapping[str, Any]


def topic_for(codec: str, payload: bytes) -> str:
    """Return a topic of the codec that fits the payload; empty where it needs none or none fits."""
    find = _TOPICS.get(codec)
    if find is None:
        return ""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return ""
    return find(body) if isinstance(body, dict) else ""


def _inner(body: Body, name: str) -> Body:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    """One level of a topic."""
    return value if isinstance(value, str) and value and "/" not in value else _DEVICE


def _silverline(body: Body) -> str:
    elements = body.get("batch")
    first = elements[0] if isinstance(elements, list) and elements else body
    sample = first if isinstance(first, dict) else body
    kinds = {"vitals": "vitals", "alarm": "alarm", "lat": "location", "command": "ack"}
    kind = next((kind for name, kind in kinds.items() if name in sample), "status")
    return f"silverline/v1/{_DEVICE}/{kind}"


def _chirpstack(body: Body) -> str:
    info = _inner(body, "deviceInfo")
    known = (
        ("data", "up"), ("object", "up"), ("fPort", "up"), ("margin", "status"),
        ("batteryLevel", "status"), ("location", "location"), ("acknowledged", "ack"),
    )  # fmt: skip
    event = next((event for name, event in known if name in body), "join")
    return f"application/1/device/{_word(info.get('devEui'))}/event/{event}"


def _tts(body: Body) -> str:
    ids = _inner(body, "end_device_ids")
    known = {"uplink_message": "up", "join_accept": "join", "location_solved": "location/solved"}
    kind = next((kind for name, kind in known.items() if name in body), "up")
    return f"v3/app/devices/{_word(ids.get('device_id'))}/{kind}"


def _tasmota(body: Body) -> str:
    if "StatusSNS" in body:
        return f"stat/{_DEVICE}/STATUS10"
    if "StatusSTS" in body or "Wifi" in body:
        return f"tele/{_DEVICE}/STATE"
    heard = any(name.startswith(("Button", "Switch")) for name in body) or "RfReceived" in body
    return f"tele/{_DEVICE}/RESULT" if heard else f"tele/{_DEVICE}/SENSOR"


def _owntracks(body: Body) -> str:
    topic = body.get("topic")
    if isinstance(topic, str) and topic.startswith("owntracks/"):
        return topic
    return f"owntracks/user/{_word(body.get('tid'))}"


def _theengs(body: Body) -> str:
    return "home/gateway/BTtoMQTT" if "id" in body else f"home/gateway/BTtoMQTT/{_DEVICE}"


_TOPICS: Mapping[str, Callable[[Body], str]] = {
    "silverline_v1": _silverline,
    "zigbee2mqtt": lambda _: f"zigbee2mqtt/{_DEVICE}",
    "chirpstack": _chirpstack,
    "tts": _tts,
    "tasmota": _tasmota,
    "owntracks": _owntracks,
    "theengs": _theengs,
}
