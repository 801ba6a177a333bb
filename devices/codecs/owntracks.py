"""OwnTracks: a family member's or an elder's telephone that tells where it is, JSON over MQTT.

Topics `owntracks/<user>/<device>` (location, lwt) and `…/event` (transition: a region entered or
left). Source: the project's booklet, page "JSON". A region is what the owner of the telephone
calls one; leaving it is told as leaving the fence, entering it ends that. The command to report
goes to `…/cmd`; the location that answers it has the trigger `r`. There is none for the interval:
telephones refuse `setConfiguration` unless told otherwise, and answer it with nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from devices.alarms import AlarmKind
from devices.codecs.fields import (
    JsonObject,
    as_number,
    clean,
    from_seconds,
    load_object,
    require,
    topic_of,
    within,
)
from devices.codecs.properties import battery_status, number_of, states_of
from devices.downlink import CommandName, CommandRequest, Downlink
from devices.messages import (
    AlarmSignal,
    Codec,
    CodecError,
    CommandAck,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Position,
    Reading,
    Scalar,
)

_IGNORED = frozenset(
    {"waypoint", "waypoints", "card", "cmd", "configuration", "status", "beacon", "request"}
    | {"dump"}
)
_USED = frozenset(
    {"_type", "_id", "_http", "tid", "lat", "lon", "acc", "vel", "cog", "alt", "tst", "batt", "bs"}
    | {"t", "created_at", "topic", "face", "image", "name"}
)
# `bs`: 1 unplugged, 2 charging, 3 full.
_CHARGING: Mapping[int, bool] = {1: False, 2: True, 3: True}


def decode(frame: Frame) -> Decoded:
    """Decode one report; `Message.device` is `<user>/<device>`.

    CodecError reasons: unknown_topic, oversized, malformed_json, not_an_object, missing_field,
    bad_type, bad_value, bad_time, encrypted.
    """
    levels = frame.topic.split("/")
    if len(levels) < 3 or levels[0] != "owntracks" or not all(levels[1:3]):
        raise CodecError("unknown_topic", "the topic is not owntracks/<user>/<device>")
    device = clean("/".join(levels[1:3]))[:200]
    if not frame.payload:
        return Decoded(device=device)
    report = load_object(frame.payload)
    kind = report.get("_type")
    if kind == "location":
        message = _location(device, report, retained=frame.retained)
    elif kind == "transition":
        message = _transition(device, report)
    elif kind == "lwt":
        flags = frozenset({Flag.TIME_MISSING})
        message = Message(device, "status", status=DeviceStatus(online=False), flags=flags)
    elif kind == "steps":
        message = _steps(device, report)
    elif kind == "encrypted":
        text = "the message is encrypted: empty the app's encryption key, TLS protects it already"
        raise CodecError("encrypted", text)
    elif isinstance(kind, str) and kind in _IGNORED:
        return Decoded(warnings=(f"{kind} is not used",), device=device)
    else:
        raise CodecError("bad_value", "_type is none that we know")
    return Decoded((message,), device=device)


def _location(device: str, report: JsonObject, *, retained: bool) -> Message:
    position = _position(report)
    battery, source, trigger = number_of(report.get("batt")), report.get("bs"), report.get("t")
    charging = _CHARGING.get(source) if isinstance(source, int) else None
    states = _states(report)
    if isinstance(trigger, str) and trigger:
        states["trigger"] = clean(trigger)[:8]
    # What the broker kept for new subscribers answers an older request.
    answers = trigger == "r" and not retained
    ack = CommandAck("", ok=True, names=frozenset({CommandName.LOCATE})) if answers else None
    return Message(
        device=device,
        kind="location",
        at=position.at,
        readings=() if battery is None else (Reading("battery", battery),),
        position=position,
        status=battery_status(battery, charging=charging),
        ack=ack,
        states=MappingProxyType(states),
        flags=frozenset() if position.at else frozenset({Flag.TIME_MISSING}),
    )


def _states(report: JsonObject) -> dict[str, Scalar]:
    """What a report says beside: the network, pressure, how it monitors, regions it is in."""
    states = states_of(report, skip=_USED, numbers=(), warnings=[])
    regions = report.get("inregions")
    if isinstance(regions, list):
        names = [clean(name)[:60] for name in regions[:8] if isinstance(name, str)]
        states["inregions"] = ", ".join(names)
    return states


def _steps(device: str, report: JsonObject) -> Message:
    """Steps that the telephone counted between two times; -1 is none counted."""
    count, at = number_of(report.get("steps")), _time(report)
    return Message(
        device=device,
        kind="vitals",
        at=at,
        readings=() if count is None or count < 0 else (Reading("steps", count),),
        flags=frozenset() if at else frozenset({Flag.TIME_MISSING}),
    )


def _transition(device: str, report: JsonObject) -> Message:
    event = require(report, "event")
    if event not in ("enter", "leave"):
        raise CodecError("bad_value", "event must be enter or leave")
    region = report.get("desc")
    detail = clean(region)[:200] if isinstance(region, str) else ""
    signal = AlarmSignal(AlarmKind.GEOFENCE_EXIT, event == "leave", detail)
    position = _position(report) if report.get("lat") is not None else None
    at = _time(report)
    return Message(
        device=device,
        kind="alarm",
        at=at,
        alarms=(signal,),
        position=position,
        flags=frozenset() if at else frozenset({Flag.TIME_MISSING}),
    )


def _position(report: JsonObject) -> Position:
    """`acc` in metres, `vel` in km/h, `cog` in degrees."""
    return Position(
        lat=within(as_number(require(report, "lat"), "lat"), "lat", -90, 90),
        lon=within(as_number(require(report, "lon"), "lon"), "lon", -180, 180),
        accuracy_m=_optional(report, "acc"),
        at=_time(report),
        speed_kmh=_optional(report, "vel"),
        course_deg=_optional(report, "cog"),
        altitude_m=number_of(report.get("alt")),
    )


def _time(report: JsonObject) -> datetime | None:
    value = report.get("tst")
    return None if value is None else from_seconds(as_number(value, "tst"), "tst")


def _optional(report: JsonObject, name: str) -> float | None:
    value = number_of(report.get(name))
    return value if value is not None and value >= 0 else None


def encode(request: CommandRequest) -> Downlink:
    """A request for where the telephone is. CodecError reasons: unknown_command, bad_device_id."""
    if request.name is not CommandName.LOCATE:
        raise CodecError("unknown_command", f"{request.name} has no form in this protocol")
    topic = topic_of("owntracks", request.address, "cmd")
    return Downlink(b'{"_type":"cmd","action":"reportLocation"}', topic)


CODEC = Codec(
    name="owntracks",
    title="OwnTracks (JSON / MQTT)",
    decode=decode,
    topics=("owntracks/+/+",),
    express_topics=("owntracks/+/+/event",),
    commands=frozenset({CommandName.LOCATE}),
    encode=encode,
    down_topics=("owntracks/+/+/cmd",),
)
