"""Theengs and OpenMQTTGateway: Bluetooth sensors as a gateway hears them, JSON over MQTT.

`home/<gateway>/BTtoMQTT/<MAC>`, or without the MAC, which then stands in `id`. Properties are those
of the Theengs decoder (`tempc`, `hum`, `batt`, `weight`, …). Advertisements are repeated and some
are heard by several gateways. Blood pressure meters and oximeters do not advertise their values:
what the gateway reads of a characteristic (`characteristic`, `read`) goes to `gatt`. Radio
buttons at 433 MHz come as `433toMQTT`, the gateway's own state as `LWT` and `SYStoMQTT`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from devices.alarms import AlarmKind
from devices.codecs.fields import JsonObject, clean, load_object
from devices.codecs.gatt.codec import decode_value
from devices.codecs.properties import battery_status, number_of, readings_of, states_of
from devices.codecs.units import KG_PER_POUND, celsius
from devices.messages import (
    AlarmSignal,
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
    Scalar,
)

_NUMBERS: Mapping[str, str] = {
    "tempc": "ambient_temperature",
    "hum": "humidity",
    "batt": "battery",
    "lux": "illuminance",
    "steps": "steps",
    "act_bpm": "heart_rate",
    "hr": "heart_rate",
    "rssi": "signal",
}
_SWITCHES: Mapping[str, tuple[str, bool]] = {
    "open": ("door_open", True),
    "motion": ("motion", True),
    "presence": ("motion", True),
    "smoke": ("smoke", True),
    "gas": ("gas", True),
    "wet": ("water_leak", True),
    "water_leak": ("water_leak", True),
}
_LOW = ("batt_low", "lowbatt")
_KILOGRAMS: Mapping[str, float] = {"kg": 1.0, "lb": KG_PER_POUND, "jin": 0.5}
_SKIP = frozenset({"id", "mac", "mac_type", "adv_type", "name", "rssi", "tempf", "weight"})
_SKIP_DATA = frozenset({"servicedata", "manufacturerdata", "servicedatauuid", "txpower", "mfid"})


def decode(frame: Frame) -> Decoded:
    """Decode one message; `Message.device` is the MAC in capitals without colons, the gateway's
    name, or `<gateway>/<code>` for a radio button.

    Other topics of the gateway come to nothing. CodecError reasons: unknown_topic, oversized,
    malformed_json, not_an_object, bad_device_id, bad_value, truncated.
    """
    levels = frame.topic.split("/")
    if len(levels) < 3 or levels[0] != "home" or not levels[1]:
        raise CodecError("unknown_topic", "the topic is not home/<gateway>/BTtoMQTT/<MAC>")
    gateway, kind = clean(levels[1])[:64], levels[2]
    if kind == "BTtoMQTT" and len(levels) <= 4:
        return _bluetooth(levels[3:], load_object(frame.payload))
    if kind == "LWT":
        return _reachability(gateway, frame.payload)
    if kind in ("SYStoMQTT", "433toMQTT"):
        read = _system if kind == "SYStoMQTT" else _radio
        return read(gateway, load_object(frame.payload))
    return Decoded()


def _bluetooth(address: list[str], report: JsonObject) -> Decoded:
    """One device's report; its address stands in the topic or in the report."""
    given = address[0] if address else report.get("id")
    if not isinstance(given, str):
        return Decoded(warnings=("the report names no device",))
    device = given.replace(":", "").upper()
    if not device or len(device) > 64 or clean(device) != device:
        raise CodecError("bad_device_id", "the topic names no device")
    if "characteristic" in report:
        return _characteristic(device, report)
    return Decoded((_advertisement(device, report),), device=device)


def _reachability(gateway: str, payload: bytes) -> Decoded:
    word = payload.decode("utf-8", "replace").strip().lower()
    if word not in ("online", "offline"):
        raise CodecError("bad_value", "LWT must be online or offline")
    return _of_gateway(gateway, DeviceStatus(online=word == "online"))


def _system(gateway: str, report: JsonObject) -> Decoded:
    """What the gateway says of itself, every two minutes."""
    version, signal = report.get("version"), number_of(report.get("rssi"))
    firmware = clean(version)[:64] if isinstance(version, str) else None
    known = signal is not None and -150 <= signal < 0
    status = DeviceStatus(online=True, firmware=firmware, rssi_dbm=signal if known else None)
    return _of_gateway(gateway, status)


def _of_gateway(gateway: str, status: DeviceStatus) -> Decoded:
    flags = frozenset({Flag.TIME_MISSING})
    return Decoded((Message(gateway, "status", status=status, flags=flags),), device=gateway)


def _radio(gateway: str, report: JsonObject) -> Decoded:
    """A code from the air: each button of each remote has its own, and that is the device."""
    code = report.get("value")
    if isinstance(code, bool) or not isinstance(code, int) or code < 0:
        return Decoded(warnings=("a radio message without a code",), device=gateway)
    device = f"{gateway}/{code}"[:128]
    states: dict[str, Scalar] = {"radio": "received"}
    flags = frozenset({Flag.TIME_MISSING})
    message = Message(device, "vitals", states=MappingProxyType(states), flags=flags)
    return Decoded((message,), device=device)


def _characteristic(device: str, report: JsonObject) -> Decoded:
    """What the gateway read when it was told to connect; what it wrote comes to nothing."""
    name, value = report.get("characteristic"), report.get("read")
    if not isinstance(name, str) or not isinstance(value, str):
        return Decoded(device=device)
    try:
        data = bytes.fromhex(value)
    except ValueError as error:
        raise CodecError("bad_value", "read is not hexadecimal") from error
    return decode_value(device, name, data)


def _advertisement(device: str, report: JsonObject) -> Message:
    readings = readings_of(report, _NUMBERS, _SWITCHES)
    unit = _KILOGRAMS.get(str(report.get("unit", "kg")))
    weight = number_of(report.get("weight"))
    thing = report.get("weighing_mode") == "object"
    if weight is not None and unit is not None and not thing:
        readings += (Reading("weight", round(weight * unit, 2)),)
    fahrenheit = number_of(report.get("tempf"))
    if fahrenheit is not None and number_of(report.get("tempc")) is None:
        readings += (Reading("ambient_temperature", round(celsius(fahrenheit), 2)),)
    battery, signal = battery_status(report.get("batt")), number_of(report.get("rssi"))
    status = None
    if battery is not None or signal is not None:
        percent = battery.battery_percent if battery else None
        status = DeviceStatus(battery_percent=percent, rssi_dbm=signal)
    low = next((report[name] for name in _LOW if isinstance(report.get(name), bool)), None)
    kind = AlarmKind.LOW_BATTERY
    alarms = () if low is None else (AlarmSignal(kind, low, "advertised", level=True),)
    warnings: list[str] = []
    skip = _SKIP | _SKIP_DATA
    states = states_of(report, skip=skip, numbers=_NUMBERS, warnings=warnings)
    if weight is not None and thing:
        # A suitcase on the scale is nobody's weight.
        states["weight"] = weight
    return Message(
        device=device,
        kind="vitals",
        readings=readings,
        alarms=alarms,
        status=status,
        states=MappingProxyType(states),
        flags=frozenset({Flag.TIME_MISSING}),
    )


CODEC = Codec(
    name="theengs",
    title="Theengs / OpenMQTTGateway (JSON / MQTT)",
    decode=decode,
    topics=("home/+/BTtoMQTT", "home/+/BTtoMQTT/+", "home/+/LWT", "home/+/SYStoMQTT"),
    express_topics=("home/+/433toMQTT",),
)
