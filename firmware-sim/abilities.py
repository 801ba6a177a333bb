"""Which kinds of device can raise which alarms by themselves."""

from wire_v1 import ALARM_KINDS

_OF_EVERY_DEVICE = frozenset({"low_battery", "tamper"})
_OF_THE_BODY = frozenset(
    kind
    for kind in ALARM_KINDS
    if kind.startswith(("heart_rate", "spo2", "blood_pressure", "body_temperature"))
)
RAISES: dict[str, frozenset[str]] = {
    "watch": _OF_EVERY_DEVICE
    | _OF_THE_BODY
    | {"sos", "fall", "geofence_exit", "taken_off", "inactivity"},
    "pendant": _OF_EVERY_DEVICE | {"sos", "fall"},
    "fall_detector": _OF_EVERY_DEVICE | {"fall", "inactivity"},
    "bed_sensor": _OF_EVERY_DEVICE
    | {"bed_exit", "heart_rate_high", "heart_rate_low"}
    | {"respiratory_rate_high", "respiratory_rate_low"},
    "smoke": _OF_EVERY_DEVICE | {"smoke"},
    "gas": _OF_EVERY_DEVICE | {"gas"},
    "leak": _OF_EVERY_DEVICE | {"water_leak"},
    "door": _OF_EVERY_DEVICE | {"door_open"},
    "motion": _OF_EVERY_DEVICE | {"inactivity"},
    "gateway": _OF_EVERY_DEVICE,
    "setracker": frozenset({"sos", "fall", "low_battery", "geofence_exit", "taken_off"}),
}


def able(kind: str) -> frozenset[str]:
    """The types of device that can raise `kind`."""
    return frozenset(name for name, kinds in RAISES.items() if kind in kinds)
