"""What the network servers of LoRaWAN share: a payload inside of an envelope, and its meaning.

The bytes of a sensor mean nothing without its model's decoder. Ours is found by what the server
says of the device (a tag `decoder`, a brand, the name of its profile) and goes ahead of the object
of the server's own decoder, whose words differ from version to version; without either the bytes
are kept as a state.

Down it goes the same way: what a model takes for a command stands in its profile (`forms`), FPort
and payload, `85:FF03{seconds}`. A class A device listens only after it has spoken, so that the
server keeps a command until then: it must be given it once. A setting asks for the confirmation of
LoRaWAN. A reboot does not, because who restarts cannot confirm, and would be told again and again;
it is answered by the model's own words (`reboot`, `power_on`).
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from devices.codecs.fields import JsonObject, clean, from_iso
from devices.codecs.milesight import (
    ANSWER,
    FROM_SECONDS,
    TO_SECONDS,
    past_alarms,
    read_motion_payload,
    read_object,
)
from devices.codecs.milesight import read_payload as read_milesight
from devices.codecs.properties import battery_status, number_of, readings_of, states_of
from devices.downlink import CommandName, CommandRequest, NotNow, worded
from devices.messages import (
    CodecError,
    CommandAck,
    Decoded,
    DeviceStatus,
    Flag,
    Message,
    Position,
    Scalar,
)

Decoder = Callable[[bytes], tuple[dict[str, Scalar], tuple[str, ...]]]

DECODERS: Mapping[str, Decoder] = MappingProxyType({"milesight": read_milesight})
"""Payload decoders by the word that names them."""
_OF_MODEL: Mapping[str, Decoder] = MappingProxyType({"ws202": read_motion_payload})
"""Models whose channels mean something else than the maker's other models' do."""
LATE = timedelta(hours=24)
"""How long ago an alarm of a sensor's memory may have been, and still be one to go to."""

_NUMBERS: Mapping[str, str] = {
    "battery": "battery",
    "temperature": "ambient_temperature",
    "humidity": "humidity",
    "illuminance": "illuminance",
    "light": "illuminance",
    "heart_rate": "heart_rate",
    "respiratory_rate": "respiratory_rate",
    "body_temperature": "body_temperature",
    "steps": "steps",
}
_SWITCHES: Mapping[str, tuple[str, bool]] = {
    "open": ("door_open", True),
    "door_open": ("door_open", True),
    "contact": ("door_open", False),
    "motion": ("motion", True),
    "occupancy": ("motion", True),
    "occupied": ("motion", True),
    "bed_occupied": ("bed_occupied", True),
    "smoke": ("smoke", True),
    "gas": ("gas", True),
    "water_leak": ("water_leak", True),
    "leak": ("water_leak", True),
}
_OF_ANSWERS = (ANSWER, FROM_SECONDS, TO_SECONDS)
_IN_BED = {"in_bed": True, "out_of_bed": False, "vacant": False}
COMMANDS = frozenset({CommandName.SET_INTERVAL, CommandName.REBOOT})
_MAX_PAYLOAD = 255
# Below a minute the share of the air that a device may take is used up; above, Milesight's limit.
INTERVALS = range(60, 64_801)
# Everything that is not the satellites' word is a network's estimate.
_SOURCES = {
    "GEO_RESOLVER_TDOA": "cell",
    "GEO_RESOLVER_RSSI": "cell",
    "GEO_RESOLVER_WIFI": "wifi",
    "GEO_RESOLVER_GNSS": "gnss",
    "LORA_RSSI_GEOLOCATION": "cell",
    "LORA_TDOA_GEOLOCATION": "cell",
    "COMBINED_GEOLOCATION": "cell",
    "WIFI_RSSI_GEOLOCATION": "wifi",
    "IP_GEOLOCATION": "cell",
    "CELL_ID_GEOLOCATION": "cell",
    "BT_RSSI_GEOLOCATION": "wifi",
    "REGISTRY": "manual",
    "CONFIG": "manual",
}


def payload_bytes(value: Any, name: str) -> bytes:
    """The base64 text of a payload. Reasons: bad_type, bad_value."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise CodecError("bad_type", f"{name} must be base64 text")
    try:
        data = b64decode(value, validate=True)
    except (Base64Error, ValueError) as error:
        raise CodecError("bad_value", f"{name} is not base64") from error
    if len(data) > _MAX_PAYLOAD:
        raise CodecError("bad_value", f"{name} is longer than a LoRaWAN payload can be")
    return data


def decoder_for(*hints: Any) -> Decoder | None:
    """The decoder that one of these words names, as a whole or as its beginning."""
    words = [hint.strip().lower() for hint in hints if isinstance(hint, str)]
    for hint in words:
        for word, decoder in DECODERS.items():
            if hint.startswith(word):
                own = (each for model, each in _OF_MODEL.items() if model in " ".join(words))
                return next(own, decoder)
    return None


def uplink(
    device: str,
    at: datetime | None,
    decoded: Any,
    data: bytes,
    decoder: Decoder | None,
    rssi: float | None = None,
    battery: float | None = None,
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages of one uplink, and what was odd about it.

    `battery` is what the network knows of it in percent; the sensor's own word goes ahead.
    """
    properties: JsonObject = decoded if isinstance(decoded, dict) else {}
    warnings: list[str] = []
    properties = {**properties, **read_object(properties)}
    if data and decoder is not None:
        try:
            ours, odd = decoder(data)
        except CodecError as error:
            if not properties:
                raise
            ours, odd = {}, (f"{error.reason}: {error}",)
        properties = {**properties, **ours}
        warnings.extend(odd)
    if not properties and data:
        properties = {"payload": data.hex()}
        warnings.append("the payload has no decoder")
    properties = _completed(properties, battery)
    states = states_of(properties, skip=_OF_ANSWERS, numbers=_NUMBERS, warnings=warnings)
    message = Message(
        device=device,
        kind="vitals",
        at=at,
        readings=readings_of(properties, _NUMBERS, _SWITCHES),
        status=_status(properties, rssi),
        ack=_answer(properties),
        states=MappingProxyType(states),
        flags=frozenset() if at else frozenset({Flag.TIME_MISSING}),
    )
    late = _late_alarms(device, at, data) if decoder is read_milesight else ()
    return (*late, message), tuple(warnings)


def _completed(properties: JsonObject, battery: float | None) -> JsonObject:
    """With what follows from a state, and the battery if the sensor does not tell it."""
    bed = _IN_BED.get(str(properties.get("detection_status")))
    more = {} if bed is None else {"bed_occupied": bed}
    known = {} if battery is None else {"battery": battery}
    return {**known, **properties, **more}


def _late_alarms(device: str, at: datetime | None, data: bytes) -> tuple[Message, ...]:
    """Alarms that a radar could not send when they happened: the fall of an hour ago still rings.

    They go ahead of the message that says how it is now.
    """
    return tuple(
        Message(
            device=device,
            kind="vitals",
            at=moment,
            states=MappingProxyType({f"alarm_{kind}": "triggered"}),
            flags=frozenset({Flag.REPLAYED}),
        )
        for kind, moment in past_alarms(data)
        if at is not None and timedelta() <= at - moment <= LATE
    )


def _status(properties: JsonObject, rssi: float | None) -> DeviceStatus | None:
    status = battery_status(properties.get("battery")) or DeviceStatus()
    firmware = properties.get("firmware_version")
    if isinstance(firmware, str) and firmware:
        status = replace(status, firmware=clean(firmware)[:64])
    status = replace(status, rssi_dbm=rssi)
    return status if status != DeviceStatus() else None


def _answer(properties: JsonObject) -> CommandAck | None:
    """What a model says itself to a command: its new interval, or that it has started."""
    answer = properties.get(ANSWER)
    started = properties.get("power_on") is True or properties.get("device_status") == "on"
    if started or answer == "reboot" or properties.get("reboot") == "yes":
        return CommandAck("", ok=True, names=frozenset({CommandName.REBOOT}))
    if answer or "report_interval" in properties or "reporting_interval" in properties:
        interval = _interval(properties)
        return CommandAck(
            "", ok=True, names=frozenset({CommandName.SET_INTERVAL}), interval=interval
        )
    return None


def _interval(properties: JsonObject) -> range | None:
    """The interval that an answer repeats, as we read it: a server's decoder has other units."""
    low, high = properties.get(FROM_SECONDS), properties.get(TO_SECONDS)
    return range(low, high + 1) if isinstance(low, int) and isinstance(high, int) else None


def place_of(request: CommandRequest) -> str:
    """The application that the server keeps the device in. Raises NotNow before its first word."""
    if not request.route:
        raise NotNow("the device has not been heard over MQTT yet: its application is not known")
    return request.route


def payload_of(request: CommandRequest) -> tuple[int, str]:
    """FPort, and the payload as base64. CodecError reasons: unknown_command, interval."""
    port, _, form = request.form.partition(":")
    values: dict[str, str] = {}
    if request.name is CommandName.SET_INTERVAL:
        seconds = int(request.args["seconds"])
        if seconds not in INTERVALS:
            raise CodecError("interval", "LoRaWAN devices report every 60 to 64800 seconds")
        values = {"seconds": _word(seconds), "minutes": _word(-(-seconds // 60))}
    try:
        return int(port), b64encode(bytes.fromhex(worded(form, **values))).decode()
    except ValueError as error:
        text = f"{request.profile} has no payload for {request.name}"
        raise CodecError("unknown_command", text) from error


def _word(number: int) -> str:
    return number.to_bytes(2, "little").hex()


def kept_in(application: str, decoded: Decoded) -> Decoded:
    """What was decoded, with the application that the server keeps the device in."""
    route = clean(application)[:128]
    messages = tuple(replace(message, route=route) for message in decoded.messages)
    return replace(decoded, messages=messages)


def loudest(gateways: Any) -> float | None:
    """The best signal in dBm of the gateways that heard an uplink, None where none says it."""
    if not isinstance(gateways, list):
        return None
    found = (number_of(each.get("rssi")) for each in gateways[:64] if isinstance(each, dict))
    return max((value for value in found if value is not None and -150 <= value < 0), default=None)


def position_of(place: Any, at: datetime | None) -> Position | None:
    """Latitude, longitude and accuracy in metres as both servers write them; None for no place."""
    if not isinstance(place, dict):
        return None
    lat, lon = number_of(place.get("latitude")), number_of(place.get("longitude"))
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    accuracy = number_of(place.get("accuracy"))
    return Position(
        lat,
        lon,
        accuracy_m=accuracy if accuracy and accuracy > 0 else None,
        at=at,
        valid=(lat, lon) != (0, 0),
        source=_SOURCES.get(str(place.get("source")).upper().removeprefix("SOURCE_"), "gnss"),
    )


def server_time(value: Any, warnings: list[str]) -> datetime | None:
    """The network server's time (RFC 3339, up to nanoseconds); never a reason to refuse."""
    if not isinstance(value, str):
        return None
    head, dot, tail = value.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    try:
        return from_iso(f"{head}{dot}{digits[:6]}{tail[len(digits) :]}", "time")
    except CodecError:
        warnings.append("bad_time: time cannot be read")
        return None


def address(value: Any, name: str) -> str:
    """A device's identifier. Reason: bad_device_id."""
    if not isinstance(value, str) or not value or len(value) > 64 or clean(value) != value:
        raise CodecError("bad_device_id", f"{name} is not an identifier")
    return value
