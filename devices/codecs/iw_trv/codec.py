"""IW and TRV watches: text frames over TCP that end with `#`, `IWAP49,68#`.

Frames are `frames.py`'s, what stands beside readings is in `states.py`; here is what each message
of the watch means and what it is answered. Only the login `AP00` carries the IMEI, so that the
connection has to remember it (`Frame.device`). Times are UTC. Source: the maker's "GPS watch
protocol" (2023) and frames of public decoder tests.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from devices.alarms import AlarmKind
from devices.codecs.fields import clean
from devices.codecs.iw_trv import commands
from devices.codecs.iw_trv.frames import Packet, open_frame, split
from devices.codecs.iw_trv.states import STATE, listed, more_states, serving_cell, states_of
from devices.codecs.properties import battery_status
from devices.codecs.units import MG_PER_MMOL, celsius
from devices.messages import (
    AlarmSignal,
    Codec,
    CodecError,
    Decoded,
    DeviceStatus,
    Flag,
    Frame,
    Message,
    Position,
    Reading,
    Scalar,
)

_IMEI = re.compile(r"[0-9A-Za-z]{5,20}")
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,9})?", re.ASCII)
_FIX = re.compile(
    r"(?P<date>\d{6})(?P<valid>[AV])"
    r"(?P<lat>\d\d\d\d\.\d+)(?P<ns>[NS])(?P<lon>\d{5}\.\d+)(?P<ew>[EW])"
    r"(?P<speed>\d{3}\.\d)(?P<time>\d{6})(?P<course>[\d.]{6})" + STATE + r"\d*(?P<rest>.*)",
    re.ASCII | re.DOTALL,
)
_HEARTBEAT = re.compile(STATE + r"(?P<more>\d*)", re.ASCII)
_HOTTEST_CELSIUS = 60
# A sugar of 25 mmol/L and more is rare, one of 25 mg/dL deadly: larger numbers are mg/dL.
_SUGAR_MG = 25

_PRESSURES = ("bp_diastolic", "bp_systolic")
_HEALTH: dict[str, tuple[str, ...]] = {
    "1": _PRESSURES,
    "2": ("heart_rate",),
    "3": ("body_temperature",),
    "4": ("spo2",),
}
_ALARMS = {
    "01": AlarmKind.SOS,
    "02": AlarmKind.LOW_BATTERY,
    "03": AlarmKind.TAKEN_OFF,
    "05": AlarmKind.FALL,
    "06": AlarmKind.FALL,
}


@dataclass(frozen=True, slots=True)
class _Part:
    messages: tuple[Message, ...] = ()
    warnings: tuple[str, ...] = ()
    device: str = ""
    content: str = ""


def decode(frame: Frame) -> Decoded:
    """Decode one frame, with or without its `#`. What the watch uploads is answered.

    `Message.device` is the IMEI that the connection's login gave, empty when there was none.
    CodecError reasons: oversized, not_a_frame, bad_field.
    """
    packet = open_frame(frame)
    handler = _HANDLERS.get(packet.name)
    if packet.name in commands.ANSWERS:
        # To answer those would be a loop.
        answer = commands.answer(packet.device, packet.name, packet.body)
        if answer is not None:
            return Decoded((answer,), device=packet.device)
    if handler is None:
        return Decoded(warnings=(f"{packet.name} is not used",), device=packet.device)
    part = handler(packet)
    device = part.device or packet.device
    return Decoded(part.messages, (packet.answer(part.content),), part.warnings, device)


def _login(packet: Packet) -> _Part:
    imei = packet.fields[0]
    if _IMEI.fullmatch(imei) is None:
        raise CodecError("bad_field", "the login carries no IMEI")
    if packet.head != "IW" or packet.received_at is None:
        return _Part(device=imei)
    now = packet.received_at.astimezone(UTC)
    return _Part(device=imei, content=f",{now:%Y%m%d%H%M%S},0")


def _position(packet: Packet) -> _Part:
    """AP01, YP03, YP14: where the watch is."""
    match = _FIX.match(packet.body)
    if match is None:
        raise CodecError("bad_field", f"{packet.name} cannot be read")
    return _Part((_fix_message(packet, "location", match, (), {}),))


def _alarm(packet: Packet) -> _Part:
    """AP10: as a position, then country, network, area, cell, alarm code, language, reply wish."""
    match = _FIX.match(packet.body)
    tail = (match["rest"] if match else packet.body).split(",")
    code = tail[5].strip() if len(tail) > 5 else ""
    kind = _ALARMS.get(code)
    detail = f"AP10 {clean(code)[:8]}"
    alarms = (AlarmSignal(kind, detail=detail),) if kind else ()
    # 00 is sent by some watches for a pressed button: what it means is for the profile to say.
    states: dict[str, Scalar] = {} if kind else {"alarm_unspecified": True}
    if code and not kind:
        states["alarm_code"] = clean(code)[:8]
    if match is None:
        flags = frozenset({Flag.TIME_MISSING, Flag.POSITION_INVALID})
        message = Message(packet.device, "alarm", alarms=alarms, states=states, flags=flags)
        return _Part((message,), ("bad_field: the position cannot be read",))
    return _Part((_fix_message(packet, "alarm", match, alarms, states),))


def _fix_message(
    packet: Packet,
    kind: str,
    match: re.Match[str],
    alarms: tuple[AlarmSignal, ...],
    states: dict[str, Scalar],
) -> Message:
    at = _moment(match["date"], match["time"])
    flags = {Flag.TIME_MISSING} if at is None else set()
    lat = _degrees(match["lat"], 2, match["ns"] == "S")
    lon = _degrees(match["lon"], 3, match["ew"] == "W")
    position = None
    if abs(lat) <= 90 and abs(lon) <= 180:
        valid = match["valid"] == "A" and (lat, lon) != (0, 0)
        speed, course = _number(match["speed"]), _number(match["course"])
        position = Position(lat, lon, at=at, valid=valid, speed_kmh=speed, course_deg=course)
    if position is None or not position.valid:
        flags.add(Flag.POSITION_INVALID)
    readings, status = _battery(match["battery"])
    tail = [field.strip() for field in match["rest"].removeprefix(",").split(",")]
    states |= states_of(match) | serving_cell(tail)
    return Message(
        device=packet.device,
        kind=kind,
        at=at,
        readings=readings,
        alarms=alarms,
        position=position,
        status=status,
        states=MappingProxyType(states),
        flags=frozenset(flags),
    )


def _moment(date: str, time: str) -> datetime | None:
    """YYMMDD and HHMMSS."""
    try:
        return datetime.strptime(f"20{date}{time}+0000", "%Y%m%d%H%M%S%z").astimezone(UTC)
    except ValueError:
        return None


def _degrees(text: str, digits: int, negative: bool) -> float:
    """DDMM.mmmm or DDDMM.mmmm in degrees."""
    value = int(text[:digits]) + float(text[digits:]) / 60
    return -value if negative else value


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _battery(text: str) -> tuple[tuple[Reading, ...], DeviceStatus | None]:
    percent = float(text)
    return (Reading("battery", percent),), battery_status(percent)


def _heartbeat(packet: Packet) -> _Part:
    """AP03 and CP01: signal, satellites, battery and, from watches, steps and turns."""
    match = _HEARTBEAT.match(packet.fields[0])
    if match is None:
        raise CodecError("bad_field", f"{packet.name} cannot be read")
    readings, status = _battery(match["battery"])
    counted = zip(("steps", "roll_count"), packet.fields[1:3], strict=False)
    counts = [(metric, _number(field)) for metric, field in counted if packet.name == "AP03"]
    readings += tuple(Reading(metric, value) for metric, value in counts if value is not None)
    states = states_of(match) | (more_states(match["more"]) if packet.name == "CP01" else {})
    return _Part((_message(packet, "status", readings, status, states),))


def _cells(packet: Packet) -> _Part:
    """AP02: cells and WiFi in sight, which we do not turn into a position."""
    return _Part((_message(packet, "location", (), None, listed(packet.fields)),))


def _vitals(*metrics: str) -> Callable[[Packet], _Part]:
    """Values in this order; an empty one, or 0, was not measured."""

    def handle(packet: Packet) -> _Part:
        values = [_number(field) for field in packet.fields[: len(metrics)]]
        if not any(value is not None for value in values):
            raise CodecError("bad_field", f"{packet.name} has no number")
        pairs = zip(metrics, values, strict=False)
        readings, warnings = _measured([(m, value) for m, value in pairs if value])
        states: dict[str, Scalar] = {} if readings else {"measurement": "failed"}
        battery = next((r.value for r in readings if r.metric == "battery"), None)
        message = _message(packet, "vitals", readings, battery_status(battery), states)
        return _Part((message,), warnings)

    return handle


def _health(packet: Packet) -> _Part:
    """APJK: local time, kind, value: 1 blood pressure, 2 pulse, 3 temperature, 4 oxygen.

    Most watches write the diastolic pressure first, some the systolic: the higher one is that.
    """
    fields = [*packet.fields, "", "", ""]
    metrics = _HEALTH.get(fields[1])
    if metrics is None:
        raise CodecError("bad_field", f"kind {clean(fields[1])[:8]} of APJK is none that we know")
    numbers = [_number(text) for text in fields[2].split("|")]
    if metrics == _PRESSURES:
        numbers[:2] = sorted(numbers[:2], key=lambda number: number or 0)
    pairs = zip(metrics, numbers, strict=False)
    readings, warnings = _measured([(metric, value) for metric, value in pairs if value])
    states: dict[str, Scalar] = {} if readings else {"measurement": "failed"}
    message = _message(packet, "vitals", readings, None, states)
    at = _local_time(fields[0])
    if at is None:
        return _Part((message,), (*warnings, "bad_time: the time cannot be read"))
    return _Part((replace(message, at=at, flags=message.flags - {Flag.TIME_MISSING}),), warnings)


def _local_time(text: str) -> datetime | None:
    """`2026-08-25 17:33:03` as the watch shows it, China Standard Time."""
    try:
        return datetime.strptime(f"{text[:19]}+0800", "%Y-%m-%d %H:%M:%S%z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _worn(packet: Packet) -> _Part:
    """APWR: IMEI, whether the watch is on a wrist, and the moment in milliseconds."""
    fields = [*packet.fields, "", ""]
    if fields[1] not in ("0", "1"):
        raise CodecError("bad_field", "APWR says neither 0 nor 1")
    signal = AlarmSignal(AlarmKind.TAKEN_OFF, fields[1] == "0", "APWR", level=True)
    device = fields[0] if _IMEI.fullmatch(fields[0]) else packet.device
    flags = frozenset({Flag.TIME_MISSING})
    return _Part((Message(packet.device or device, "alarm", alarms=(signal,), flags=flags),))


def _firmware(packet: Packet) -> _Part:
    """APVR: IMEI and version."""
    version = clean(packet.fields[-1])[:64]
    status = DeviceStatus(firmware=version) if version else None
    return _Part((_message(packet, "status", (), status),))


def _measured(
    pairs: Sequence[tuple[str, float]],
) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    readings: list[Reading] = []
    warnings: list[str] = []
    for metric, given in pairs:
        value = given
        if metric == "glucose" and value >= _SUGAR_MG:
            value = round(value / MG_PER_MMOL, 2)
            warnings.append("glucose is taken as mg/dL")
        elif metric == "body_temperature" and value >= _HOTTEST_CELSIUS:
            value = round(celsius(value), 2)
            warnings.append("the temperature is taken as °F")
        readings.append(Reading(metric, value))
    return tuple(readings), tuple(warnings)


def _message(
    packet: Packet,
    kind: str,
    readings: tuple[Reading, ...],
    status: DeviceStatus | None,
    states: dict[str, Scalar] | None = None,
) -> Message:
    return Message(
        device=packet.device,
        kind=kind,
        readings=readings,
        status=status,
        states=MappingProxyType(states or {}),
        flags=frozenset({Flag.TIME_MISSING}),
    )


_HANDLERS: dict[str, Callable[[Packet], _Part]] = {
    "AP00": _login,
    "AP01": _position,
    "AP02": _cells,
    "AP03": _heartbeat,
    "AP10": _alarm,
    "AP14": lambda _: _Part(content=",0.000,0.000"),
    "AP49": _vitals("heart_rate"),
    "AP50": _vitals("body_temperature", "battery"),
    "APJK": _health,
    "APTP": _vitals("body_temperature"),
    "APVR": _firmware,
    "APWR": _worn,
    "APHT": _vitals("heart_rate", "bp_systolic", "bp_diastolic"),
    "APHP": _vitals(
        "heart_rate", "bp_systolic", "bp_diastolic", "spo2", "glucose", "body_temperature"
    ),
    "CP01": _heartbeat,
    "YP03": _position,
    "YP14": _position,
}

CODEC = Codec(
    name="iw_trv",
    title="IW / TRV (TCP)",
    decode=decode,
    split=split,
    commands=frozenset(commands.FORMS),
    encode=commands.encode_command,
)
