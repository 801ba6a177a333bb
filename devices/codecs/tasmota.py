"""Tasmota: switches, buttons and sensors on ESP chips, and bridges of radio and Zigbee, over MQTT.

`tele/<topic>/SENSOR` and the answers `stat/<topic>/STATUS8` and `STATUS10` carry sensors by name,
`tele/…/STATE` and `STATUS11` the state of the chip, `tele/…/LWT` Online or Offline, `RESULT` what a
button did or a radio bridge heard. Numbers may come as strings. Times are local and without a zone
unless the device is told otherwise (SetOption52), so that one without a zone is not used.
A command goes to `cmnd/<topic>/<command>`; the device repeats its name in `stat/<topic>/RESULT`
(with SetOption4 1 under its own name), that is all that it has to be known by.
Source: tasmota.github.io, pages MQTT, Commands, Buttons and Switches, Buzzer, RF, Zigbee.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from devices.codecs.fields import JsonObject, clean, load_object, topic_of
from devices.codecs.properties import battery_status, number_of
from devices.codecs.units import celsius
from devices.downlink import NOT_SUPPORTED, CommandName, CommandRequest, Downlink
from devices.messages import (
    Codec,
    CodecError,
    CommandAck,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
    Scalar,
)

_METRICS: Mapping[str, str] = {
    "Temperature": "ambient_temperature",
    "Humidity": "humidity",
    "Illuminance": "illuminance",
    "BatteryPercentage": "battery",
}
# Zigbee sensors say 1 or true for what stands in the name.
_SWITCHES: Mapping[str, str] = {
    "Occupancy": "motion",
    "Movement": "motion",
    "Motion": "motion",
    "Contact": "door_open",
    "Fire": "smoke",
    "CO": "gas",
    "Water": "water_leak",
}
_NOT_STATES = frozenset(
    {"Time", "TempUnit", "Device", "Name", "IEEEAddr", "Endpoint", "Group", "LinkQuality"}
)
_PRESSED = re.compile(r"(?:Button|Switch)\d{1,2}", re.ASCII)
_MAX_STATES = 32
_MAX_DEVICES = 64
_WORDS: Mapping[CommandName, str] = {
    CommandName.RING: "Buzzer",
    CommandName.SET_INTERVAL: "TelePeriod",
    CommandName.REBOOT: "Restart",
}
_NAME_OF_WORD = {word.upper(): name for name, word in _WORDS.items()}
_ANSWERS = frozenset({"RESULT", *_NAME_OF_WORD})
_RING_SECONDS = 30
_INTERVALS = range(10, 3601)
_SENSORS = frozenset({("tele", "SENSOR"), ("stat", "STATUS10"), ("stat", "STATUS8")})


def decode(frame: Frame) -> Decoded:
    """Decode one report; `Message.device` is Tasmota's topic of the device.

    Of what a bridge hears it is `<topic>/<name or address>` (Zigbee) or `<topic>/<code>` (radio).
    Answers to commands other than ours come to nothing. CodecError reasons: unknown_topic,
    oversized, malformed_json, not_an_object, bad_value.
    """
    prefix, _, rest = frame.topic.partition("/")
    device, _, leaf = rest.rpartition("/")
    device = clean(device)[:128]
    if prefix not in ("tele", "stat") or not device:
        raise CodecError("unknown_topic", "the topic is not tele/<topic>/… or stat/<topic>/…")
    if prefix == "tele" and leaf == "LWT":
        return Decoded((_reachability(device, frame.payload),), device=device)
    if (prefix, leaf) in _SENSORS:
        report = load_object(frame.payload)
        sensors = report.get("StatusSNS", report)
        if not isinstance(sensors, dict):
            raise CodecError("bad_value", "StatusSNS must be an object")
        if heard := _heard(device, sensors):
            return Decoded(heard, device=device)
        return Decoded((_sensors(device, sensors),), device=device)
    if (prefix, leaf) in (("tele", "STATE"), ("stat", "STATUS11")):
        return Decoded((_chip(device, load_object(frame.payload)),), device=device)
    if leaf in _ANSWERS and frame.payload.lstrip()[:1] == b"{":
        report = load_object(frame.payload)
        messages = _heard(device, report) or _pressed(device, report)
        return Decoded(messages or _answered(device, prefix, report), device=device)
    return Decoded(device=device)


def _reachability(device: str, payload: bytes) -> Message:
    state = payload.decode("utf-8", "replace").strip()
    if state not in ("Online", "Offline"):
        raise CodecError("bad_value", "LWT must be Online or Offline")
    flags = frozenset({Flag.TIME_MISSING})
    return Message(device, "status", status=DeviceStatus(online=state == "Online"), flags=flags)


def _chip(device: str, report: JsonObject) -> Message:
    """The signal of the chip's WiFi in dBm, and its relays as states."""
    report = report.get("StatusSTS", report)
    if not isinstance(report, dict):
        raise CodecError("bad_value", "StatusSTS must be an object")
    wifi = report.get("Wifi")
    signal = number_of(wifi.get("Signal")) if isinstance(wifi, dict) else None
    known = signal is not None and -150 <= signal < 0
    states = {name: value for name, value in _states(report) if name.startswith("POWER")}
    return _message(
        device,
        "status",
        _time(report.get("Time")),
        status=DeviceStatus(online=True, rssi_dbm=signal if known else None),
        states=states,
    )


def _sensors(device: str, report: JsonObject) -> Message:
    """The first sensor of each metric is the reading; all else is a state, `DS18B20-2.Id`."""
    fahrenheit = report.get("TempUnit") == "F"
    values: dict[str, float] = {}
    states: dict[str, Scalar] = {
        name: value for name, value in _states(report) if isinstance(value, str)
    }
    for sensor, name, given in _leaves(report):
        metric, value = _METRICS.get(name), _number(given)
        if metric is not None and value is not None and metric not in values:
            if metric == "ambient_temperature" and fahrenheit:
                value = round(celsius(value), 2)
            values[metric] = value
        elif isinstance(given, str | bool | int | float) and len(states) < _MAX_STATES:
            plain = clean(given[:200]) if isinstance(given, str) else given
            states[f"{clean(sensor[:40])}.{clean(name[:40])}"] = plain
    return _message(device, "vitals", _time(report.get("Time")), values, states=states)


def _leaves(report: JsonObject) -> Iterator[tuple[str, str, Any]]:
    """Values of the sensors, which are objects one level down."""
    for sensor, content in report.items():
        if isinstance(content, dict):
            for name, value in content.items():
                yield sensor, name, value


def _heard(bridge: str, report: JsonObject) -> tuple[Message, ...]:
    """What a bridge heard: Zigbee sensors by address, or the code of a radio button."""
    sensors, radio = report.get("ZbReceived"), report.get("RfReceived")
    if isinstance(sensors, dict):
        several = list(sensors.items())[:_MAX_DEVICES]
        return tuple(
            _zigbee(bridge, address, sensor)
            for address, sensor in several
            if isinstance(sensor, dict)
        )
    code = radio.get("Data") if isinstance(radio, dict) else None
    if isinstance(code, bool) or not isinstance(code, str | int) or code == "":
        return ()
    address = clean(str(code))[:64]
    return (_message(f"{bridge}/{address}", "vitals", None, states={"radio": "received"}),)


def _zigbee(bridge: str, address: str, sensor: JsonObject) -> Message:
    """One Zigbee sensor; its name is what the bridge calls it, its short address may change."""
    name = sensor.get("Name")
    device = clean(name)[:64] if isinstance(name, str) and clean(name) else clean(address)[:64]
    values: dict[str, float] = {}
    for key, given in sensor.items():
        value = _number(given)
        if key in _METRICS and value is not None:
            values[_METRICS[key]] = value
        elif key in _SWITCHES and given in (0, 1):
            values[_SWITCHES[key]] = max(values.get(_SWITCHES[key], 0.0), float(given))
        elif key == "LinkQuality" and value is not None:
            values["linkquality"] = value
    status = battery_status(values.get("battery"))
    return _message(
        f"{bridge}/{device}", "vitals", None, values, status=status, states=dict(_states(sensor))
    )


def _pressed(device: str, report: JsonObject) -> tuple[Message, ...]:
    """Buttons and switches that are detached from the relays (SetOption73 and 114)."""
    states: dict[str, Scalar] = {}
    for name, value in report.items():
        action = value.get("Action") if isinstance(value, dict) else None
        if _PRESSED.fullmatch(name) and isinstance(action, str) and len(states) < _MAX_STATES:
            states[name] = clean(action)[:64]
    return (_message(device, "vitals", None, states=states),) if states else ()


def _answered(device: str, prefix: str, report: JsonObject) -> tuple[Message, ...]:
    """The device has done what a command of ours said, or has no such command."""
    if prefix != "stat":
        return ()
    names = {_NAME_OF_WORD.get(word.upper()) for word in report} - {None}
    ok = bool(names)
    if not ok and report.get("Command") == "Unknown":
        # A newer one says which. Otherwise it is the buzzer: every build has the others.
        given = report.get("Input")
        word = given.upper() if isinstance(given, str) else "BUZZER"
        names = {_NAME_OF_WORD.get(word)} - {None}
    known = frozenset(name for name in names if name is not None)
    if not known:
        return ()
    interval = _interval(report) if known == {CommandName.SET_INTERVAL} else None
    said = "" if ok else NOT_SUPPORTED
    ack = CommandAck("", ok=ok, detail=said, names=known, interval=interval)
    return (Message(device, "ack", ack=ack, flags=frozenset({Flag.TIME_MISSING})),)


def _interval(report: JsonObject) -> range | None:
    """The interval that it repeats, None where it says none."""
    value = next((each for word, each in report.items() if word.upper() == "TELEPERIOD"), None)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return range(value, value + 1)


def _message(
    device: str,
    kind: str,
    at: datetime | None,
    values: Mapping[str, float] | None = None,
    *,
    status: DeviceStatus | None = None,
    states: Mapping[str, Scalar] | None = None,
) -> Message:
    return Message(
        device=device,
        kind=kind,
        at=at,
        readings=tuple(Reading(metric, value) for metric, value in (values or {}).items()),
        status=status,
        states=MappingProxyType(dict(states or {})),
        flags=frozenset() if at else frozenset({Flag.TIME_MISSING}),
    )


def _states(report: JsonObject) -> Iterator[tuple[str, Scalar]]:
    """Switches and the like: scalars at the top, without numbers that are readings."""
    found = 0
    for name, value in report.items():
        if name in _NOT_STATES or name in _METRICS or not isinstance(value, str | bool | int):
            continue
        if found == _MAX_STATES:
            return
        found += 1
        yield clean(name[:64]), clean(value[:200]) if isinstance(value, str) else value


def _number(value: Any) -> float | None:
    plain = number_of(value)
    if plain is not None:
        return plain if abs(plain) < 1e9 else None
    if not isinstance(value, str) or len(value) > 20:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def encode(request: CommandRequest) -> Downlink:
    """A command under its own topic. CodecError reasons: unknown_command, interval, bad_device_id.

    The buzzer beeps for half of every second, 30 of them unless more or fewer are asked for.
    """
    word = _WORDS.get(request.name)
    if word is None:
        raise CodecError("unknown_command", f"{request.name} has no form in this protocol")
    seconds = int(request.args.get("seconds", _RING_SECONDS))
    text = "1"
    if request.name is CommandName.RING:
        text = f"{seconds},5,5"
    elif request.name is CommandName.SET_INTERVAL:
        if seconds not in _INTERVALS:
            raise CodecError("interval", "Tasmota reports every 10 to 3600 seconds")
        text = str(seconds)
    return Downlink(text.encode(), topic_of("cmnd", request.address, word))


CODEC = Codec(
    name="tasmota",
    title="Tasmota (JSON / MQTT)",
    decode=decode,
    # A button or a smoke detector behind a bridge hides in ordinary frames, of which there are few.
    express_topics=("tele/#", "stat/#"),
    commands=frozenset(_WORDS),
    encode=encode,
    down_topics=("cmnd/#",),
    intervals=_INTERVALS,
)
