"""Theengs and OpenMQTTGateway: Bluetooth sensors as a gateway hears them, JSON over MQTT.

`home/<gateway>/BTtoMQTT/<MAC>`. Properties are those of the Theengs decoder (`tempc`, `hum`,
`batt`, `weight`, …). Advertisements are repeated and some are heard by several gateways; blood
pressure and oximeters do not advertise their values and come by other ways.
"""

from collections.abc import Mapping
from types import MappingProxyType

from devices.codecs.fields import JsonObject, clean, load_object
from devices.codecs.properties import battery_status, number_of, readings_of, states_of
from devices.messages import (
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Reading,
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
_KILOGRAMS: Mapping[str, float] = {"kg": 1.0, "lb": 0.45359237, "jin": 0.5}
_SKIP = frozenset({"id", "mac", "mac_type", "adv_type", "name", "rssi", "tempf", "weight"})
_SKIP_DATA = frozenset({"servicedata", "manufacturerdata", "servicedatauuid", "txpower", "mfid"})


def decode(frame: Frame) -> Decoded:
    """Decode one advertisement; `Message.device` is the MAC in capitals without colons.

    Other topics of the gateway come to nothing. CodecError reasons: unknown_topic, oversized,
    malformed_json, not_an_object, bad_device_id.
    """
    levels = frame.topic.split("/")
    if len(levels) < 3 or levels[0] != "home":
        raise CodecError("unknown_topic", "the topic is not home/<gateway>/BTtoMQTT/<MAC>")
    if levels[2] != "BTtoMQTT" or len(levels) != 4:
        return Decoded()
    device = levels[3].replace(":", "").upper()
    if not device or len(device) > 64 or clean(device) != device:
        raise CodecError("bad_device_id", "the topic names no device")
    return Decoded((_advertisement(device, load_object(frame.payload)),), device=device)


def _advertisement(device: str, report: JsonObject) -> Message:
    readings = readings_of(report, _NUMBERS, _SWITCHES)
    unit = _KILOGRAMS.get(str(report.get("unit", "kg")))
    weight = number_of(report.get("weight"))
    if weight is not None and unit is not None:
        readings += (Reading("weight", round(weight * unit, 2)),)
    battery, signal = battery_status(report.get("batt")), number_of(report.get("rssi"))
    status = None
    if battery is not None or signal is not None:
        percent = battery.battery_percent if battery else None
        status = DeviceStatus(battery_percent=percent, rssi_dbm=signal)
    warnings: list[str] = []
    skip = _SKIP | _SKIP_DATA
    states = states_of(report, skip=skip, numbers=_NUMBERS, warnings=warnings)
    return Message(
        device=device,
        kind="vitals",
        readings=readings,
        status=status,
        states=MappingProxyType(states),
        flags=frozenset({Flag.TIME_MISSING}),
    )


CODEC = Codec(
    name="theengs",
    title="Theengs / OpenMQTTGateway (JSON / MQTT)",
    decode=decode,
    topics=("home/+/BTtoMQTT/+",),
)
