"""Milesight LoRaWAN payloads: channel, type, value, one after the other, little-endian.

Read: VS373 fall radar, WS101 and WS156 buttons, WS301 door, WS202 and VS-line motion, EM300 leak,
temperature and humidity, UC and battery channels, and the answers to reboot and reporting interval
(the command once more, its first byte FE or FF). Source: the maker's user guides, its decoders in
TheThingsNetwork/lorawan-devices and its decoders and encoders in Milesight-IoT/SensorDecoders. A
channel that is not known ends the reading, as its length is not known either.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from devices.codecs.binary import Reader
from devices.messages import Scalar

Properties = dict[str, Scalar]
Handler = Callable[[Properties, bytes], None]
Channels = Mapping[int, tuple[int, Handler]]
"""Channel and type → length of the value, and what reads it."""

ANSWER = "answer to a command"
"""Property that says which command of ours the payload answers."""
FROM_SECONDS, TO_SECONDS = "interval from", "interval to"
"""Properties of such an answer: the interval that it repeats, both ends in seconds."""

_DETECTION = {0: "normal", 1: "vacant", 2: "in_bed", 3: "out_of_bed", 4: "fall"}
_TARGET = {0: "normal", 1: "motionless", 2: "abnormal", 3: "lying_down"}
_RADAR_ALARM = {
    0: "fall",
    1: "motionless",
    2: "dwell",
    3: "out_of_bed",
    4: "occupied",
    5: "vacant",
    6: "bradypnea",
    7: "tachypnea",
    8: "lying_down",
}
_RADAR_STATUS = {1: "triggered", 2: "deactivated", 3: "ignored", 4: "respiratory"}
_BUTTON = {1: "short", 2: "long", 3: "double"}


def read_payload(data: bytes) -> tuple[Properties, tuple[str, ...]]:
    """Properties by name (battery, temperature, detection_status, button, …) and warnings.

    CodecError (truncated) where a known channel is cut off and nothing was read before it.
    """
    return _read(data, _CHANNELS)


def read_motion_payload(data: bytes) -> tuple[Properties, tuple[str, ...]]:
    """The same of a WS202, whose channels 3 and 4 are not a door and its mounting."""
    return _read(data, {**_CHANNELS, **_MOTION_CHANNELS})


def past_alarms(data: bytes) -> tuple[tuple[str, datetime], ...]:
    """Alarms of a radar's memory that were triggered while the network was away: kind and time."""
    reader = Reader(data)
    found: list[tuple[str, datetime]] = []
    while reader.left >= 2:
        channel = reader.uint(2)
        length, _ = _known(channel, _CHANNELS) or (reader.left + 1, None)
        if length > reader.left:
            break
        value = reader.take(length)
        if channel == _MEMORY and _RADAR_STATUS.get(value[7]) == "triggered":
            kind = _RADAR_ALARM.get(value[6], f"unknown_{value[6]}")
            found.append((kind, datetime.fromtimestamp(_word(value[:4]), UTC)))
    return tuple(found)


def _known(channel: int, channels: Channels) -> tuple[int, Handler] | None:
    return channels.get(channel) or channels.get(channel & 0x00FF | _ANY)


def _read(data: bytes, channels: Channels) -> tuple[Properties, tuple[str, ...]]:
    reader = Reader(data)
    found: Properties = {}
    while reader.left >= 2:
        channel = reader.uint(2)
        known = _known(channel, channels)
        if known is None:
            return found, (f"channel {channel:04X} is not known: the rest is left out",)
        length, handler = known
        if length > reader.left and found:
            return found, (f"channel {channel:04X} is cut off",)
        handler(found, reader.take(length))
    return found, ()


def _word(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _number(name: str, divisor: float = 1, *, signed: bool = False) -> Handler:
    def read(found: Properties, data: bytes) -> None:
        found[name] = int.from_bytes(data, "little", signed=signed) / divisor

    return read


def _choice(name: str, words: Mapping[int, str]) -> Handler:
    def read(found: Properties, data: bytes) -> None:
        found[name] = words.get(data[0], f"unknown_{data[0]}")

    return read


def _switch(name: str) -> Handler:
    def read(found: Properties, data: bytes) -> None:
        found[name] = data[0] == 1

    return read


def _ignore(_: Properties, __: bytes) -> None:
    """Serial numbers and the like."""


def _power_on(found: Properties, data: bytes) -> None:
    # FF in the start message of every model; VS373 tells of 0 and 1 besides.
    found["power_on"] = data[0] != 0


def _restarts(found: Properties, _: bytes) -> None:
    found[ANSWER] = "reboot"


def _interval(unit: int) -> Handler:
    """The interval in seconds or minutes, into which seconds are rounded up."""

    def read(found: Properties, data: bytes) -> None:
        seconds = unit * int.from_bytes(data[-2:], "little")
        found[ANSWER] = "set_interval"
        found[FROM_SECONDS], found[TO_SECONDS] = seconds - unit + 1, seconds

    return read


def _version(found: Properties, data: bytes) -> None:
    # The maker's own decoders write both halves in hexadecimal.
    found["firmware_version"] = f"v{data[0]:x}.{data[1]:x}"


def _detection(found: Properties, data: bytes) -> None:
    _choice("detection_status", _DETECTION)(found, data)
    found["target_status"] = _TARGET.get(data[1], f"unknown_{data[1]}")


def _radar_alarm(found: Properties, data: bytes) -> None:
    kind = _RADAR_ALARM.get(data[2], f"unknown_{data[2]}")
    found[f"alarm_{kind}"] = _RADAR_STATUS.get(data[3], f"unknown_{data[3]}")


def _breathing(found: Properties, data: bytes) -> None:
    # 2 normal, 3 fast, 4 slow: in the other states there is no rate.
    if data[0] in (2, 3, 4):
        found["respiratory_rate"] = _word(data[1:]) / 100


def _room_regions(found: Properties, data: bytes) -> None:
    """The older form: a byte a region, 0 is occupied."""
    for region, value in enumerate(data, 1):
        if value in (0, 1):
            found[f"region_{region}_occupied"] = value == 0


def _past_alarm(found: Properties, data: bytes) -> None:
    """An alarm from the sensor's memory: the network was away as it happened."""
    kind = _RADAR_ALARM.get(data[6], f"unknown_{data[6]}")
    found[f"history_{kind}"] = _RADAR_STATUS.get(data[7], f"unknown_{data[7]}")
    found["history_time"] = _word(data[:4])


def _regions(found: Properties, data: bytes) -> None:
    count, bits = min(data[0], 6), _word(data[1:])
    for region in range(count):
        found[f"region_{region + 1}_occupied"] = bool(bits >> region & 1)


_MEMORY = 0x20CE
_ANY = 0x1_0000  # with a type in the low byte: that type on any channel
_CHANNELS: dict[int, tuple[int, Handler]] = {
    0x0175: (1, _number("battery")),
    0x0300: (1, _switch("open")),
    0x03F8: (6, _detection),
    0x0400: (1, _switch("tamper")),
    0x04F9: (4, _room_regions),
    0x0500: (1, _switch("water_leak")),
    0x05FA: (8, _ignore),
    0x06FB: (5, _radar_alarm),
    0x07B0: (8, _detection),
    0x08B1: (3, _breathing),
    0x09B2: (6, _ignore),
    0x0AB3: (5, _regions),
    0x0BB4: (9, _ignore),
    0x0CB4: (9, _ignore),
    _MEMORY: (9, _past_alarm),
    0xFF01: (1, _ignore),
    0xFE03: (2, _interval(1)),
    0xFE10: (1, _restarts),
    0xFE8E: (3, _interval(60)),
    0xFF03: (2, _interval(1)),
    0xFF08: (6, _ignore),
    0xFF09: (2, _ignore),
    0xFF0A: (2, _version),
    0xFF0B: (1, _power_on),
    0xFF0F: (1, _ignore),
    0xFF10: (1, _restarts),
    0xFF16: (8, _ignore),
    0xFF18: (2, _ignore),
    0xFF28: (1, _ignore),
    0xFF2E: (1, _choice("button", _BUTTON)),
    0xFF2F: (1, _ignore),
    0xFF3E: (1, _ignore),
    0xFF74: (1, _ignore),
    0xFF8E: (3, _interval(60)),
    0xFFFE: (1, _ignore),
    0xFFFF: (2, _ignore),
    _ANY | 0x67: (2, _number("temperature", 10, signed=True)),
    _ANY | 0x68: (1, _number("humidity", 2)),
}
_MOTION_CHANNELS: Channels = {0x0300: (1, _switch("motion")), 0x0400: (1, _switch("daylight"))}


_WORDS = {
    "short press": "short",
    "long press": "long",
    "double press": "double",
    "alarm triggered": "triggered",
    "alarm deactivated": "deactivated",
    "alarm ignored": "ignored",
    "status report": "respiratory",
}
_OPPOSITES: Mapping[str, tuple[str, Mapping[str, bool]]] = {
    # property of the maker's decoder → ours, and its words
    "leakage_status": ("water_leak", {"leak": True, "normal": False}),
    "magnet_status": ("open", {"open": True, "opened": True, "close": False, "closed": False}),
    "door_state": ("open", {"open": True, "opened": True, "close": False, "closed": False}),
    "pir": ("motion", {"trigger": True, "normal": False}),
    "pir_status": ("motion", {"trigger": True, "normal": False}),
    "tamper_status": ("tamper", {"uninstalled": True, "installed": False}),
    "install_status": ("tamper", {"uninstalled": True, "installed": False}),
}


def read_object(given: Mapping[str, Any]) -> Properties:
    """What the maker's own decoder in the network server says, in the words of `read_payload`.

    Its versions differ: `press` or `button_event.status`, a list `events` or an object for each
    alarm; words with blanks or with underlines.
    """
    found: Properties = {}
    pressed = given.get("press", given.get("button_event"))
    pressed = pressed.get("status") if isinstance(pressed, dict) else pressed
    if isinstance(pressed, str) and _word_of(pressed) in _BUTTON.values():
        found["button"] = _word_of(pressed)
    for name, (ours, words) in _OPPOSITES.items():
        value = given.get(name)
        if isinstance(value, str) and value.lower() in words:
            found[ours] = words[value.lower()]
    for name in ("detection_status", "target_status"):
        if isinstance(given.get(name), str):
            found[name] = given[name].strip().lower().replace(" ", "_")
    events = given.get("events")
    for event in events[:16] if isinstance(events, list) else ():
        if isinstance(event, dict):
            _alarm_object(found, event.get("alarm_type"), event.get("alarm_status"))
    for kind in _RADAR_ALARM.values():
        event = given.get(f"{kind}_alarm", given.get(kind))
        if isinstance(event, dict):
            _alarm_object(found, kind, event.get("alarm_status"))
    return found


def _alarm_object(found: Properties, kind: Any, status: Any) -> None:
    """`status` is a word, a number, or the numbers of several in one text: the last one counts."""
    if not isinstance(kind, str) or not isinstance(status, str | int):
        return
    last = str(status).split(",")[-1].strip()
    word = _RADAR_STATUS.get(int(last)) if last.isdecimal() and len(last) < 4 else _word_of(last)
    kind = kind.strip().lower().replace(" ", "_").removesuffix("_alarm")
    if word and kind in _RADAR_ALARM.values():
        found[f"alarm_{kind}"] = word


def _word_of(text: str) -> str:
    plain = text.strip().lower().replace("_", " ")
    return _WORDS.get(plain, plain)[:32]
