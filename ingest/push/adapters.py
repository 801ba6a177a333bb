"""From a platform's HTTP request to the frame that its codec knows from MQTT.

A codec finds the device in the topic. Over HTTP the same words stand in the body, in the query or
in a header, so an adapter puts the topic together. It refuses what would not be one level of it.

Sources: ChirpStack's documentation, "HTTP integration" (`?event=up`, body as over MQTT); The Things
Stack's, "Webhooks" (one of uplink_message, join_accept, … in the body); OwnTracks booklet, "HTTP"
(`X-Limit-U`, `X-Limit-D`, or `u` and `d` in the query, or `topic` in the body); TS 50134-9 (SCAIP).
Bluetooth gateways have no standard: the names of the gateway are those that are met with.

What is not here is not pushed by anybody: watches and locators open a TCP connection, and
zigbee2mqtt, Theengs, Tasmota and Home Assistant speak to a broker (`not_pushed`).
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from devices.codecs import CODECS
from devices.codecs.fields import load_object
from devices.messages import CodecError, Frame
from ingest.push.model import Push

Adapter = Callable[[Push], Frame]
_LEVEL = re.compile(r"[^/+#\x00-\x1f\x7f]{1,64}")
_MAX_BODY = 256 * 1024
_GATEWAY = ("gateway", "gateway_id", "gatewayId", "gw", "gw_id", "gw_mac", "gwMac", "gatewayMac")


def _level(value: Any, name: str) -> str:
    """One level of a topic. Reasons: missing_field, bad_device_id."""
    if value is None or value == "":
        raise CodecError("missing_field", f"{name} is missing")
    if not isinstance(value, str) or _LEVEL.fullmatch(value) is None:
        raise CodecError("bad_device_id", f"{name} is not an identifier")
    return value


def _inner(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _object(push: Push) -> dict[str, Any]:
    return load_object(push.body, limit=_MAX_BODY)


def chirpstack(push: Push) -> Frame:
    """The event is in the query, everything else in the body."""
    event = _level(push.query.get("event"), "event (in the query)")
    info = _inner(_object(push), "deviceInfo")
    device = _level(info.get("devEui"), "deviceInfo.devEui")
    application = _level(info.get("applicationId"), "deviceInfo.applicationId")
    return Frame(push.body, f"application/{application}/device/{device}/event/{event}")


def tts(push: Push) -> Frame:
    """What the message is, its body says; what the codec has no use for is `other`."""
    message = _object(push)
    ids = _inner(message, "end_device_ids")
    device = _level(ids.get("device_id"), "end_device_ids.device_id")
    inner = _inner(ids, "application_ids").get("application_id")
    application = _level(inner, "end_device_ids.application_ids.application_id")
    kinds = {
        "uplink_message": "up",
        "join_accept": "join",
        "location_solved": "location/solved",
        "downlink_ack": "down/ack",
        "downlink_nack": "down/nack",
        "downlink_sent": "down/sent",
        "downlink_failed": "down/failed",
    }
    kind = next((word for field, word in kinds.items() if field in message), "other")
    return Frame(push.body, f"v3/{application}/devices/{device}/{kind}")


def owntracks(push: Push) -> Frame:
    """User and device from the headers, the query, or the topic that the body would have had."""
    user = push.headers.get("x-limit-u") or push.query.get("u")
    device = push.headers.get("x-limit-d") or push.query.get("d")
    if not (user and device) and push.body:
        topic = _object(push).get("topic")
        levels = topic.split("/") if isinstance(topic, str) else []
        if len(levels) >= 3 and levels[0] == "owntracks":
            user, device = levels[1], levels[2]
    return Frame(push.body, f"owntracks/{_level(user, 'user')}/{_level(device, 'device')}")


def silverline_v1(push: Push) -> Frame:
    """Our own messages and batches; `device` and `kind` in the query stand for the topic."""
    device = _level(push.query.get("device"), "device (in the query)")
    kind = _level(push.query.get("kind"), "kind (in the query)")
    return Frame(push.body, f"silverline/v1/{device}/{kind}")


def gatt(push: Push) -> Frame:
    """Values that a Bluetooth gateway has read.

    The gateway stands in the query or in the body, under one of several names; device and
    characteristic in the query, or in the body as far as the codec finds them there.
    """
    gateway: Any = push.query.get("gateway")
    if not gateway:
        fields = _fields(push.body)
        gateway = next((fields[name] for name in _GATEWAY if fields.get(name)), None)
    levels = ["gatt", _level(gateway, "gateway (in the query or in the body)")]
    if mac := push.query.get("mac"):
        levels.append(_level(mac, "mac (in the query)"))
        if characteristic := push.query.get("characteristic"):
            levels.append(_level(characteristic, "characteristic (in the query)"))
    elif push.query.get("status"):
        levels.append("status")
    return Frame(push.body, "/".join(levels))


def _fields(body: bytes) -> Mapping[str, Any]:
    """The fields of a body that is an object; a list or plain bytes have none."""
    return load_object(body, limit=_MAX_BODY) if body.lstrip()[:1] == b"{" else {}


def scaip(push: Push) -> Frame:
    """One request `mrq`."""
    return Frame(push.body)


ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        "chirpstack": chirpstack,
        "tts": tts,
        "owntracks": owntracks,
        "silverline_v1": silverline_v1,
        "gatt": gatt,
        "scaip": scaip,
    }
)
"""The codecs that can be pushed, by name."""


def not_pushed(name: str) -> str:
    """Return why a codec cannot be pushed, and which can, as one sentence."""
    known = ", ".join(sorted(ADAPTERS))
    codec = CODECS.get(name)
    if codec is None:
        return f"There is no codec {name[:40]!r}; pushed over HTTP are {known}."
    way = "a TCP connection of its own" if codec.split is not None else "MQTT"
    return f"{name} is not pushed over HTTP, it comes by {way}; pushed are {known}."
