"""Milesight LoRaWAN payloads: channel, type, value, one after the other, little-endian.

Read: VS373 fall radar, WS101 and WS156 buttons, WS301 door, WS202 and VS-line motion, EM300 leak,
temperature and humidity, UC and battery channels. Source: the maker's user guides and its decoders
in TheThingsNetwork/lorawan-devices. A channel that is not known ends the reading, as its length is
not known either.
"""

from collections.abc import Callable, Mapping

from devices.codecs.binary import Reader
from devices.messages import Scalar

Properties = dict[str, Scalar]
Handler = Callable[[Properties, bytes], None]

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
    reader = Reader(data)
    found: Properties = {}
    while reader.left >= 2:
        channel = reader.uint(2)
        known = _CHANNELS.get(channel) or _CHANNELS.get(channel & 0x00FF | 0x1_0000)
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


def _version(found: Properties, data: bytes) -> None:
    found["firmware_version"] = f"v{data[0]}.{data[1]}"


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


def _regions(found: Properties, data: bytes) -> None:
    count, bits = min(data[0], 6), _word(data[1:])
    for region in range(count):
        found[f"region_{region + 1}_occupied"] = bool(bits >> region & 1)


_ANY = 0x1_0000  # with a type in the low byte: that type on any channel
_CHANNELS: dict[int, tuple[int, Handler]] = {
    0x0175: (1, _number("battery")),
    0x0300: (1, _switch("open")),
    0x03F8: (6, _detection),
    0x0400: (1, _switch("tamper")),
    0x04F9: (4, _ignore),
    0x0500: (1, _switch("water_leak")),
    0x05FA: (8, _ignore),
    0x06FB: (5, _radar_alarm),
    0x07B0: (8, _detection),
    0x08B1: (3, _breathing),
    0x09B2: (6, _ignore),
    0x0AB3: (5, _regions),
    0x0BB4: (9, _ignore),
    0x0CB4: (9, _ignore),
    0xFF01: (1, _ignore),
    0xFF08: (6, _ignore),
    0xFF09: (2, _ignore),
    0xFF0A: (2, _version),
    0xFF0B: (1, _switch("power_on")),
    0xFF0F: (1, _ignore),
    0xFF16: (8, _ignore),
    0xFF18: (2, _ignore),
    0xFF2E: (1, _choice("button", _BUTTON)),
    0xFFFF: (2, _ignore),
    _ANY | 0x67: (2, _number("temperature", 10, signed=True)),
    _ANY | 0x68: (1, _number("humidity", 2)),
}
